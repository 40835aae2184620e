"""A dense layer in plain NumPy."""

# mypy: disable-error-code="no-any-return"
# (NumPy's stubs give Any for many results.)

from __future__ import annotations

import math
from dataclasses import dataclass

from .. import _checks, activations
from .._arrays import Array
from ..activations import Activation
from ._recurrence import deliver


@dataclass(slots=True)
class DenseCache:
    """What a forward pass leaves for `dense_backward`. Arrays are flattened to rows."""

    leading: tuple[int, ...]  # x's shape without the features
    x: Array
    kernel: Array
    has_bias: bool
    activation: Activation
    pre: Array | None  # what the activation got, if its derivative needs that
    y: Array


def dense_forward(
    x: Array,
    kernel: Array,
    bias: Array | None = None,
    *,
    activation: str | Activation = "linear",
    training: bool = False,
) -> tuple[Array, DenseCache | None]:
    """Compute activation(x @ kernel + bias).

    Parameters
    ----------
    x : array (..., I)
        Any number of leading dimensions.
    kernel : array (I, O)
    bias : array (O,), optional
    activation : str or Activation, default "linear"
    training : bool, default False
        Whether to return a cache for `dense_backward`.

    Returns
    -------
    y : array (..., O)
    cache : DenseCache, or None unless training
        It borrows the inputs and y: leave them as they are until `dense_backward` has run.

    Raises
    ------
    ValueError
        For a wrong shape or an unknown activation.
    TypeError
        For a wrong type or dtype.
    """
    I, O, _ = _checks.dense_forward(x, kernel, bias, activation)
    act = activations.get(activation)
    leading = x.shape[:-1]
    rows = x.reshape(math.prod(leading), I)
    pre = rows @ kernel
    if bias is not None:
        pre += bias
    keep_pre = training and not act.from_output
    y = act.forward(pre, out=None if keep_pre else pre)
    cache = DenseCache(leading, rows, kernel, bias is not None, act, pre if keep_pre else None, y)
    return y.reshape(*leading, O), cache if training else None


def dense_backward(
    dy: Array, cache: DenseCache, *, out: tuple[Array, Array | None] | None = None
) -> tuple[Array, Array, Array | None]:
    """Gradients of a dense layer.

    Parameters
    ----------
    dy : array (..., O)
        Gradient of the loss with respect to y.
    cache : DenseCache
        What `dense_forward` returned with training=True.
    out : (dkernel, dbias or None), optional
        C-contiguous arrays that receive these gradients, and are returned. The second is None
        exactly if there is no bias.

    Returns
    -------
    dx : array (..., I)
    dkernel : array (I, O)
    dbias : array (O,), or None without bias

    Raises
    ------
    ValueError
        For a wrong shape.
    TypeError
        For a wrong type or dtype, or a cache that is none of `dense_forward`.
    """
    _checks.cache(cache, DenseCache, "dense_forward")
    I, O = cache.kernel.shape
    _checks.array("dy", dy, cache.y.dtype, (*cache.leading, O))
    if out is not None:
        _checks.dense_gradients(out, (I, O), cache.has_bias, cache.y.dtype)
    d = cache.activation.backward(dy.reshape(-1, O), cache.pre, cache.y)
    dx = (d @ cache.kernel.T).reshape(*cache.leading, I)
    dbias = d.sum(axis=0) if cache.has_bias else None
    return dx, *deliver((cache.x.T @ d, dbias), out)
