"""Checks of the arguments of the loss and the optimizer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np

from .._arrays import Array
from .arrays import array, floating, integer, number


def binary_crossentropy(y_true: Any, y_pred: Any) -> np.dtype[Any]:
    """Check the arguments of `binary_crossentropy`, all but the values, and return the dtype."""
    dtype = floating("y_pred", y_pred)
    array("y_true", y_true, dtype, y_pred.shape)
    return dtype


def labels_in_range(y_true: Array) -> None:
    """Require every label to lie in [0, 1]."""
    # NaN makes both comparisons false.
    if y_true.size and not (y_true.min() >= 0 and y_true.max() <= 1):
        label_out_of_range(y_true)


def label_out_of_range(y_true: Array) -> NoReturn:
    """Raise the error that names the first label outside of [0, 1] and its position."""
    where = np.unravel_index(int(np.argmin((y_true >= 0) & (y_true <= 1))), y_true.shape)
    position = tuple(int(i) for i in where)
    raise ValueError(
        f"y_true: expected labels in [0, 1], got {y_true[position]} at position {position}"
    )


def adam_update(
    parameters: Any,
    gradients: Any,
    m: Any,
    v: Any,
    step: Any,
    learning_rate: Any,
    beta_1: Any,
    beta_2: Any,
    epsilon: Any,
) -> tuple[int, float, float, float, float, np.dtype[Any]]:
    """Check `adam_update`; return step, the four rates as Python numbers, and the dtype."""
    dtype = floating("parameters", parameters)
    if parameters.ndim != 1:
        raise ValueError(f"parameters: expected a flat array, got shape {parameters.shape}")
    _buffers(parameters, gradients, m, v, dtype)
    t = integer("step", step)
    if t < 1:
        raise ValueError(f"step: expected at least 1, got {t}")
    if t >= 2**63:
        raise ValueError("step: expected a number below 2**63, got a larger one")
    rate = number("learning_rate", learning_rate)
    b1 = number("beta_1", beta_1)
    b2 = number("beta_2", beta_2)
    eps = number("epsilon", epsilon)
    if not math.isfinite(rate):
        raise ValueError(f"learning_rate: expected a finite number, got {rate}")
    if not 0 <= b1 < 1:
        raise ValueError(f"beta_1: expected a number in [0, 1), got {b1}")
    if not 0 <= b2 < 1:
        raise ValueError(f"beta_2: expected a number in [0, 1), got {b2}")
    if not 0 <= eps < math.inf:
        raise ValueError(f"epsilon: expected a finite number of at least 0, got {eps}")
    return t, rate, b1, b2, eps, dtype


def _buffers(parameters: Any, gradients: Any, m: Any, v: Any, dtype: np.dtype[Any]) -> None:
    """Require four contiguous buffers of one size, all but the gradients writable."""
    shape = parameters.shape
    array("gradients", gradients, dtype, shape)
    array("m", m, dtype, shape)
    array("v", v, dtype, shape)
    named: Sequence[tuple[str, Array]] = (
        ("parameters", parameters), ("gradients", gradients), ("m", m), ("v", v)
    )  # fmt: skip
    for name, a in named:
        flags = a.flags
        if not flags.c_contiguous:
            raise ValueError(f"{name}: expected a contiguous array, got strides {a.strides}")
        if not flags.writeable and name != "gradients":
            raise ValueError(f"{name}: expected a writable array, got a read-only one")
