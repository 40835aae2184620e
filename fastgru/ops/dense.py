"""The dense layer."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .. import _checks, _core, activations
from .._arrays import Array
from ..activations import Activation
from ._shared import contiguous, documented


@dataclass(slots=True)
class DenseCache:
    """What a forward pass leaves for `dense_backward`. Arrays are contiguous."""

    x: Array
    kernel: Array
    has_bias: bool
    activation: Activation
    pre: Array | None  # what the activation got, where NumPy computed it
    y: Array


def _compiled(function: Activation) -> int | None:
    """Return the number of an activation in C. A user's own has none, whatever its name."""
    number = _core.DENSE_ACTIVATIONS.get(function.name)
    return number if number is None or activations.get(function.name) is function else None


@documented
def dense_forward(
    x: Array,
    kernel: Array,
    bias: Array | None = None,
    *,
    activation: str | Activation = "linear",
    training: bool = False,
) -> tuple[Array, DenseCache | None]:
    I, O, dtype = _checks.dense_forward(x, kernel, bias, activation)
    function = activations.get(activation)
    compiled = _compiled(function)
    x, kernel = contiguous(x), contiguous(kernel)
    y = np.empty((*x.shape[:-1], O), dtype)
    rows = math.prod(x.shape[:-1])
    _core.dense(rows, I, O, dtype.itemsize, compiled or 0, x, kernel, contiguous(bias), y)
    pre = None
    if compiled is None:
        pre = y if training else None
        y = function.forward(y)
    if not training:
        return y, None
    return y, DenseCache(x, kernel, bias is not None, function, pre, y)


@documented
def dense_backward(
    dy: Array, cache: DenseCache, *, out: tuple[Array, Array | None] | None = None
) -> tuple[Array, Array, Array | None]:
    _checks.cache(cache, DenseCache, "dense_forward")
    x, kernel, y, function = cache.x, cache.kernel, cache.y, cache.activation
    _checks.array("dy", dy, y.dtype, y.shape)
    I, O = kernel.shape
    compiled = _compiled(function)
    if compiled is None:
        dy = function.backward(dy, cache.pre, y)
    dx = np.empty(x.shape, x.dtype)
    if out is None:
        dkernel, dbias = np.empty((I, O), x.dtype), np.empty(O, x.dtype) if cache.has_bias else None
    else:
        _checks.dense_gradients(out, (I, O), cache.has_bias, x.dtype)
        dkernel, dbias = out
    rows, item = math.prod(x.shape[:-1]), x.itemsize
    dy = contiguous(dy)
    _core.dense(rows, I, O, item, compiled or 0, x, kernel, None, y, dy, dx, dkernel, dbias)
    return dx, dkernel, dbias
