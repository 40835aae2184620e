"""Functions of single numbers."""

from __future__ import annotations

import numpy as np

from .. import _checks, _core
from .._arrays import Array
from ._shared import contiguous, documented


@documented
def exp(x: Array) -> Array:
    return _elementwise("exp", x)


@documented
def sigmoid(x: Array) -> Array:
    return _elementwise("sigmoid", x)


@documented
def tanh(x: Array) -> Array:
    return _elementwise("tanh", x)


def _elementwise(name: str, x: Array) -> Array:
    dtype = _checks.floating("x", x)
    y = np.empty(x.shape, dtype)
    _core.elementwise(name, contiguous(x), y, x.size, dtype.itemsize)
    return y
