"""Models of layers called on each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np

from fastgru._arrays import to_floats
from fastgru._configurable import checked_config
from fastgru.layers import InputLayer, Layer
from fastgru.layers.arguments import checked_mask
from fastgru.layers.symbolic import KerasTensor
from fastgru.models import _functional_config
from fastgru.models._graph import Graph
from fastgru.models._plan import Plan
from fastgru.models._run import Run
from fastgru.models.model import Model


class Functional(Model):
    """What lies between input and output tensors, as a model: ``Model(inputs, outputs)``.

    Layers may be shared: within the model, where their gradients add up, and with other models.

    Parameters
    ----------
    inputs : KerasTensor, or a list or dict of these
        Where the model begins: tensors from `Input`, or any others.
    outputs : KerasTensor, or a list or dict of these
        Where it ends. A dict's keys name the outputs, which are returned in such a dict, sorted by
        name as in Keras. A list of one is as that one alone, as in Keras.
    name : str, optional
        Otherwise ``functional``, numbered.
    trainable : bool, default True
        False freezes the layers.

    Raises
    ------
    TypeError
        If inputs or outputs are not tensors.
    ValueError
        If an output depends on an `Input` that is not among the inputs, two layers have one name,
        or layers have different dtypes.

    Examples
    --------
    >>> from fastgru import Input, Model
    >>> from fastgru.layers import GRU, Dense
    >>> x = Input((None, 8))
    >>> Model(x, Dense(1)(GRU(32)(x))).output_shape
    (None, 1)
    """

    remade = ("_plan",)

    def __init__(
        self, inputs: Any, outputs: Any, name: str | None = None, trainable: bool = True
    ) -> None:
        super().__init__(name)
        inputs, outputs = _sorted(inputs), _sorted(outputs)
        self._input_names = _keys(inputs)
        self._output_names = _keys(outputs)
        self._in_list = not isinstance(inputs, KerasTensor)
        first, ends = _tensors("inputs", inputs), _tensors("outputs", outputs)
        self._out_list = isinstance(outputs, dict) or len(ends) > 1
        self._graph = Graph(self.name, first, ends)
        if len(set(first)) < len(first):
            raise ValueError(f"{self.name}: inputs: expected tensors that differ")
        self._dtype_name = self._shared_dtype()
        self._gather()
        self._plan = Plan(self._graph)
        self.built = True
        if not trainable:
            self.trainable = False

    def _shared_dtype(self) -> str:
        working = [layer for layer in self.layers if not isinstance(layer, InputLayer)]
        for layer in working:
            layer.check_dtype(working[0].dtype)
        return working[0].dtype if working else "float32"

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Lay out the plan again."""
        super().__setstate__(state)
        self._plan = Plan(self._graph)

    # ---- what it consists of ----

    @property
    def layers(self) -> list[Layer]:
        """The layers, inputs included, in Keras' order."""
        return list(self._graph.layers)

    @property
    def inputs(self) -> list[KerasTensor]:
        """The tensors that the model begins with."""
        return list(self._graph.inputs)

    @property
    def outputs(self) -> list[KerasTensor]:
        """The tensors that the model ends with."""
        return list(self._graph.outputs)

    @property
    def input_names(self) -> list[str]:
        """The names of the inputs: keys of a dict that was given, or names of layers."""
        return self._input_names or [layer.name for layer in self._graph.begins]

    @property
    def output_names(self) -> list[str]:
        """The names of the outputs: keys of a dict that was given, or names of layers."""
        return self._output_names or [tensor.node.layer.name for tensor in self._graph.outputs]

    @property
    def input(self) -> Any:
        """The model's input tensor, or the list of them if it was made with a list."""
        return list(self.inputs) if self._in_list else self.inputs[0]

    @property
    def output(self) -> Any:
        """The model's output tensor, or the list or dict of them if it was made with one."""
        return self.arranged(self.outputs if self._out_list else self.outputs[0])

    def arranged(self, outputs: Any) -> Any:
        """Return the outputs by name if the model was made with a dict of them."""
        if self._output_names is None:
            return outputs
        return dict(zip(self._output_names, outputs, strict=True))

    @property
    def input_shape(self) -> Any:  # type: ignore[override]
        """The shape of the input, with None for sizes that may vary; a list for several inputs."""
        return self._plan.shapes_of(self.inputs, self._in_list)

    @property
    def output_shape(self) -> Any:  # type: ignore[override]
        """The shape of the output, with None for sizes that may vary; a list for several."""
        return self._plan.shapes_of(self.outputs, self._out_list)

    @property
    def first_shape(self) -> Any:  # type: ignore[override]
        """The shape of the input: a Sequential that begins with this model is built for it."""
        return self.input_shape

    @property
    def dtype(self) -> str:
        """The name of the dtype of weights and outputs."""
        return self._dtype_name

    def build(self, input_shape: Any = None) -> None:
        """Do nothing: the layers were built when they were called."""

    def connections(self, layer: Layer) -> list[str]:
        """Return what a layer is called on: ``["embedding[0][0]"]``, first call, first output."""
        places = self._graph.places
        found = [
            places[tensor.key]
            for node in self._graph.nodes
            if node.layer is layer
            for tensor in node.inputs
        ]
        return [f"{name}[{call}][{output}]" for name, call, output in found] or ["-"]

    # ---- computation ----

    def __call__(self, inputs: Any, *, training: bool | None = None, mask: Any = None) -> Any:
        """Return the output for one batch, or for tensors of another model; both may be dicts."""
        if isinstance(inputs, Mapping) and any(isinstance(t, KerasTensor) for t in inputs.values()):
            tensors = self._from_dict("inputs", inputs)
            inputs = tensors if self._in_list else tensors[0]
        return super().__call__(inputs, training=training, mask=mask)

    def convert(self, name: str, x: Any) -> Any:
        """Return the inputs as arrays that the layers take; several as a list.

        Raises
        ------
        ValueError
            If their number, or a dict's keys, are not the model's.
        """
        begins = self._graph.begins
        if isinstance(x, Mapping):
            x = self._from_dict(name, x)
        elif len(begins) == 1:
            x = [x[0] if self._wrapped(x) else x]
        if not isinstance(x, list | tuple) or len(x) != len(begins):
            got = f"{len(x)} of them" if isinstance(x, list | tuple) else type(x).__name__
            raise ValueError(
                f"{name}: {self.name} has {len(begins)} inputs "
                f"({', '.join(f'{n} {b.batch_shape}' for n, b in self._named_begins())}); "
                f"expected a list of as many arrays, got {got}"
            )
        arrays = [
            self._converted(name if len(begins) == 1 else f"{name}[{i}]", array, i)
            for i, array in enumerate(x)
        ]
        return arrays if self._in_list else arrays[0]

    def _converted(self, name: str, array: Any, place: int) -> np.ndarray:
        takers = self._plan.takers[place]
        if takers and all(layer.takes_ids for layer in takers):
            ids: np.ndarray = takers[0].convert(name, array)
            for other in takers[1:]:
                other.convert(name, ids)
            return ids
        return to_floats(name, array, np.dtype(self.dtype))

    def _wrapped(self, x: Any) -> bool:
        """Tell whether the only input comes in a list, as Keras allows."""
        rank = len(self._graph.begins[0].batch_shape)
        return isinstance(x, list | tuple) and len(x) == 1 and getattr(x[0], "ndim", -1) == rank

    def _named_begins(self) -> list[tuple[str, InputLayer]]:
        return list(zip(self.input_names, self._graph.begins, strict=True))

    def _from_dict(self, name: str, given: Mapping[str, Any]) -> list[Any]:
        if given.keys() != set(self.input_names):
            raise ValueError(
                f"{name}: {self.name} has the inputs {', '.join(self.input_names)}; "
                f"got {', '.join(map(str, given))}"
            )
        return [given[key] for key in self.input_names]

    def _take_mask(self, mask: Any, x: Any) -> Any:
        if mask is None or not self._in_list:
            return super()._take_mask(mask, x)
        masks = mask if isinstance(mask, list | tuple) else [mask]
        if len(masks) != len(x):
            raise ValueError(
                f"{self.name}: mask: expected a list of {len(x)} masks or None, one for each input"
            )
        found = [
            None if m is None else checked_mask(name, m)
            for name, m in zip(self.input_names, masks, strict=True)
        ]
        for place, m in enumerate(found):
            if m is not None:
                self._plan.expect_mask(place, m.shape, x[place].shape)
        return found

    def expect_mask(self, shape: Sequence[int | None], input_shape: Sequence[int | None]) -> None:
        """Require the shape of a mask of the first input to fit the layers that take it."""
        self._plan.expect_mask(0, shape, input_shape)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape of the output for that of the input; lists for several.

        Raises
        ------
        ValueError
            If the number of inputs, an input or a layer does not fit.
        """
        shapes = list(input_shape) if self._in_list else [tuple(input_shape)]
        if len(shapes) != len(self._graph.begins):
            raise ValueError(
                f"{self.name}: expected {len(self._graph.begins)} inputs, got {len(shapes)}"
            )
        for begin, shape in zip(self._graph.begins, shapes, strict=True):
            begin.compute_output_shape(shape)
        found = self._plan.shapes(shapes)
        return found if self._out_list else found[0]

    @property
    def takes_ids(self) -> bool:  # type: ignore[override]
        """Whether the only input goes to layers that take ids."""
        takers = self._plan.takers[0]
        return len(self._plan.takers) == 1 and bool(takers) and all(t.takes_ids for t in takers)

    @property
    def output_activation(self) -> Any:
        """The activation of the last layer; a list for several outputs."""
        found = self._plan.activations
        return found if self._out_list else found[0]

    def forward(
        self, x: Any, *, training: bool = False, mask: Any = None, logits: Any = False
    ) -> tuple[Any, Run]:
        """Return the output for checked inputs, and what came up on the way."""
        if not self._in_list:
            x, mask = [x], None if mask is None else [mask]
        y, run = self._plan.forward(x, mask, training, logits)
        return y if self._out_list else y[0], run

    def backward(
        self, dy: Any, cache: Run, *, accumulate: bool = False, input_gradient: bool = True
    ) -> Any:
        """Write the gradients of all trainable weights; return those of the inputs."""
        dy = dy if self._out_list else [dy]
        dx = self._plan.backward(dy, cache, accumulate, input_gradient)
        return dx if self._in_list or dx is None else dx[0]

    # ---- configuration ----

    def get_config(self) -> dict[str, Any]:
        """Return name, layers and their calls, plain values fit for JSON; weights aside."""
        return _functional_config.describe_graph(
            self._graph,
            {
                "name": self.name,
                "input_names": self._input_names,
                "output_names": self._output_names,
                "inputs_in_list": self._in_list,
                "outputs_in_list": self._out_list,
            },
        )

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Make a model from what :meth:`get_config` returned, with new weights."""
        needed = "layers", "inputs", "outputs"
        inputs, outputs = _functional_config.tensors_from(checked_config(cls, config, *needed))
        return cls(inputs, outputs, name=config.get("name"))


def _tensors(name: str, given: Any) -> list[KerasTensor]:
    tensors = list(given.values()) if isinstance(given, Mapping) else given
    tensors = [tensors] if isinstance(tensors, KerasTensor) else tensors
    if not isinstance(tensors, Sequence) or not tensors:
        raise TypeError(f"{name}: expected tensors that come from an Input, got {given!r}")
    for tensor in tensors:
        if not isinstance(tensor, KerasTensor):
            raise TypeError(
                f"{name}: expected tensors that come from an Input, "
                f"got {tensor!r} ({type(tensor).__name__})"
            )
    return list(tensors)


def _sorted(given: Any) -> Any:
    return dict(sorted(given.items())) if isinstance(given, Mapping) else given


def _keys(given: Any) -> list[str] | None:
    return list(given) if isinstance(given, Mapping) else None
