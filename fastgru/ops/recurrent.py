"""The recurrent cells: GRU, LSTM, simple RNN."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from .. import _checks, _core, reference
from .._arrays import Array
from .._core import (
    GRUCache,
    LSTMCache,
    PackedGRU,
    PackedLSTM,
    PackedSimpleRNN,
    PackedWeights,
    RecurrentCache,
    SimpleRNNCache,
)
from ..activations import Activation
from ..reference.gru import GRUCache as PlainGRUCache
from ..reference.lstm import LSTMCache as PlainLSTMCache
from ..reference.simple_rnn import SimpleRNNCache as PlainSimpleRNNCache
from ._shared import aligned, contiguous, contiguous_rows, documented, number_of

# What a call in C takes beside arrays: the numbers of the activations, update_replaces,
# go_backwards, training, recompute, repeats.
Options = tuple[int, int, bool, bool, bool, bool, bool]
WeightGradients = tuple[Array, Array, Array | None]

# Most calls have the standard activations; their numbers are looked up once.
_TANH, _SIGMOID = _core.ACTIVATIONS["tanh"], _core.ACTIVATIONS["sigmoid"]


# ---- forward -------------------------------------------------------------------------------------


@documented
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
    batch_sizes: Array | None = None,
    recompute: bool = False,
    gate_order: str = "zrn",
) -> tuple[Array | None, Array, GRUCache | PlainGRUCache | None]:
    resets_first = gate_order == "rzn"
    shape = _core.recurrent_shape(
        3, x, kernel, recurrent_kernel, bias, h0, None, mask, input_dropout, recurrent_dropout,
        reset_after, resets_first,
    )  # fmt: skip
    known = _known(masked_output, update_gate) and (resets_first or gate_order == "zrn")
    if shape is None or not known or batch_sizes is not None:
        shape = _checks.gru_forward(
            x, kernel, recurrent_kernel, bias, h0, mask, masked_output, reset_after, update_gate,
            activation, recurrent_activation, input_dropout, recurrent_dropout, PackedGRU,
            go_backwards, batch_sizes, gate_order,
        )  # fmt: skip
        x, bias, h0 = contiguous_rows(x), contiguous(bias), contiguous(h0)
        input_dropout, recurrent_dropout = contiguous(input_dropout), contiguous(recurrent_dropout)
        batch_sizes = contiguous(batch_sizes)
    numbers = _numbers(activation, recurrent_activation)
    if numbers is None:
        return reference.gru_forward(
            x, *_unpacked(kernel, recurrent_kernel), bias, h0, mask=mask,
            masked_output=masked_output, reset_after=reset_after, update_gate=update_gate,
            activation=activation, recurrent_activation=recurrent_activation,
            input_dropout=input_dropout, recurrent_dropout=recurrent_dropout,
            go_backwards=go_backwards, return_sequences=return_sequences, training=training,
            batch_sizes=batch_sizes, recompute=recompute, gate_order=gate_order,
        )  # fmt: skip
    if not isinstance(kernel, PackedGRU):
        assert recurrent_kernel is not None
        kernel = PackedGRU(aligned(kernel), aligned(recurrent_kernel), reset_after, resets_first)
    options = (
        *numbers, update_gate == "replace", go_backwards, training, recompute,
        masked_output == "repeat",
    )  # fmt: skip
    y, h_n, _, cache = _run(
        shape, x, kernel, bias, h0, None, mask, batch_sizes, input_dropout, recurrent_dropout,
        return_sequences, options,
    )  # fmt: skip
    return y, h_n, cache


@documented
def lstm_forward(
    x: Array,
    kernel: Array | PackedLSTM,
    recurrent_kernel: Array | None,
    bias: Array | None = None,
    h0: Array | None = None,
    c0: Array | None = None,
    *,
    mask: Array | None = None,
    masked_output: str = "repeat",
    activation: str | Activation = "tanh",
    recurrent_activation: str | Activation = "sigmoid",
    input_dropout: Array | None = None,
    recurrent_dropout: Array | None = None,
    go_backwards: bool = False,
    return_sequences: bool = True,
    training: bool = False,
    batch_sizes: Array | None = None,
    recompute: bool = False,
) -> tuple[Array | None, Array, Array, LSTMCache | PlainLSTMCache | None]:
    shape = _core.recurrent_shape(
        4, x, kernel, recurrent_kernel, bias, h0, c0, mask, input_dropout, recurrent_dropout
    )
    if shape is None or not _known(masked_output) or batch_sizes is not None:
        shape = _checks.lstm_forward(
            x, kernel, recurrent_kernel, bias, h0, c0, mask, masked_output, activation,
            recurrent_activation, input_dropout, recurrent_dropout, PackedLSTM, go_backwards,
            batch_sizes,
        )  # fmt: skip
        x, bias, h0, c0 = contiguous_rows(x), contiguous(bias), contiguous(h0), contiguous(c0)
        input_dropout, recurrent_dropout = contiguous(input_dropout), contiguous(recurrent_dropout)
        batch_sizes = contiguous(batch_sizes)
    numbers = _numbers(activation, recurrent_activation)
    if numbers is None:
        return reference.lstm_forward(
            x, *_unpacked(kernel, recurrent_kernel), bias, h0, c0, mask=mask,
            masked_output=masked_output, activation=activation,
            recurrent_activation=recurrent_activation, input_dropout=input_dropout,
            recurrent_dropout=recurrent_dropout, go_backwards=go_backwards,
            return_sequences=return_sequences, training=training, batch_sizes=batch_sizes,
            recompute=recompute,
        )  # fmt: skip
    if not isinstance(kernel, PackedLSTM):
        assert recurrent_kernel is not None
        kernel = PackedLSTM(aligned(kernel), aligned(recurrent_kernel))
    options = *numbers, False, go_backwards, training, recompute, masked_output == "repeat"
    return _run(
        shape, x, kernel, bias, h0, c0, mask, batch_sizes, input_dropout, recurrent_dropout,
        return_sequences, options,
    )  # fmt: skip


@documented
def simple_rnn_forward(
    x: Array,
    kernel: Array | PackedSimpleRNN,
    recurrent_kernel: Array | None,
    bias: Array | None = None,
    h0: Array | None = None,
    *,
    mask: Array | None = None,
    masked_output: str = "repeat",
    activation: str | Activation = "tanh",
    input_dropout: Array | None = None,
    recurrent_dropout: Array | None = None,
    go_backwards: bool = False,
    return_sequences: bool = True,
    training: bool = False,
    batch_sizes: Array | None = None,
    recompute: bool = False,
) -> tuple[Array | None, Array, SimpleRNNCache | PlainSimpleRNNCache | None]:
    shape = _core.recurrent_shape(
        1, x, kernel, recurrent_kernel, bias, h0, None, mask, input_dropout, recurrent_dropout
    )
    if shape is None or not _known(masked_output) or batch_sizes is not None:
        shape = _checks.simple_rnn_forward(
            x, kernel, recurrent_kernel, bias, h0, mask, masked_output, activation, input_dropout,
            recurrent_dropout, PackedSimpleRNN, go_backwards, batch_sizes,
        )  # fmt: skip
        x, bias, h0 = contiguous_rows(x), contiguous(bias), contiguous(h0)
        input_dropout, recurrent_dropout = contiguous(input_dropout), contiguous(recurrent_dropout)
        batch_sizes = contiguous(batch_sizes)
    numbers = _numbers(activation, "sigmoid")
    if numbers is None:
        return reference.simple_rnn_forward(
            x, *_unpacked(kernel, recurrent_kernel), bias, h0, mask=mask,
            masked_output=masked_output, activation=activation, input_dropout=input_dropout,
            recurrent_dropout=recurrent_dropout, go_backwards=go_backwards,
            return_sequences=return_sequences, training=training, batch_sizes=batch_sizes,
            recompute=recompute,
        )  # fmt: skip
    if not isinstance(kernel, PackedSimpleRNN):
        assert recurrent_kernel is not None
        kernel = PackedSimpleRNN(aligned(kernel), aligned(recurrent_kernel))
    options = *numbers, False, go_backwards, training, recompute, masked_output == "repeat"
    y, h_n, _, cache = _run(
        shape, x, kernel, bias, h0, None, mask, batch_sizes, input_dropout, recurrent_dropout,
        return_sequences, options,
    )  # fmt: skip
    return y, h_n, cache


def _known(masked_output: str, update_gate: str = "keep") -> bool:
    """Tell whether two arguments are among the words that they may be."""
    return masked_output in ("repeat", "zero") and update_gate in ("keep", "replace")


def _numbers(
    activation: str | Activation, recurrent_activation: str | Activation
) -> tuple[int, int] | None:
    """Return the activations' numbers in C; None if one has none: a user's own, or softmax."""
    if activation == "tanh" and recurrent_activation == "sigmoid":
        return _TANH, _SIGMOID
    one = number_of(activation, _core.ACTIVATIONS)
    other = number_of(recurrent_activation, _core.ACTIVATIONS, "recurrent_activation")
    return None if one is None or other is None else (one, other)


def _unpacked(kernel: Any, recurrent_kernel: Any) -> tuple[Array, Array]:
    """Return the weights as arrays."""
    if isinstance(kernel, PackedWeights):
        return kernel.kernel, kernel.recurrent_kernel
    return kernel, recurrent_kernel


def _run(
    shape: _checks.RecurrentShape,
    x: Array,
    packed: PackedWeights,
    bias: Array | None,
    h0: Array | None,
    c0: Array | None,
    mask: Array | None,
    batch_sizes: Array | None,
    input_dropout: Array | None,
    recurrent_dropout: Array | None,
    return_sequences: bool,
    options: Options,
) -> tuple[Array | None, Array, Any, Any]:
    """Run a cell; return y, h_n, c_n (None but for the LSTM) and the cache."""
    B, T, _, H, dtype = shape
    if mask is not None and mask.all():
        mask = None
    y = None
    if return_sequences:
        leading = (B, T) if batch_sizes is None else (len(x),)
        y = _empty_like(x, (*leading, H), dtype)
    h_n = np.empty((B, H), dtype)
    c_n = np.empty((B, H), dtype) if type(packed) is PackedLSTM else None
    cache = _core.recurrent_forward(
        shape, x, packed, bias, h0, c0, mask, batch_sizes, input_dropout, recurrent_dropout, y, h_n,
        c_n, options,
    )  # fmt: skip
    return y, h_n, c_n, cache


def _empty_like(x: Array, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Return a new array in whose memory steps and rows follow each other as in x."""
    if len(shape) == 3 and x.strides[0] < x.strides[1]:
        B, T, features = shape
        return np.empty((T, B, features), dtype).swapaxes(0, 1)
    return np.empty(shape, dtype)


# ---- backward ------------------------------------------------------------------------------------


@documented
def gru_backward(
    dy: Array | None,
    cache: GRUCache | PlainGRUCache,
    dh_n: Array | None = None,
    *,
    out: WeightGradients | None = None,
    input_gradient: bool = True,
) -> tuple[Array | None, Array, Array, Array | None, Array | None]:
    if isinstance(cache, PlainGRUCache):
        return reference.gru_backward(dy, cache, dh_n, out=out, input_gradient=input_gradient)
    _checks.cache(cache, GRUCache, "gru_forward")
    if not _core.takes_gradients(cache, dy, dh_n, None, out):
        _checks.gru_backward(dy, dh_n, cache.shape, cache.rows)
        _check_gradients(out, cache, 3)
        dy, dh_n = contiguous_rows(dy), contiguous(dh_n)
    return _run_back(dy, cache, dh_n, None, 3, out, input_gradient)[:5]


@documented
def lstm_backward(
    dy: Array | None,
    cache: LSTMCache | PlainLSTMCache,
    dh_n: Array | None = None,
    dc_n: Array | None = None,
    *,
    out: WeightGradients | None = None,
    input_gradient: bool = True,
) -> tuple[Array | None, Array, Array, Array | None, Array | None, Array | None]:
    if isinstance(cache, PlainLSTMCache):
        return reference.lstm_backward(
            dy, cache, dh_n, dc_n, out=out, input_gradient=input_gradient
        )
    _checks.cache(cache, LSTMCache, "lstm_forward")
    if not _core.takes_gradients(cache, dy, dh_n, dc_n, out):
        _checks.lstm_backward(dy, dh_n, dc_n, cache.shape, cache.rows)
        _check_gradients(out, cache, 4)
        dy, dh_n, dc_n = contiguous_rows(dy), contiguous(dh_n), contiguous(dc_n)
    return _run_back(dy, cache, dh_n, dc_n, 4, out, input_gradient)


@documented
def simple_rnn_backward(
    dy: Array | None,
    cache: SimpleRNNCache | PlainSimpleRNNCache,
    dh_n: Array | None = None,
    *,
    out: WeightGradients | None = None,
    input_gradient: bool = True,
) -> tuple[Array | None, Array, Array, Array | None, Array | None]:
    if isinstance(cache, PlainSimpleRNNCache):
        return reference.simple_rnn_backward(
            dy, cache, dh_n, out=out, input_gradient=input_gradient
        )
    _checks.cache(cache, SimpleRNNCache, "simple_rnn_forward")
    if not _core.takes_gradients(cache, dy, dh_n, None, out):
        _checks.simple_rnn_backward(dy, dh_n, cache.shape, cache.rows)
        _check_gradients(out, cache, 1)
        dy, dh_n = contiguous_rows(dy), contiguous(dh_n)
    return _run_back(dy, cache, dh_n, None, 1, out, input_gradient)[:5]


def _check_gradients(out: WeightGradients | None, cache: RecurrentCache, gates: int) -> None:
    """Require arrays that the weights' gradients can be written into, or None."""
    if out is not None:
        _, _, I, H, dtype = cache.shape
        kernel, recurrent_kernel = (I, gates * H), (H, gates * H)
        _checks.weight_gradients(out, kernel, recurrent_kernel, _bias_shape(cache, gates), dtype)


def _bias_shape(cache: RecurrentCache, gates: int) -> tuple[int, ...] | None:
    if cache.bias is None:
        return None
    columns = gates * cache.shape[3]
    return (2, columns) if gates == 3 and cache.reset_after else (columns,)


def _new_gradients(cache: RecurrentCache, gates: int) -> tuple[WeightGradients, bool]:
    """Return new arrays laid out as the weights, and whether by columns: PyTorch's are here."""
    _, _, I, H, dtype = cache.shape
    by_column = cache.kernel.flags.f_contiguous and cache.recurrent_kernel.flags.f_contiguous
    order: Literal["C", "F"] = "F" if by_column else "C"
    dkernel = np.empty((I, gates * H), dtype, order)
    drecurrent = np.empty((H, gates * H), dtype, order)
    bias = _bias_shape(cache, gates)
    return (dkernel, drecurrent, None if bias is None else np.empty(bias, dtype)), by_column


def _run_back(
    dy: Array | None,
    cache: RecurrentCache,
    dh_n: Array | None,
    dc_n: Array | None,
    gates: int,
    out: WeightGradients | None,
    input_gradient: bool,
) -> tuple[Array | None, Array, Array, Array | None, Array | None, Array | None]:
    """Run a cell backwards; return dx, the weights' gradients, dh0 and dc0 (None without c0)."""
    B, _, _, H, dtype = cache.shape
    by_column = False
    if out is None:
        out, by_column = _new_gradients(cache, gates)
    dkernel, drecurrent, dbias = out
    dx = _empty_like(cache.x, cache.x.shape, dtype) if input_gradient else None
    dh0 = np.empty((B, H), dtype) if cache.has_h0 else None
    dc0 = np.empty((B, H), dtype) if cache.has_c0 else None
    _core.recurrent_backward(
        dy, dh_n, dc_n, cache, dx, dkernel.T if by_column else dkernel,
        drecurrent.T if by_column else drecurrent, dbias, dh0, dc0, by_column,
    )  # fmt: skip
    return dx, dkernel, drecurrent, dbias, dh0, dc0


# ---- packing -------------------------------------------------------------------------------------


@documented
def pack_gru(
    kernel: Array, recurrent_kernel: Array, *, reset_after: bool = True, gate_order: str = "zrn"
) -> PackedGRU:
    _checks.pack_gru(kernel, recurrent_kernel, gate_order)
    mode = bool(reset_after), gate_order == "rzn"
    return PackedGRU(kernel.copy(), recurrent_kernel.copy(), *mode)


@documented
def pack_lstm(kernel: Array, recurrent_kernel: Array) -> PackedLSTM:
    _checks.pack_lstm(kernel, recurrent_kernel)
    return PackedLSTM(kernel.copy(), recurrent_kernel.copy())


@documented
def pack_simple_rnn(kernel: Array, recurrent_kernel: Array) -> PackedSimpleRNN:
    _checks.pack_simple_rnn(kernel, recurrent_kernel)
    return PackedSimpleRNN(kernel.copy(), recurrent_kernel.copy())
