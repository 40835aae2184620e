"""What the reference is measured by: the equations in plain loops, and central differences."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

Array = np.ndarray


def _sigmoid(a: float) -> float:
    return 1 / (1 + math.exp(-a))


def _dot(v: Sequence[float], matrix: Array, column: int) -> float:
    return math.fsum(a * b for a, b in zip(v, matrix[:, column].tolist(), strict=True))


def naive_step(
    x: Sequence[float],
    h: Sequence[float],
    W: Array,
    U: Array,
    bias: Array | None,
    reset_after: bool,
    update_gate: str,
    input_dropout: Array,
    recurrent_dropout: Array,
) -> list[float]:
    """One step of one row: the equations, unit by unit. Dropout masks are (3, size)."""
    H = len(h)
    b, c = np.zeros(3 * H), np.zeros(3 * H)
    if bias is not None:
        b, c = bias if reset_after else (bias, c)
    xz, xr, xn = ([a * d for a, d in zip(x, mask, strict=True)] for mask in input_dropout)
    hz, hr, hn = ([a * d for a, d in zip(h, mask, strict=True)] for mask in recurrent_dropout)
    z = [_sigmoid(_dot(xz, W, j) + b[j] + _dot(hz, U, j) + c[j]) for j in range(H)]
    r = [_sigmoid(_dot(xr, W, j) + b[j] + _dot(hr, U, j) + c[j]) for j in range(H, 2 * H)]
    reset = [a * b for a, b in zip(r, hn, strict=True)]
    new = []
    for j in range(H):
        k = 2 * H + j
        recurrent = r[j] * (_dot(hn, U, k) + c[k]) if reset_after else _dot(reset, U, k)
        n = math.tanh(_dot(xn, W, k) + b[k] + recurrent)
        keep = z[j] if update_gate == "keep" else 1 - z[j]
        new.append(keep * h[j] + (1 - keep) * n)
    return new


def naive_gru(
    x: Array,
    kernel: Array,
    recurrent_kernel: Array,
    bias: Array | None = None,
    h0: Array | None = None,
    *,
    mask: Array | None = None,
    masked_output: str = "repeat",
    reset_after: bool = True,
    update_gate: str = "keep",
    input_dropout: Array | None = None,
    recurrent_dropout: Array | None = None,
    go_backwards: bool = False,
) -> tuple[Array, Array]:
    """Return y and h_n of a GRU with tanh and sigmoid, row by row and step by step."""
    B, T, I = x.shape
    H = recurrent_kernel.shape[0]
    y, h_n = np.empty((B, T, H)), np.empty((B, H))
    for row in range(B):
        drops = (
            np.ones((3, size)) if d is None else np.broadcast_to(d[..., row, :], (3, size))
            for d, size in ((input_dropout, I), (recurrent_dropout, H))
        )
        input_mask, recurrent_mask = drops
        h = [0.0] * H if h0 is None else h0[row].tolist()
        output = [0.0] * H
        for t in range(T):
            step = T - 1 - t if go_backwards else t
            if mask is None or mask[row, step]:
                h = output = naive_step(
                    x[row, step].tolist(), h, kernel, recurrent_kernel, bias, reset_after,
                    update_gate, input_mask, recurrent_mask,
                )  # fmt: skip
            elif masked_output == "zero":
                output = [0.0] * H
            y[row, t] = output
        h_n[row] = h
    return y, h_n


def central_differences(loss: Callable[[], float], a: Array, step: float = 1e-4) -> Array:
    """Return the derivatives of a loss with respect to each element of `a`, which it reads.

    Two differences, extrapolated to step zero: the error is of the fourth order.
    """

    def difference(i: tuple[int, ...], step: float) -> float:
        value = a[i]
        a[i] = value + step
        above = loss()
        a[i] = value - step
        below = loss()
        a[i] = value
        return (above - below) / (2 * step)

    derivatives = np.empty(a.shape)
    for i in np.ndindex(a.shape):
        derivatives[i] = (4 * difference(i, step) - difference(i, 2 * step)) / 3
    return derivatives
