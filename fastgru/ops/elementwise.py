"""Functions of single numbers."""

from __future__ import annotations

from .. import _checks, _core
from .._arrays import Array
from ._shared import documented, plain, taken


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
    y = _core.elementwise(name, x)
    if y is None:
        _checks.floating("x", x)
        y = taken(_core.elementwise(name, plain(x)))
    return y
