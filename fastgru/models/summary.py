"""A model's layers as a table."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fastgru.layers.base import Layer

if TYPE_CHECKING:
    from fastgru.models.network import Network

_TITLES = ("Layer (type)", "Output Shape", "Param #", "Connected to")
_WIDTH, _STOPS = 65, (0.45, 0.85, 1.0)  # Keras 2's; stops are where columns end, as shares
_WIDTH_CONNECTED, _STOPS_CONNECTED = 98, (0.34, 0.58, 0.7, 1.0)


def print_summary(model: Network, width: int | None, show: Callable[[str], Any]) -> None:
    """Print the table that Keras 2 prints: name, output shape and parameters of each layer.

    Functional models have a fourth column: what each layer is called on. Columns are as wide as
    they need be, unless the width is given.
    """
    connected = any(model.connections(layer) for layer in model.layers)
    stops = _STOPS_CONNECTED if connected else _STOPS
    titles = _TITLES[: len(stops)]
    rows = [_rows_of(model, layer, connected) for layer in model.layers]
    usual = width or (_WIDTH_CONNECTED if connected else _WIDTH)
    ends = [int(usual * stop) for stop in stops]
    if not width:
        ends = _widened(ends, [titles, *(row for group in rows for row in group)])
    show(f'Model: "{model.name}"')
    show("_" * ends[-1])
    show(_line(titles, ends))
    show("=" * ends[-1])
    for group in rows:
        for row in group:
            show(_line(row, ends))
        show(" " * ends[-1])
    show("=" * ends[-1])
    trainable = sum(w.array.size for w in model.trainable_weights)
    frozen = sum(w.array.size for w in model.non_trainable_weights)
    show(f"Total params: {trainable + frozen:,}")
    show(f"Trainable params: {trainable:,}")
    show(f"Non-trainable params: {frozen:,}")
    show("_" * ends[-1])


def _rows_of(model: Network, layer: Layer, connected: bool) -> list[tuple[str, ...]]:
    """Return a layer's row, and one more for each further tensor that it is called on."""
    shape, count = "?", "?"
    if layer.built:
        shape, count = str(layer.output_shape), f"{layer.count_params():,}"
    facts = f"{layer.name} ({type(layer).__name__})", shape, count
    if not connected:
        return [facts]
    first, *others = model.connections(layer) or [""]
    return [(*facts, first), *(("", "", "", other) for other in others)]


def _widened(ends: list[int], rows: list[tuple[str, ...]]) -> list[int]:
    """Return where columns end that hold their longest text and a space, the first space aside."""
    found, start = [], 0
    for i, column in enumerate(zip(*rows, strict=True)):
        usual = ends[i] - (ends[i - 1] if i else 0)
        start += max(usual, max(map(len, column)) + (1 if i else 2))
        found.append(start)
    return found


def _line(fields: tuple[str, ...], ends: list[int]) -> str:
    line = " "
    for field, end in zip(fields, ends, strict=True):
        line += field
        line = (line if len(line) < end else line[: end - 2] + "…").ljust(end)
    return line
