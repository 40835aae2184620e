"""What the reference is measured by: the equations in plain loops, and central differences."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from cases import GRUCase, LSTMCase, RecurrentCase, SimpleRNNCase

Array = np.ndarray
States = tuple[Sequence[float], ...]
Drops = tuple[Array, Array]


def _sigmoid(a: float) -> float:
    return 1 / (1 + math.exp(-a))


def _dot(v: Sequence[float], matrix: Array, column: int) -> float:
    return math.fsum(a * b for a, b in zip(v, matrix[:, column].tolist(), strict=True))


def _gates(
    x: Sequence[float],
    h: Sequence[float],
    a: Mapping[str, Array],
    drops: tuple[Array, Array],
    biases: Array,
) -> tuple[list[list[float]], list[list[float]]]:
    """Return, gate by gate, what comes from x and what from h. Dropout masks are (gates, size)."""
    H, given, recurrent = len(h), [], []
    for gate, (dx, dh) in enumerate(zip(*drops, strict=True)):
        columns = range(gate * H, (gate + 1) * H)
        x_kept = [v * d for v, d in zip(x, dx, strict=True)]
        h_kept = [v * d for v, d in zip(h, dh, strict=True)]
        given.append([_dot(x_kept, a["kernel"], j) + biases[0, j] for j in columns])
        recurrent.append([_dot(h_kept, a["recurrent_kernel"], j) + biases[1, j] for j in columns])
    return given, recurrent


def _gru_step(
    case: GRUCase, a: Mapping[str, Array], x: Sequence[float], states: States, drops: Drops
) -> States:
    (h,) = states
    H = len(h)
    biases = np.zeros((2, 3 * H))
    if case.bias:
        biases[: 2 if case.reset_after else 1] = a["bias"]
    given, recurrent = _gates(x, h, a, drops, biases)
    z, r = ([_sigmoid(v + w) for v, w in zip(given[k], recurrent[k], strict=True)] for k in (0, 1))
    reset = [a * b * d for a, b, d in zip(r, h, drops[1][2], strict=True)]
    new = []
    for j in range(H):
        after = r[j] * recurrent[2][j]
        before = _dot(reset, a["recurrent_kernel"], 2 * H + j)
        n = math.tanh(given[2][j] + (after if case.reset_after else before))
        keep = z[j] if case.update_gate == "keep" else 1 - z[j]
        new.append(keep * h[j] + (1 - keep) * n)
    return (new,)


def _lstm_step(
    case: LSTMCase, a: Mapping[str, Array], x: Sequence[float], states: States, drops: Drops
) -> States:
    h, c = states
    biases = np.zeros((2, 4 * len(h)))
    biases[0] = a.get("bias", 0)
    given, recurrent = _gates(x, h, a, drops, biases)
    new_h, new_c = [], []
    for j, old in enumerate(c):
        i, f, g, o = (given[k][j] + recurrent[k][j] for k in range(4))
        new_c.append(_sigmoid(f) * old + _sigmoid(i) * math.tanh(g))
        new_h.append(_sigmoid(o) * math.tanh(new_c[-1]))
    return new_h, new_c


def _simple_rnn_step(
    case: SimpleRNNCase, a: Mapping[str, Array], x: Sequence[float], states: States, drops: Drops
) -> States:
    (h,) = states
    biases = np.zeros((2, len(h)))
    biases[0] = a.get("bias", 0)
    (given,), (recurrent,) = _gates(x, h, a, drops, biases)
    return ([math.tanh(v + w) for v, w in zip(given, recurrent, strict=True)],)


_STEPS: dict[str, Callable[..., States]] = {
    "gru": _gru_step,
    "lstm": _lstm_step,
    "simple_rnn": _simple_rnn_step,
}


def naive(case: RecurrentCase) -> dict[str, Array]:
    """Run a case with the usual activations row by row, step by step and unit by unit."""
    a, B, T, H = case.arrays(), case.B, case.T, case.H
    step, outputs = _STEPS[case.cell], np.zeros((B, T, H))
    last = np.empty((len(case.states), B, H))
    for row in range(B):
        drops = tuple(
            np.broadcast_to(a[name][..., row, :] if name in a else 1.0, (case.gates, size))
            for name, size in (("input_dropout", case.I), ("recurrent_dropout", H))
        )
        states = tuple(a[name][row].tolist() if name in a else [0.0] * H for name in case.states)
        output = [0.0] * H
        for t in range(case.lengths()[row] if case.ragged else T):
            at = T - 1 - t if case.go_backwards else t
            if not case.mask or a["mask"][row, at]:
                x = a["x"][sum(a["batch_sizes"][:t]) + row] if case.ragged else a["x"][row, at]
                states = step(case, a, x.tolist(), states, drops)
                output = states[0]
            elif case.masked_output == "zero":
                output = [0.0] * H
            outputs[row, t] = output
        last[:, row] = states
    y = (
        np.concatenate([outputs[:n, t] for t, n in enumerate(a["batch_sizes"])])
        if case.ragged
        else outputs
    )
    return dict(zip(case.output_names(), (y, *last), strict=True))


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


# Central differences of the fourth order with step 1e-4: truncation 1e-16, rounding 1e-12, times
# the function's own derivatives and size.
_DIFFERENCES = 1e-10
# Near a kink they are wrong. A smaller step has fewer such places, and more rounding.
_KINKED = {"relu", "relu6", "leaky_relu", "elu", "selu", "hard_sigmoid", "hard_tanh", "hard_silu"}


def close(a: Array, b: Array, tolerance: float = 1e-14) -> bool:
    """Whether two arrays differ by at most tolerance times the larger of 1 and b's largest."""
    scale = max(1.0, float(np.abs(b).max(initial=0)))
    return a.shape == b.shape and bool(np.abs(a - b).max(initial=0) <= tolerance * scale)


def gradient_is(got: Array, loss: Callable[[], float], given: Array, *activations: str) -> bool:
    """Whether `got` is the gradient of a loss with respect to what it reads from `given`."""
    if _KINKED.isdisjoint(activations):
        return close(got, central_differences(loss, given), _DIFFERENCES)
    return close(got, central_differences(loss, given, 1e-6), 100 * _DIFFERENCES)
