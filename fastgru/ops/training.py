"""The loss and the optimizer's step."""

from __future__ import annotations

import math

import numpy as np

from .. import _checks, _core
from .._arrays import Array
from ._shared import contiguous, documented


@documented
def binary_crossentropy(
    y_true: Array, y_pred: Array, *, from_logits: bool = False
) -> tuple[Array, Array]:
    dtype = _checks.binary_crossentropy(y_true, y_pred)
    t, p = contiguous(y_true), contiguous(y_pred)
    losses, gradients = np.empty(y_pred.shape, dtype), np.empty(y_pred.shape, dtype)
    if not _core.binary_crossentropy(
        t, p, y_pred.size, dtype.itemsize, bool(from_logits), losses, gradients
    ):
        _checks.label_out_of_range(y_true)
    return losses, gradients


@documented
def adam_update(
    parameters: Array,
    gradients: Array,
    m: Array,
    v: Array,
    *,
    step: int,
    learning_rate: float = 1e-3,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-7,
) -> None:
    t, rate, b1, b2, eps, dtype = _checks.adam_update(
        parameters, gradients, m, v, step, learning_rate, beta_1, beta_2, epsilon
    )
    alpha = rate * math.sqrt(1 - b2**t) / (1 - b1**t)
    _core.adam(parameters, gradients, m, v, parameters.size, dtype.itemsize, alpha, b1, b2, eps)
