"""What is kept of a run: gates and states, by layer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from fastgru._naming import did_you_mean

#: What people call the arrays of a trace.
LABELS = {
    "z": "update gate z",
    "r": "reset gate r",
    "candidate": "candidate",
    "i": "input gate i",
    "f": "forget gate f",
    "o": "output gate o",
    "c": "cell state c",
    "h": "state h",
}


@dataclass(eq=False)
class LayerTrace:
    """What happened in one recurrent layer.

    All arrays are in the order of the input: entry ``[b, t]`` belongs to time step t of sample b,
    also where a layer reads from the end. At steps that a mask hides the gates are NaN, and the
    states are those of the step before.

    Attributes
    ----------
    name : str
        The layer's; within another layer ``"bidirectional/forward_gru"``. The second time that a
        shared layer runs, ``"gru:2"``.
    x : ndarray, shape (B, T, I)
        The layer's input.
    h : ndarray, shape (B, T, H)
        The state after each step: the layer's output.
    h0 : ndarray, shape (B, H)
        The state before the first step.
    mask : ndarray of bool, shape (B, T), or None
        False where a step was skipped.
    go_backwards : bool
        Whether the layer reads from the end: the state that a step starts from is then that of the
        step after it in these arrays.
    """

    #: The names of the gates, and of the states beside h.
    gates: ClassVar[tuple[str, ...]] = ()

    x: np.ndarray
    h: np.ndarray
    h0: np.ndarray
    mask: np.ndarray | None
    go_backwards: bool
    name: str = field(default="", kw_only=True)

    @property
    def steps(self) -> int:
        """T, the number of time steps."""
        return int(self.h.shape[1])

    @property
    def units(self) -> int:
        """H, the size of the state."""
        return int(self.h.shape[2])

    @property
    def kept(self) -> np.ndarray | None:
        """How much of the old state each step kept, (B, T, H), from 0 to 1; None without gates."""
        return None

    def arrays(self) -> dict[str, np.ndarray]:
        """Return gates and states by name."""
        return {name: getattr(self, name) for name in (*self.gates, "h")}

    @property
    def h_before(self) -> np.ndarray:
        """The state that each step started from, (B, T, H)."""
        return shifted(self.h, self.h0, self.go_backwards)

    def __repr__(self) -> str:
        """Return name, arrays and shape."""
        return (
            f"<{type(self).__name__} {self.name}: {', '.join(self.arrays())} of shape "
            f"{self.h.shape}>"
        )


@dataclass(eq=False, repr=False)
class GRUTrace(LayerTrace):
    """What happened in a GRU: see :class:`LayerTrace`.

    Attributes
    ----------
    z, r, candidate : ndarray, shape (B, T, H)
        The update gate, the reset gate and the candidate.
    update_gate : {"keep", "replace"}
        What z = 1 does: keep the old state or replace it.
    """

    gates: ClassVar[tuple[str, ...]] = ("z", "r", "candidate")

    z: np.ndarray
    r: np.ndarray
    candidate: np.ndarray
    update_gate: str = "keep"

    @property
    def kept(self) -> np.ndarray:
        """How much of the old state each step kept, (B, T, H): z, or 1 - z if z replaces."""
        return self.z if self.update_gate == "keep" else 1 - self.z


@dataclass(eq=False, repr=False)
class LSTMTrace(LayerTrace):
    """What happened in an LSTM: see :class:`LayerTrace`.

    Attributes
    ----------
    i, f, candidate, o, c : ndarray, shape (B, T, H)
        The input gate, the forget gate, the candidate (g in PyTorch), the output gate and the cell
        state after each step.
    c0 : ndarray, shape (B, H)
        The cell state before the first step.
    """

    gates: ClassVar[tuple[str, ...]] = ("i", "f", "candidate", "o", "c")

    i: np.ndarray
    f: np.ndarray
    candidate: np.ndarray
    o: np.ndarray
    c: np.ndarray
    c0: np.ndarray

    @property
    def g(self) -> np.ndarray:
        """The candidate."""
        return self.candidate

    @property
    def kept(self) -> np.ndarray:
        """How much of the old cell state each step kept, (B, T, H): the forget gate."""
        return self.f

    @property
    def c_before(self) -> np.ndarray:
        """The cell state that each step started from, (B, T, H)."""
        return shifted(self.c, self.c0, self.go_backwards)


@dataclass(eq=False, repr=False)
class SimpleRNNTrace(LayerTrace):
    """What happened in a simple recurrent layer, which has no gates: see :class:`LayerTrace`."""


class Trace(Mapping[str, LayerTrace]):
    """What happened in the recurrent layers of a model, by their names, in the order they ran.

    Attributes
    ----------
    output : ndarray, or a list or dict of ndarray
        What the model returned.
    """

    def __init__(self, layers: dict[str, LayerTrace], output: Any) -> None:
        self._layers = layers
        self.output = output

    def __getitem__(self, name: str) -> LayerTrace:
        """Return what happened in a layer.

        Raises
        ------
        KeyError
            If the model has no recurrent layer of this name.
        """
        if name in self._layers:
            return self._layers[name]
        within = [key for key in self._layers if key.rpartition("/")[2] == name]
        if len(within) == 1:
            return self._layers[within[0]]
        close = did_you_mean(str(name), self._layers)
        known = ", ".join(self._layers) or "none"
        raise KeyError(f"no recurrent layer {name!r}{close or f'; there are: {known}'}")

    def __iter__(self) -> Iterator[str]:
        """Iterate over the layers' names."""
        return iter(self._layers)

    def __len__(self) -> int:
        """Return the number of recurrent layers that ran."""
        return len(self._layers)

    def __repr__(self) -> str:
        """Return a line for each layer."""
        return "\n".join(["<Trace of", *(f"  {layer!r}" for layer in self.values()), ">"])


def shifted(states: np.ndarray, initial: np.ndarray, backwards: bool) -> np.ndarray:
    """Return the state that each step started from, given those after each step."""
    if backwards:
        return np.concatenate([states[:, 1:], initial[:, None]], axis=1)
    return np.concatenate([initial[:, None], states[:, :-1]], axis=1)
