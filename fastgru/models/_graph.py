"""The calls of layers between a functional model's inputs and outputs, in an order to run them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fastgru.layers import InputLayer, Layer
from fastgru.layers.symbolic import KerasTensor, Node

Place = tuple[str, int, int]  # a layer's name, which of its calls, which of the call's outputs


class Graph:
    """What lies between some tensors and others.

    Parameters
    ----------
    model : str
        The name of the model, for messages.
    inputs, outputs : sequence of KerasTensor
        Where it begins and ends. An input may be any tensor: what leads to it is not part of it.

    Attributes
    ----------
    nodes : list of Node
        The calls, each after those that it needs.
    begins : list of InputLayer
        The input layers; one is made for an input that comes from a layer.
    layers : list of Layer
        All layers, input layers included, in Keras' order: the farther from the outputs the
        earlier, then in the order in which the outputs lead to them.

    Raises
    ------
    ValueError
        If an output depends on an `Input` that is not among the inputs, or two layers have one
        name.
    """

    def __init__(
        self, model: str, inputs: Sequence[KerasTensor], outputs: Sequence[KerasTensor]
    ) -> None:
        self.model, self.inputs, self.outputs = model, list(inputs), list(outputs)
        self.begins = [_begin(tensor) for tensor in inputs]
        self._layer_of = {tensor.key: layer for tensor, layer in zip(inputs, self.begins)}  # noqa: B905
        self.nodes: list[Node] = []
        self._found: dict[Layer, None] = {}  # layers, in the order in which they are met
        seen: set[int] = set()
        for output in outputs:
            self._collect(output, seen)
        self.layers = self._in_order()
        self._check_names()

    @property
    def places(self) -> dict[tuple[int, int], Place]:
        """Where each tensor comes from, by its key."""
        found: dict[tuple[int, int], Place] = {
            tensor.key: (layer.name, 0, 0)
            for tensor, layer in zip(self.inputs, self.begins, strict=True)
        }
        counts: dict[Layer, int] = {}
        for node in self.nodes:
            number = counts.get(node.layer, 0)
            counts[node.layer] = number + 1
            for i in range(len(node.shapes)):
                found[id(node), i] = (node.layer.name, number, i)
        return found

    def _collect(self, output: KerasTensor, seen: set[int]) -> None:
        """Walk from an output to the inputs; append each call after what it needs."""
        path: list[tuple[Node, Iterator[KerasTensor]]] = []
        self._enter(output, seen, path)
        while path:
            node, parents = path[-1]
            parent = next(parents, None)
            if parent is None:
                path.pop()
                self.nodes.append(node)
            else:
                self._enter(parent, seen, path)

    def _enter(
        self,
        tensor: KerasTensor,
        seen: set[int],
        path: list[tuple[Node, Iterator[KerasTensor]]],
    ) -> None:
        if tensor.key in self._layer_of:
            self._found.setdefault(self._layer_of[tensor.key])
            return
        node = tensor.node
        if not node.inputs:
            self._refuse(tensor, path)
        if id(node) not in seen:
            seen.add(id(node))
            self._found.setdefault(node.layer)
            path.append((node, iter(node.parents)))

    def _refuse(self, tensor: KerasTensor, path: list[tuple[Node, Iterator[KerasTensor]]]) -> None:
        through = f"; {path[-1][0].layer.name!r} needs it" if path else ""
        known = ", ".join(repr(layer.name) for layer in self.begins)
        raise ValueError(
            f"{self.model}: outputs: they depend on the Input {tensor.name!r} of shape "
            f"{tensor.shape}, which is not among the inputs {known}{through}"
        )

    def _in_order(self) -> list[Layer]:
        depths: dict[int, int] = {}  # of calls, by id
        of_layer: dict[Layer, int] = dict.fromkeys(self.begins, 0)
        for node in reversed(self.nodes):
            depth = max(depths.get(id(node), 0), of_layer.get(node.layer, 0))
            depths[id(node)] = of_layer[node.layer] = depth
            for parent in node.parents:
                begin = self._layer_of.get(parent.key)
                if begin is not None:
                    of_layer[begin] = max(of_layer[begin], depth + 1)
                else:
                    depths[id(parent.node)] = max(depths.get(id(parent.node), 0), depth + 1)
        place = {layer: i for i, layer in enumerate(self._found)}
        return sorted(of_layer, key=lambda layer: (-of_layer[layer], place.get(layer, -1)))

    def _check_names(self) -> None:
        names = [layer.name for layer in self.layers]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(
                    f"{self.model}: {names.count(name)} layers have the name {name!r}; "
                    "names must differ"
                )


def _begin(tensor: KerasTensor) -> InputLayer:
    """Return the layer of an input, a new one for a tensor that comes from a layer."""
    layer = tensor.node.layer
    if isinstance(layer, InputLayer):
        return layer
    return InputLayer(batch_shape=tensor.shape, dtype=tensor.dtype, name=f"{tensor.name}_input")
