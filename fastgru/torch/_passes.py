"""Layers on NumPy arrays in PyTorch's layout: forward and backward passes.

PyTorch's layout differs from that of fastgru's operations in three ways, all met here: weights are
(gates * H, I), gates go r, z, n in a GRU, and there are two bias vectors always. Sequences are
time-major (T, B, I), in any order in memory, or packed (N, I) with batch_sizes (T,).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastgru import backend

Array = npt.NDArray[Any]
MaybeArray = Array | None

GATES = {"gru": 3, "lstm": 4, "rnn_tanh": 1, "rnn_relu": 1}


# ---- one layer in one direction ------------------------------------------------------------------


class Layer(NamedTuple):
    """What one layer computes from, in one direction. Its states are (B, H)."""

    mode: str
    x: Array
    w_ih: Array
    w_hh: Array
    b_ih: MaybeArray
    b_hh: MaybeArray
    h0: MaybeArray
    c0: MaybeArray
    batch_sizes: MaybeArray
    reverse: bool


class Gradients(NamedTuple):
    """Gradients of a layer's arrays, by the arrays' names."""

    x: MaybeArray
    w_ih: Array
    w_hh: Array
    b_ih: MaybeArray
    b_hh: MaybeArray
    h0: MaybeArray
    c0: MaybeArray


@dataclass(slots=True)
class Activations:
    """What a layer's forward pass leaves for any number of backward passes."""

    mode: str
    ops: ModuleType
    cache: Any
    packed: bool
    reverse: bool
    order: MaybeArray  # where each packed row stands when every sequence is reversed


def forward(layer: Layer, training: bool) -> tuple[Array, Array, MaybeArray, Activations | None]:
    """Run a layer over its sequences.

    Returns
    -------
    y : array (T, B, H) or (N, H)
        Step by step as x, in memory too; of a reversed layer perhaps with a negative stride.
    h_n, c_n : arrays (B, H)
        The states after each sequence's last step (first, if reversed); c_n is None but in an LSTM.
    activations : Activations, or None unless training
    """
    ops = backend.current_ops()
    mode, x, order, packed = layer.mode, layer.x, None, layer.batch_sizes is not None
    options: dict[str, Any] = {"training": training}
    if not packed:
        x = x.swapaxes(0, 1)
        options["go_backwards"] = layer.reverse
    else:
        options["batch_sizes"] = layer.batch_sizes
        if layer.reverse:
            assert layer.batch_sizes is not None
            order = reversed_rows(layer.batch_sizes)
            x = x[order]
    weights = layer.w_ih.T, layer.w_hh.T, _bias(layer)
    c_n = None
    if mode == "gru":
        y, h_n, cache = ops.gru_forward(x, *weights, layer.h0, gate_order="rzn", **options)
    elif mode == "lstm":
        y, h_n, c_n, cache = ops.lstm_forward(x, *weights, layer.h0, layer.c0, **options)
    else:
        activation = mode.removeprefix("rnn_")
        y, h_n, cache = ops.simple_rnn_forward(
            x, *weights, layer.h0, activation=activation, **options
        )
    if not packed:
        y = y.swapaxes(0, 1)
        y = y[::-1] if layer.reverse else y
    elif order is not None:
        y = y[order]
    left = Activations(mode, ops, cache, packed, layer.reverse, order) if training else None
    return y, h_n, c_n, left


def backward(
    run: Activations, dy: MaybeArray, dh_n: MaybeArray, dc_n: MaybeArray, input_gradient: bool
) -> Gradients:
    """Return the gradients of a layer's arrays from those of its results (None: zero).

    That of x is None without `input_gradient`; step by step as x, in memory too.
    """
    if dy is None and dh_n is None:
        assert dc_n is not None
        dh_n = np.zeros_like(dc_n)
    if dy is not None:
        if not run.packed:
            dy = dy.swapaxes(0, 1)
            dy = dy[:, ::-1] if run.reverse else dy
        elif run.order is not None:
            dy = dy[run.order]
    dc0 = None
    if run.mode == "gru":
        dx, dw_ih, dw_hh, dbias, dh0 = run.ops.gru_backward(
            dy, run.cache, dh_n, input_gradient=input_gradient
        )
    elif run.mode == "lstm":
        dx, dw_ih, dw_hh, dbias, dh0, dc0 = run.ops.lstm_backward(
            dy, run.cache, dh_n, dc_n, input_gradient=input_gradient
        )
    else:
        dx, dw_ih, dw_hh, dbias, dh0 = run.ops.simple_rnn_backward(
            dy, run.cache, dh_n, input_gradient=input_gradient
        )
    if dx is not None:
        if not run.packed:
            dx = dx.swapaxes(0, 1)
        elif run.order is not None:
            dx = dx[run.order]
    db_ih, db_hh = _bias_gradients(run.mode, dbias)
    dw_ih, dw_hh = np.ascontiguousarray(dw_ih.T), np.ascontiguousarray(dw_hh.T)
    return Gradients(dx, dw_ih, dw_hh, db_ih, db_hh, dh0, dc0)


def _bias(layer: Layer) -> MaybeArray:
    """Return the bias of fastgru's operations: two rows for a GRU, else the sum of both."""
    if layer.b_ih is None or layer.b_hh is None:
        return None
    if layer.mode == "gru":
        return np.concatenate((layer.b_ih, layer.b_hh)).reshape(2, -1)
    total: Array = layer.b_ih + layer.b_hh
    return total


def _bias_gradients(mode: str, dbias: MaybeArray) -> tuple[MaybeArray, MaybeArray]:
    if dbias is None:
        return None, None
    return (dbias[0], dbias[1]) if mode == "gru" else (dbias, dbias.copy())


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


# ---- layers on layers ----------------------------------------------------------------------------


class Kind(NamedTuple):
    """What is no array about some layers."""

    mode: str
    directions: int
    biased: bool
    batch_first: bool  # padded sequences are (B, T, I)


class Stack(NamedTuple):
    """What some layers compute from. States are (layers * directions, B, H).

    Weights follow each other as in torch.nn: layer by layer, forwards before backwards; of each
    w_ih, w_hh and, where there are biases, b_ih and b_hh.
    """

    kind: Kind
    x: Array
    batch_sizes: MaybeArray
    h0: MaybeArray
    c0: MaybeArray
    weights: Sequence[Array]


class StackGradients(NamedTuple):
    """Gradients of a stack's arrays."""

    x: MaybeArray
    h0: MaybeArray
    c0: MaybeArray
    weights: list[Array]


def forward_stack(
    stack: Stack, training: bool
) -> tuple[Array, Array, MaybeArray, list[Activations]]:
    """Run layers, each on the outputs of the one before; return y, h_n, c_n and activations.

    In memory y is step by step, as PyTorch's: dropout draws its numbers in the order of memory.
    """
    (mode, directions, biased, batch_first), x, batch_sizes, h0, c0, weights = stack
    each = 4 if biased else 2
    if batch_first:
        x = x.swapaxes(0, 1)
    runs: list[Any] = []
    h_n: list[Array] = []
    c_n: list[Any] = []
    for i in range(0, len(weights) // each, directions):
        outputs = []
        for n in range(i, i + directions):
            w_ih, w_hh, *biases = weights[n * each : (n + 1) * each]
            b_ih, b_hh = biases or (None, None)
            h, c = None if h0 is None else h0[n], None if c0 is None else c0[n]
            layer = Layer(mode, x, w_ih, w_hh, b_ih, b_hh, h, c, batch_sizes, n > i)
            y, h, c, run = forward(layer, training)
            outputs.append(y)
            h_n.append(h)
            c_n.append(c)
            runs.append(run)
        x = outputs[0] if directions == 1 else np.concatenate(outputs, -1)
    y = np.ascontiguousarray(x)
    return y.swapaxes(0, 1) if batch_first else y, _stacked(h_n), _stacked(c_n), runs


def backward_stack(
    runs: list[Activations],
    kind: Kind,
    dy: MaybeArray,
    dh_n: MaybeArray,
    dc_n: MaybeArray,
    input_gradient: bool,
) -> StackGradients:
    """Return the gradients of a stack's arrays from those of its results (None: zero)."""
    layers: list[Gradients] = []
    directions = kind.directions
    if kind.batch_first and dy is not None:
        dy = dy.swapaxes(0, 1)
    for i in range(len(runs) - directions, -1, -directions):
        parts = [dy] if directions == 1 or dy is None else np.split(dy, directions, -1)
        found = [
            backward(
                runs[i + d], parts[d] if dy is not None else None,
                None if dh_n is None else dh_n[i + d], None if dc_n is None else dc_n[i + d],
                input_gradient or i > 0,
            )
            for d in range(directions)
        ]  # fmt: skip
        layers[:0] = found
        dy = found[0].x
        if directions == 2 and dy is not None:
            dy += found[1].x
    weights = [a for g in layers for a in g[1:5] if a is not None]
    dh0, dc0 = (_stacked([g[k] for g in layers]) for k in (5, 6))
    dx = dy.swapaxes(0, 1) if kind.batch_first and dy is not None else dy
    return StackGradients(dx, dh0, dc0, weights)


def _stacked(states: Sequence[Any]) -> Any:
    """Return states (B, H), or None of all, as (layers * directions, B, H)."""
    if states[0] is None:
        return None
    return states[0][None] if len(states) == 1 else np.array(states)
