"""The three layers at the grid's shapes, as cases that the tests check, too."""

from __future__ import annotations

import sys
from pathlib import Path

import one_thread  # noqa: F401  (before NumPy)

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from cases import GRID, GRUCase, LSTMCase, RecurrentCase, SimpleRNNCase  # noqa: E402

__all__ = ["CELLS", "grid", "layer"]

CELLS: dict[str, type[RecurrentCase]] = {
    kind.cell: kind for kind in (GRUCase, LSTMCase, SimpleRNNCase)
}


def layer(cell: str, B: int, T: int, I: int, H: int) -> RecurrentCase:
    """Return a plain layer: float32, biases, no initial states, all steps returned."""
    kind = CELLS[cell]
    states = (name for h0 in kind.states for name in (h0, f"d{h0[0]}_n"))
    return kind(B, T, I, H, dtype="float32", **dict.fromkeys(states, False))


def grid(cell: str) -> dict[str, RecurrentCase]:
    """Return the grid's shapes by name."""
    return {name: layer(cell, c.B, c.T, c.I, c.H) for name, c in GRID.items()}
