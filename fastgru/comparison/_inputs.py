"""Sequences to learn from: ids or numbers, in an array or ragged, recognised from the data."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastgru._arrays import to_array

KINDS = ("ids", "numbers")


class Inputs:
    """Sequences as models take them.

    Parameters
    ----------
    sequences : ndarray or list of ndarray
        (N, T) of ids or (N, T, I) of numbers; a list of (T_i,) or (T_i, I) if lengths differ.
    ids : bool
        Whether they are ids.

    Attributes
    ----------
    count : int
        N.
    size : int
        The number of ids, or of features.
    padded : bool
        Whether zeros at the ends of rows of ids are padding.
    """

    def __init__(self, sequences: Any, ids: bool) -> None:
        self.sequences, self.ids = sequences, ids
        self.count = len(sequences)
        self.ragged = isinstance(sequences, list)
        every = np.concatenate(sequences) if self.ragged else sequences
        self.size = int(every.max()) + 1 if ids else every.shape[-1]
        self.padded = ids and not self.ragged and _zeros_are_padding(sequences)
        self._mean: Any = 0.0
        self._scale: Any = 1.0

    def fit(self, rows: np.ndarray) -> None:
        """Learn from the training rows what scales numbers to mean 0 and deviation 1."""
        if self.ids:
            return
        known = [self.sequences[i] for i in rows]
        every = np.concatenate(known).astype(float)
        self._mean, scale = every.mean(axis=0), every.std(axis=0)
        self._scale = np.where(scale > 0, scale, 1)

    def prepared(self, rows: np.ndarray) -> Any:
        """Return some sequences as a model takes them."""
        if self.ragged:
            return [self._scaled(self.sequences[i]) for i in rows]
        return self._scaled(self.sequences[rows])

    def _scaled(self, sequences: np.ndarray) -> np.ndarray:
        if self.ids:
            return sequences
        return np.asarray((sequences - self._mean) / self._scale, np.float32)

    def prepare(self, x: Any) -> Any:
        """Return other sequences, of the same kind, as a model takes them.

        Raises
        ------
        ValueError, TypeError
            If they are of another kind.
        """
        other = recognised(x, "ids" if self.ids else "numbers")
        if not self.ids and other.size != self.size:
            raise ValueError(f"x: expected {self.size} features, got {other.size}")
        if self.ids and other.size > self.size:
            raise ValueError(f"x: expected ids below {self.size}, got {other.size - 1}")
        other._mean, other._scale = self._mean, self._scale
        return other.prepared(np.arange(other.count))

    def describe(self) -> str:
        """Return what they were taken for."""
        if self.ragged:
            lengths = [len(sequence) for sequence in self.sequences]
            steps = f"{min(lengths)} to {max(lengths)} steps"
        else:
            steps = f"{self.sequences.shape[1]} steps"
        of = f"ids below {self.size}" if self.ids else f"{self.size} numbers"
        return f"{self.count} sequences of {steps}, each of {of}"


def recognised(x: Any, kind: str | None = None) -> Inputs:
    """Return sequences as what they stand for.

    Whole numbers, one a step, are ids; everything else is numbers.

    Parameters
    ----------
    x : array_like, shape (N, T) or (N, T, I), or a list of (T_i,) or (T_i, I)
        The sequences.
    kind : {"ids", "numbers"}, optional
        What they are, instead.

    Raises
    ------
    ValueError, TypeError
        If they can't be sequences.
    """
    if kind is not None and kind not in KINDS:
        raise ValueError(f"kind: expected 'ids' or 'numbers', got {kind!r}")
    if isinstance(x, list | tuple) and len({np.shape(s)[:1] for s in map(_one, x)}) > 1:
        return _ragged([_one(sequence) for sequence in x], kind)
    array = to_array("x", x)
    if array.ndim not in (2, 3) or 0 in array.shape:
        raise ValueError(
            "x: expected sequences of shape (N, T) or (N, T, features), or a list of sequences, "
            f"got shape {array.shape}"
        )
    _require_finite(array)
    ids = _are_ids(array, 2, kind)
    if not ids and array.ndim == 2:
        array = array[:, :, None]
    return Inputs(array, ids)


def _one(sequence: Any) -> np.ndarray:
    return to_array("x", sequence)


def _ragged(sequences: list[np.ndarray], kind: str | None) -> Inputs:
    dimensions = {s.ndim for s in sequences}
    features = {s.shape[1:] for s in sequences}
    if dimensions not in ({1}, {2}) or len(features) > 1 or any(not len(s) for s in sequences):
        raise ValueError(
            "x: expected a list of sequences, each of shape (T,) or (T, features) with T > 0 and "
            f"the same features; got shapes {sorted({s.shape for s in sequences})[:4]}"
        )
    every = np.concatenate(sequences)
    _require_finite(every)
    ids = _are_ids(every, 1, kind)
    if not ids and every.ndim == 1:
        sequences = [s[:, None] for s in sequences]
    return Inputs(sequences, ids)


def _are_ids(array: np.ndarray, rank: int, kind: str | None) -> bool:
    possible = array.ndim == rank and array.dtype.kind in "iu" and array.min() >= 0
    if kind == "ids" and not possible:
        raise ValueError(
            "x: expected ids, whole numbers of at least 0, one for each step; "
            f"got shape {array.shape} of {array.dtype}"
        )
    return bool(possible) if kind is None else kind == "ids"


def _require_finite(array: np.ndarray) -> None:
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        where = tuple(map(int, np.argwhere(~np.isfinite(array))[0]))
        raise ValueError(f"x: expected finite numbers, got {array[where]} at {where}")


def _zeros_are_padding(ids: np.ndarray) -> bool:
    """Tell whether there are zeros, all of them at the beginnings or all at the ends of rows."""
    zero = ids == 0
    if not zero.any() or zero.all(axis=1).any():
        return False
    rising = np.diff(zero.astype(np.int8), axis=1)
    return bool((rising >= 0).all() or (rising <= 0).all())
