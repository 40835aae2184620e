"""Recurrent layers in JAX: one product for all inputs, lax.scan over the steps, compiled by jit."""

# mypy: disable-error-code="import-not-found,import-untyped,no-any-return,untyped-decorator"

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

Arrays = dict[str, np.ndarray]
Job = tuple[Callable[[], Any], Callable[[Any], Arrays]]


def version() -> str:
    """Return the library's version."""
    return jax.__version__


def infer(cell: str, arrays: Arrays, threads: int) -> Job:
    """Run forward, time first."""
    given = _given(arrays)
    compiled = jax.jit(partial(_forward, cell))
    return lambda: compiled(*given).block_until_ready(), lambda y: {"y": _batch_first(y)}


def train(cell: str, arrays: Arrays, threads: int) -> Job:
    """Run forward and backward, time first."""
    given, dy = _given(arrays), _time_first(arrays["dy"])

    @jax.jit
    def step(dy: Any, *given: Any) -> Any:
        y, backward = jax.vjp(partial(_forward, cell), *given)
        return y, *backward(dy)

    def results(values: Any) -> Arrays:
        y, dx, *weights = values
        names = ("dkernel", "drecurrent_kernel", "dbias")
        gradients = {name: np.asarray(a) for name, a in zip(names, weights, strict=True)}
        return {"y": _batch_first(y), "dx": _batch_first(dx)} | gradients

    return lambda: jax.block_until_ready(step(dy, *given)), results


def step(cell: str, arrays: Arrays, threads: int) -> Job:
    """Take a training step of a whole model, time first, all of it in one compiled function."""
    names = ("table", "kernel", "recurrent_kernel", "bias", "dense_kernel", "dense_bias")
    ids, labels = jnp.asarray(arrays["ids"].T), jnp.asarray(arrays["labels"])

    def loss(weights: Any, ids: Any, labels: Any) -> Any:
        table, *layer, dense_kernel, dense_bias = weights
        logits = _forward(cell, table[ids], *layer)[-1] @ dense_kernel + dense_bias
        return jnp.mean(jax.nn.softplus(logits) - logits * labels)

    def adam(w: Any, g: Any, m: Any, v: Any, t: Any) -> Any:
        m, v = m + 0.1 * (g - m), v + 0.001 * (g * g - v)
        rate = 1e-3 * jnp.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        return w - rate * m / (jnp.sqrt(v) + 1e-7), m, v

    @partial(jax.jit, donate_argnums=0)
    def update(state: Any, ids: Any, labels: Any) -> Any:
        t, weights, m, v = state
        value, gradients = jax.value_and_grad(loss)(weights, ids, labels)
        new = [adam(*each, t) for each in zip(weights, gradients, m, v, strict=True)]
        return value, (t + 1, *(list(part) for part in zip(*new, strict=True)))

    weights = [jnp.asarray(arrays[name]) for name in names]
    m, v = ([jnp.zeros_like(w) for w in weights] for _ in range(2))
    state: Any = (jnp.float32(1), weights, m, v)

    def run() -> Any:
        nonlocal state
        value, state = update(state, ids, labels)
        return jax.block_until_ready((value, state))[0]

    return run, lambda value: {"loss": np.asarray(value)}


def _forward(cell: str, x: Any, kernel: Any, recurrent_kernel: Any, bias: Any) -> Any:
    step, states = CELLS[cell]
    given, recurrent = bias if cell == "gru" else (bias, None)

    def scanned(state: Any, a: Any) -> Any:
        state = step(state, a, recurrent_kernel, recurrent)
        return state, state[0]

    zeros = jnp.zeros((x.shape[1], len(recurrent_kernel)), x.dtype)
    return jax.lax.scan(scanned, (zeros,) * states, x @ kernel + given)[1]


def _gru(state: Any, a: Any, recurrent_kernel: Any, bias: Any) -> Any:
    (h,) = state
    H = h.shape[1]
    u = h @ recurrent_kernel + bias
    z = jax.nn.sigmoid(a[:, :H] + u[:, :H])
    r = jax.nn.sigmoid(a[:, H : 2 * H] + u[:, H : 2 * H])
    n = jnp.tanh(a[:, 2 * H :] + r * u[:, 2 * H :])
    return (z * h + (1 - z) * n,)


def _lstm(state: Any, a: Any, recurrent_kernel: Any, _: Any) -> Any:
    h, c = state
    i, f, g, o = jnp.split(a + h @ recurrent_kernel, 4, axis=1)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    return jax.nn.sigmoid(o) * jnp.tanh(c), c


def _simple_rnn(state: Any, a: Any, recurrent_kernel: Any, _: Any) -> Any:
    return (jnp.tanh(a + state[0] @ recurrent_kernel),)


CELLS = {"gru": (_gru, 1), "lstm": (_lstm, 2), "simple_rnn": (_simple_rnn, 1)}  # and their states


def _given(arrays: Arrays) -> list[Any]:
    weights = [jnp.asarray(arrays[name]) for name in ("kernel", "recurrent_kernel", "bias")]
    return [_time_first(arrays["x"]), *weights]


def _time_first(a: np.ndarray) -> Any:
    return jnp.asarray(np.ascontiguousarray(a.swapaxes(0, 1)))


def _batch_first(a: Any) -> np.ndarray:
    return np.asarray(a).swapaxes(0, 1)
