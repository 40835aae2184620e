"""F scores: precision and recall in one number."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastgru.losses.base import spread
from fastgru.metrics.base import Metric, Result

_EPSILON = 1e-7


class FBetaScore(Metric):
    """The harmonic mean of precision and recall, recall weighted `beta` times as much.

    Parameters
    ----------
    average : {None, "micro", "macro", "weighted"}, optional
        None gives an array, the score of each class; "micro" counts all classes together, "macro"
        takes the mean of the classes' scores, "weighted" weighted by their labels.
    beta : float, default 1.0
        The weight of recall.
    threshold : float, optional
        Outputs above count as 1; by default the greatest output of a sample does.
    name, dtype
        See :class:`Metric`.
    """

    def __init__(
        self,
        average: str | None = None,
        beta: float = 1.0,
        threshold: float | None = None,
        name: str | None = "fbeta_score",
        dtype: Any = None,
    ) -> None:
        if average not in (None, "micro", "macro", "weighted"):
            raise ValueError(
                f"average: expected None, 'micro', 'macro' or 'weighted', got {average!r}"
            )
        if not 0 < beta < math.inf:
            raise ValueError(f"beta: expected a number above 0, got {beta!r}")
        if threshold is not None and not 0 < threshold <= 1:
            raise ValueError(f"threshold: expected a number in (0, 1], got {threshold!r}")
        self.average = average
        self.beta = beta
        self.threshold = threshold
        super().__init__(name, dtype)

    def reset_state(self) -> None:
        """Forget what was accumulated."""
        self._counts: Any = 0.0  # hits, taken for 1, labels of 1; for each class

    def add(
        self,
        y_true: np.ndarray,
        y_pred: np.ndarray,
        weights: np.ndarray | None = None,
        from_logits: bool = False,
    ) -> None:
        """Take in one batch."""
        if self.threshold is None:
            taken = (y_pred >= y_pred.max(axis=-1, keepdims=True)) & (np.abs(y_pred) > 1e-9)
        else:
            taken = y_pred > self.threshold
        y_true = y_true.astype(np.float64)
        counts = np.stack([taken * y_true, taken, y_true])
        if weights is not None:
            counts *= spread(weights, y_pred.shape)
        self._counts = self._counts + counts.reshape(3, -1, y_pred.shape[-1]).sum(axis=1)

    def result(self) -> Result:
        """Return the score so far."""
        if isinstance(self._counts, float):
            return 0.0
        hits, taken, labels = self._counts
        if self.average == "micro":
            hits, taken, labels = hits.sum(), taken.sum(), labels.sum()
        precision, recall = hits / (taken + _EPSILON), hits / (labels + _EPSILON)
        square = self.beta**2
        score = (1 + square) * precision * recall / (square * precision + recall + _EPSILON)
        if self.average == "weighted":
            score = (score * labels / (labels.sum() + _EPSILON)).sum()
        return score if self.average is None else float(np.mean(score))


class F1Score(FBetaScore):
    """The harmonic mean of precision and recall.

    Parameters
    ----------
    average, threshold
        See :class:`FBetaScore`.
    name, dtype
        See :class:`Metric`.
    """

    def __init__(
        self,
        average: str | None = None,
        threshold: float | None = None,
        name: str | None = "f1_score",
        dtype: Any = None,
    ) -> None:
        super().__init__(average, 1.0, threshold, name, dtype)
