"""Metrics, with Keras' names: numbers accumulated over batches."""

from __future__ import annotations

from typing import Any

from fastgru._configurable import Registry, describe
from fastgru.metrics.accuracies import (
    Accuracy,
    BinaryAccuracy,
    CategoricalAccuracy,
    SparseCategoricalAccuracy,
    SparseTopKCategoricalAccuracy,
    TopKCategoricalAccuracy,
)
from fastgru.metrics.base import Mean, MeanMetricWrapper, Metric, Sum
from fastgru.metrics.confusion import (
    AUC,
    FalseNegatives,
    FalsePositives,
    Precision,
    Recall,
    TrueNegatives,
    TruePositives,
)
from fastgru.metrics.means import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    CosineSimilarity,
    KLDivergence,
    LogCoshError,
    MeanAbsoluteError,
    MeanSquaredError,
    Perplexity,
    RootMeanSquaredError,
    SparseCategoricalCrossentropy,
)
from fastgru.metrics.scores import F1Score, FBetaScore

__all__ = [
    "AUC",
    "Accuracy",
    "BinaryAccuracy",
    "BinaryCrossentropy",
    "CategoricalAccuracy",
    "CategoricalCrossentropy",
    "CosineSimilarity",
    "F1Score",
    "FBetaScore",
    "FalseNegatives",
    "FalsePositives",
    "KLDivergence",
    "LogCoshError",
    "Mean",
    "MeanAbsoluteError",
    "MeanMetricWrapper",
    "MeanSquaredError",
    "Metric",
    "Perplexity",
    "Precision",
    "Recall",
    "RootMeanSquaredError",
    "SparseCategoricalAccuracy",
    "SparseCategoricalCrossentropy",
    "SparseTopKCategoricalAccuracy",
    "Sum",
    "TopKCategoricalAccuracy",
    "TrueNegatives",
    "TruePositives",
    "deserialize",
    "get",
    "serialize",
]

_REGISTRY: Registry[Metric] = Registry(
    "metric",
    Metric,
    [
        AUC,
        Accuracy,
        BinaryAccuracy,
        BinaryCrossentropy,
        CategoricalAccuracy,
        CategoricalCrossentropy,
        CosineSimilarity,
        F1Score,
        FBetaScore,
        FalseNegatives,
        FalsePositives,
        KLDivergence,
        LogCoshError,
        Mean,
        MeanAbsoluteError,
        MeanMetricWrapper,
        MeanSquaredError,
        Perplexity,
        Precision,
        Recall,
        RootMeanSquaredError,
        SparseCategoricalAccuracy,
        SparseCategoricalCrossentropy,
        SparseTopKCategoricalAccuracy,
        Sum,
        TopKCategoricalAccuracy,
        TrueNegatives,
        TruePositives,
    ],
    {
        "auc": AUC,
        "bce": BinaryCrossentropy,
        "fbeta_score": FBetaScore,
        "kl_divergence": KLDivergence,
        "kld": KLDivergence,
        "logcosh": LogCoshError,
        "mae": MeanAbsoluteError,
        "mse": MeanSquaredError,
        "rmse": RootMeanSquaredError,
    },
    unserved=(
        "binary_io_u",
        "categorical_hinge",
        "concordance_correlation",
        "hinge",
        "io_u",
        "mape",
        "mean_absolute_percentage_error",
        "mean_io_u",
        "mean_squared_logarithmic_error",
        "msle",
        "one_hot_io_u",
        "one_hot_mean_io_u",
        "pearson_correlation",
        "poisson",
        "precision_at_recall",
        "r2_score",
        "recall_at_precision",
        "sensitivity_at_specificity",
        "specificity_at_sensitivity",
        "squared_hinge",
    ),
)
_BY_SHAPE = ("accuracy", "acc")  # which accuracy is meant, the labels' shape tells


def get(identifier: Any) -> Metric:
    """Return the metric of a name, a configuration, a class, a function, or an instance itself.

    Raises
    ------
    ValueError
        For an unknown name; the message lists the close ones.
    NotImplementedError
        For a name that Keras knows and fastgru does not serve yet.
    TypeError
        For anything else.
    """
    if callable(identifier) and not isinstance(identifier, Metric | type):
        return MeanMetricWrapper(identifier)
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
    return describe(metric)


def deserialize(config: Any) -> Metric:
    """Return the metric that :func:`serialize` described."""
    return get(config)
