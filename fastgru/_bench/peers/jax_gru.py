"""A GRU in JAX: one product for all inputs, lax.scan over the steps, compiled by jit."""

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


def infer(arrays: Arrays, threads: int) -> Job:
    """Run forward, time first."""
    given = _given(arrays)
    compiled = jax.jit(_forward)
    return lambda: compiled(*given).block_until_ready(), lambda y: {"y": _batch_first(y)}


def train(arrays: Arrays, threads: int) -> Job:
    """Run forward and backward, time first."""
    given, dy = _given(arrays), _time_first(arrays["dy"])

    @jax.jit
    def step(dy: Any, *given: Any) -> Any:
        y, backward = jax.vjp(_forward, *given)
        return y, *backward(dy)

    def results(values: Any) -> Arrays:
        y, dx, *weights = values
        names = ("dkernel", "drecurrent_kernel", "dbias")
        gradients = {name: np.asarray(a) for name, a in zip(names, weights, strict=True)}
        return {"y": _batch_first(y), "dx": _batch_first(dx)} | gradients

    return lambda: jax.block_until_ready(step(dy, *given)), results


def step(arrays: Arrays, threads: int) -> Job:
    """Take a training step of a whole model, time first, all of it in one compiled function."""
    names = ("table", "kernel", "recurrent_kernel", "bias", "dense_kernel", "dense_bias")
    ids, labels = jnp.asarray(arrays["ids"].T), jnp.asarray(arrays["labels"])

    def loss(weights: Any, ids: Any, labels: Any) -> Any:
        table, *gru, dense_kernel, dense_bias = weights
        logits = _forward(table[ids], *gru)[-1] @ dense_kernel + dense_bias
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


def _forward(x: Any, kernel: Any, recurrent_kernel: Any, bias: Any) -> Any:
    T, B, _ = x.shape
    H = len(recurrent_kernel)

    def step(h: Any, a: Any) -> Any:
        u = h @ recurrent_kernel + bias[1]
        z = jax.nn.sigmoid(a[:, :H] + u[:, :H])
        r = jax.nn.sigmoid(a[:, H : 2 * H] + u[:, H : 2 * H])
        n = jnp.tanh(a[:, 2 * H :] + r * u[:, 2 * H :])
        h = z * h + (1 - z) * n
        return h, h

    return jax.lax.scan(step, jnp.zeros((B, H), x.dtype), x @ kernel + bias[0])[1]


def _given(arrays: Arrays) -> list[Any]:
    weights = [jnp.asarray(arrays[name]) for name in ("kernel", "recurrent_kernel", "bias")]
    return [_time_first(arrays["x"]), *weights]


def _time_first(a: np.ndarray) -> Any:
    return jnp.asarray(np.ascontiguousarray(a.swapaxes(0, 1)))


def _batch_first(a: Any) -> np.ndarray:
    return np.asarray(a).swapaxes(0, 1)
