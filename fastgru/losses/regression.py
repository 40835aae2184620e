"""Losses of differences: squared, absolute, Huber's, log-cosh; and two of whole rows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastgru._numbers import is_number
from fastgru.losses.base import Loss
from fastgru.losses.crossentropy import EPSILON, mean_of_last_axis


class _Difference(Loss):
    """The mean, over the last axis, of a function of ``y_pred - y_true``."""

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
        **unknown: Any,
    ) -> None:
        super().__init__(reduction, name, dtype, **unknown)

    def of(self, difference: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the function and its derivative, in a new array or in place of the argument."""
        raise NotImplementedError

    def values(
        self,
        y_true: np.ndarray,
        y_pred: np.ndarray,
        from_logits: bool = False,
        scale: Any = None,
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the mean over the last axis, and its gradient."""
        return mean_of_last_axis(*self.of(y_pred - y_true), scale)


class MeanSquaredError(_Difference):
    """The mean of squared differences.

    Parameters
    ----------
    reduction, name, dtype
        See :class:`Loss`.
    """

    def of(self, difference: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return d² and 2d."""
        losses = difference * difference
        difference *= 2
        return losses, difference


class MeanAbsoluteError(_Difference):
    """The mean of absolute differences.

    Parameters
    ----------
    reduction, name, dtype
        See :class:`Loss`.
    """

    def of(self, difference: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return |d| and the sign of d, 0 at 0."""
        return np.abs(difference), np.sign(difference)


class Huber(_Difference):
    """Half the squared difference up to `delta`, straight beyond (Huber, 1964).

    Parameters
    ----------
    delta : float, default 1.0
        Where the parabola ends.
    reduction, name, dtype
        See :class:`Loss`.
    """

    def __init__(
        self,
        delta: float = 1.0,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "huber_loss",
        dtype: Any = None,
        **unknown: Any,
    ) -> None:
        super().__init__(reduction, name, dtype, **unknown)
        if not is_number(delta):
            raise TypeError(f"delta: expected a number, got {delta!r}")
        if not 0 < delta < math.inf:
            raise ValueError(f"delta: expected a number above 0, got {delta!r}")
        self.delta = float(delta)

    def of(self, difference: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return d²/2 or delta (|d| - delta/2), and d within ±delta."""
        slope = np.clip(difference, -self.delta, self.delta)
        return slope * (difference - 0.5 * slope), slope


class LogCosh(_Difference):
    """The logarithm of the hyperbolic cosine of the difference: smooth, straight far out.

    Parameters
    ----------
    reduction, name, dtype
        See :class:`Loss`.
    """

    def of(self, difference: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return log cosh d and tanh d."""
        size = np.abs(difference)
        return size + np.log1p(np.exp(-2 * size)) - math.log(2), np.tanh(difference)


class KLDivergence(Loss):
    """``sum(y_true * log(y_true / y_pred))`` over the last axis, both clipped to [1e-7, 1].

    Parameters
    ----------
    reduction, name, dtype
        See :class:`Loss`.
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "kl_divergence",
        dtype: Any = None,
        **unknown: Any,
    ) -> None:
        super().__init__(reduction, name, dtype, **unknown)

    def values(
        self,
        y_true: np.ndarray,
        y_pred: np.ndarray,
        from_logits: bool = False,
        scale: Any = None,
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the divergence of each row, and its gradient."""
        y = np.clip(y_true, EPSILON, 1)
        p = np.clip(y_pred, EPSILON, 1)
        values = np.einsum("...v,...v->...", y, np.log(y / p))
        if scale is None:
            return values, None
        slope = np.where(p == y_pred, -y / p, 0)
        slope *= scale[..., None] if isinstance(scale, np.ndarray) else scale
        return values, slope


class CosineSimilarity(Loss):
    """The negative cosine of the angle between rows: -1 for the same direction.

    Parameters
    ----------
    axis : int, default -1
        Any other is not served.
    reduction, name, dtype
        See :class:`Loss`.
    """

    axis = -1

    def __init__(
        self,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "cosine_similarity",
        dtype: Any = None,
        **unknown: Any,
    ) -> None:
        super().__init__(reduction, name, dtype, **unknown)
        if axis != -1:
            raise NotImplementedError(f"axis: expected -1, got axis={axis!r}")

    def values(
        self,
        y_true: np.ndarray,
        y_pred: np.ndarray,
        from_logits: bool = False,
        scale: Any = None,
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the negative cosine of each row, and its gradient."""
        y, _ = _normal(y_true)
        p, norm = _normal(y_pred)
        values = -np.einsum("...v,...v->...", y, p)
        if scale is None:
            return values, None
        slope = p * -values[..., None] - y
        slope *= (scale[..., None] if isinstance(scale, np.ndarray) else scale) / norm
        return values, slope


def _normal(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return rows of length 1, and their lengths, at least 1e-7."""
    norm = np.maximum(np.sqrt(np.einsum("...v,...v->...", x, x)), EPSILON)[..., None]
    return x / norm, norm
