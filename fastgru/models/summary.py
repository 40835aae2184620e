"""A model's layers as a table."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fastgru.layers.base import Layer

if TYPE_CHECKING:
    from fastgru.models.network import Network

_TITLES = ("Layer (type)", "Output Shape", "Param #", "Connected to")
_STOPS = (0.45, 0.85, 1.0)  # where columns end, as shares of the width
_STOPS_CONNECTED = (0.34, 0.58, 0.7, 1.0)


def print_summary(model: Network, width: int | None, show: Callable[[str], Any]) -> None:
    """Print the table that Keras 2 prints: name, output shape and parameters of each layer.

    Functional models have a fourth column: what each layer is called on.
    """
    connected = any(model.connections(layer) for layer in model.layers)
    width = width or (98 if connected else 65)
    stops = _STOPS_CONNECTED if connected else _STOPS
    show(f'Model: "{model.name}"')
    show("_" * width)
    show(_row(width, stops, *_TITLES[: len(stops)]))
    show("=" * width)
    for layer in model.layers:
        fields = (f"{layer.name} ({type(layer).__name__})", *_facts(layer))
        first, *others = model.connections(layer) or [""]
        show(_row(width, stops, *fields, *[first] * connected))
        for other in others:
            show(_row(width, stops, "", "", "", other))
        show(" " * width)
    show("=" * width)
    trainable = sum(w.array.size for w in model.trainable_weights)
    frozen = sum(w.array.size for w in model.non_trainable_weights)
    show(f"Total params: {trainable + frozen:,}")
    show(f"Trainable params: {trainable:,}")
    show(f"Non-trainable params: {frozen:,}")
    show("_" * width)


def _facts(layer: Layer) -> tuple[str, str]:
    if not layer.built:
        return "?", "?"
    return str(layer.output_shape), f"{layer.count_params():,}"


def _row(width: int, stops: tuple[float, ...], *fields: str) -> str:
    line = " "
    for field, share in zip(fields, stops, strict=True):
        stop = int(width * share)
        line = (line + field)[: stop - 1].ljust(stop)
    return line
