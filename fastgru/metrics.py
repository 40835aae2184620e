"""Metrics, with Keras' names: numbers accumulated over batches."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastgru._arrays import to_array
from fastgru._configurable import Configurable, Registry, refuse, refuse_unknown
from fastgru._naming import snake_case

__all__ = [
    "BinaryAccuracy",
    "CategoricalAccuracy",
    "Mean",
    "Metric",
    "SparseCategoricalAccuracy",
    "deserialize",
    "get",
    "serialize",
]


class Metric(Configurable):
    """A mean, accumulated over batches.

    Parameters
    ----------
    name : str, optional
        The key in logs and history; otherwise the class' name in snake case.
    dtype : None
        Accepted for Keras' sake: sums are kept in double precision.
    """

    def __init__(self, name: str | None = None, dtype: Any = None, **unknown: Any) -> None:
        refuse_unknown(type(self), unknown)
        self.name = name or snake_case(type(self).__name__)
        self.dtype = dtype
        self.reset_state()

    def reset_state(self) -> None:
        """Forget what was accumulated."""
        self._total = 0.0
        self._count = 0

    def result(self) -> float:
        """Return the mean so far; 0 before the first update."""
        return self._total / self._count if self._count else 0.0

    def add(self, y_true: np.ndarray, y_pred: np.ndarray) -> None:
        """Take in one batch of labels and outputs, arrays whose shapes are known to fit."""
        raise NotImplementedError

    def check_shapes(self, y_true: tuple[int, ...], y_pred: tuple[int, ...]) -> None:
        """Require that labels of a shape can be compared with outputs of a shape."""
        if y_true != y_pred:
            raise ValueError(f"{self.name}: expected labels of shape {y_pred}, got {y_true}")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take in one batch of labels and outputs, anything that makes an array.

        Raises
        ------
        ValueError
            If the shapes do not fit.
        """
        refuse(self.name, sample_weight=sample_weight)
        labels, outputs = to_array("y_true", y_true), to_array("y_pred", y_pred)
        if labels.ndim + 1 == outputs.ndim and outputs.shape[-1] == 1:
            labels = labels[..., None]
        self.check_shapes(labels.shape, outputs.shape)
        self.add(labels, outputs)

    def __call__(self, *batch: Any) -> float:
        """Take in one batch and return the result so far."""
        self.update_state(*batch)
        return self.result()


class Mean(Metric):
    """The mean of values."""

    def update_state(  # type: ignore[override]  # Keras' signature
        self, values: Any, sample_weight: Any = None
    ) -> None:
        """Take in values."""
        refuse(self.name, sample_weight=sample_weight)
        array = to_array("values", values)
        self._total += float(array.sum(dtype=np.float64))
        self._count += array.size


class BinaryAccuracy(Metric):
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

    def add(self, y_true: np.ndarray, y_pred: np.ndarray) -> None:
        """Take in one batch."""
        self._total += int(np.count_nonzero((y_pred > self.threshold) == y_true))
        self._count += y_pred.size


class CategoricalAccuracy(Metric):
    """How often the greatest output is that of the label, labels one-hot."""

    def add(self, y_true: np.ndarray, y_pred: np.ndarray) -> None:
        """Take in one batch."""
        hits = y_pred.argmax(axis=-1) == y_true.argmax(axis=-1)
        self._total += int(np.count_nonzero(hits))
        self._count += hits.size


class SparseCategoricalAccuracy(Metric):
    """How often the greatest output is that of the label, labels integers."""

    def check_shapes(self, y_true: tuple[int, ...], y_pred: tuple[int, ...]) -> None:
        """Require labels without, or with a single entry on, the outputs' last axis."""
        if y_true not in (y_pred[:-1], (*y_pred[:-1], 1)):
            raise ValueError(f"{self.name}: expected labels of shape {y_pred[:-1]}, got {y_true}")

    def add(self, y_true: np.ndarray, y_pred: np.ndarray) -> None:
        """Take in one batch."""
        hits = y_pred.argmax(axis=-1) == y_true.reshape(y_pred.shape[:-1])
        self._total += int(np.count_nonzero(hits))
        self._count += hits.size


_REGISTRY: Registry[Metric] = Registry(
    "metric",
    Metric,
    [BinaryAccuracy, CategoricalAccuracy, Mean, SparseCategoricalAccuracy],
    {"accuracy": BinaryAccuracy, "acc": BinaryAccuracy},
    unserved=(
        "auc",
        "binary_crossentropy",
        "binary_io_u",
        "categorical_crossentropy",
        "cosine_similarity",
        "f1_score",
        "false_negatives",
        "false_positives",
        "fbeta_score",
        "hinge",
        "kl_divergence",
        "log_cosh_error",
        "mae",
        "mape",
        "mean_absolute_error",
        "mean_io_u",
        "mean_squared_error",
        "mse",
        "pearson_correlation",
        "poisson",
        "precision",
        "r2_score",
        "recall",
        "rmse",
        "root_mean_squared_error",
        "sparse_categorical_crossentropy",
        "sparse_top_k_categorical_accuracy",
        "sum",
        "top_k_categorical_accuracy",
        "true_negatives",
        "true_positives",
    ),
)
_BY_SHAPE = ("accuracy", "acc")  # which accuracy is meant, the labels' shape tells


def get(identifier: Any) -> Metric:
    """Return the metric of a name, a configuration, a class, or an instance itself.

    Raises
    ------
    ValueError
        For an unknown name; the message lists the close ones.
    NotImplementedError
        For a name that Keras knows and fastgru does not serve yet.
    TypeError
        For anything else.
    """
    metric = _REGISTRY.get(identifier)
    if isinstance(identifier, str):
        metric.name = identifier
    return metric


def check(identifier: Any) -> Metric | str:
    """Return the metric that `compile` was given, or ``"accuracy"``: see :func:`for_shapes`."""
    if isinstance(identifier, str) and identifier.lower() in _BY_SHAPE:
        return identifier
    return get(identifier)


def for_shapes(metric: Metric | str, y_true: tuple[int, ...], y_pred: tuple[int, ...]) -> Metric:
    """Return a metric for labels and outputs of these shapes.

    ``"accuracy"`` becomes the binary one for outputs of size 1, the categorical one for one-hot
    labels, else the sparse categorical one, as in Keras.
    """
    if isinstance(metric, str):
        if y_pred[-1] == 1:
            metric = BinaryAccuracy(metric)
        elif len(y_true) < len(y_pred) or y_true[-1] == 1:
            metric = SparseCategoricalAccuracy(metric)
        else:
            metric = CategoricalAccuracy(metric)
    metric.check_shapes(y_true, y_pred)
    return metric


def serialize(metric: Metric) -> dict[str, Any]:
    """Return the class name and the configuration of a metric."""
    return {"class_name": type(metric).__name__, "config": metric.get_config()}


def deserialize(config: Any) -> Metric:
    """Return the metric that :func:`serialize` described."""
    return get(config)
