"""An activation as a layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastgru import activations
from fastgru.backend import current_ops
from fastgru.layers.arguments import Shape
from fastgru.layers.base import Layer


class Activation(Layer):
    """Applies an activation.

    Parameters
    ----------
    activation : str or Activation
        Which.
    **common
        name, dtype: see :class:`Layer`.
    """

    supports_masking = True

    def __init__(self, activation: Any, **common: Any) -> None:
        super().__init__(**common)
        self.activation = activations.get(activation)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Shape:
        """Return the shape as it is."""
        return tuple(input_shape)

    @property
    def output_activation(self) -> str | None:
        """The name of the activation."""
        return self.activation.name

    def forward(self, x: Any, *, training: bool = False, mask: Any = None) -> tuple[Any, Any]:
        """Return the values."""
        name = self.activation.name
        operation = getattr(current_ops(), name) if name in ("sigmoid", "tanh") else None
        y = (operation or self.activation.forward)(x)
        return y, (self.activation, x, y) if training else None

    def forward_logits(
        self, x: Any, *, training: bool = False, mask: Any = None
    ) -> tuple[Any, Any]:
        """Return the input as it is."""
        return x, (activations.linear, x, x) if training else None

    def backward(self, dy: Any, cache: Any, *, accumulate: bool = False) -> Any:
        """Return dx."""
        activation, x, y = cache
        return dy if activation is activations.linear else activation.backward(dy, x, y)
