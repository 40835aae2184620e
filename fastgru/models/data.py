"""Batches, and arrays in memory that they are taken from."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from fastgru import _random
from fastgru._numbers import is_number
from fastgru.layers.padding import with_own
from fastgru.models.ragged import Ragged

Leaf = np.ndarray | Ragged
Rows = np.ndarray | slice
_GROUP = 16  # batches whose samples are sorted by length together


class Batch(NamedTuple):
    """What a step takes in: lists for several inputs (outputs), else arrays.

    Attributes
    ----------
    x, mask : ndarray or list
        Samples, and which of their steps are valid; None if all are.
    y, weights : ndarray, list or None
        Labels, and the weights of samples or steps.
    size : int
        The number of samples.
    """

    x: Any
    y: Any
    weights: Any
    mask: Any
    size: int


class Source:
    """Where batches come from.

    Attributes
    ----------
    steps : int or None
        The number of batches in a pass; None if it is not known.
    restarts : bool
        Whether there can be another pass.
    count, batch_size : int
        Samples in all, and in a batch; 0 if that is not known.
    """

    steps: int | None = None
    restarts = True
    count = batch_size = 0

    def example(self) -> Arrays:
        """Return a batch, or all, as arrays: others have the same shapes but for their lengths."""
        raise NotImplementedError

    def batches(self, shuffle: bool = False, by_length: bool = False) -> Iterator[Batch]:
        """Yield the batches of one pass.

        Parameters
        ----------
        shuffle : bool, default False
            Whether to draw a new order.
        by_length : bool, default False
            Whether samples may be sorted by length.
        """
        raise NotImplementedError


class Arrays(Source):
    """Samples, labels and weights as a model takes them, checked.

    Parameters
    ----------
    x, y, weights : list of (ndarray, Ragged or None)
        What each input and output takes; `y` is None without labels, `weights` without weights.
    in_list, out_list : bool
        Whether the model takes its inputs (outputs) as a list.
    batch_size : int
        Samples in a batch; the last may have fewer.
    every_mask : bool, default False
        Whether ragged inputs have a mask in every batch, also where all is valid.
    """

    def __init__(
        self,
        x: list[Leaf],
        y: list[Any] | None,
        weights: list[Any] | None,
        in_list: bool,
        out_list: bool,
        batch_size: int,
        every_mask: bool = False,
    ) -> None:
        self.x, self.y, self.weights = x, y, weights
        self.in_list, self.out_list = in_list, out_list
        self.batch_size, self.every_mask = batch_size, every_mask
        self.count = len(x[0])
        self.steps = -(-self.count // batch_size)
        self.lengths = next((leaf.lengths for leaf in x if isinstance(leaf, Ragged)), None)
        leaves = [*x, *(y or ()), *(weights or ())]
        self._simple = not in_list and not out_list and weights is None and y is not None
        self._simple = self._simple and all(isinstance(leaf, np.ndarray) for leaf in leaves)

    def example(self) -> Arrays:
        """Return the object itself."""
        return self

    def input_shape(self) -> Any:
        """Return the shape of a batch, with None for sizes that may vary."""
        shapes = [
            (None, None, *leaf.steps.shape[1:])
            if isinstance(leaf, Ragged)
            else (None, *leaf.shape[1:])
            for leaf in self.x
        ]
        return shapes if self.in_list else shapes[0]

    def part(self, rows: slice) -> Arrays:
        """Return a part of the samples with their labels and weights."""
        x, y, weights = (
            None if leaves is None else [_part(leaf, rows) for leaf in leaves]
            for leaves in (self.x, self.y, self.weights)
        )
        assert x is not None
        return Arrays(x, y, weights, self.in_list, self.out_list, self.batch_size, self.every_mask)

    def unweighted(self) -> Arrays:
        """Return the samples with their labels alone."""
        return Arrays(self.x, self.y, None, self.in_list, self.out_list, self.batch_size)

    def batches(self, shuffle: bool = False, by_length: bool = False) -> Iterator[Batch]:
        """Yield the batches of one pass; ragged samples that are shuffled go by length."""
        if shuffle and self._simple:  # the usual case, with little between two steps
            assert self.y is not None
            x: Any = self.x[0]
            y, size = self.y[0], self.batch_size
            order = _random.generator().permutation(self.count)
            for start in range(0, self.count, size):
                places = order[start : start + size]
                yield Batch(x.take(places, 0), y.take(places, 0), None, None, len(places))
            return
        for rows in self.rows(shuffle, by_length):
            yield self.batch(rows)

    def rows(self, shuffle: bool, by_length: bool) -> Iterator[Rows]:
        """Yield the samples of each batch."""
        count, size, lengths = self.count, self.batch_size, self.lengths
        if not shuffle and (lengths is None or not by_length):
            for start in range(0, count, size):
                yield slice(start, start + size)
            return
        order = _random.generator().permutation(count) if shuffle else np.arange(count)
        if lengths is None:
            for start in range(0, count, size):
                yield order[start : start + size]
            return
        group = _GROUP * size if shuffle else count
        found = []
        for start in range(0, count, group):
            rows = order[start : start + group]
            rows = rows[np.argsort(lengths[rows], kind="stable")]
            found += [rows[i : i + size] for i in range(0, len(rows), size)]
        places = _random.generator().permutation(len(found)) if shuffle else range(len(found))
        for place in places:
            yield found[place]

    def batch(self, rows: Rows) -> Batch:
        """Return some samples."""
        if self._simple:
            assert self.y is not None
            x: Any = _take(self.x[0], rows)
            return Batch(x, _take(self.y[0], rows), None, None, len(x))
        samples, masks = [], []
        for leaf in self.x:
            mask = None
            if isinstance(leaf, Ragged):
                array, own = leaf.take(rows)
                if self.every_mask or not own.all():
                    mask = with_own(own, own)
            else:
                array = _take(leaf, rows)
            samples.append(array)
            masks.append(mask)
        y = self._of_outputs(self.y, rows)
        weights = self._of_outputs(self.weights, rows)
        every: Any = None if all(m is None for m in masks) else masks
        if self.in_list:
            return Batch(samples, y, weights, every, len(samples[0]))
        return Batch(samples[0], y, weights, masks[0], len(samples[0]))

    def _of_outputs(self, leaves: list[Any] | None, rows: Rows) -> Any:
        if leaves is None:
            return None
        taken = [_take(leaf, rows) for leaf in leaves]
        return taken if self.out_list else taken[0]


def _take(leaf: Any, rows: Rows) -> Any:
    if leaf is None:
        return None
    if isinstance(leaf, Ragged):
        return leaf.take(rows)[0]
    return leaf[rows] if isinstance(rows, slice) else leaf.take(rows, axis=0)


def _part(leaf: Any, rows: slice) -> Any:
    if leaf is None:
        return None
    return leaf.part(rows) if isinstance(leaf, Ragged) else leaf[rows]


# ---- parts ---------------------------------------------------------------------------------------


def split(data: Arrays, share: float) -> tuple[Arrays, Arrays]:
    """Return all but the last samples, and the last ones, a share of all.

    Raises
    ------
    TypeError
        If the share is not a number.
    ValueError
        If it does not lie between 0 and 1, or leaves one part empty.
    """
    if not is_number(share):
        raise TypeError(f"validation_split: expected a number between 0 and 1, got {share!r}")
    if not 0 < share < 1:
        raise ValueError(f"validation_split: expected a number between 0 and 1, got {share!r}")
    count = data.count
    kept = math.floor(count * (1 - share))
    if not 0 < kept < count:
        raise ValueError(
            f"validation_split: {share} of {count} samples leaves {kept} to train on "
            f"and {count - kept} to hold out"
        )
    return data.part(slice(None, kept)), data.part(slice(kept, None))
