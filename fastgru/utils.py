"""Helpers with Keras' names: seeds, one-hot labels, padding."""

from __future__ import annotations

import random
from typing import Any

import numpy as np

from fastgru import _random
from fastgru._arrays import to_array
from fastgru.backend import clear_session
from fastgru.preprocessing.sequence import pad_sequences

__all__ = [
    "PyDataset",
    "Sequence",
    "clear_session",
    "pad_sequences",
    "set_random_seed",
    "to_categorical",
]


class PyDataset:
    """Batches by number, as `fit`, `evaluate` and `predict` take them: a base for one's own.

    A subclass gives `__len__`, the number of batches, and `__getitem__(index)`, which returns
    (x, y) or (x, y, sample_weight). Objects that are no PyDataset but have both serve as well.

    Parameters
    ----------
    workers, use_multiprocessing, max_queue_size
        Hints of Keras, without effect: batches are made when they are wanted.
    """

    def __init__(
        self, workers: int = 1, use_multiprocessing: bool = False, max_queue_size: int = 10
    ) -> None:
        self.workers = workers
        self.use_multiprocessing = use_multiprocessing
        self.max_queue_size = max_queue_size

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        raise NotImplementedError

    def __getitem__(self, index: int) -> Any:
        """Return one batch."""
        raise NotImplementedError

    def on_epoch_end(self) -> None:
        """Do what is to be done between epochs."""


Sequence = PyDataset


def set_random_seed(seed: int) -> None:
    """Begin all randomness anew: that of fastgru, of NumPy and of Python.

    Initial weights, shuffles and dropout that follow are the same, to the bit, as after any other
    call with this seed.

    Parameters
    ----------
    seed : int
        From 0 to 2³² - 1.

    Raises
    ------
    TypeError
        If it is not an integer.
    ValueError
        If it is out of range.
    """
    checked = _random.checked_seed(seed)
    if checked >= 2**32:
        raise ValueError(f"seed: expected an integer below 2**32, got {seed}")
    random.seed(checked)
    np.random.seed(checked)
    _random.begin(checked)


def to_categorical(x: Any, num_classes: int | None = None) -> np.ndarray:
    """Return labels one-hot.

    Parameters
    ----------
    x : array_like of int
        Labels from 0; a last axis of size 1 is dropped.
    num_classes : int, optional
        The number of classes; otherwise the greatest label plus 1.

    Returns
    -------
    ndarray of float64, shape (…, num_classes)
        Ones at the labels, zeros elsewhere.

    Raises
    ------
    TypeError, ValueError
        If the labels are not integers from 0 to `num_classes` - 1.
    """
    if not isinstance(num_classes, int | np.integer | None):
        raise TypeError(f"num_classes: expected an integer, got {num_classes!r}")
    labels = to_array("x", x)
    if (labels != np.floor(labels)).any():
        raise ValueError("x: expected whole numbers as labels")
    labels = labels.astype(np.int64)
    if labels.ndim > 1 and labels.shape[-1] == 1:
        labels = labels[..., 0]
    if num_classes is None:
        num_classes = int(labels.max(initial=-1)) + 1
    if labels.size and (labels.min() < 0 or labels.max() >= num_classes):
        raise ValueError(
            f"x: expected labels in [0, {num_classes}), got {labels.min()} to {labels.max()}"
        )
    hot: np.ndarray = labels[..., None] == np.arange(num_classes)
    return hot.astype(np.float64)
