"""A model's layers as a table."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fastgru.layers.base import Layer

if TYPE_CHECKING:
    from fastgru.models.network import Network

_STOPS = (0.45, 0.85, 1.0)  # where columns end, as shares of the width


def print_summary(model: Network, width: int, show: Callable[[str], Any]) -> None:
    """Print the table that Keras 2 prints: name, output shape and parameters of each layer."""
    show(f'Model: "{model.name}"')
    show("_" * width)
    show(_row(width, " Layer (type)", "Output Shape", "Param #"))
    show("=" * width)
    for layer in model.layers:
        show(_row(width, f" {layer.name} ({type(layer).__name__})", *_facts(layer)))
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


def _row(width: int, *fields: str) -> str:
    line = ""
    for field, share in zip(fields, _STOPS, strict=True):
        stop = int(width * share)
        line = (line + field)[: stop - 1].ljust(stop)
    return line
