"""Sequences of different lengths: one array of all their steps, padded batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np

from fastgru._arrays import told_of


class Ragged:
    """Samples of different lengths.

    Parameters
    ----------
    steps : ndarray, shape (sum of lengths, …)
        The steps of all samples, one sample after the other.
    lengths : ndarray of int
        The number of steps of each sample, at least 1.
    starts : ndarray of int, optional
        Where each sample begins; otherwise after the one before.
    """

    def __init__(
        self, steps: np.ndarray, lengths: np.ndarray, starts: np.ndarray | None = None
    ) -> None:
        self.steps = steps
        self.lengths = lengths
        self.starts = np.cumsum(lengths) - lengths if starts is None else starts

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.lengths)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of all samples, padded."""
        return (len(self), int(self.lengths.max(initial=0)), *self.steps.shape[1:])

    def place_of(self, place: tuple[int, ...]) -> str:
        """Return the sample and the step that a place in `steps` is."""
        sample = int(np.searchsorted(self.starts, place[0], "right")) - 1
        return f"sample {sample}, step {place[0] - int(self.starts[sample])}"

    def checked(self, check: Callable[[np.ndarray], Any]) -> Any:
        """Return what is made of the steps; a ValueError tells the sample and the step."""
        try:
            return check(self.steps)
        except ValueError as error:
            raise told_of(error, self.place_of) from None

    def part(self, rows: slice) -> Self:
        """Return some of the samples."""
        return type(self)(self.steps, self.lengths[rows], self.starts[rows])

    def take(self, rows: np.ndarray | slice) -> tuple[np.ndarray, np.ndarray]:
        """Return samples padded at the end to the longest of them, and which steps are theirs.

        Padding is 0, an id like any other: the mask tells it from the samples.
        """
        lengths, starts = self.lengths[rows], self.starts[rows]
        steps = np.arange(lengths.max(initial=0))
        valid = steps < lengths[:, None]
        places = np.where(valid, starts[:, None] + steps, 0)
        padded = self.steps.take(places, axis=0)
        padded[~valid] = 0
        return padded, valid


def as_list(value: Any) -> Any:
    """Return a column of sequences, such as an array of objects or pandas has, as a list."""
    if isinstance(value, list | tuple) or getattr(value, "ndim", 0) != 1:
        return value
    if getattr(getattr(value, "dtype", None), "kind", "") != "O" or not all(map(_has_steps, value)):
        return value
    return list(value)


def _has_steps(value: Any) -> bool:
    return hasattr(value, "__len__") and not isinstance(value, str | bytes)


def is_ragged(value: Any) -> bool:
    """Tell whether a list (or an array of objects) holds sequences of different lengths."""
    value = as_list(value)
    if not isinstance(value, list | tuple):
        return False
    lengths = {len(v) if _has_steps(v) else -1 for v in value}
    return len(lengths) > 1 and -1 not in lengths


def to_ragged(name: str, value: Sequence[Any]) -> Ragged:
    """Return sequences as one array of steps.

    Raises
    ------
    ValueError
        If one is empty, or their steps have different shapes.
    TypeError
        If they do not hold numbers.
    """
    try:
        samples = [np.asarray(sample) for sample in value]
    except ValueError:
        raise ValueError(f"{name}: the steps of a sample have different lengths") from None
    shapes = {sample.shape[1:] for sample in samples}
    if len(shapes) > 1:
        raise ValueError(
            f"{name}: expected steps of one shape, got {', '.join(map(str, sorted(shapes)))}"
        )
    lengths = np.array([len(sample) for sample in samples])
    if not lengths.all():
        empty = int(np.argmin(lengths))
        raise ValueError(f"{name}: expected at least one time step, but sample {empty} is empty")
    steps = np.concatenate(samples)
    if steps.dtype.kind not in "fiub":
        raise TypeError(f"{name}: expected real numbers, got an array of {steps.dtype}")
    return Ragged(steps, lengths)
