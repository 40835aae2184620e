"""A stack of layers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

import numpy as np

from fastgru import layers as layers_module
from fastgru._configurable import describe
from fastgru.layers import InputLayer, Layer
from fastgru.layers._parameters import gather
from fastgru.layers.base import Shape, checked_shape
from fastgru.models.model import Model


class Sequential(Model):
    """Layers one after the other.

    The model is built at once if the shape of its input is known: from an `Input` at the beginning,
    or the first layer's `input_shape` (or `input_length`). Otherwise `fit`, `build` or a call
    builds it. All layers share the dtype of the first.

    Parameters
    ----------
    layers : sequence of Layer, optional
        The layers.
    trainable : bool, default True
        False freezes the layers given.
    name : str, optional
        Otherwise ``sequential``, numbered.

    Raises
    ------
    TypeError, ValueError
        If something is not a layer, two have one name, or one does not fit what comes before it.

    Examples
    --------
    >>> from fastgru import Sequential
    >>> from fastgru.layers import Dense, Embedding, GRU
    >>> model = Sequential([Embedding(15, 8, input_length=10), GRU(32), Dense(1)])
    >>> model.output_shape
    (None, 1)
    """

    def __init__(
        self,
        layers: Sequence[Layer] | None = None,
        trainable: bool = True,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self._input: InputLayer | None = None
        self._layers: list[Layer] = []
        self._shapes: tuple[Shape, Shape] | None = None
        if not isinstance(layers, Iterable | None):
            raise TypeError(f"layers: expected a list of layers, got {layers!r}")
        for layer in layers or ():
            self._append(layer)
        if not trainable:
            self.trainable = False
        self._build_if_known()

    # ---- the stack ----

    @property
    def layers(self) -> list[Layer]:
        """The layers, the input aside."""
        return list(self._layers)

    def add(self, layer: Layer) -> None:
        """Put a layer on top.

        Raises
        ------
        TypeError, ValueError
            If it is not a layer or does not fit; the model is then as it was.
        """
        before = self._input, list(self._layers)
        try:
            self._append(layer)
            self._build_if_known()
        except Exception:
            self._input, self._layers = before
            raise
        self._forget_training()

    def pop(self) -> Layer:
        """Take the top layer off and return it.

        Raises
        ------
        ValueError
            If there is none.
        """
        if not self._layers:
            raise ValueError(f"pop: the model {self.name!r} has no layers")
        layer = self._layers.pop()
        self.built = False
        self._forget_training()
        self._build_if_known()
        return layer

    def _append(self, layer: Any) -> None:
        if not isinstance(layer, Layer):
            raise TypeError(
                f"layers: expected layers, got {layer!r} ({type(layer).__name__})"
                + (", a class; call it to make one" if isinstance(layer, type) else "")
            )
        if isinstance(layer, InputLayer):
            if self._input is not None or self._layers:
                raise ValueError("layers: an Input is expected at the beginning, and once")
            self._input = layer
            return
        if any(layer.name == other.name for other in self._layers):
            raise ValueError(f"layers: two have the name {layer.name!r}; names must differ")
        if getattr(layer, "return_state", False):
            raise ValueError(
                f"layers: {layer.name!r} has return_state=True; "
                "a Sequential takes layers with one output"
            )
        self._layers.append(layer)

    def _forget_training(self) -> None:
        """After a change of layers, drop an optimizer whose state no longer fits."""
        if self.optimizer is not None and self.optimizer.iterations:
            self.compiled = None

    # ---- building ----

    def _build_if_known(self) -> None:
        if not self._layers:
            return
        if self._input is not None:
            self.build(self._input.batch_shape)
        elif self._layers[0].first_shape is not None:
            self.build(self._layers[0].first_shape)
        elif self._shapes is not None:
            self.build(self._shapes[0])

    def build(self, input_shape: Sequence[int | None] | None = None) -> None:
        """Make the weights.

        Parameters
        ----------
        input_shape : sequence of int or None
            The shape of a batch, such as ``(None, 10)``; not needed if an `Input` tells it.

        Raises
        ------
        ValueError
            If a layer does not fit what comes before it; no weights are made then.
        """
        if input_shape is None and self._input is not None:
            input_shape = self._input.batch_shape
        if input_shape is None:
            raise ValueError("build: expected input_shape, such as (None, 10)")
        shape = checked_shape("input_shape", input_shape)
        output_shape = self.compute_output_shape(shape)
        self._share_dtype()
        inputs = shape
        for layer in self._layers:
            layer.build(inputs)
            inputs = layer.compute_output_shape(inputs)
        gather(self.weights, owner=self)
        self._shapes = shape, output_shape
        self.built = True

    def _share_dtype(self) -> None:
        for layer in self._layers:
            layer.check_dtype(self.dtype)
        for layer in self._layers:
            layer.adopt_dtype(self.dtype)

    @property
    def dtype(self) -> str:
        """The name of the dtype of weights and outputs: that of the first layer."""
        return self._first().dtype

    def _first(self) -> Layer:
        if not self._layers:
            raise ValueError(f"the model {self.name!r} has no layers; add some")
        return self._layers[0]

    @property
    def input_shape(self) -> Shape:
        """The shape that the model was built for, with None for sizes that may vary.

        Raises
        ------
        ValueError
            If the model is not built.
        """
        return self._known_shapes("input_shape")[0]

    @property
    def output_shape(self) -> Shape:
        """The shape of the output, as :attr:`input_shape`."""
        return self._known_shapes("output_shape")[1]

    def _known_shapes(self, what: str) -> tuple[Shape, Shape]:
        self.require_built(what)
        assert self._shapes is not None
        return self._shapes

    # ---- computation ----

    def convert(self, name: str, x: Any) -> np.ndarray:
        """Return an input as the array that the first layer takes."""
        return self._first().convert(name, x)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Shape:
        """Return the shape of the output for that of an input.

        Raises
        ------
        ValueError
            If the input, or a layer, does not fit.
        """
        shape = tuple(input_shape)
        self._first()
        if self._input is not None:
            self._input.compute_output_shape(shape)
        for layer in self._layers:
            shape = layer.compute_output_shape(shape)
        return shape

    @property
    def output_activation(self) -> str | None:
        """The activation of the last layer."""
        return self._layers[-1].output_activation

    def forward(
        self, x: Any, *, training: bool = False, logits: bool = False
    ) -> tuple[np.ndarray, Any]:
        """Return the output for a checked input, and the caches of the layers."""
        caches = []
        last = len(self._layers) - 1
        for i, layer in enumerate(self._layers):
            run = layer.forward_logits if logits and i == last else layer.forward
            x, cache = run(x, training=training)
            caches.append(cache)
        return x, caches

    def backward(self, dy: np.ndarray, caches: Any) -> None:
        """Write the gradients of all trainable weights, down to the first layer that has some."""
        layers = self._layers
        lowest = next((i for i, layer in enumerate(layers) if layer.learns), len(layers))
        for i in range(len(layers) - 1, lowest - 1, -1):
            dy = layers[i].backward(dy, caches[i])

    # ---- configuration ----

    def get_config(self) -> dict[str, Any]:
        """Return name and layers, plain values fit for JSON; weights aside."""
        layers = [describe(layer) for layer in self._layers]
        if self._input is not None:
            layers.insert(0, describe(self._input))
        config: dict[str, Any] = {"name": self.name, "layers": layers}
        if self._shapes is not None:
            config["build_input_shape"] = list(self._shapes[0])
        return config

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Make a model from what :meth:`get_config` returned, with new weights."""
        layers = [layers_module.deserialize(c) for c in config["layers"]]
        model = cls(layers, name=config.get("name"))
        shape = config.get("build_input_shape")
        if shape is not None and not model.built:
            model.build(shape)
        return model
