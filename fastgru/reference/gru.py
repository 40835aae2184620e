"""The GRU in plain NumPy.

One step, with W = kernel (I, 3H), U = recurrent_kernel (H, 3H), b and c the rows of bias:

    z = σ(x W_z + b_z + h U_z + c_z)
    r = σ(x W_r + b_r + h U_r + c_r)
    n = tanh(x W_n + b_n + r ⊙ (h U_n + c_n))      reset_after=True   (cuDNN, PyTorch, Keras)
    n = tanh(x W_n + b_n + (r ⊙ h) U_n)            reset_after=False  (Cho et al. 2014)
    h' = z ⊙ h + (1 − z) ⊙ n                       update_gate="keep"
    h' = (1 − z) ⊙ h + z ⊙ n                       update_gate="replace"

Gates: z update, r reset, n candidate, in this order along the last axis of a kernel. Only
what depends on the recurrence is done step by step; `_recurrence` says how steps are laid out.
"""

# mypy: disable-error-code="no-any-return"
# (NumPy's stubs give Any for many results.)

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .. import _checks, activations
from .._arrays import Array
from ..activations import Activation
from ._packed import PackedGRU, unpack
from ._recurrence import (
    Recurrence,
    deliver,
    gates_of,
    prepare,
    product,
    product_backward,
    rows_of,
    weight_gradient,
)

# ---- forward -------------------------------------------------------------------------------------


@dataclass(slots=True)
class GRUCache:
    """What a forward pass leaves for `gru_backward`; N is the number of rows of all steps."""

    recurrence: Recurrence
    reset_after: bool
    resets_first: bool  # gate_order="rzn"; the weights in `recurrence` are in the order z, r, n
    update_gate: str
    activation: Activation
    recurrent_activation: Activation
    states: Array  # (B + N, H), h0 first
    pre: Array  # (N, 3, H), what the activations got (overwritten where they do not need it)
    gates: Array  # (N, 3, H), z, r, n
    recurrent_n: Array | None  # (N, H), h U_n + c_n, with reset_after


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
) -> tuple[Array | None, Array, GRUCache | None]:
    """Run a Gated Recurrent Unit over whole sequences.

    All floating arrays share one dtype, float32 or float64. Any strides are accepted, nothing is
    modified. B may be 0, T may not.

    Parameters
    ----------
    x : array (B, T, I), or (N, I) with batch_sizes
        The input sequences.
    kernel : array (I, 3H), or what `pack_gru` returned
        Weights on the input; the gates' columns in `gate_order`.
    recurrent_kernel : array (H, 3H), or None beside a packed kernel
        Weights on the previous state.
    bias : array (2, 3H) if reset_after, else (3H,); optional
        Row 0 is added to the input's product, row 1 to the state's. None means no biases.
    h0 : array (B, H), optional
        The initial state; zeros by default.
    mask : bool array (B, T), optional
        False marks steps to skip: they carry the state on, and their x is never looked at.
    masked_output : {"repeat", "zero"}, default "repeat"
        What y holds at masked steps: the previous output (zero before the first valid step,
        whatever h0 is), or zero.
    reset_after : bool, default True
        Whether the reset gate acts after the recurrent product or before it. These are two models.
    update_gate : {"keep", "replace"}, default "keep"
        What z = 1 means: keep the old state (Keras, PyTorch, ONNX), or replace it by the candidate
        (Chung et al. 2014).
    activation : str or Activation, default "tanh"
        Activation of the candidate. softmax, log_softmax and functions of your own run on
        NumPy, in the compiled operations too.
    recurrent_activation : str or Activation, default "sigmoid"
        Activation of both gates; the same holds.
    input_dropout : array (B, I) or (3, B, I), optional
        Factors on x, the same at every step; already scaled by 1 / (1 - rate). Three of them: one
        for each gate z, r, n.
    recurrent_dropout : array (B, H) or (3, B, H), optional
        The same for the state that enters the recurrent products; the blend takes the state as it
        is.
    go_backwards : bool, default False
        Process the last step first. y is in the order of processing, as in Keras.
    return_sequences : bool, default True
        Whether to return y.
    training : bool, default False
        Whether to return a cache for `gru_backward`.
    batch_sizes : int64 array (T,), optional
        For sequences of different lengths, without padding, the longest first: how many have a step
        1, a step 2 and so on; never more than before, at least 1. x then holds the rows of step 1,
        then those of step 2, N in all (PyTorch's PackedSequence), and so does y; B is the first of
        these numbers. Goes neither with mask nor with go_backwards: reverse the sequences instead.
    recompute : bool, default False
        Whether training keeps the states only and the backward pass computes the gates again, which
        takes less memory and gives the same bits. Whatever runs on NumPy keeps all anyway.
    gate_order : {"zrn", "rzn"}, default "zrn"
        The order of the gates in kernels and biases, and so in their gradients: Keras' and ONNX',
        or PyTorch's and cuDNN's. Factors of dropout are in the order z, r, n always.

    Returns
    -------
    y : array (B, T, H) or (N, H), or None without return_sequences
        The outputs of all steps.
    h_n : array (B, H)
        The state after the last step processed, or after each sequence's own last.
    cache : GRUCache, or None unless training
        It borrows the inputs: leave them as they are until `gru_backward` has run.

    Raises
    ------
    ValueError
        For a wrong shape, an unknown name, options that do not go together, or a kernel packed for
        the other `reset_after` or `gate_order`.
    TypeError
        For a wrong type or dtype.

    References
    ----------
    K. Cho et al., "Learning Phrase Representations using RNN Encoder-Decoder for Statistical
    Machine Translation", 2014: the reset before the product, z = 1 keeps the old state.
    J. Chung et al., "Empirical Evaluation of Gated Recurrent Neural Networks on Sequence
    Modeling", 2014: z = 1 replaces it.

    Examples
    --------
    >>> import numpy as np
    >>> x, h0 = np.array([[[0.8]]]), np.array([[0.2]])
    >>> ones = np.ones((1, 3))
    >>> y, h_n, _ = gru_forward(
    ...     x, ones, ones, h0=h0, reset_after=False, update_gate="replace"
    ... )
    >>> print(np.round(h_n, 2))
    [[0.59]]
    """
    shape = _checks.gru_forward(
        x, kernel, recurrent_kernel, bias, h0, mask, masked_output, reset_after, update_gate,
        activation, recurrent_activation, input_dropout, recurrent_dropout, PackedGRU,
        go_backwards, batch_sizes, gate_order,
    )  # fmt: skip
    kernels, resets_first = unpack(kernel, recurrent_kernel), gate_order == "rzn"
    if resets_first:
        kernels = _exchanged(kernels[0]), _exchanged(kernels[1])
        bias = None if bias is None else _exchanged(bias)
    run = prepare(
        shape, x, *kernels, bias, h0, mask, masked_output, input_dropout, recurrent_dropout,
        go_backwards, batch_sizes,
    )  # fmt: skip
    act, ract = activations.get(activation), activations.get(recurrent_activation)
    N, H, dtype = len(run.x), shape[3], shape[4]

    pre = run.project().reshape(N, 3, H)
    in_place = not training or (act.from_output and ract.from_output)
    cache = GRUCache(
        run, bool(reset_after), resets_first, update_gate, act, ract, run.new_states(h0), pre,
        gates=pre if in_place else np.empty_like(pre),
        recurrent_n=np.empty((N, H), dtype) if training and reset_after else None,
    )  # fmt: skip
    _run_steps(cache, _add_biases(cache, bias))

    y = run.outputs(cache.states) if return_sequences else None
    return y, run.last(cache.states), cache if training else None


def _exchanged(a: Array) -> Array:
    """Return columns in the order r, z, n as z, r, n, or the other way round."""
    one, other, n = np.split(a, 3, axis=-1)
    return np.concatenate([other, one, n], axis=-1)


def _add_biases(cache: GRUCache, bias: Array | None) -> Array | None:
    """Add to `pre` the biases that can be added before the steps; return the other one, c_n."""
    if bias is None:
        return None
    b = bias.reshape(-1, 3, bias.shape[-1] // 3)
    cache.pre += b[0]
    if not cache.reset_after:
        return None
    cache.pre[:, :2] += b[1, :2]
    return b[1, 2]


def _run_steps(cache: GRUCache, c_n: Array | None) -> None:
    """Fill in gates and states, step by step, from the input's part of the gates in `pre`."""
    run, H = cache.recurrence, cache.recurrence.shape[3]
    U, U_zr, U_n = _recurrent_kernels(run)
    activate, gate = cache.activation.forward, cache.recurrent_activation.forward

    for step in run.steps:
        h, a, gates = cache.states[step.before], cache.pre[step.rows], cache.gates[step.rows]
        z, r, n = gates.transpose(1, 0, 2)
        drop = rows_of(run.recurrent_dropout, step.size)
        if cache.reset_after:
            u = product(h, U, drop).reshape(step.size, 3, H)
            a[:, :2] += u[:, :2]
            gate(a[:, :2], out=gates[:, :2])
            u_n = u[:, 2]
            if c_n is not None:
                u_n += c_n
            if cache.recurrent_n is not None:
                cache.recurrent_n[step.rows] = u_n
            a[:, 2] += r * u_n
        else:
            a[:, :2] += product(h, U_zr, gates_of(drop, 0, 2)).reshape(step.size, 2, H)
            gate(a[:, :2], out=gates[:, :2])
            a[:, 2] += product(r * h, U_n, gates_of(drop, 2, 3))
        activate(a[:, 2], out=n)

        one, other = (h, n) if cache.update_gate == "keep" else (n, h)
        h_next = cache.states[step.after]
        np.subtract(one, other, out=h_next)  # z one + (1 - z) other = z (one - other) + other
        h_next *= z
        h_next += other
        run.carry(step, cache.states)


def _recurrent_kernels(run: Recurrence) -> tuple[Array, Array, Array]:
    """Return U, its columns for z and r, and those for n."""
    U, H = run.recurrent_kernel, run.shape[3]
    return U, U[:, : 2 * H], U[:, 2 * H :]


# ---- backward ------------------------------------------------------------------------------------


def gru_backward(
    dy: Array | None,
    cache: GRUCache,
    dh_n: Array | None = None,
    *,
    out: tuple[Array, Array, Array | None] | None = None,
    input_gradient: bool = True,
) -> tuple[Array | None, Array, Array, Array | None, Array | None]:
    """Gradients of a GRU by backpropagation through time.

    Parameters
    ----------
    dy : array (B, T, H) or (N, H), or None when dh_n is given
        Gradient of the loss with respect to y, in y's order of steps.
    cache : GRUCache
        What `gru_forward` returned with training=True; it can be used again.
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
    dkernel : array (I, 3H)
    drecurrent_kernel : array (H, 3H)
    dbias : array (2, 3H) or (3H,), or None without biases
    dh0 : array (B, H), or None without h0

    Raises
    ------
    ValueError
        For a wrong shape, or when both gradients are None.
    TypeError
        For a wrong type or dtype, or a cache that is none of `gru_forward`.

    Notes
    -----
    Only dh = ... U^T runs step by step. The gradients of all weights and of x are products over all
    steps at once.
    """
    _checks.cache(cache, GRUCache, "gru_forward")
    run, (B, _, I, H, dtype) = cache.recurrence, cache.recurrence.shape
    N = len(run.x)
    _checks.gru_backward(dy, dh_n, run.shape, N if run.ragged else None)
    bias_shape = ((2, 3 * H) if cache.reset_after else (3 * H,)) if run.has_bias else None
    if out is not None:
        _checks.weight_gradients(out, (I, 3 * H), (H, 3 * H), bias_shape, dtype)

    # The gradients of what enters the gates: z, r, and the state's part of n; then all of n.
    d = np.empty((N, 3, H), dtype)
    dn = np.empty((N, H), dtype) if cache.reset_after else d[:, 2]
    dh = np.zeros((B, H), dtype) if dh_n is None else dh_n.copy()
    _run_steps_back(cache, run.incoming(dy), dh, d, dn)

    drecurrent_kernel = _recurrent_kernel_gradient(cache, d.reshape(N, 3 * H))
    dbias = None
    if run.has_bias:
        dbias = d.reshape(N, 3 * H).sum(axis=0)
    if cache.reset_after:
        d[:, 2] = dn
        if dbias is not None:
            dbias = np.stack([d.reshape(N, 3 * H).sum(axis=0), dbias])
    dx = run.input_gradient(d.reshape(N, 3 * H)) if input_gradient else None
    dkernel = run.kernel_gradient(d.reshape(N, 3 * H))
    if cache.resets_first:
        dkernel, drecurrent_kernel = _exchanged(dkernel), _exchanged(drecurrent_kernel)
        dbias = None if dbias is None else _exchanged(dbias)
    weights = deliver((dkernel, drecurrent_kernel, dbias), out)
    return dx, *weights, dh if run.has_h0 else None


def _run_steps_back(cache: GRUCache, dy: Array | None, dh: Array, d: Array, dn: Array) -> None:
    """Fill in d and dn from the last step to the first; make of dh_n the gradient of h0."""
    run, H = cache.recurrence, cache.recurrence.shape[3]
    U, U_zr, U_n = _recurrent_kernels(run)
    couple, couple_gate = cache.activation.couple, cache.recurrent_activation.couple
    to_z, to_r, to_n, carry = _local_derivatives(cache)

    for step in reversed(run.steps):
        rows, dh_t = step.rows, dh[: step.size]  # shorter sequences have not begun yet
        if dy is not None:
            dh_t += dy[rows]
        d_t, dn_t, (_, r, n) = d[rows], dn[rows], cache.gates[rows].transpose(1, 0, 2)
        dz_t, dr_t, dun_t = d_t.transpose(1, 0, 2)
        drop = rows_of(run.recurrent_dropout, step.size)
        np.multiply(dh_t, to_z[rows], out=dz_t)
        np.multiply(dh_t, to_n[rows], out=dn_t)
        if couple is not None:
            dn_t[...] = couple(dn_t, n)
        dh_t *= carry[rows]
        if cache.reset_after:
            np.multiply(dn_t, to_r[rows], out=dr_t)
            np.multiply(dn_t, r, out=dun_t)
        else:
            drh = product_backward(dn_t, U_n, gates_of(drop, 2, 3))  # of r * h
            np.multiply(drh, to_r[rows], out=dr_t)
            dh_t += drh * r
        if couple_gate is not None:
            d_t[:, :2] = couple_gate(d_t[:, :2], cache.gates[rows][:, :2])
        d_t = d_t.reshape(step.size, 3 * H)
        if cache.reset_after:
            dh_t += product_backward(d_t, U, drop)
        else:
            dh_t += product_backward(d_t[:, : 2 * H], U_zr, gates_of(drop, 0, 2))


def _local_derivatives(cache: GRUCache) -> tuple[Array, Array, Array, Array]:
    """Return the factors of one step's chain rule, for all steps at once; each (N, H).

    In order: from h' to what enters z, from n's input (reset after) or r * h (reset before) to what
    enters r, from h' to what enters n, and from h' to h along the blend.
    """
    run, (z, _, n) = cache.recurrence, cache.gates.transpose(1, 0, 2)
    h = run.previous(cache.states)
    slope = cache.recurrent_activation.derivative(cache.pre[:, :2], cache.gates[:, :2])
    slope_n = cache.activation.derivative(cache.pre[:, 2], n)

    to_r = (h if cache.recurrent_n is None else cache.recurrent_n) * slope[:, 1]
    if cache.update_gate == "keep":
        to_z, to_n, carry = (h - n) * slope[:, 0], (1 - z) * slope_n, z
    else:
        to_z, to_n, carry = (n - h) * slope[:, 0], z * slope_n, 1 - z
    if run.mask is not None:
        to_z, to_n = np.where(run.mask, to_z, 0), np.where(run.mask, to_n, 0)
        carry = np.where(run.mask, carry, 1)
    return to_z, to_r, to_n, carry


def _recurrent_kernel_gradient(cache: GRUCache, d: Array) -> Array:
    """Return dU from the gradients d (N, 3H) of what the recurrent products gave."""
    run, H = cache.recurrence, cache.recurrence.shape[3]
    h, drop = run.previous(cache.states), run.spread(run.recurrent_dropout)
    if cache.reset_after:
        return weight_gradient(h, d, drop)
    zr = weight_gradient(h, d[:, : 2 * H], gates_of(drop, 0, 2))
    n = weight_gradient(cache.gates[:, 1] * h, d[:, 2 * H :], gates_of(drop, 2, 3))
    return np.concatenate([zr, n], axis=1)
