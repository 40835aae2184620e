"""The operations, compiled: the functions of `fastgru.reference`, run by the C core.

Each validates its arguments, allocates its results and makes one call of the bridge. What an
operation computes is documented once, in `fastgru.reference`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from . import _checks, _core, activations, reference
from ._checks import Array
from ._core import GRUCache, PackedGRU
from .activations import Activation

__all__ = [
    "adam_update",
    "binary_crossentropy",
    "dense_backward",
    "dense_forward",
    "embedding_backward",
    "embedding_forward",
    "exp",
    "gru_backward",
    "gru_forward",
    "pack_gru",
    "sigmoid",
    "tanh",
]

Function = TypeVar("Function", bound=Callable[..., Any])
GivenArray = TypeVar("GivenArray", Array, Array | None)


def _documented(function: Function) -> Function:
    """Give an operation the documentation of its twin in the reference."""
    function.__doc__ = getattr(reference, function.__name__).__doc__
    return function


def _contiguous(a: GivenArray) -> GivenArray:
    """Return an array that C can read as it is: itself, or a copy of one with other strides."""
    if a is None:
        return a
    flags = a.flags
    return a if flags.c_contiguous and flags.aligned else np.array(a, order="C")


def _aligned(a: Array) -> Array:
    """Return an array that C can address: itself, or a copy of a field of packed records."""
    return a if a.flags.aligned else a.copy()


def _contiguous_rows(a: GivenArray) -> GivenArray:
    """Do the same for an array that may have any strides but the last."""
    if a is None or (a.strides[-1] == a.itemsize and a.flags.aligned):
        return a
    return _contiguous(a)


# ---- the GRU -------------------------------------------------------------------------------------


@_documented
def gru_forward(
    x: Array,
    kernel: Array | PackedGRU,
    recurrent_kernel: Array | None,
    bias: Array | None = None,
    h0: Array | None = None,
    *,
    mask: Array | None = None,
    masked_output: str = "repeat",
    reset_after: bool = True,
    update_gate: str = "keep",
    activation: str | Activation = "tanh",
    recurrent_activation: str | Activation = "sigmoid",
    input_dropout: Array | None = None,
    recurrent_dropout: Array | None = None,
    go_backwards: bool = False,
    return_sequences: bool = True,
    training: bool = False,
) -> tuple[Array | None, Array, GRUCache | None]:
    shape = _checks.gru_forward(
        x,
        kernel,
        recurrent_kernel,
        bias,
        h0,
        mask,
        masked_output,
        reset_after,
        update_gate,
        activation,
        recurrent_activation,
        input_dropout,
        recurrent_dropout,
        PackedGRU,
    )
    _refuse_unserved(mask, activation, recurrent_activation, input_dropout, recurrent_dropout)
    B, T, _, H, dtype = shape
    if type(kernel) is not PackedGRU:
        assert recurrent_kernel is not None
        kernel = PackedGRU(_aligned(kernel), _aligned(recurrent_kernel), bool(reset_after))
    y = np.empty((B, T, H), dtype) if return_sequences else None
    h_n = np.empty((B, H), dtype)
    cache = _core.gru_forward(
        shape,
        _contiguous_rows(x),
        kernel,
        _contiguous(bias),
        _contiguous(h0),
        y,
        h_n,
        update_gate == "replace",
        bool(go_backwards),
        bool(training),
    )
    return y, h_n, cache


def _refuse_unserved(
    mask: Array | None,
    activation: str | Activation,
    recurrent_activation: str | Activation,
    input_dropout: Array | None,
    recurrent_dropout: Array | None,
) -> None:
    """Refuse by name what only the reference serves."""
    usual = activation == "tanh" and recurrent_activation == "sigmoid"
    if usual and mask is input_dropout is recurrent_dropout is None:
        return
    given = {
        "mask": mask is not None,
        "input_dropout": input_dropout is not None,
        "recurrent_dropout": recurrent_dropout is not None,
        f"activation={activation!r}": activations.get(activation) is not activations.tanh,
        f"recurrent_activation={recurrent_activation!r}": activations.get(recurrent_activation)
        is not activations.sigmoid,
    }
    names = ", ".join(name for name, used in given.items() if used)
    if names:
        raise NotImplementedError(
            f"{names}: not served by the compiled operations; fastgru.reference has it"
        )


@_documented
def gru_backward(
    dy: Array | None, cache: GRUCache, dh_n: Array | None = None
) -> tuple[Array, Array, Array, Array | None, Array | None]:
    _checks.cache(cache, GRUCache, "gru_forward")
    _checks.gru_backward(dy, dh_n, cache.shape)
    B, T, I, H, dtype = cache.shape
    dx, dkernel = np.empty((B, T, I), dtype), np.empty((I, 3 * H), dtype)
    drecurrent_kernel = np.empty((H, 3 * H), dtype)
    dbias = np.empty((2, 3 * H) if cache.reset_after else 3 * H, dtype) if cache.has_bias else None
    dh0 = np.empty((B, H), dtype) if cache.has_h0 else None
    _core.gru_backward(
        _contiguous_rows(dy),
        _contiguous(dh_n),
        cache,
        dx,
        dkernel,
        drecurrent_kernel,
        dbias,
        dh0,
    )
    return dx, dkernel, drecurrent_kernel, dbias, dh0


@_documented
def pack_gru(kernel: Array, recurrent_kernel: Array, *, reset_after: bool = True) -> PackedGRU:
    _checks.pack_gru(kernel, recurrent_kernel)
    return PackedGRU(kernel.copy(), recurrent_kernel.copy(), bool(reset_after))


# ---- dense ---------------------------------------------------------------------------------------


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


@_documented
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
    x, kernel = _contiguous(x), _contiguous(kernel)
    y = np.empty((*x.shape[:-1], O), dtype)
    rows = math.prod(x.shape[:-1])
    _core.dense(rows, I, O, dtype.itemsize, compiled or 0, x, kernel, _contiguous(bias), y)
    pre = None
    if compiled is None:
        pre = y if training else None
        y = function.forward(y)
    if not training:
        return y, None
    return y, DenseCache(x, kernel, bias is not None, function, pre, y)


@_documented
def dense_backward(dy: Array, cache: DenseCache) -> tuple[Array, Array, Array | None]:
    _checks.cache(cache, DenseCache, "dense_forward")
    x, kernel, y, function = cache.x, cache.kernel, cache.y, cache.activation
    _checks.array("dy", dy, y.dtype, y.shape)
    I, O = kernel.shape
    compiled = _compiled(function)
    if compiled is None:
        dy = function.backward(dy, cache.pre, y)
    dx, dkernel = np.empty(x.shape, x.dtype), np.empty((I, O), x.dtype)
    dbias = np.empty(O, x.dtype) if cache.has_bias else None
    rows, item = math.prod(x.shape[:-1]), x.itemsize
    dy = _contiguous(dy)
    _core.dense(rows, I, O, item, compiled or 0, x, kernel, None, y, dy, dx, dkernel, dbias)
    return dx, dkernel, dbias


# ---- embedding -----------------------------------------------------------------------------------


@_documented
def embedding_forward(ids: Array, table: Array) -> Array:
    V, D, dtype = _checks.embedding_forward(ids, table)
    wide = _contiguous(ids.astype(np.int64, copy=False))
    y = np.empty((*ids.shape, D), dtype)
    if not _core.embedding(True, wide, ids.size, V, D, dtype.itemsize, y, _contiguous(table)):
        _checks.id_out_of_range(ids, V)
    return y


@_documented
def embedding_backward(dy: Array, ids: Array, input_dim: int) -> Array:
    V, D, dtype = _checks.embedding_backward(dy, ids, input_dim)
    wide = _contiguous(ids.astype(np.int64, copy=False))
    dtable = np.empty((V, D), dtype)
    if not _core.embedding(False, wide, ids.size, V, D, dtype.itemsize, _contiguous(dy), dtable):
        _checks.id_out_of_range(ids, V)
    return dtable


# ---- loss and optimizer --------------------------------------------------------------------------


@_documented
def binary_crossentropy(
    y_true: Array, y_pred: Array, *, from_logits: bool = False
) -> tuple[Array, Array]:
    dtype = _checks.binary_crossentropy(y_true, y_pred)
    t, p = _contiguous(y_true), _contiguous(y_pred)
    losses, gradients = np.empty(y_pred.shape, dtype), np.empty(y_pred.shape, dtype)
    if not _core.binary_crossentropy(
        t, p, y_pred.size, dtype.itemsize, bool(from_logits), losses, gradients
    ):
        _checks.label_out_of_range(y_true)
    return losses, gradients


@_documented
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


# ---- elementwise ---------------------------------------------------------------------------------


@_documented
def exp(x: Array) -> Array:
    return _elementwise("exp", x)


@_documented
def sigmoid(x: Array) -> Array:
    return _elementwise("sigmoid", x)


@_documented
def tanh(x: Array) -> Array:
    return _elementwise("tanh", x)


def _elementwise(name: str, x: Array) -> Array:
    dtype = _checks.floating("x", x)
    y = np.empty(x.shape, dtype)
    _core.elementwise(name, _contiguous(x), y, x.size, dtype.itemsize)
    return y
