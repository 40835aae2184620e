"""A layer for every step of a sequence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np

from fastgru._configurable import checked_config, describe
from fastgru.layers.arguments import Shape
from fastgru.layers.base import Layer
from fastgru.layers.nesting import keeps_states
from fastgru.layers.padding import own_steps, with_own
from fastgru.layers.symbolic import is_symbolic


class TimeDistributed(Layer):
    """Runs a layer on every step of a sequence: (B, T, …) as (B·T, …), and back.

    A mask with more axes than (B, T), from ids of shape (B, T, S), masks the layer's own steps. If
    no steps of its own are left in its output, a step of the sequence is valid where any of them
    was.

    As in Keras, an activity regularizer of the layer itself has no part in the loss.

    Parameters
    ----------
    layer : Layer
        The layer, or a model.
    **common
        name, dtype, trainable, input_shape: see :class:`Layer`.

    Raises
    ------
    TypeError
        If `layer` is not a layer.
    NotImplementedError
        For a stateful layer, or a model with such layers or with activity regularizers.
    """

    supports_masking = True

    def __init__(self, layer: Layer, **common: Any) -> None:
        if not isinstance(layer, Layer):
            raise TypeError(f"layer: expected a layer, got {layer!r} ({type(layer).__name__})")
        if layer.adds_loss:
            raise NotImplementedError(
                f"layer: {layer.name!r} has layers with an activity_regularizer; "
                "that is not served inside a TimeDistributed"
            )
        if getattr(layer, "stateful", False) or keeps_states(layer):
            raise NotImplementedError(
                f"layer: {layer.name!r} is stateful, or has a layer that is; "
                "that is not served inside a TimeDistributed"
            )
        if layer.dtype_given or layer.built:
            common.setdefault("dtype", layer.dtype)
        self.layer = layer
        super().__init__(**common)
        if not layer.built:
            layer.adopt_dtype(self.dtype)

    # ---- the layer inside ----

    @property
    def takes_ids(self) -> bool:  # type: ignore[override]
        """Whether the layer does."""
        return self.layer.takes_ids

    @property
    def makes_mask(self) -> bool:  # type: ignore[override]
        """Whether the layer does."""
        return self.layer.makes_mask

    @property
    def trainable(self) -> bool:
        """Whether training moves the weights; set, it holds for the layer."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        if self.built or not value:
            self.layer.trainable = bool(value)
        self._trainable = bool(value)

    @property
    def learns(self) -> bool:
        """Whether the layer has weights that training moves."""
        return self.layer.learns

    @property
    def seed_generators(self) -> list[Any]:
        """The layer's generators."""
        return self.layer.seed_generators

    def adopt_dtype(self, dtype: str) -> None:
        """Take a model's dtype, which was checked."""
        super().adopt_dtype(dtype)
        self.layer.adopt_dtype(dtype)

    def convert(self, name: str, x: Any) -> Any:
        """Return an input as the layer takes it."""
        return self.layer.convert(name, x)

    # ---- shapes ----

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Shape:
        """Return the layer's output shape with the time axis put in again."""
        shape = tuple(input_shape)
        if len(shape) < 3 and not (self.takes_ids and len(shape) == 2):
            raise ValueError(
                f"{self.name}: expected at least 3 dimensions (batch, time, …), got shape {shape}"
            )
        inner = self.layer.compute_output_shape((shape[0], *shape[2:]))
        if isinstance(inner, list):
            raise ValueError(
                f"{self.name}: expected a layer with one output, but {self.layer.name!r} has "
                f"{len(inner)}"
            )
        return (inner[0], shape[1], *inner[1:])

    def create_weights(self, input_shape: Shape) -> None:
        """Build the layer."""
        self.layer.build((input_shape[0], *input_shape[2:]))
        self._weights = self.layer.weights
        for weight in self._weights:
            weight.path = f"{self.name}/{weight.path}"

    # ---- computation ----

    def forward(self, x: Any, *, training: bool = False, mask: Any = None) -> tuple[Any, Any]:
        """Return the layer's outputs for all steps."""
        steps, rows = x.shape[:2], _merged(x)
        inner = None if mask is None or mask.ndim < 3 else _merged(mask)
        how = {} if inner is None else {"mask": inner}
        y, cache = self.layer.forward(rows, training=training, **how)
        return y.reshape(*steps, *y.shape[1:]), (cache, rows.shape, steps, inner)

    def compute_mask(self, x: Any, mask: Any = None) -> Any:
        """Return the mask of the steps; of the steps of each, too, if the layer leaves them."""
        if mask is None and not self.makes_mask:
            return None
        if is_symbolic(x):  # a mask is made step by step, whatever the axes before
            return self.layer.compute_mask(x, mask) if self.makes_mask else mask
        inner = None if mask is None or mask.ndim < 3 else _merged(mask)
        return self._mask(mask, self.layer.compute_mask(_merged(x), inner), x.shape[:2])

    def mask_of_output(self, x: Any, mask: Any, cache: Any) -> Any:
        """Return what :meth:`compute_mask` returns, also for a model."""
        cache, _, steps, inner = cache
        if inner is None and not self.makes_mask:
            return mask
        return self._mask(mask, self.layer.mask_of_output(_merged(x), inner, cache), steps)

    def _mask(self, mask: Any, inner: Any, steps: tuple[int, int]) -> Any:
        if inner is not None:
            return with_own(inner.reshape(*steps, *inner.shape[1:]), own_steps(mask))
        if mask is None or mask.ndim < 3:
            return mask
        return with_own(mask.any(axis=tuple(range(2, mask.ndim))), own_steps(mask))

    def backward(self, dy: Any, cache: Any, *, accumulate: bool = False) -> Any:
        """Return dx; write the gradients of the layer's weights."""
        cache, shape, steps, _ = cache
        dx = self.layer.backward(_merged(dy), cache, accumulate=accumulate)
        return None if dx is None else dx.reshape(*steps, *shape[1:])

    def backward_to_weights(self, dy: Any, cache: Any, *, accumulate: bool = False) -> None:
        """Do what :meth:`backward` does where nobody wants the gradient of the input."""
        self.layer.backward_to_weights(_merged(dy), cache[0], accumulate=accumulate)

    # ---- configuration ----

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make an equal layer (its weights aside)."""
        return super().get_config() | {"layer": describe(self.layer)}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Make a layer from what :meth:`get_config` returned."""
        from fastgru import layers

        config = checked_config(cls, config, "layer")
        return cls(**{**config, "layer": layers.deserialize(config["layer"])})


def _merged(a: np.ndarray) -> np.ndarray:
    return a.reshape(a.shape[0] * a.shape[1], *a.shape[2:])
