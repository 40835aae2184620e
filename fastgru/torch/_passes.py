"""One layer, one direction, on NumPy arrays in PyTorch's layout: forward and backward passes.

PyTorch's layout differs from that of fastgru's operations in three ways, all met here: weights are
(gates * H, I), gates go r, z, n in a GRU, and there are two bias vectors always. Sequences are
time-major (T, B, I), or packed (N, I) with batch_sizes (T,).
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastgru import backend

Array = npt.NDArray[Any]

GATES = {"gru": 3, "lstm": 4, "rnn_tanh": 1, "rnn_relu": 1}


class Layer(NamedTuple):
    """What one layer computes from, in one direction. Its states are (B, H)."""

    mode: str
    x: Array
    w_ih: Array
    w_hh: Array
    b_ih: Array | None
    b_hh: Array | None
    h0: Array | None
    c0: Array | None
    batch_sizes: Array | None
    reverse: bool


class Gradients(NamedTuple):
    """Gradients of a layer's arrays, by the arrays' names."""

    x: Array
    w_ih: Array
    w_hh: Array
    b_ih: Array | None
    b_hh: Array | None
    h0: Array | None
    c0: Array | None


@dataclass(slots=True)
class Activations:
    """What a forward pass leaves for any number of backward passes."""

    mode: str
    ops: ModuleType
    cache: Any
    order: Array | None  # where each packed row stands when every sequence is reversed


def forward(layer: Layer, training: bool) -> tuple[Array, Array, Array | None, Activations | None]:
    """Run a layer over its sequences.

    Returns
    -------
    y : array (T, B, H) or (N, H)
        Contiguous, in the order of x.
    h_n, c_n : arrays (B, H)
        The states after each sequence's last step (first, if reversed); c_n is None but in an LSTM.
    activations : Activations, or None unless training
    """
    ops = backend.current_ops()
    mode, x, order = layer.mode, layer.x, None
    options: dict[str, Any] = {"training": training}
    if layer.batch_sizes is None:
        x = x.swapaxes(0, 1)
        options["go_backwards"] = layer.reverse
    else:
        options["batch_sizes"] = layer.batch_sizes
        if layer.reverse:
            order = reversed_rows(layer.batch_sizes)
            x = x[order]
    kernels = _kernel(mode, layer.w_ih), _kernel(mode, layer.w_hh), _bias(mode, layer)
    c_n = None
    if mode == "gru":
        y, h_n, cache = ops.gru_forward(x, *kernels, layer.h0, **options)
    elif mode == "lstm":
        y, h_n, c_n, cache = ops.lstm_forward(x, *kernels, layer.h0, layer.c0, **options)
    else:
        activation = mode.removeprefix("rnn_")
        y, h_n, cache = ops.simple_rnn_forward(
            x, *kernels, layer.h0, activation=activation, **options
        )
    if layer.batch_sizes is None:
        y = y.swapaxes(0, 1)
        y = np.ascontiguousarray(y[::-1] if layer.reverse else y)
    elif order is not None:
        y = y[order]
    return y, h_n, c_n, Activations(mode, ops, cache, order) if training else None


def backward(
    layer: Layer, run: Activations, dy: Array | None, dh_n: Array | None, dc_n: Array | None
) -> Gradients:
    """Return the gradients of a layer's arrays from those of its results (None: zero).

    The gradient of a padded x is batch-major in memory.
    """
    packed = layer.batch_sizes is not None
    if dy is None and dh_n is None:
        dh_n = np.zeros_like(dc_n)
    if dy is not None:
        if not packed:
            dy = dy.swapaxes(0, 1)
            dy = dy[:, ::-1] if layer.reverse else dy
        elif run.order is not None:
            dy = dy[run.order]
    dc0 = None
    if run.mode == "gru":
        dx, dkernel, drecurrent, dbias, dh0 = run.ops.gru_backward(dy, run.cache, dh_n)
    elif run.mode == "lstm":
        dx, dkernel, drecurrent, dbias, dh0, dc0 = run.ops.lstm_backward(dy, run.cache, dh_n, dc_n)
    else:
        dx, dkernel, drecurrent, dbias, dh0 = run.ops.simple_rnn_backward(dy, run.cache, dh_n)
    if not packed:
        dx = dx.swapaxes(0, 1)
    elif run.order is not None:
        dx = dx[run.order]
    biases = _bias_gradients(run.mode, dbias)
    return Gradients(
        dx, _weight(run.mode, dkernel), _weight(run.mode, drecurrent), *biases, dh0, dc0
    )


def reversed_rows(batch_sizes: Array) -> Array:
    """Return where each row of packed sequences goes when every sequence is reversed.

    Parameters
    ----------
    batch_sizes : int64 array (T,)

    Returns
    -------
    rows : int64 array (N,)
        Its own inverse.
    """
    starts = np.cumsum(batch_sizes) - batch_sizes
    step = np.repeat(np.arange(len(batch_sizes)), batch_sizes)
    row = np.arange(len(step)) - starts[step]
    lengths = np.bincount(row, minlength=1)
    rows: Array = starts[lengths[row] - 1 - step] + row
    return rows


# ---- weights -------------------------------------------------------------------------------------


def _exchanged(a: Array) -> tuple[Array, Array, Array]:
    """Return a GRU's three gates, along the first axis, with the first two exchanged."""
    H = len(a) // 3
    return a[H : 2 * H], a[:H], a[2 * H :]


def _kernel(mode: str, weight: Array) -> Array:
    """Return (gates * H, K) as the (K, gates * H) of fastgru's operations."""
    return (np.concatenate(_exchanged(weight)) if mode == "gru" else weight).T


def _weight(mode: str, kernel: Array) -> Array:
    """Return (K, gates * H) as PyTorch's (gates * H, K), contiguous."""
    weight = np.empty(kernel.shape[::-1], kernel.dtype)
    to = _exchanged(weight) if mode == "gru" else (weight,)
    for gate, values in zip(to, np.split(kernel.T, len(to)), strict=True):
        for k in range(
            0, len(kernel), 64
        ):  # as much as stays in the cache until it is needed again
            gate[:, k : k + 64] = values[:, k : k + 64]
    return weight


def _bias(mode: str, layer: Layer) -> Array | None:
    """Return the bias of fastgru's operations: two rows for a GRU, else the sum of both."""
    if layer.b_ih is None or layer.b_hh is None:
        return None
    if mode == "gru":
        gates = *_exchanged(layer.b_ih), *_exchanged(layer.b_hh)
        return np.concatenate(gates).reshape(2, -1)
    total: Array = layer.b_ih + layer.b_hh
    return total


def _bias_gradients(mode: str, dbias: Array | None) -> tuple[Array | None, Array | None]:
    if dbias is None:
        return None, None
    if mode == "gru":
        return np.concatenate(_exchanged(dbias[0])), np.concatenate(_exchanged(dbias[1]))
    return dbias, dbias.copy()
