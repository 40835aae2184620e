"""What is counted on both sides of a threshold: precision, recall, areas under curves.

Steps that are masked, and weights, count as in any other metric.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastgru._configurable import refuse
from fastgru.losses.base import spread
from fastgru.metrics.base import Metric, Result

_EPSILON = 1e-7
_LOWEST = -1e10  # stands for outputs that are not among the top k


class _Thresholded(Metric):
    """Counts labels of 1 and of 0 between thresholds.

    Parameters
    ----------
    thresholds : ndarray
        Ascending.
    """

    def __init__(self, thresholds: np.ndarray, name: str | None, dtype: Any) -> None:
        self._thresholds = thresholds
        super().__init__(name, dtype)

    def reset_state(self) -> None:
        """Forget what was accumulated."""
        self._ones = np.zeros(len(self._thresholds) + 1)
        self._zeros = np.zeros(len(self._thresholds) + 1)

    def add(
        self,
        y_true: np.ndarray,
        y_pred: np.ndarray,
        weights: np.ndarray | None = None,
        from_logits: bool = False,
    ) -> None:
        """Take in one batch."""
        if weights is not None:
            weights = spread(weights, y_pred.shape)
        y_true, y_pred, weights = self.select(y_true, y_pred, weights)
        # The number of thresholds that an output exceeds: the bin it falls into.
        scores = y_pred.reshape(-1)
        place = np.searchsorted(self._thresholds, scores, side="left")
        place[np.isnan(scores)] = 0  # NaN exceeds nothing, though it is sorted last
        ones = (y_true.reshape(-1) != 0).astype(np.float64)
        zeros = 1 - ones
        if weights is not None:
            ones *= weights.reshape(-1)
            zeros *= weights.reshape(-1)
        self._ones += np.bincount(place, ones, len(self._ones))
        self._zeros += np.bincount(place, zeros, len(self._zeros))

    def select(
        self, y_true: np.ndarray, y_pred: np.ndarray, weights: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Return what counts of a batch."""
        return y_true, y_pred, weights

    @property
    def true_positives(self) -> np.ndarray:
        """The labels of 1 above each threshold."""
        return _above(self._ones)

    @property
    def false_positives(self) -> np.ndarray:
        """The labels of 0 above each threshold."""
        return _above(self._zeros)

    @property
    def false_negatives(self) -> np.ndarray:
        """The labels of 1 not above each threshold."""
        return _above(self._ones, rest=True)

    @property
    def true_negatives(self) -> np.ndarray:
        """The labels of 0 not above each threshold."""
        return _above(self._zeros, rest=True)


def _above(counts: np.ndarray, rest: bool = False) -> np.ndarray:
    """Return the counts above each threshold, or the rest."""
    above: np.ndarray = np.cumsum(counts[::-1])[::-1][1:]
    return counts.sum() - above if rest else above


def _ratio(a: Any, b: Any) -> np.ndarray:
    """Return a / b, 0 where b is 0."""
    ratio: np.ndarray = np.divide(a, b, out=np.zeros(np.shape(b)), where=np.asarray(b) != 0)
    return ratio


class _AtThresholds(_Thresholded):
    """What Precision and Recall have in common, and the four counts."""

    def __init__(
        self, thresholds: Any, top_k: int | None, class_id: int | None, name: Any, dtype: Any
    ) -> None:
        self.thresholds = thresholds
        self.top_k = top_k
        self.class_id = class_id
        default = 0.5 if top_k is None else _LOWEST
        given = np.atleast_1d(default if thresholds is None else np.asarray(thresholds, float))
        if thresholds is not None and not ((given >= 0) & (given <= 1)).all():
            raise ValueError(f"thresholds: expected numbers in [0, 1], got {thresholds!r}")
        self._order = np.argsort(given, kind="stable")
        super().__init__(given[self._order], name, dtype)

    def select(
        self, y_true: np.ndarray, y_pred: np.ndarray, weights: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Return what counts of a batch: the top k, one class."""
        if self.top_k is not None:
            top = np.argpartition(y_pred, -self.top_k, axis=-1)[..., -self.top_k :]
            lowest = np.full_like(y_pred, _LOWEST)
            np.put_along_axis(lowest, top, np.take_along_axis(y_pred, top, axis=-1), axis=-1)
            y_pred = lowest
        if self.class_id is not None:
            y_true, y_pred = y_true[..., self.class_id], y_pred[..., self.class_id]
            weights = None if weights is None else weights[..., self.class_id]
        return y_true, y_pred, weights

    def in_order(self, values: np.ndarray) -> Result:
        """Return a float for one threshold, else values in the order of the given ones."""
        if len(values) == 1:
            return float(values[0])
        ordered = np.empty_like(values)
        ordered[self._order] = values
        return ordered


class Precision(_AtThresholds):
    """How much of what was taken for 1 is 1.

    Parameters
    ----------
    thresholds : float or sequence of float, optional
        Outputs above count as 1; 0.5 by default.
    top_k : int, optional
        Count only the greatest outputs of a sample.
    class_id : int, optional
        Count only one class.
    name, dtype
        See :class:`Metric`.
    """

    def __init__(
        self,
        thresholds: Any = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(thresholds, top_k, class_id, name, dtype)

    def result(self) -> Result:
        """Return the precision so far."""
        hits = self.true_positives
        return self.in_order(_ratio(hits, hits + self.false_positives))


class Recall(_AtThresholds):
    """How much of what is 1 was taken for 1.

    Parameters
    ----------
    thresholds : float or sequence of float, optional
        Outputs above count as 1; 0.5 by default.
    top_k : int, optional
        Count only the greatest outputs of a sample.
    class_id : int, optional
        Count only one class.
    name, dtype
        See :class:`Metric`.
    """

    def __init__(
        self,
        thresholds: Any = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(thresholds, top_k, class_id, name, dtype)

    def result(self) -> Result:
        """Return the recall so far."""
        hits = self.true_positives
        return self.in_order(_ratio(hits, hits + self.false_negatives))


class _Count(_AtThresholds):
    """One of the four counts.

    Parameters
    ----------
    thresholds : float or sequence of float, optional
        Outputs above count as 1; 0.5 by default.
    name, dtype
        See :class:`Metric`.
    """

    counted: str

    def __init__(self, thresholds: Any = None, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(thresholds, None, None, name, dtype)

    def result(self) -> Result:
        """Return the count so far."""
        return self.in_order(getattr(self, self.counted))


class TruePositives(_Count):
    """How many labels of 1 were taken for 1."""

    counted = "true_positives"


class TrueNegatives(_Count):
    """How many labels of 0 were taken for 0."""

    counted = "true_negatives"


class FalsePositives(_Count):
    """How many labels of 0 were taken for 1."""

    counted = "false_positives"
    direction = "down"


class FalseNegatives(_Count):
    """How many labels of 1 were taken for 0."""

    counted = "false_negatives"
    direction = "down"


class AUC(_Thresholded):
    """The area under a curve, from its points at thresholds, as in Keras.

    Parameters
    ----------
    num_thresholds : int, default 200
        How many points; they are evenly spaced.
    curve : {"ROC", "PR"}, default "ROC"
        Hits over false alarms, or precision over recall.
    summation_method : {"interpolation", "minoring", "majoring"}
        How the area between two points is taken: along a line (for PR the curve of Davis and
        Goadrich, 2006), or below or above it.
    name, dtype
        See :class:`Metric`.
    thresholds : sequence of float, optional
        The points themselves, in place of `num_thresholds`.
    multi_label, num_labels, label_weights
        Not served yet.
    from_logits : bool, default False
        Whether the outputs are logits of a sigmoid.
    """

    multi_label = False
    num_labels = label_weights = None

    def __init__(
        self,
        num_thresholds: int = 200,
        curve: str = "ROC",
        summation_method: str = "interpolation",
        name: str | None = None,
        dtype: Any = None,
        thresholds: Sequence[float] | None = None,
        multi_label: bool = False,
        num_labels: int | None = None,
        label_weights: Any = None,
        from_logits: bool = False,
    ) -> None:
        refuse("AUC", multi_label=multi_label, num_labels=num_labels, label_weights=label_weights)
        self.curve = str(curve).upper()
        if self.curve not in ("ROC", "PR"):
            raise ValueError(f"curve: expected 'ROC' or 'PR', got {curve!r}")
        self.summation_method = str(summation_method).lower()
        if self.summation_method not in ("interpolation", "minoring", "majoring"):
            raise ValueError(
                "summation_method: expected 'interpolation', 'minoring' or 'majoring', "
                f"got {summation_method!r}"
            )
        self.thresholds = None if thresholds is None else sorted(map(float, thresholds))
        if self.thresholds is None:
            if isinstance(num_thresholds, bool) or not isinstance(num_thresholds, int):
                raise TypeError(f"num_thresholds: expected an integer, got {num_thresholds!r}")
            if num_thresholds < 2:
                raise ValueError(f"num_thresholds: expected at least 2, got {num_thresholds}")
            inner = np.arange(1, num_thresholds - 1) / (num_thresholds - 1)
        else:
            inner = np.array(self.thresholds)
            if not ((inner >= 0) & (inner <= 1)).all():
                raise ValueError(f"thresholds: expected numbers in [0, 1], got {thresholds!r}")
        self.num_thresholds = len(inner) + 2
        self.from_logits = bool(from_logits)
        super().__init__(np.array([-_EPSILON, *inner, 1 + _EPSILON]), name, dtype)

    def select(
        self, y_true: np.ndarray, y_pred: np.ndarray, weights: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Return what counts of a batch, as probabilities."""
        if self.from_logits:
            y_pred = 1 / (1 + np.exp(-np.clip(y_pred, -700, 700).astype(np.float64)))
        return y_true, np.clip(y_pred, 0, 1), weights

    def result(self) -> Result:
        """Return the area so far."""
        tp, fp, fn = self.true_positives, self.false_positives, self.false_negatives
        if self.curve == "PR" and self.summation_method == "interpolation":
            return _area_of_precision(tp, fp, fn)
        recall = _ratio(tp, tp + fn)
        if self.curve == "ROC":
            x, y = _ratio(fp, fp + self.true_negatives), recall
        else:
            x, y = recall, _ratio(tp, tp + fp)
        if self.summation_method == "interpolation":
            heights = (y[:-1] + y[1:]) / 2
        else:
            choose = np.minimum if self.summation_method == "minoring" else np.maximum
            heights = choose(y[:-1], y[1:])
        return float(((x[:-1] - x[1:]) * heights).sum())


def _area_of_precision(tp: np.ndarray, fp: np.ndarray, fn: np.ndarray) -> float:
    """Return the area under precision over recall: between points, both counts grow linearly."""
    hits = tp[:-1] - tp[1:]
    taken = tp + fp
    slope = _ratio(hits, np.maximum(taken[:-1] - taken[1:], 0))
    intercept = tp[1:] - slope * taken[1:]
    both = (taken[:-1] > 0) & (taken[1:] > 0)
    growth = np.where(both, _ratio(taken[:-1], np.maximum(taken[1:], 0)), 1.0)
    parts = slope * (hits + intercept * np.log(growth))
    return float(_ratio(parts, np.maximum(tp[1:] + fn[1:], 0)).sum())
