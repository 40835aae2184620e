"""Samples and labels: conversion, validation, batches."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from fastgru.models.model import Model


class Labelled(NamedTuple):
    """Samples and labels as a model takes them.

    Attributes
    ----------
    x, y : ndarray
        As many labels as samples.
    output_shape : tuple of int
        The shape of the model's outputs for all of them.
    """

    x: np.ndarray
    y: np.ndarray
    output_shape: tuple[int, ...]

    def part(self, rows: slice) -> Labelled:
        """Return a part of the samples with their labels."""
        x = self.x[rows]
        return Labelled(x, self.y[rows], (len(x), *self.output_shape[1:]))

    def batch(
        self, start: int, stop: int, order: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return samples `start` to `stop` and their labels, in an order if one is given."""
        if order is None:
            return self.x[start:stop], self.y[start:stop]
        rows = order[start:stop]
        return self.x.take(rows, axis=0), self.y.take(rows, axis=0)


def prepare(model: Model, x: Any, y: Any, where: str = "") -> Labelled:
    """Return samples and labels, checked against a model and its loss. Nothing is changed.

    Raises
    ------
    TypeError, ValueError
        If they do not fit; `where` begins the names of the arguments in the message.
    """
    _refuse_streams(where + "x", x)
    if y is None:
        raise TypeError(f"{where}y: expected labels, got None")
    samples = model.check_input(where + "x", x)
    if not len(samples):
        raise ValueError(f"{where}x: expected at least one sample, got shape {samples.shape}")
    if not hasattr(y, "__len__"):
        raise TypeError(f"{where}y: expected an array of labels, got {y!r}")
    if len(y) != len(samples):
        raise ValueError(
            f"{where}x and y: expected as many labels as samples, "
            f"got {len(samples)} samples and {len(y)} labels"
        )
    output_shape = tuple(size or 0 for size in model.compute_output_shape(samples.shape))
    assert model.loss is not None
    try:
        labels = model.loss.prepare(y, output_shape, np.dtype(model.dtype))
    except (TypeError, ValueError) as error:
        raise type(error)(where + str(error)) from None
    return Labelled(samples, labels, output_shape)


def _refuse_streams(name: str, x: Any) -> None:
    if x is None:
        raise TypeError(f"{name}: expected samples, got None")
    if isinstance(x, dict) or hasattr(x, "__next__"):
        raise NotImplementedError(
            f"{name}: expected an array; {type(x).__name__} objects are not served yet"
        )


def split(data: Labelled, share: float) -> tuple[Labelled, Labelled]:
    """Return all but the last samples, and the last ones, a share of all.

    Raises
    ------
    TypeError
        If the share is not a number.
    ValueError
        If it does not lie between 0 and 1, or leaves one part empty.
    """
    if isinstance(share, bool) or not isinstance(share, int | float | np.number):
        raise TypeError(f"validation_split: expected a number between 0 and 1, got {share!r}")
    if not 0 < share < 1:
        raise ValueError(f"validation_split: expected a number between 0 and 1, got {share!r}")
    count = len(data.x)
    kept = math.floor(count * (1 - share))
    if not 0 < kept < count:
        raise ValueError(
            f"validation_split: {share} of {count} samples leaves {kept} to train on "
            f"and {count - kept} to hold out"
        )
    return data.part(slice(None, kept)), data.part(slice(kept, None))


def validation_pair(given: Any) -> tuple[Any, Any]:
    """Return validation samples and labels.

    Raises
    ------
    TypeError
        If it is not a pair.
    NotImplementedError
        If there are sample weights too.
    """
    if isinstance(given, tuple | list) and len(given) == 3:
        raise NotImplementedError("validation_data: sample weights are not served yet")
    if not isinstance(given, tuple | list) or len(given) != 2:
        raise TypeError(f"validation_data: expected a tuple (x, y), got {type(given).__name__}")
    return given[0], given[1]


def checked_count(name: str, value: Any, default: int, least: int = 1) -> int:
    """Return a number of things, or the default for None.

    Raises
    ------
    TypeError
        If it is not an integer.
    ValueError
        If it is too small.
    """
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name}: expected an integer, got {value!r}")
    if value < least:
        raise ValueError(f"{name}: expected at least {least}, got {value}")
    return int(value)
