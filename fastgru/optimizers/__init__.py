"""Optimizers, with Keras' names and numerics.

An optimizer steps over whole ranges of a model's flat buffers: one call for all weights.
"""

from __future__ import annotations

from typing import Any

from fastgru._configurable import Registry, describe
from fastgru.optimizers import schedules as schedules
from fastgru.optimizers.base import Optimizer
from fastgru.optimizers.methods import SGD, Adam, AdamW, RMSprop

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "Optimizer",
    "RMSprop",
    "deserialize",
    "get",
    "serialize",
]

_REGISTRY: Registry[Optimizer] = Registry(
    "optimizer",
    Optimizer,
    [Adam, AdamW, RMSprop, SGD],
    {"adamw": AdamW, "rmsprop": RMSprop},
    unserved=(
        "adadelta",
        "adafactor",
        "adagrad",
        "adamax",
        "ftrl",
        "lamb",
        "lion",
        "loss_scale_optimizer",
        "muon",
        "nadam",
        "schedule_free_adam_w",
    ),
)


def get(identifier: Any) -> Optimizer:
    """Return the optimizer of a name, a configuration, a class, or an instance itself.

    Raises
    ------
    ValueError
        For an unknown name; the message lists the close ones.
    NotImplementedError
        For a name that Keras knows and fastgru does not serve yet.
    TypeError
        For anything else.
    """
    return _REGISTRY.get(identifier)


def serialize(optimizer: Optimizer) -> dict[str, Any]:
    """Return the class name and the configuration of an optimizer; its state is not part of it."""
    return describe(optimizer)


def deserialize(config: Any) -> Optimizer:
    """Return the optimizer that :func:`serialize` described."""
    return get(config)
