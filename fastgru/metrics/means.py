"""Losses as metrics, the root of the mean square, and perplexity."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastgru import losses
from fastgru._arrays import renamed
from fastgru.losses.base import spread
from fastgru.metrics.accuracies import check_sparse
from fastgru.metrics.base import MeanMetric, Result


class LossMetric(MeanMetric):
    """The mean of what a loss measures.

    Parameters
    ----------
    name, dtype
        See :class:`Metric`.
    """

    direction = "down"
    kind: type[losses.Loss]

    def __init__(self, name: str | None = None, dtype: Any = None, **options: Any) -> None:
        self.loss = self.kind(**options)
        super().__init__(name, dtype)
        self.takes_logits_of = self.loss.takes_logits_of

    def check_shapes(self, y_true: tuple[int, ...], y_pred: tuple[int, ...]) -> None:
        """Require labels as the loss takes them."""
        if y_true != self.loss.label_shape(y_pred):
            raise ValueError(
                f"{self.name}: expected labels of shape {self.loss.label_shape(y_pred)}, "
                f"got {y_true}"
            )

    def values(self, y_true: np.ndarray, y_pred: np.ndarray, from_logits: bool) -> np.ndarray:
        """Return the values of the loss."""
        if y_pred.dtype not in (np.float32, np.float64):
            y_pred = y_pred.astype(np.float64)
        return self.loss.values(self._as_taken(y_true, y_pred), y_pred, from_logits)[0]

    def _as_taken(self, y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
        """Return labels in the dtype that the loss takes."""
        return y_true.astype(y_pred.dtype, copy=False)


class MeanSquaredError(LossMetric):
    """The mean of squared differences.

    Parameters
    ----------
    name, dtype
        See :class:`Metric`.
    """

    kind = losses.MeanSquaredError

    def __init__(
        self, name: str | None = "mean_squared_error", dtype: Any = None, **unknown: Any
    ) -> None:
        super().__init__(name, dtype, **unknown)


class RootMeanSquaredError(MeanSquaredError):
    """The root of the mean of squared differences.

    Parameters
    ----------
    name, dtype
        See :class:`Metric`.
    """

    def __init__(
        self, name: str | None = "root_mean_squared_error", dtype: Any = None, **unknown: Any
    ) -> None:
        super().__init__(name, dtype, **unknown)

    def result(self) -> Result:
        """Return the root of the mean so far."""
        return math.sqrt(super().result())


class MeanAbsoluteError(LossMetric):
    """The mean of absolute differences.

    Parameters
    ----------
    name, dtype
        See :class:`Metric`.
    """

    kind = losses.MeanAbsoluteError

    def __init__(
        self, name: str | None = "mean_absolute_error", dtype: Any = None, **unknown: Any
    ) -> None:
        super().__init__(name, dtype, **unknown)


class LogCoshError(LossMetric):
    """The mean of the logarithms of the hyperbolic cosines of differences.

    Parameters
    ----------
    name, dtype
        See :class:`Metric`.
    """

    kind = losses.LogCosh

    def __init__(self, name: str | None = "logcosh", dtype: Any = None, **unknown: Any) -> None:
        super().__init__(name, dtype, **unknown)


class KLDivergence(LossMetric):
    """The mean divergence of outputs from labels.

    Parameters
    ----------
    name, dtype
        See :class:`Metric`.
    """

    kind = losses.KLDivergence

    def __init__(
        self, name: str | None = "kl_divergence", dtype: Any = None, **unknown: Any
    ) -> None:
        super().__init__(name, dtype, **unknown)


class CosineSimilarity(LossMetric):
    """The mean cosine of the angle between outputs and labels: 1 for the same direction.

    Parameters
    ----------
    name, dtype
        See :class:`Metric`.
    axis : int, default -1
        Any other is not served.
    """

    kind = losses.CosineSimilarity
    direction = "up"

    def __init__(
        self,
        name: str | None = "cosine_similarity",
        dtype: Any = None,
        axis: int = -1,
        **unknown: Any,
    ) -> None:
        super().__init__(name, dtype, axis=axis, **unknown)
        self.axis = axis

    def values(self, y_true: np.ndarray, y_pred: np.ndarray, from_logits: bool) -> np.ndarray:
        """Return the cosines."""
        return -super().values(y_true, y_pred, from_logits)


class BinaryCrossentropy(LossMetric):
    """The mean cross-entropy of two classes.

    Parameters
    ----------
    name, dtype
        See :class:`Metric`.
    from_logits, label_smoothing
        See :class:`fastgru.losses.BinaryCrossentropy`.
    """

    kind = losses.BinaryCrossentropy

    def __init__(
        self,
        name: str | None = "binary_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
        **unknown: Any,
    ) -> None:
        options = {"from_logits": from_logits, "label_smoothing": label_smoothing}
        super().__init__(name, dtype, **options, **unknown)
        self.from_logits = from_logits
        self.label_smoothing = label_smoothing


class CategoricalCrossentropy(LossMetric):
    """The mean cross-entropy of many classes, labels one-hot.

    Parameters
    ----------
    name, dtype
        See :class:`Metric`.
    from_logits, label_smoothing, axis
        See :class:`fastgru.losses.CategoricalCrossentropy`.
    """

    kind = losses.CategoricalCrossentropy

    def __init__(
        self,
        name: str | None = "categorical_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
        axis: int = -1,
        **unknown: Any,
    ) -> None:
        options: dict[str, Any] = {"label_smoothing": label_smoothing, "axis": axis}
        super().__init__(name, dtype, from_logits=from_logits, **options, **unknown)
        self.from_logits = from_logits
        self.label_smoothing = label_smoothing
        self.axis = axis


class SparseLossMetric(LossMetric):
    """The mean of what the cross-entropy measures whose labels are integers.

    A label that the loss is to ignore does not count.

    Parameters
    ----------
    name, dtype
        See :class:`Metric`.
    """

    loss: losses.SparseCategoricalCrossentropy
    kind = losses.SparseCategoricalCrossentropy

    def check_shapes(self, y_true: tuple[int, ...], y_pred: tuple[int, ...]) -> None:
        """Require labels without, or with a single entry on, the outputs' last axis."""
        check_sparse(self.name, y_true, y_pred)

    def prepared(self, y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
        """Return labels as integers, checked to be classes of the outputs."""
        try:
            return self.loss.prepare(y_true, y_pred.shape, y_pred.dtype)
        except ValueError as error:
            raise renamed(error, "y", "y_true") from None

    def _as_taken(self, y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
        """Return labels as integers: another loss of a model may have had them as floats."""
        taken = y_true.dtype.kind == "i" and y_true.ndim < y_pred.ndim
        return y_true if taken else self.prepared(y_true, y_pred)

    def add(
        self,
        y_true: np.ndarray,
        y_pred: np.ndarray,
        weights: np.ndarray | None = None,
        from_logits: bool = False,
    ) -> None:
        """Take in one batch."""
        valid = self.loss.valid(y_true.reshape(y_pred.shape[:-1]))
        if valid is not None:
            weights = valid if weights is None else spread(weights, valid.shape) * valid
        super().add(y_true, y_pred, weights, from_logits)


class SparseCategoricalCrossentropy(SparseLossMetric):
    """The mean cross-entropy of many classes, labels integers.

    Parameters
    ----------
    name, dtype
        See :class:`Metric`.
    from_logits, ignore_class, axis
        See :class:`fastgru.losses.SparseCategoricalCrossentropy`.
    """

    def __init__(
        self,
        name: str | None = "sparse_categorical_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        ignore_class: int | None = None,
        axis: int = -1,
        **unknown: Any,
    ) -> None:
        options: dict[str, Any] = {"axis": axis, "ignore_class": ignore_class}
        super().__init__(name, dtype, from_logits=from_logits, **options, **unknown)
        self.from_logits = from_logits
        self.axis = axis
        self.ignore_class = ignore_class


class Perplexity(SparseLossMetric):
    """The exponential of the mean cross-entropy of all tokens, labels integers.

    Parameters
    ----------
    from_logits : bool, default False
        Whether the model's outputs are logits.
    mask_token_id : int, optional
        A label whose tokens do not count.
    dtype : None
        See :class:`Metric`.
    name : str, default "perplexity"
        The key in logs and history.
    """

    def __init__(
        self,
        from_logits: bool = False,
        mask_token_id: int | None = None,
        dtype: Any = None,
        name: str | None = "perplexity",
        **unknown: Any,
    ) -> None:
        options = {"from_logits": from_logits, "ignore_class": mask_token_id}
        super().__init__(name, dtype, **options, **unknown)
        self.from_logits = from_logits
        self.mask_token_id = mask_token_id

    def add(
        self,
        y_true: np.ndarray,
        y_pred: np.ndarray,
        weights: np.ndarray | None = None,
        from_logits: bool = False,
    ) -> None:
        """Take in one batch: every token counts alike."""
        labels = self._as_taken(y_true, y_pred)
        values = self.values(labels, y_pred, from_logits)
        loss = losses.SparseCategoricalCrossentropy(
            reduction="mean_with_sample_weight", ignore_class=self.mask_token_id
        )
        counted, divisor = loss.weights(labels, values.shape, weights, None)
        if counted is not None:
            values, divisor = values * counted, counted.sum(dtype=np.float64)
        self._total += float(values.sum(dtype=np.float64))
        self._count += float(divisor)

    def result(self) -> Result:
        """Return the perplexity so far; 0 before the first update."""
        return math.exp(super().result()) if self._count else 0.0
