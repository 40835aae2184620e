"""Layers that hold layers: who is in whom."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from fastgru.layers.base import Layer
from fastgru.layers.parameters import Weight


def held_by(thing: Any) -> list[tuple[str, Any]]:
    """Return the layers that a layer, or a model, holds directly.

    Each comes with its place: the attribute's name, with a number where it is a list; in a model,
    its name.
    """
    if hasattr(thing, "layers"):
        return [(layer.name, layer) for layer in thing.layers]
    found: list[tuple[str, Any]] = []
    for name, value in vars(thing).items():
        if isinstance(value, Layer):
            found.append((name.strip("_"), value))
        elif isinstance(value, list | tuple):
            several = [v for v in value if isinstance(v, Layer)]
            found += [(f"{name.strip('_')}_{i}", v) for i, v in enumerate(several)]
    return found


def all_within(thing: Any) -> Iterator[Any]:
    """Yield the layers that a layer, or a model, holds at any depth."""
    for _, layer in held_by(thing):
        yield layer
        yield from all_within(layer)


def shared_weight(layers: Iterable[Any]) -> tuple[Any, Any, Weight] | None:
    """Return two of some layers that have a weight in common, and the weight; None if none do."""
    firsts: dict[Weight, Any] = {}
    for layer in layers:
        for weight in layer.weights:
            if (first := firsts.setdefault(weight, layer)) is not layer:
                return first, layer, weight
    return None


def keeps_states(model: Any) -> bool:
    """Tell whether a layer at any depth is stateful: then the order of samples matters."""
    return any(getattr(layer, "stateful", False) for layer in all_within(model))
