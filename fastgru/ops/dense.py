"""The dense layer."""

from __future__ import annotations

from .. import _checks, _core, activations
from .._arrays import Array
from .._core import DenseCache
from ..activations import Activation
from ._shared import documented, number_of, plain, taken


@documented
def dense_forward(
    x: Array,
    kernel: Array,
    bias: Array | None = None,
    *,
    activation: str | Activation = "linear",
    training: bool = False,
) -> tuple[Array, DenseCache | None]:
    number = number_of(activation, _core.DENSE_ACTIVATIONS)
    found = _core.dense_forward(x, kernel, bias, number or 0, training)
    if found is None:
        _checks.dense_forward(x, kernel, bias, activation)
        arrays = plain(x), plain(kernel), None if bias is None else plain(bias)
        found = taken(_core.dense_forward(*arrays, number or 0, training))
    if number is not None:
        return found
    pre, cache = found
    function = activations.get(activation)
    y = function.forward(pre)
    if cache is not None:
        cache.activation, cache.pre, cache.y = function, pre, y
    return y, cache


@documented
def dense_backward(
    dy: Array, cache: DenseCache, *, out: tuple[Array, Array | None] | None = None
) -> tuple[Array, Array, Array | None]:
    _checks.cache(cache, DenseCache, "dense_forward")
    if cache.activation is not None:
        _checks.array("dy", dy, cache.y.dtype, cache.y.shape)
        dy = cache.activation.backward(dy, cache.pre, cache.y)
    found = _core.dense_backward(dy, cache, out)
    if found is not None:
        return found
    _checks.array("dy", dy, cache.y.dtype, cache.y.shape)
    into = None
    if out is not None:
        _checks.dense_gradients(out, cache.kernel.shape, cache.has_bias, cache.x.dtype)
        into = plain(out[0]), None if out[1] is None else plain(out[1])
    found = taken(_core.dense_backward(plain(dy), cache, into))
    return found if out is None else (found[0], *out)
