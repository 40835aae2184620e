"""A stack of layers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

from fastgru import layers as layers_module
from fastgru._configurable import checked_config, describe
from fastgru.layers import InputLayer, Layer
from fastgru.layers.arguments import Shape, checked_shape
from fastgru.layers.input_layer import as_tensor
from fastgru.layers.nesting import shared_weight
from fastgru.layers.penalty import as_step
from fastgru.layers.symbolic import KerasTensor, connect
from fastgru.models._run import Run
from fastgru.models.model import Model


class Sequential(Model):
    """Layers one after the other.

    The model is built at once if the shape of its input is known: from an `Input` at the beginning,
    or the first layer's `input_shape` (or `input_length`). Otherwise `fit`, `build` or a call
    builds it. All layers share the dtype of the first.

    Parameters
    ----------
    layers : sequence of Layer, optional
        The layers; an `Input` may come first.
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

    remade = ("_adding", "_backwards", "_forwards", "_logits", "_making", "_steps")

    def __init__(
        self,
        layers: Sequence[Layer | KerasTensor] | None = None,
        trainable: bool = True,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self._input: InputLayer | None = None
        self._layers: list[Layer] = []
        self._ends: tuple[KerasTensor, KerasTensor] | None = None
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

    def add(self, layer: Layer | KerasTensor) -> None:
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
        if isinstance(layer, KerasTensor) and isinstance(layer.node.layer, InputLayer):
            layer = layer.node.layer
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
        if isinstance(layer.first_shape, list):
            raise ValueError(
                f"layers: {layer.name!r} was made with a list or dict of inputs; "
                "a Sequential takes models with one input: Model(input, output)"
            )
        self._require_own_weights([*self._layers, layer])
        self._layers.append(layer)

    def _require_own_weights(self, layers: list[Layer]) -> None:
        """Require that no two layers share a weight: their gradients would not add up."""
        if (found := shared_weight(layers)) is not None:
            _, layer, _ = found
            raise ValueError(f"layers: {layer.name!r} has weights that occur in the model already")

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
        elif self._ends is not None:
            self.build(self._ends[0].shape)

    def build(self, input_shape: Sequence[int | None] | None = None) -> None:
        """Make the weights.

        Parameters
        ----------
        input_shape : sequence of int or None
            The shape of a batch, such as ``(None, 10)``; not needed if an `Input` tells it.

        Raises
        ------
        ValueError
            If a layer does not fit what comes before it; no weights are made then. If two layers
            turn out to share weights.
        """
        if input_shape is None and self._input is not None:
            input_shape = self._input.batch_shape
        if input_shape is None:
            raise ValueError("build: expected input_shape, such as (None, 10)")
        shape = checked_shape("input_shape", input_shape)
        self.compute_output_shape(shape)  # first, so that nothing is made if one does not fit
        self._share_dtype()
        begin = self._input or InputLayer(batch_shape=shape, name=f"{self.name}_input")
        tensor = first = as_tensor(begin, shape)
        for layer in self._layers:
            tensor = connect(layer, tensor)
        self._require_own_weights(self._layers)
        self._ends = first, tensor
        self._gather()
        self._plan()
        self.built = True

    def _plan(self) -> None:
        """Lay out what `forward` and `backward` do for each layer."""
        self._steps = [as_step(layer) for layer in self._layers]
        self._forwards = [step.forward for step in self._steps]
        self._logits = [*self._forwards[:-1], self._steps[-1].forward_logits]
        self._backwards = [step.backward for step in self._steps]
        self._adding = [i for i, step in enumerate(self._steps) if step.adds_loss]
        self._making = [step.makes_mask for step in self._steps]

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Lay out the plan again."""
        super().__setstate__(state)
        if self.built:
            self._plan()

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
    def takes_ids(self) -> bool:  # type: ignore[override]
        """Whether the first layer takes ids."""
        return self._first().takes_ids

    @property
    def first_shape(self) -> Shape | None:  # type: ignore[override]
        """The shape of the input, if it is known: a model that begins with this one is built."""
        return None if self._ends is None else self._ends[0].shape

    @property
    def input_shape(self) -> Shape:  # type: ignore[override]
        """The shape that the model was built for, with None for sizes that may vary.

        Raises
        ------
        ValueError
            If the model is not built.
        """
        return self._known_ends("input_shape")[0].shape

    @property
    def output_shape(self) -> Shape:  # type: ignore[override]
        """The shape of the output, as :attr:`input_shape`."""
        return self._known_ends("output_shape")[1].shape

    @property
    def inputs(self) -> list[KerasTensor]:
        """The tensor that the model begins with, in a list."""
        return [self._known_ends("inputs")[0]]

    @property
    def outputs(self) -> list[KerasTensor]:
        """The tensor that the model ends with, in a list."""
        return [self._known_ends("outputs")[1]]

    def _known_ends(self, what: str) -> tuple[KerasTensor, KerasTensor]:
        self.require_built(what)
        assert self._ends is not None
        return self._ends

    @property
    def output_names(self) -> list[str]:
        """The name of the last layer, in a list."""
        return [layer.name for layer in self._layers[-1:]]

    # ---- computation ----

    def convert(self, name: str, x: Any) -> Any:
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
            found = layer.compute_output_shape(shape)
            if isinstance(found, list):
                raise ValueError(
                    f"layers: {layer.name!r} returns {len(found)} outputs; "
                    "a Sequential takes layers with one"
                )
            shape = found
        return shape

    def expect_mask(self, shape: Sequence[int | None], input_shape: Sequence[int | None]) -> None:
        """Require the shape of a mask to fit the first layer."""
        self._first().expect_mask(shape, input_shape)

    @property
    def output_activation(self) -> str | None:
        """The activation of the last layer, if nothing but the next loss needs its values."""
        last = self._layers[-1]
        found: str | None = None if last.activity_regularizer else last.output_activation
        return found

    def forward(
        self, x: Any, *, training: bool = False, mask: Any = None, logits: Any = False
    ) -> tuple[Any, Run]:
        """Return the output for a checked input, and the caches of the layers."""
        caches: list[Any] = []
        for i, run in enumerate(self._logits if logits else self._forwards):
            if mask is None:
                y, cache = run(x, training=training)
            else:
                y, cache = run(x, training=training, mask=mask)
            if mask is not None or self._making[i]:
                mask = self._steps[i].mask_of_output(x, mask, cache)
            caches.append(cache)
            x = y
        added = 0.0
        for i in self._adding:
            added += self._steps[i].added_loss(caches[i])
        return x, Run(caches, [mask], added)

    def backward(
        self, dy: Any, cache: Run, *, accumulate: bool = False, input_gradient: bool = True
    ) -> Any:
        """Write the gradients of all trainable weights; return that of the input.

        Without `input_gradient`, go down to the first layer that has trainable weights.
        """
        caches, lowest = cache.caches, 0
        if not input_gradient:
            while lowest < len(caches) and not self._layers[lowest].learns:
                lowest += 1
        for i in range(len(caches) - 1, lowest - 1, -1):
            last = i == lowest and not input_gradient
            run = self._steps[i].backward_to_weights if last else self._backwards[i]
            dy = run(dy, caches[i], accumulate=accumulate)
        return dy

    # ---- configuration ----

    def get_config(self) -> dict[str, Any]:
        """Return name and layers, plain values fit for JSON; weights aside."""
        layers = [describe(layer) for layer in self._layers]
        if self._input is not None:
            layers.insert(0, describe(self._input))
        config: dict[str, Any] = {"name": self.name, "layers": layers}
        if self._ends is not None:
            config["build_input_shape"] = list(self._ends[0].shape)
        return config

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Make a model from what :meth:`get_config` returned, with new weights."""
        config = checked_config(cls, config, "layers")
        layers = [layers_module.deserialize(c) for c in config["layers"]]
        model = cls(layers, name=config.get("name"))
        shape = config.get("build_input_shape")
        if shape is not None and not model.built:
            model.build(shape)
        return model
