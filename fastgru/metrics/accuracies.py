"""How often outputs are right."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastgru.metrics.base import MeanMetric


class Accuracy(MeanMetric):
    """How often an output equals its label.

    Parameters
    ----------
    name, dtype
        See :class:`Metric`.
    """

    def values(self, y_true: np.ndarray, y_pred: np.ndarray, from_logits: bool) -> np.ndarray:
        """Return the hits."""
        hits: np.ndarray = y_pred == y_true
        return hits


class BinaryAccuracy(MeanMetric):
    """How often an output lies on its label's side of a threshold.

    Parameters
    ----------
    name : str, default "binary_accuracy"
        The key in logs and history.
    dtype : None
        See :class:`Metric`.
    threshold : float, default 0.5
        Outputs above it count as 1.

    Raises
    ------
    ValueError
        If the threshold does not lie between 0 and 1.
    """

    def __init__(
        self,
        name: str | None = "binary_accuracy",
        dtype: Any = None,
        threshold: float = 0.5,
        **unknown: Any,
    ) -> None:
        super().__init__(name, dtype, **unknown)
        if not 0 < threshold < 1:
            raise ValueError(f"threshold: expected a number between 0 and 1, got {threshold!r}")
        self.threshold = threshold

    def values(self, y_true: np.ndarray, y_pred: np.ndarray, from_logits: bool) -> np.ndarray:
        """Return the hits."""
        hits: np.ndarray = (y_pred > self.threshold) == y_true
        return hits


class _OfClasses(MeanMetric):
    """What looks at the order of the outputs of classes: a softmax does not change it."""

    takes_logits_of = frozenset({"softmax"})


class CategoricalAccuracy(_OfClasses):
    """How often the greatest output is that of the label, labels one-hot.

    Parameters
    ----------
    name, dtype
        See :class:`Metric`.
    """

    def values(self, y_true: np.ndarray, y_pred: np.ndarray, from_logits: bool) -> np.ndarray:
        """Return the hits."""
        hits: np.ndarray = y_pred.argmax(axis=-1) == y_true.argmax(axis=-1)
        return hits


class SparseCategoricalAccuracy(_OfClasses):
    """How often the greatest output is that of the label, labels integers.

    Parameters
    ----------
    name, dtype
        See :class:`Metric`.
    """

    def check_shapes(self, y_true: tuple[int, ...], y_pred: tuple[int, ...]) -> None:
        """Require labels without, or with a single entry on, the outputs' last axis."""
        check_sparse(self.name, y_true, y_pred)

    def values(self, y_true: np.ndarray, y_pred: np.ndarray, from_logits: bool) -> np.ndarray:
        """Return the hits."""
        hits: np.ndarray = y_pred.argmax(axis=-1) == y_true.reshape(y_pred.shape[:-1])
        return hits


class TopKCategoricalAccuracy(_OfClasses):
    """How often the label's output is among the `k` greatest, labels one-hot.

    Parameters
    ----------
    k : int, default 5
        How many count.
    name, dtype
        See :class:`Metric`.
    """

    def __init__(
        self,
        k: int = 5,
        name: str | None = "top_k_categorical_accuracy",
        dtype: Any = None,
        **unknown: Any,
    ) -> None:
        super().__init__(name, dtype, **unknown)
        self.k = _checked_k(k)

    def values(self, y_true: np.ndarray, y_pred: np.ndarray, from_logits: bool) -> np.ndarray:
        """Return the hits."""
        return _in_top(self.k, y_true.argmax(axis=-1), y_pred)


class SparseTopKCategoricalAccuracy(_OfClasses):
    """How often the label's output is among the `k` greatest, labels integers.

    Parameters
    ----------
    k : int, default 5
        How many count.
    name, dtype
        See :class:`Metric`.
    """

    def __init__(
        self,
        k: int = 5,
        name: str | None = "sparse_top_k_categorical_accuracy",
        dtype: Any = None,
        **unknown: Any,
    ) -> None:
        super().__init__(name, dtype, **unknown)
        self.k = _checked_k(k)

    def check_shapes(self, y_true: tuple[int, ...], y_pred: tuple[int, ...]) -> None:
        """Require labels without, or with a single entry on, the outputs' last axis."""
        check_sparse(self.name, y_true, y_pred)

    def values(self, y_true: np.ndarray, y_pred: np.ndarray, from_logits: bool) -> np.ndarray:
        """Return the hits."""
        return _in_top(self.k, y_true.reshape(y_pred.shape[:-1]), y_pred)


def check_sparse(name: str, y_true: tuple[int, ...], y_pred: tuple[int, ...]) -> None:
    """Require labels of classes for outputs of a shape."""
    if y_true not in (y_pred[:-1], (*y_pred[:-1], 1)):
        raise ValueError(f"{name}: expected labels of shape {y_pred[:-1]}, got {y_true}")


def _checked_k(k: Any) -> int:
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
        raise ValueError(f"k: expected an integer of at least 1, got {k!r}")
    return int(k)


def _in_top(k: int, classes: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    there = (classes >= 0) & (classes < y_pred.shape[-1])  # what is no class is no hit
    places = np.where(there, classes, 0)[..., None].astype(np.int64)
    chosen = np.take_along_axis(y_pred, places, axis=-1)
    hits: np.ndarray = ((y_pred > chosen).sum(axis=-1) < k) & there
    return hits
