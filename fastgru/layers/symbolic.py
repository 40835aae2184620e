"""Layers called on tensors that hold no numbers yet: what a functional model is made of."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from fastgru.layers.arguments import Shape

if TYPE_CHECKING:
    from fastgru.layers.base import Layer


class Node:
    """One call of a layer on tensors.

    Tensors know the node that they come from, and a node its layer and its inputs: whoever holds a
    tensor holds all that leads to it. The other way round references are weak.

    Attributes
    ----------
    layer : Layer
        What was called.
    inputs : list of KerasTensor
        What it was called on; empty for an input layer.
    in_list : bool
        Whether the layer takes a list of arrays.
    training : True or None
        True if the call said so; None leaves it to the model's.
    mask : KerasTensor or None
        A mask that the call gave.
    shapes : list of tuple
        The shapes of the outputs.
    out_list : bool
        Whether the layer returns a list.
    """

    __slots__ = (
        "__weakref__",
        "in_list",
        "inputs",
        "layer",
        "mask",
        "out_list",
        "shapes",
        "training",
    )

    def __init__(
        self,
        layer: Layer,
        inputs: list[KerasTensor],
        in_list: bool,
        shapes: Any,
        training: bool | None = None,
        mask: KerasTensor | None = None,
    ) -> None:
        self.layer, self.inputs, self.in_list = layer, inputs, in_list
        self.training, self.mask = training, mask
        self.out_list = isinstance(shapes, list)
        self.shapes: list[Shape] = shapes if self.out_list else [shapes]
        self._tell_layer()

    def _tell_layer(self) -> None:
        calls = self.layer.calls
        calls[:] = [call for call in calls if call() is not None]
        calls.append(weakref.ref(self))

    def __getstate__(self) -> dict[str, Any]:
        """Pickle what the node knows."""
        return {name: getattr(self, name) for name in self.__slots__ if name != "__weakref__"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Be known to the layer."""
        for name, value in state.items():
            setattr(self, name, value)
        self._tell_layer()

    @property
    def outputs(self) -> Any:
        """The tensor that the call returned, or the list of them."""
        tensors = [KerasTensor(self, i) for i in range(len(self.shapes))]
        return tensors if self.out_list else tensors[0]

    @property
    def parents(self) -> list[KerasTensor]:
        """The inputs and the mask."""
        return self.inputs if self.mask is None else [*self.inputs, self.mask]


class KerasTensor:
    """What a layer will return: a shape, and the call that it comes from.

    Made by `Input`, and by calling layers on other tensors.

    Parameters
    ----------
    node : Node
        The call.
    index : int
        Which of its outputs.
    """

    __slots__ = ("index", "node")

    def __init__(self, node: Node, index: int) -> None:
        self.node, self.index = node, index

    @property
    def shape(self) -> Shape:
        """The shape, with None for sizes that may vary."""
        return self.node.shapes[self.index]

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def dtype(self) -> str:
        """The name of the dtype."""
        return getattr(self.node.layer, "data_dtype", self.node.layer.dtype)

    @property
    def name(self) -> str:
        """The name of the layer, with the place among its outputs if there are several."""
        return self.node.layer.name + (f"[{self.index}]" if len(self.node.shapes) > 1 else "")

    @property
    def key(self) -> tuple[int, int]:
        """What tells tensors apart: a call and a place among its outputs."""
        return id(self.node), self.index

    def __eq__(self, other: object) -> bool:
        """Tell whether both are the same output of the same call."""
        return isinstance(other, KerasTensor) and self.key == other.key

    def __hash__(self) -> int:
        """Return the hash of the key."""
        return hash(self.key)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        """Refuse to be taken for numbers."""
        raise TypeError(f"{self!r} holds no numbers yet; call layers on it and make a Model")

    def __bool__(self) -> bool:
        """Refuse to be taken for a condition."""
        raise TypeError(f"{self!r} holds no numbers yet, so it is neither true nor false")

    def __repr__(self) -> str:
        """Return shape, dtype and name."""
        return f"<KerasTensor shape={self.shape}, dtype={self.dtype}, name={self.name}>"


def is_symbolic(inputs: Any) -> bool:
    """Tell whether a layer is called on tensors without numbers, at least on one."""
    if isinstance(inputs, list | tuple):
        return any(isinstance(x, KerasTensor) for x in inputs)
    return isinstance(inputs, KerasTensor)


def connect(layer: Layer, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
    """Call a layer on tensors; build it, if it is not built.

    Returns
    -------
    KerasTensor or list of KerasTensor
        What the layer will return.

    Raises
    ------
    TypeError
        If arrays and tensors come together.
    ValueError
        If the layer can't take inputs of these shapes, or the mask has another shape than they.
    NotImplementedError
        For ``training=False`` on a layer with dropout.
    """
    in_list = isinstance(inputs, list | tuple)
    tensors = list(inputs) if in_list else [inputs]
    for place, tensor in enumerate(tensors):
        if not isinstance(tensor, KerasTensor):
            raise TypeError(
                f"{layer.name}: inputs: expected tensors that come from an Input, "
                f"got {type(tensor).__name__} at place {place}"
            )
    if not isinstance(mask, KerasTensor | None):
        raise TypeError(
            f"{layer.name}: mask: expected a tensor that comes from an Input, "
            f"got {type(mask).__name__}; masks of layers travel by themselves"
        )
    if training is False and layer.seed_generators:
        raise NotImplementedError(
            f"{layer.name}: training=False is not served on tensors of a functional model; "
            "a layer with dropout follows the model, or always drops with training=True"
        )
    _share_dtype(layer, tensors)
    shapes = [tensor.shape for tensor in tensors]
    shape: Any = shapes if in_list else shapes[0]
    if mask is not None:
        layer.expect_mask(mask.shape, shapes[0])
    if not layer.built:
        layer.build(shape)
    shapes_out = layer.compute_output_shape(shape)
    node = Node(layer, tensors, in_list, shapes_out, training or None, mask)
    return node.outputs


def _share_dtype(layer: Layer, tensors: list[KerasTensor]) -> None:
    """Let a layer take the dtype of the layers that it is called on; data are converted."""
    for tensor in tensors:
        if tensor.node.inputs:
            if not layer.dtype_given and not layer.built:
                layer.adopt_dtype(tensor.dtype)
            elif layer.dtype != tensor.dtype:
                raise ValueError(
                    f"dtype: the layers of a model share one dtype, but {layer.name!r} has "
                    f"{layer.dtype} and is called on {tensor!r}"
                )
