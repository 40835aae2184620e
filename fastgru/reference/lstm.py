"""The LSTM in plain NumPy.

One step, with W = kernel (I, 4H), U = recurrent_kernel (H, 4H):

    i = σ(x W_i + h U_i + b_i)
    f = σ(x W_f + h U_f + b_f)
    g = tanh(x W_c + h U_c + b_c)
    o = σ(x W_o + h U_o + b_o)
    c' = f ⊙ c + i ⊙ g
    h' = o ⊙ tanh(c')

Gates: i input, f forget, g candidate of the cell state c, o output, always in this order along the
last axis of a kernel (Keras writes i, f, c, o). Only what depends on the recurrence is done step by
step; `_recurrence` says how steps are laid out.
"""

# mypy: disable-error-code="no-any-return"
# (NumPy's stubs give Any for many results.)

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .. import _checks, activations
from .._arrays import Array
from ..activations import Activation
from ._packed import PackedLSTM, unpack
from ._recurrence import (
    Recurrence,
    deliver,
    prepare,
    product,
    product_backward,
    rows_of,
    weight_gradient,
)

# ---- forward -------------------------------------------------------------------------------------


@dataclass(slots=True)
class LSTMCache:
    """What a forward pass leaves for `lstm_backward`; N is the number of rows of all steps."""

    recurrence: Recurrence
    has_c0: bool
    activation: Activation
    recurrent_activation: Activation
    states: Array  # (B + N, H), h0 first
    cells: Array  # (B + N, H), c0 first
    pre: Array  # (N, 4, H), what the activations got (overwritten where they do not need it)
    gates: Array  # (N, 4, H), i, f, g, o
    shown: Array  # (N, H), activation(c')


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
) -> tuple[Array | None, Array, Array, LSTMCache | None]:
    """Run a Long Short-Term Memory over whole sequences.

    All floating arrays share one dtype, float32 or float64. Any strides are accepted, nothing is
    modified. B may be 0, T may not.

    Parameters
    ----------
    x : array (B, T, I), or (N, I) with batch_sizes
        The input sequences.
    kernel : array (I, 4H), or what `pack_lstm` returned
        Weights on the input; gates in the order i, f, g, o.
    recurrent_kernel : array (H, 4H), or None beside a packed kernel
        Weights on the previous state.
    bias : array (4H,), optional
        None means no biases.
    h0, c0 : array (B, H), optional
        The initial state and cell state; zeros by default.
    mask : bool array (B, T), optional
        False marks steps to skip: they carry the states on, and their x is never looked at.
    masked_output : {"repeat", "zero"}, default "repeat"
        What y holds at masked steps: the previous output (zero before the first valid step,
        whatever h0 is), or zero.
    activation : str or Activation, default "tanh"
        Activation of the candidate g, and of the cell state where h' shows it.
        softmax, log_softmax and functions of your own run on NumPy, in the compiled operations too.
    recurrent_activation : str or Activation, default "sigmoid"
        Activation of the gates i, f and o; the same holds.
    input_dropout : array (B, I) or (4, B, I), optional
        Factors on x, the same at every step; already scaled by 1 / (1 - rate). Four of them: one
        for each gate i, f, g, o.
    recurrent_dropout : array (B, H) or (4, B, H), optional
        The same for the state h that enters the recurrent products.
    go_backwards : bool, default False
        Process the last step first. y is in the order of processing, as in Keras.
    return_sequences : bool, default True
        Whether to return y.
    training : bool, default False
        Whether to return a cache for `lstm_backward`.
    batch_sizes : int64 array (T,), optional
        For sequences of different lengths, without padding, the longest first: how many have a step
        1, a step 2 and so on; never more than before, at least 1. x then holds the rows of step 1,
        then those of step 2, N in all (PyTorch's PackedSequence), and so does y; B is the first of
        these numbers. Goes neither with mask nor with go_backwards: reverse the sequences instead.
    recompute : bool, default False
        Whether training keeps the states only and the backward pass computes the gates again, which
        takes less memory and gives the same bits. Whatever runs on NumPy keeps all anyway.

    Returns
    -------
    y : array (B, T, H) or (N, H), or None without return_sequences
        The outputs of all steps.
    h_n, c_n : array (B, H)
        The state and the cell state after the last step processed, or after each sequence's own
        last.
    cache : LSTMCache, or None unless training
        It borrows the inputs: leave them as they are until `lstm_backward` has run.

    Raises
    ------
    ValueError
        For a wrong shape, an unknown name, or options that do not go together.
    TypeError
        For a wrong type or dtype.

    References
    ----------
    S. Hochreiter and J. Schmidhuber, "Long Short-Term Memory", 1997.
    F. A. Gers, J. Schmidhuber and F. Cummins, "Learning to Forget: Continual Prediction with LSTM",
    2000: the forget gate.

    Examples
    --------
    >>> import numpy as np
    >>> x, ones = np.array([[[0.8]]]), np.ones((1, 4))
    >>> _, h_n, c_n, _ = lstm_forward(
    ...     x, ones, ones, h0=np.array([[0.2]]), c0=np.array([[0.5]])
    ... )
    >>> print(np.round(c_n, 2), np.round(h_n, 2))
    [[0.92]] [[0.53]]
    """
    shape = _checks.lstm_forward(
        x, kernel, recurrent_kernel, bias, h0, c0, mask, masked_output, activation,
        recurrent_activation, input_dropout, recurrent_dropout, PackedLSTM, go_backwards,
        batch_sizes,
    )  # fmt: skip
    run = prepare(
        shape, x, *unpack(kernel, recurrent_kernel), bias, h0, mask, masked_output,
        input_dropout, recurrent_dropout, go_backwards, batch_sizes,
    )  # fmt: skip
    act, ract = activations.get(activation), activations.get(recurrent_activation)
    N, H, dtype = len(run.x), shape[3], shape[4]

    pre = run.project().reshape(N, 4, H)
    if bias is not None:
        pre += bias.reshape(4, H)
    in_place = not training or (act.from_output and ract.from_output)
    cache = LSTMCache(
        run, c0 is not None, act, ract, run.new_states(h0), run.new_states(c0), pre,
        gates=pre if in_place else np.empty_like(pre), shown=np.empty((N, H), dtype),
    )  # fmt: skip
    _run_steps(cache)

    y = run.outputs(cache.states) if return_sequences else None
    h_n, c_n = run.last(cache.states), run.last(cache.cells)
    return y, h_n, c_n, cache if training else None


def _run_steps(cache: LSTMCache) -> None:
    """Fill in gates and states, step by step, from the input's part of the gates in `pre`."""
    run, H = cache.recurrence, cache.recurrence.shape[3]
    activate, gate = cache.activation.forward, cache.recurrent_activation.forward

    for step in run.steps:
        h, a, gates = cache.states[step.before], cache.pre[step.rows], cache.gates[step.rows]
        drop = rows_of(run.recurrent_dropout, step.size)
        a += product(h, run.recurrent_kernel, drop).reshape(step.size, 4, H)
        gate(a[:, :2], out=gates[:, :2])
        activate(a[:, 2], out=gates[:, 2])
        gate(a[:, 3], out=gates[:, 3])

        i, f, g, o = gates.transpose(1, 0, 2)
        c, shown = cache.cells[step.after], cache.shown[step.rows]
        np.multiply(f, cache.cells[step.before], out=c)
        c += i * g
        activate(c, out=shown)
        np.multiply(o, shown, out=cache.states[step.after])
        run.carry(step, cache.states)
        run.carry(step, cache.cells)


# ---- backward ------------------------------------------------------------------------------------


def lstm_backward(
    dy: Array | None,
    cache: LSTMCache,
    dh_n: Array | None = None,
    dc_n: Array | None = None,
    *,
    out: tuple[Array, Array, Array | None] | None = None,
    input_gradient: bool = True,
) -> tuple[Array | None, Array, Array, Array | None, Array | None, Array | None]:
    """Gradients of an LSTM by backpropagation through time.

    Parameters
    ----------
    dy : array (B, T, H) or (N, H), or None when dh_n or dc_n is given
        Gradient of the loss with respect to y, in y's order of steps.
    cache : LSTMCache
        What `lstm_forward` returned with training=True; it can be used again.
    dh_n, dc_n : array (B, H), optional
        Gradients of the loss with respect to h_n and c_n; the first is added to what dy says of the
        last step.
    out : (dkernel, drecurrent_kernel, dbias or None), optional
        C-contiguous arrays that receive these gradients, and are returned. The third is None
        exactly if there are no biases.
    input_gradient : bool, default True
        Whether to return dx.

    Returns
    -------
    dx : array (B, T, I) or (N, I), or None without input_gradient
        Zero at masked steps.
    dkernel : array (I, 4H)
    drecurrent_kernel : array (H, 4H)
    dbias : array (4H,), or None without biases
    dh0 : array (B, H), or None without h0
    dc0 : array (B, H), or None without c0

    Raises
    ------
    ValueError
        For a wrong shape, or when all gradients are None.
    TypeError
        For a wrong type or dtype, or a cache that is none of `lstm_forward`.
    """
    _checks.cache(cache, LSTMCache, "lstm_forward")
    run, (B, _, I, H, dtype) = cache.recurrence, cache.recurrence.shape
    N = len(run.x)
    _checks.lstm_backward(dy, dh_n, dc_n, run.shape, N if run.ragged else None)
    if out is not None:
        bias_shape = (4 * H,) if run.has_bias else None
        _checks.weight_gradients(out, (I, 4 * H), (H, 4 * H), bias_shape, dtype)

    d = np.empty((N, 4, H), dtype)  # the gradients of what enters the gates
    dh = np.zeros((B, H), dtype) if dh_n is None else dh_n.copy()
    dc = np.zeros((B, H), dtype) if dc_n is None else dc_n.copy()
    _run_steps_back(cache, run.incoming(dy), dh, dc, d)

    rows = d.reshape(N, 4 * H)
    dx = run.input_gradient(rows) if input_gradient else None
    dkernel = run.kernel_gradient(rows)
    h, drop = run.previous(cache.states), run.spread(run.recurrent_dropout)
    dbias = rows.sum(axis=0) if run.has_bias else None
    weights = deliver((dkernel, weight_gradient(h, rows, drop), dbias), out)
    return dx, *weights, dh if run.has_h0 else None, dc if cache.has_c0 else None


def _run_steps_back(cache: LSTMCache, dy: Array | None, dh: Array, dc: Array, d: Array) -> None:
    """Fill in d from the last step to the first; make of dh_n and dc_n the gradients of h0, c0."""
    run, H = cache.recurrence, cache.recurrence.shape[3]
    couple, couple_gate = cache.activation.couple, cache.recurrent_activation.couple
    to_c, to_gates = _local_derivatives(cache)

    for step in reversed(run.steps):
        rows, dh_t, dc_t = step.rows, dh[: step.size], dc[: step.size]
        if dy is not None:
            dh_t += dy[rows]
        through_c = dh_t * to_c[rows]
        dc_t += through_c if couple is None else couple(through_c, cache.shown[rows])

        d_t, gates = d[rows], cache.gates[rows]
        np.multiply(dc_t[:, None], to_gates[rows][:, :3], out=d_t[:, :3])
        np.multiply(dh_t, to_gates[rows][:, 3], out=d_t[:, 3])
        if couple is not None:
            d_t[:, 2] = couple(d_t[:, 2], gates[:, 2])
        if couple_gate is not None:
            d_t[:, :2] = couple_gate(d_t[:, :2], gates[:, :2])
            d_t[:, 3] = couple_gate(d_t[:, 3], gates[:, 3])

        drop = rows_of(run.recurrent_dropout, step.size)
        dh_before = product_backward(d_t.reshape(step.size, 4 * H), run.recurrent_kernel, drop)
        run.carry_back(step, dh_t, dh_before)
        run.carry_back(step, dc_t, dc_t * gates[:, 1])


def _local_derivatives(cache: LSTMCache) -> tuple[Array, Array]:
    """Return the factors of one step's chain rule, for all steps at once.

    From h' to c', (N, H); and to what enters the gates, (N, 4, H): i, f and g from c', o from h'.
    """
    run, (i, _, g, o) = cache.recurrence, cache.gates.transpose(1, 0, 2)
    act, ract = cache.activation, cache.recurrent_activation
    cells = cache.cells[run.shape[0] :]

    to_gates = np.stack([g, run.previous(cache.cells), i, cache.shown], axis=1)
    to_gates[:, :2] *= ract.derivative(cache.pre[:, :2], cache.gates[:, :2])
    to_gates[:, 2] *= act.derivative(cache.pre[:, 2], g)
    to_gates[:, 3] *= ract.derivative(cache.pre[:, 3], o)
    to_c = o * act.derivative(cells, cache.shown)
    if run.mask is not None:
        to_c = np.where(run.mask, to_c, 0)
        to_gates = np.where(run.mask[:, :, None], to_gates, 0)
    return to_c, to_gates
