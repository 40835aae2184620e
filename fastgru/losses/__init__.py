"""Losses, with Keras' names and numerics.

A loss gives the mean over all values and its gradient. Weights of samples and masks of steps enter
as in Keras.
"""

from __future__ import annotations

from typing import Any

from fastgru._configurable import Registry, describe
from fastgru.losses.base import Loss
from fastgru.losses.crossentropy import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    SparseCategoricalCrossentropy,
)
from fastgru.losses.regression import (
    CosineSimilarity,
    Huber,
    KLDivergence,
    LogCosh,
    MeanAbsoluteError,
    MeanSquaredError,
)

__all__ = [
    "BinaryCrossentropy",
    "CategoricalCrossentropy",
    "CosineSimilarity",
    "Huber",
    "KLDivergence",
    "LogCosh",
    "Loss",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "SparseCategoricalCrossentropy",
    "deserialize",
    "get",
    "serialize",
]

_REGISTRY: Registry[Loss] = Registry(
    "loss",
    Loss,
    [
        BinaryCrossentropy,
        CategoricalCrossentropy,
        CosineSimilarity,
        Huber,
        KLDivergence,
        LogCosh,
        MeanAbsoluteError,
        MeanSquaredError,
        SparseCategoricalCrossentropy,
    ],
    {
        "bce": BinaryCrossentropy,
        "kl_divergence": KLDivergence,
        "kld": KLDivergence,
        "logcosh": LogCosh,
        "mae": MeanAbsoluteError,
        "mse": MeanSquaredError,
    },
    unserved=(
        "binary_focal_crossentropy",
        "categorical_focal_crossentropy",
        "categorical_generalized_cross_entropy",
        "categorical_hinge",
        "circle",
        "crossentropy",
        "ctc",
        "dice",
        "hinge",
        "mape",
        "mean_absolute_percentage_error",
        "mean_squared_logarithmic_error",
        "msle",
        "poisson",
        "squared_hinge",
        "tversky",
    ),
)


def get(identifier: Any) -> Loss:
    """Return the loss of a name, a configuration, a class, or an instance itself.

    Raises
    ------
    ValueError
        For an unknown name; the message lists the close ones.
    NotImplementedError
        For a name that Keras knows and fastgru does not serve yet.
    TypeError
        For anything else: for a plain function, too, whose gradient nobody would know.
    """
    if callable(identifier) and not isinstance(identifier, Loss | type):
        name = getattr(identifier, "__name__", type(identifier).__name__)
        raise TypeError(
            f"loss: expected a name or an instance of Loss, got {name}, whose gradient is not "
            "known: write a subclass of fastgru.losses.Loss whose method `values` returns "
            "both, and give an instance of it"
        )
    return _REGISTRY.get(identifier)


def serialize(loss: Loss) -> dict[str, Any]:
    """Return the class name and the configuration of a loss."""
    return describe(loss)


def deserialize(config: Any) -> Loss:
    """Return the loss that :func:`serialize` described."""
    return get(config)
