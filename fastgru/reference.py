"""The operations in plain NumPy: the oracle, the teaching page and the benchmarks' opponent.

`fastgru.ops` exports the same functions, compiled. Letters: B batch, T time steps, I input
features, H hidden units, V vocabulary, D or O output features. Gates: z update, r reset,
n candidate, always in this order along the last axis of a kernel. One step of a GRU, with
W = kernel (I, 3H), U = recurrent_kernel (H, 3H), b and c the rows of bias:

    z = σ(x W_z + b_z + h U_z + c_z)
    r = σ(x W_r + b_r + h U_r + c_r)
    n = tanh(x W_n + b_n + r ⊙ (h U_n + c_n))      reset_after=True   (cuDNN, PyTorch, Keras)
    n = tanh(x W_n + b_n + (r ⊙ h) U_n)            reset_after=False  (Cho et al. 2014)
    h' = z ⊙ h + (1 − z) ⊙ n                       update_gate="keep"
    h' = (1 − z) ⊙ h + z ⊙ n                       update_gate="replace"

Inside, arrays are time-major, (T, B, ...), so that each step is contiguous; and only what depends
on the recurrence is done step by step.
"""

# mypy: disable-error-code="no-any-return"
# (NumPy's stubs give Any for many results.)

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import _checks, activations
from ._checks import Array
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


# ---- the GRU, forward ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PackedGRU:
    """A GRU's kernels as `pack_gru` returns them; accepted as `kernel` by `gru_forward`."""

    kernel: Array
    recurrent_kernel: Array
    input_size: int
    units: int
    dtype: np.dtype[Any]
    reset_after: bool


@dataclass(slots=True)
class GRUCache:
    """What a forward pass leaves for `gru_backward`. Arrays are time-major, in processing order."""

    shape: tuple[int, int, int, int, np.dtype[Any]]  # B, T, I, H, dtype
    kernel: Array
    recurrent_kernel: Array
    has_bias: bool
    has_h0: bool
    reset_after: bool
    update_gate: str
    activation: Activation
    recurrent_activation: Activation
    input_dropout: Array | None
    recurrent_dropout: Array | None
    go_backwards: bool
    mask: Array | None  # (T, B), True where a step is valid
    visible: Array | None  # (T, B), True where y shows the state, False where it is zero
    x: Array  # (T, B, I)
    states: Array  # (T + 1, B, H), h0 first
    pre: Array  # (T, B, 3, H), what the activations got (overwritten where they do not need it)
    gates: Array  # (T, B, 3, H), z, r, n
    recurrent_n: Array | None  # (T, B, H), h U_n + c_n, with reset_after


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
    """Run a Gated Recurrent Unit over whole sequences.

    All floating arrays share one dtype, float32 or float64. Any strides are accepted, nothing is
    modified. B may be 0, T may not.

    Parameters
    ----------
    x : array (B, T, I)
        The input sequences.
    kernel : array (I, 3H), or what `pack_gru` returned
        Weights on the input; gates in the order z, r, n.
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
        Activation of the candidate.
    recurrent_activation : str or Activation, default "sigmoid"
        Activation of both gates.
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

    Returns
    -------
    y : array (B, T, H), or None without return_sequences
        The outputs of all steps.
    h_n : array (B, H)
        The state after the last step processed.
    cache : GRUCache, or None unless training
        It borrows the inputs: leave them as they are until `gru_backward` has run.

    Raises
    ------
    ValueError
        For a wrong shape, an unknown name, or a kernel packed for the other `reset_after`.
    TypeError
        For a wrong type or dtype.
    NotImplementedError
        For an option that these operations do not serve. The reference serves all.

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
    )  # fmt: skip
    B, T, _, H, dtype = shape
    if isinstance(kernel, PackedGRU):
        recurrent_kernel = kernel.recurrent_kernel
        kernel = kernel.kernel
    assert recurrent_kernel is not None

    x = _time_major(x, go_backwards)
    visible = None
    if mask is not None:
        mask = _time_major(mask, go_backwards)
        x = np.where(mask[:, :, None], x, 0)
        visible = mask if masked_output == "zero" else np.logical_or.accumulate(mask)
    act, ract = activations.get(activation), activations.get(recurrent_activation)

    pre = _product(x, kernel, input_dropout).reshape(T, B, 3, H)
    in_place = not training or (act.from_output and ract.from_output)
    states = np.empty((T + 1, B, H), dtype)
    states[0] = 0 if h0 is None else h0
    run = GRUCache(
        shape, kernel, recurrent_kernel, bias is not None, h0 is not None, bool(reset_after),
        update_gate, act, ract, input_dropout, recurrent_dropout, go_backwards, mask, visible,
        x, states, pre,
        gates=pre if in_place else np.empty_like(pre),
        recurrent_n=np.empty((T, B, H), dtype) if training and reset_after else None,
    )  # fmt: skip
    _run_steps(run, _add_biases(run, bias))

    y = _outputs(run) if return_sequences else None
    return y, states[T].copy(), run if training else None


def _time_major(a: Array, backwards: bool) -> Array:
    """Return (B, T, ...) as (T, B, ...), contiguous, in the order of processing."""
    return np.ascontiguousarray(np.swapaxes(a[:, ::-1] if backwards else a, 0, 1))


def _add_biases(run: GRUCache, bias: Array | None) -> Array | None:
    """Add to `pre` the biases that can be added before the steps; return the other one, c_n."""
    if bias is None:
        return None
    b = bias.reshape(-1, 3, bias.shape[-1] // 3)
    run.pre += b[0]
    if not run.reset_after:
        return None
    run.pre[:, :, :2] += b[1, :2]
    return b[1, 2]


def _run_steps(run: GRUCache, c_n: Array | None) -> None:
    """Fill in gates and states, step by step, from the input's part of the gates in `pre`."""
    B, T, _, H, _ = run.shape
    U, drop = run.recurrent_kernel, run.recurrent_dropout
    U_zr, U_n, drop_zr, drop_n = (
        U[:, : 2 * H],
        U[:, 2 * H :],
        _gates(drop, 0, 2),
        _gates(drop, 2, 3),
    )
    activate, gate = run.activation.forward, run.recurrent_activation.forward

    for t in range(T):
        h, a, zr = run.states[t], run.pre[t], run.gates[t][:, :2]
        z, r, n = run.gates[t].transpose(1, 0, 2)
        if run.reset_after:
            u = _product(h, U, drop).reshape(B, 3, H)
            a[:, :2] += u[:, :2]
            gate(a[:, :2], out=zr)
            u_n = u[:, 2]
            if c_n is not None:
                u_n += c_n
            if run.recurrent_n is not None:
                run.recurrent_n[t] = u_n
            a[:, 2] += r * u_n
        else:
            a[:, :2] += _product(h, U_zr, drop_zr).reshape(B, 2, H)
            gate(a[:, :2], out=zr)
            a[:, 2] += _product(r * h, U_n, drop_n)
        activate(a[:, 2], out=n)

        one, other = (h, n) if run.update_gate == "keep" else (n, h)
        h_next = run.states[t + 1]
        np.subtract(one, other, out=h_next)  # z one + (1 - z) other = z (one - other) + other
        h_next *= z
        h_next += other
        if run.mask is not None:
            np.copyto(h_next, h, where=~run.mask[t][:, None])


def _outputs(run: GRUCache) -> Array:
    """Return y (B, T, H): the states, or zero where masked steps have none to show."""
    y = run.states[1:]
    if run.visible is not None:
        y = np.where(run.visible[:, :, None], y, 0)
    return np.swapaxes(y, 0, 1).copy()


# ---- the GRU, backward ---------------------------------------------------------------------------


def gru_backward(
    dy: Array | None, cache: GRUCache, dh_n: Array | None = None
) -> tuple[Array, Array, Array, Array | None, Array | None]:
    """Gradients of a GRU by backpropagation through time.

    Parameters
    ----------
    dy : array (B, T, H), or None when dh_n is given
        Gradient of the loss with respect to y, in y's order of steps.
    cache : GRUCache
        What `gru_forward` returned with training=True; it can be used again.
    dh_n : array (B, H), optional
        Gradient of the loss with respect to h_n; added to what dy says of the last step.

    Returns
    -------
    dx : array (B, T, I)
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
    _checks.gru_backward(dy, dh_n, cache.shape)
    run = cache
    B, T, I, H, dtype = run.shape
    if dy is not None:
        dy = np.swapaxes(dy, 0, 1)
        if run.visible is not None:
            dy = np.where(run.visible[:, :, None], dy, 0)
    dh = np.zeros((B, H), dtype) if dh_n is None else dh_n.copy()

    # The gradients of what enters the gates: z, r, and the state's part of n; then all of n.
    d = np.empty((T, B, 3, H), dtype)
    dn = np.empty((T, B, H), dtype) if run.reset_after else d[:, :, 2]
    dh0 = _run_steps_back(run, dy, dh, d, dn)

    drecurrent_kernel = _recurrent_kernel_gradient(run, d)
    dbias = None
    if run.has_bias:
        dbias = _rows(d).sum(axis=0)
    if run.reset_after:
        d[:, :, 2] = dn
        if dbias is not None:
            dbias = np.stack([_rows(d).sum(axis=0), dbias])
    d = d.reshape(T, B, 3 * H)
    dkernel = _weight_gradient(run.x, d, run.input_dropout)
    dx = _product_backward(d, run.kernel, run.input_dropout)
    if run.go_backwards:
        dx = dx[::-1]
    dx = np.ascontiguousarray(np.swapaxes(dx, 0, 1))
    return dx, dkernel, drecurrent_kernel, dbias, dh0 if run.has_h0 else None


def _run_steps_back(run: GRUCache, dy: Array | None, dh: Array, d: Array, dn: Array) -> Array:
    """Fill in d and dn from the last step to the first and return the gradient of h0."""
    B, T, _, H, _ = run.shape
    U, drop = run.recurrent_kernel, run.recurrent_dropout
    U_zr, U_n, drop_zr, drop_n = (
        U[:, : 2 * H],
        U[:, 2 * H :],
        _gates(drop, 0, 2),
        _gates(drop, 2, 3),
    )
    couple, couple_gate = run.activation.couple, run.recurrent_activation.couple
    _, r, n = run.gates.transpose(2, 0, 1, 3)
    to_z, to_r, to_n, carry = _local_derivatives(run)

    for t in reversed(range(T)):
        if dy is not None:
            dh += dy[t]
        dz_t, dr_t, dun_t = d[t].transpose(1, 0, 2)
        np.multiply(dh, to_z[t], out=dz_t)
        np.multiply(dh, to_n[t], out=dn[t])
        if couple is not None:
            dn[t] = couple(dn[t], n[t])
        dh *= carry[t]
        if run.reset_after:
            np.multiply(dn[t], to_r[t], out=dr_t)
            np.multiply(dn[t], r[t], out=dun_t)
        else:
            drh = _product_backward(dn[t], U_n, drop_n)  # of r * h
            np.multiply(drh, to_r[t], out=dr_t)
            dh += drh * r[t]
        if couple_gate is not None:
            d[t][:, :2] = couple_gate(d[t][:, :2], run.gates[t][:, :2])
        if run.reset_after:
            dh += _product_backward(d[t].reshape(B, 3 * H), U, drop)
        else:
            dh += _product_backward(d[t].reshape(B, 3 * H)[:, : 2 * H], U_zr, drop_zr)
    return dh


def _local_derivatives(run: GRUCache) -> tuple[Array, Array, Array, Array]:
    """Return the factors of one step's chain rule, for all steps at once; each (T, B, H).

    In order: from h' to what enters z, from n's input (reset after) or r * h (reset before) to what
    enters r, from h' to what enters n, and from h' to h along the blend.
    """
    z, _, n = run.gates.transpose(2, 0, 1, 3)
    h = run.states[:-1]
    slope = run.recurrent_activation.derivative(run.pre[:, :, :2], run.gates[:, :, :2])
    slope_n = run.activation.derivative(run.pre[:, :, 2], n)

    to_r = (h if run.recurrent_n is None else run.recurrent_n) * slope[:, :, 1]
    if run.update_gate == "keep":
        to_z, to_n, carry = (h - n) * slope[:, :, 0], (1 - z) * slope_n, z
    else:
        to_z, to_n, carry = (n - h) * slope[:, :, 0], z * slope_n, 1 - z
    if run.mask is not None:
        valid = run.mask[:, :, None]
        to_z, to_n = np.where(valid, to_z, 0), np.where(valid, to_n, 0)
        carry = np.where(valid, carry, 1)
    return to_z, to_r, to_n, carry


def _recurrent_kernel_gradient(run: GRUCache, d: Array) -> Array:
    """Return dU from the gradients d (T, B, 3, H) of what the recurrent products gave."""
    B, T, _, H, _ = run.shape
    h, drop = run.states[:-1], run.recurrent_dropout
    d = d.reshape(T, B, 3 * H)
    if run.reset_after:
        return _weight_gradient(h, d, drop)
    zr = _weight_gradient(h, d[:, :, : 2 * H], _gates(drop, 0, 2))
    n = _weight_gradient(run.gates[:, :, 1] * h, d[:, :, 2 * H :], _gates(drop, 2, 3))
    return np.concatenate([zr, n], axis=1)


# ---- products with dropout -----------------------------------------------------------------------
#
# The weights' columns belong to one, two or three gates. A dropout mask (B, K) serves all of them,
# a stack (gates, B, K) has one for each, and then each gate has a product of its own.


def _gates(dropout: Array | None, first: int, last: int) -> Array | None:
    """Return the part of a dropout mask that concerns gates first..last-1."""
    return dropout if dropout is None or dropout.ndim == 2 else dropout[first:last]


def _rows(a: Array) -> Array:
    """Return (T, B, K) as (T B, K), and (T, B, 3, H) as (T B, 3H)."""
    return a.reshape(a.shape[0] * a.shape[1], math.prod(a.shape[2:]))


def _product(a: Array, weights: Array, dropout: Array | None) -> Array:
    """Return (a * dropout) @ weights for a (B, K) or (T, B, K), in one product if it can be."""
    if dropout is not None and dropout.ndim == 3:
        parts = zip(dropout, np.split(weights, len(dropout), axis=1), strict=True)
        return np.concatenate([_product(a, w, mask) for mask, w in parts], axis=-1)
    if dropout is not None:
        a = a * dropout
    if a.ndim == 2:
        return a @ weights
    return (_rows(a) @ weights).reshape(*a.shape[:2], weights.shape[1])


def _product_backward(d: Array, weights: Array, dropout: Array | None) -> Array:
    """Return the gradient of `a` in `_product`, from the gradient d of its result."""
    if dropout is not None and dropout.ndim == 3:
        gates = len(dropout)
        parts = zip(
            np.split(d, gates, axis=-1), np.split(weights, gates, axis=1), dropout, strict=True
        )
        return np.sum([_product_backward(*part) for part in parts], axis=0)
    da = _product(d, weights.T, None)
    return da if dropout is None else da * dropout


def _weight_gradient(a: Array, d: Array, dropout: Array | None) -> Array:
    """Return the gradient of `weights` in `_product`, for a and d of all steps (T, B, ...)."""
    if dropout is not None and dropout.ndim == 3:
        parts = zip(dropout, np.split(d, len(dropout), axis=-1), strict=True)
        return np.concatenate([_weight_gradient(a, part, mask) for mask, part in parts], axis=1)
    if dropout is not None:
        a = a * dropout
    return _rows(a).T @ _rows(d)


# ---- packed kernels ------------------------------------------------------------------------------


def pack_gru(kernel: Array, recurrent_kernel: Array, *, reset_after: bool = True) -> PackedGRU:
    """Prepare a GRU's kernels for many calls.

    The compiled operations lay the weights out anew at each call, unless they are packed. Here, the
    object just holds copies.

    Parameters
    ----------
    kernel : array (I, 3H)
    recurrent_kernel : array (H, 3H)
    reset_after : bool, default True
        The mode that the object is made for.

    Returns
    -------
    packed : PackedGRU
        Accepted as `kernel` by `gru_forward`, with recurrent_kernel=None. Later changes of the
        kernels do not reach it.

    Raises
    ------
    ValueError
        For a wrong shape.
    TypeError
        For a wrong type or dtype.
    """
    I, H, dtype = _checks.pack_gru(kernel, recurrent_kernel)
    return PackedGRU(kernel.copy(), recurrent_kernel.copy(), I, H, dtype, bool(reset_after))


# ---- dense ---------------------------------------------------------------------------------------


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


def dense_backward(dy: Array, cache: DenseCache) -> tuple[Array, Array, Array | None]:
    """Gradients of a dense layer.

    Parameters
    ----------
    dy : array (..., O)
        Gradient of the loss with respect to y.
    cache : DenseCache
        What `dense_forward` returned with training=True.

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
    O = cache.kernel.shape[1]
    _checks.array("dy", dy, cache.y.dtype, (*cache.leading, O))
    d = cache.activation.backward(dy.reshape(-1, O), cache.pre, cache.y)
    dx = (d @ cache.kernel.T).reshape(*dy.shape[:-1], cache.kernel.shape[0])
    return dx, cache.x.T @ d, d.sum(axis=0) if cache.has_bias else None


# ---- embedding -----------------------------------------------------------------------------------


def embedding_forward(ids: Array, table: Array) -> Array:
    """Look up a table's rows by id.

    Parameters
    ----------
    ids : int32 or int64 array (...)
        Each in [0, V).
    table : array (V, D)

    Returns
    -------
    y : array (..., D)

    Raises
    ------
    ValueError
        For a wrong shape, or an id out of range (the message names the first one).
    TypeError
        For a wrong type or dtype.
    """
    V, _, _ = _checks.embedding_forward(ids, table)
    _checks.ids_in_range(ids, V)
    return table[ids]


def embedding_backward(dy: Array, ids: Array, input_dim: int) -> Array:
    """Sum the rows of dy by id: the gradient of the table.

    Parameters
    ----------
    dy : array (..., D)
        Gradient of the loss with respect to the rows that were looked up.
    ids : int32 or int64 array (...)
        Each in [0, input_dim).
    input_dim : int
        The number V of the table's rows.

    Returns
    -------
    dtable : array (V, D)

    Raises
    ------
    ValueError
        For a wrong shape, or an id out of range (the message names the first one).
    TypeError
        For a wrong type or dtype.
    """
    V, D, dtype = _checks.embedding_backward(dy, ids, input_dim)
    _checks.ids_in_range(ids, V)
    dtable = np.zeros((V, D), dtype)
    if ids.size:
        # Sorted, equal ids are neighbours; each run of them is one sum.
        order = np.argsort(ids, axis=None, kind="stable")
        found, starts = np.unique(ids.reshape(-1)[order], return_index=True)
        dtable[found] = np.add.reduceat(dy.reshape(-1, D)[order], starts, axis=0)
    return dtable


# ---- loss and optimizer --------------------------------------------------------------------------

_CLIP = 1e-7  # Keras' backend epsilon


def binary_crossentropy(
    y_true: Array, y_pred: Array, *, from_logits: bool = False
) -> tuple[Array, Array]:
    """Binary cross-entropy of each element, and its derivative.

    Parameters
    ----------
    y_true : array
        Labels in [0, 1]; shape and dtype of y_pred.
    y_pred : array, any shape
        Probabilities, clipped to [1e-7, 1 - 1e-7] as Keras does; or logits.
    from_logits : bool, default False
        Whether y_pred holds logits.

    Returns
    -------
    losses : array, as y_pred
        -y_true log(p) - (1 - y_true) log(1 - p).
    gradients : array, as y_pred
        The derivatives with respect to y_pred; zero where a probability was clipped.

    Raises
    ------
    ValueError
        For shapes that differ, or a label that is NaN or outside of [0, 1].
    TypeError
        For a wrong type or dtype.
    """
    _checks.binary_crossentropy(y_true, y_pred)
    _checks.labels_in_range(y_true)
    if from_logits:
        with np.errstate(under="ignore", invalid="ignore"):  # exp(-large); inf - inf
            tail = np.log1p(np.exp(-np.abs(y_pred)))
            losses = np.maximum(y_pred, 0) - y_pred * y_true + tail
        return losses, sigmoid(y_pred) - y_true
    p = np.clip(y_pred, _CLIP, 1 - _CLIP)
    losses = -(y_true * np.log(p) + (1 - y_true) * np.log1p(-p))
    gradients = (p - y_true) / (p * (1 - p))
    gradients[(y_pred < _CLIP) | (y_pred > 1 - _CLIP)] = 0
    return losses, gradients


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
    """Advance parameters and both moments by one step of Adam, in place, with Keras' numerics.

        m += (1 - β₁) (g - m)
        v += (1 - β₂) (g² - v)
        p -= α m / (√v + ε)    with α = learning_rate √(1 - β₂ᵗ) / (1 - β₁ᵗ)

    Parameters
    ----------
    parameters, gradients, m, v : arrays (N,)
        Contiguous, of one dtype; all but gradients are written.
    step : int
        The number t of this update, from 1.
    learning_rate : float, default 1e-3
    beta_1, beta_2 : float, default 0.9 and 0.999
    epsilon : float, default 1e-7
        Added outside of the bias correction.

    Raises
    ------
    ValueError
        For a wrong shape, strides, a read-only array, or a number out of range.
    TypeError
        For a wrong type or dtype.

    References
    ----------
    D. P. Kingma and J. Ba, "Adam: A Method for Stochastic Optimization", 2015, end of section 2.
    """
    t, rate, b1, b2, eps, _ = _checks.adam_update(
        parameters, gradients, m, v, step, learning_rate, beta_1, beta_2, epsilon
    )
    alpha = rate * math.sqrt(1 - b2**t) / (1 - b1**t)
    m += (1 - b1) * (gradients - m)
    v += (1 - b2) * (gradients * gradients - v)
    parameters -= alpha * m / (np.sqrt(v) + eps)


# ---- elementwise ---------------------------------------------------------------------------------


def exp(x: Array) -> Array:
    """Return e to the power of each element.

    Parameters
    ----------
    x : array, any shape

    Returns
    -------
    y : array, as x

    Raises
    ------
    TypeError
        For a wrong type or dtype.
    """
    return _elementwise(activations.exponential, x)


def sigmoid(x: Array) -> Array:
    """Return 1 / (1 + exp(-x)) of each element.

    Parameters
    ----------
    x : array, any shape

    Returns
    -------
    y : array, as x

    Raises
    ------
    TypeError
        For a wrong type or dtype.
    """
    return _elementwise(activations.sigmoid, x)


def tanh(x: Array) -> Array:
    """Return the hyperbolic tangent of each element.

    Parameters
    ----------
    x : array, any shape

    Returns
    -------
    y : array, as x

    Raises
    ------
    TypeError
        For a wrong type or dtype.
    """
    return _elementwise(activations.tanh, x)


def _elementwise(function: Activation, x: Array) -> Array:
    dtype = _checks.floating("x", x)
    return function.forward(x, out=np.empty(x.shape, dtype))
