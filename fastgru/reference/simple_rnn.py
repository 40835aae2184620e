"""The simple recurrent layer in plain NumPy.

One step, with W = kernel (I, H), U = recurrent_kernel (H, H):

    h' = tanh(x W + h U + b)

Only what depends on the recurrence is done step by step; `_recurrence` says how steps are laid out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .. import _checks, activations
from .._arrays import Array
from ..activations import Activation
from ._packed import PackedSimpleRNN, unpack
from ._recurrence import (
    Recurrence,
    deliver,
    prepare,
    product,
    product_backward,
    rows_of,
    weight_gradient,
)


@dataclass(slots=True)
class SimpleRNNCache:
    """What a forward pass leaves for `simple_rnn_backward`; N is the rows of all steps."""

    recurrence: Recurrence
    activation: Activation
    states: Array  # (B + N, H), h0 first
    pre: Array  # (N, H), what the activation got
    values: Array  # (N, H), what it gave: h', but where a mask carried h


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
) -> tuple[Array | None, Array, SimpleRNNCache | None]:
    """Run a simple recurrent layer over whole sequences.

    All floating arrays share one dtype, float32 or float64. Any strides are accepted, nothing is
    modified. B may be 0, T may not.

    Parameters
    ----------
    x : array (B, T, I), or (N, I) with batch_sizes
        The input sequences.
    kernel : array (I, H), or what `pack_simple_rnn` returned
        Weights on the input.
    recurrent_kernel : array (H, H), or None beside a packed kernel
        Weights on the previous state.
    bias : array (H,), optional
        None means no biases.
    h0 : array (B, H), optional
        The initial state; zeros by default.
    mask : bool array (B, T), optional
        False marks steps to skip: they carry the state on, and their x is never looked at.
    masked_output : {"repeat", "zero"}, default "repeat"
        What y holds at masked steps: the previous output (zero before the first valid step,
        whatever h0 is), or zero.
    activation : str or Activation, default "tanh"
        softmax, log_softmax and functions of your own run on NumPy, in the compiled operations too.
    input_dropout : array (B, I), optional
        Factors on x, the same at every step; already scaled by 1 / (1 - rate).
    recurrent_dropout : array (B, H), optional
        The same for the state that enters the recurrent product.
    go_backwards : bool, default False
        Process the last step first. y is in the order of processing, as in Keras.
    return_sequences : bool, default True
        Whether to return y.
    training : bool, default False
        Whether to return a cache for `simple_rnn_backward`.
    batch_sizes : int64 array (T,), optional
        For sequences of different lengths, without padding, the longest first: how many have a step
        1, a step 2 and so on; never more than before, at least 1. x then holds the rows of step 1,
        then those of step 2, N in all (PyTorch's PackedSequence), and so does y; B is the first of
        these numbers. Goes neither with mask nor with go_backwards: reverse the sequences instead.
    recompute : bool, default False
        Whether training keeps the states only, where it could keep more: less memory, the same
        bits. Whatever runs on NumPy keeps all anyway.

    Returns
    -------
    y : array (B, T, H) or (N, H), or None without return_sequences
        The outputs of all steps.
    h_n : array (B, H)
        The state after the last step processed, or after each sequence's own last.
    cache : SimpleRNNCache, or None unless training
        It borrows the inputs: leave them as they are until `simple_rnn_backward` has run.

    Raises
    ------
    ValueError
        For a wrong shape, an unknown name, or options that do not go together.
    TypeError
        For a wrong type or dtype.

    References
    ----------
    J. L. Elman, "Finding Structure in Time", 1990.

    Examples
    --------
    >>> import numpy as np
    >>> x, one = np.array([[[0.8]]]), np.ones((1, 1))
    >>> _, h_n, _ = simple_rnn_forward(x, one, one, h0=np.array([[0.2]]))
    >>> print(np.round(h_n, 2))
    [[0.76]]
    """
    shape = _checks.simple_rnn_forward(
        x, kernel, recurrent_kernel, bias, h0, mask, masked_output, activation, input_dropout,
        recurrent_dropout, PackedSimpleRNN, go_backwards, batch_sizes,
    )  # fmt: skip
    run = prepare(
        shape, x, *unpack(kernel, recurrent_kernel), bias, h0, mask, masked_output,
        input_dropout, recurrent_dropout, go_backwards, batch_sizes,
    )  # fmt: skip
    act, states, pre = activations.get(activation), run.new_states(h0), run.project()
    if bias is not None:
        pre += bias
    in_place = not training or act.from_output
    cache = SimpleRNNCache(run, act, states, pre, pre if in_place else np.empty_like(pre))

    for step in run.steps:
        a, h_next = pre[step.rows], cache.values[step.rows]
        drop = rows_of(recurrent_dropout, step.size)
        a += product(states[step.before], run.recurrent_kernel, drop)
        states[step.after] = act.forward(a, out=h_next)
        run.carry(step, states)

    y = run.outputs(states) if return_sequences else None
    return y, run.last(states), cache if training else None


def simple_rnn_backward(
    dy: Array | None,
    cache: SimpleRNNCache,
    dh_n: Array | None = None,
    *,
    out: tuple[Array, Array, Array | None] | None = None,
    input_gradient: bool = True,
) -> tuple[Array | None, Array, Array, Array | None, Array | None]:
    """Gradients of a simple recurrent layer by backpropagation through time.

    Parameters
    ----------
    dy : array (B, T, H) or (N, H), or None when dh_n is given
        Gradient of the loss with respect to y, in y's order of steps.
    cache : SimpleRNNCache
        What `simple_rnn_forward` returned with training=True; it can be used again.
    dh_n : array (B, H), optional
        Gradient of the loss with respect to h_n; added to what dy says of the last step.
    out : (dkernel, drecurrent_kernel, dbias or None), optional
        C-contiguous arrays that receive these gradients, and are returned. The third is None
        exactly if there are no biases.
    input_gradient : bool, default True
        Whether to return dx.

    Returns
    -------
    dx : array (B, T, I) or (N, I), or None without input_gradient
        Zero at masked steps.
    dkernel : array (I, H)
    drecurrent_kernel : array (H, H)
    dbias : array (H,), or None without biases
    dh0 : array (B, H), or None without h0

    Raises
    ------
    ValueError
        For a wrong shape, or when both gradients are None.
    TypeError
        For a wrong type or dtype, or a cache that is none of `simple_rnn_forward`.
    """
    _checks.cache(cache, SimpleRNNCache, "simple_rnn_forward")
    run, (B, _, I, H, dtype) = cache.recurrence, cache.recurrence.shape
    N = len(run.x)
    _checks.simple_rnn_backward(dy, dh_n, run.shape, N if run.ragged else None)
    if out is not None:
        _checks.weight_gradients(out, (I, H), (H, H), (H,) if run.has_bias else None, dtype)

    d = np.empty((N, H), dtype)  # the gradient of what enters the activation
    dh = np.zeros((B, H), dtype) if dh_n is None else dh_n.copy()
    _run_steps_back(cache, run.incoming(dy), dh, d)

    dx = run.input_gradient(d) if input_gradient else None
    dkernel = run.kernel_gradient(d)
    h, drop = run.previous(cache.states), run.spread(run.recurrent_dropout)
    dbias = d.sum(axis=0) if run.has_bias else None
    weights = deliver((dkernel, weight_gradient(h, d, drop), dbias), out)
    return dx, *weights, dh if run.has_h0 else None


def _run_steps_back(cache: SimpleRNNCache, dy: Array | None, dh: Array, d: Array) -> None:
    """Fill in d from the last step to the first; make of dh_n the gradient of h0."""
    run, couple = cache.recurrence, cache.activation.couple
    slope = cache.activation.derivative(cache.pre, cache.values)
    if run.mask is not None:
        slope = np.where(run.mask, slope, 0)

    for step in reversed(run.steps):
        rows, dh_t = step.rows, dh[: step.size]  # shorter sequences have not begun yet
        if dy is not None:
            dh_t += dy[rows]
        np.multiply(dh_t, slope[rows], out=d[rows])
        if couple is not None:
            d[rows] = couple(d[rows], cache.values[rows])
        drop = rows_of(run.recurrent_dropout, step.size)
        run.carry_back(step, dh_t, product_backward(d[rows], run.recurrent_kernel, drop))
