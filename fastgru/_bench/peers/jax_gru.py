"""A GRU in JAX: one product for all inputs, lax.scan over the steps, compiled by jit."""

# mypy: disable-error-code="import-not-found,import-untyped,no-any-return,untyped-decorator"

from __future__ import annotations

from collections.abc import Callable
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
