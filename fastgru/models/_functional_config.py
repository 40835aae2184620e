"""Functional models as plain values: layers, and how they are called on each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastgru import layers as layers_module
from fastgru._configurable import describe
from fastgru.layers import InputLayer, Layer
from fastgru.layers.input_layer import as_tensor
from fastgru.layers.symbolic import KerasTensor, connect
from fastgru.models._graph import Graph, Place


def describe_graph(graph: Graph, facts: dict[str, Any]) -> dict[str, Any]:
    """Return facts about a model together with its layers, calls, inputs and outputs."""
    places = graph.places
    calls: dict[Layer, list[dict[str, Any]]] = {layer: [] for layer in graph.layers}
    for node in graph.nodes:
        calls[node.layer].append(
            {
                "inputs": [list(places[tensor.key]) for tensor in node.inputs],
                "in_list": node.in_list,
                "training": node.training,
                "mask": None if node.mask is None else list(places[node.mask.key]),
            }
        )
    return facts | {
        "layers": [describe(layer) | {"calls": calls[layer]} for layer in graph.layers],
        "inputs": [list(places[tensor.key]) for tensor in graph.inputs],
        "outputs": [list(places[tensor.key]) for tensor in graph.outputs],
    }


def tensors_from(config: Mapping[str, Any]) -> tuple[Any, Any]:
    """Make the layers that :func:`describe_graph` described, call them, and return the ends."""
    tensors: dict[Place, KerasTensor] = {}
    waiting: list[tuple[Layer, int, dict[str, Any]]] = []
    for described in config["layers"]:
        layer = layers_module.deserialize(described)
        if isinstance(layer, InputLayer):
            tensors[layer.name, 0, 0] = as_tensor(layer)
        waiting += [(layer, i, call) for i, call in enumerate(described["calls"])]
    while waiting:
        left = [item for item in waiting if not _call(*item, tensors)]
        if len(left) == len(waiting):
            names = ", ".join(sorted({layer.name for layer, _, _ in left}))
            raise ValueError(f"config: the calls of {names} depend on tensors that nothing makes")
        waiting = left
    inputs = [tensors[tuple(place)] for place in config["inputs"]]
    outputs = [tensors[tuple(place)] for place in config["outputs"]]
    return (
        _ends(inputs, config["input_names"], config["inputs_in_list"]),
        _ends(outputs, config["output_names"], config["outputs_in_list"]),
    )


def _call(
    layer: Layer, number: int, call: dict[str, Any], tensors: dict[Place, KerasTensor]
) -> bool:
    """Call a layer, if all that it needs is there."""
    places: list[Any] = [tuple(place) for place in call["inputs"]]
    mask: Any = None if call["mask"] is None else tuple(call["mask"])
    if any(place not in tensors for place in ([*places, mask] if mask else places)):
        return False
    inputs = [tensors[place] for place in places]
    found = connect(
        layer,
        inputs if call["in_list"] else inputs[0],
        call["training"],
        tensors[mask] if mask else None,
    )
    for i, tensor in enumerate(found if isinstance(found, list) else [found]):
        tensors[layer.name, number, i] = tensor
    return True


def _ends(tensors: list[KerasTensor], names: list[str] | None, in_list: bool) -> Any:
    if names is not None:
        return dict(zip(names, tensors, strict=True))
    return tensors if in_list else tensors[0]
