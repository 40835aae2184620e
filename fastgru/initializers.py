"""Initial values of weights, with Keras' names, defaults and recipes.

An initializer is called with a shape and a dtype. Those that draw take a `seed`: with one, every
call gives the same values; without, they draw from the generator that
:func:`fastgru.utils.set_random_seed` begins. Values are drawn in double precision and then rounded,
so that a seed gives the same weights in either precision.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from fastgru import _random
from fastgru._configurable import Configurable, Registry, describe, refuse_unknown

__all__ = [
    "Constant",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Initializer",
    "LecunNormal",
    "LecunUniform",
    "Ones",
    "Orthogonal",
    "RandomNormal",
    "RandomUniform",
    "TruncatedNormal",
    "VarianceScaling",
    "Zeros",
    "deserialize",
    "get",
    "serialize",
]


_skipped: ContextVar[bool] = ContextVar("fastgru_initializers_skipped", default=False)


@contextmanager
def skipped() -> Iterator[None]:
    """Make weights of zeros within a ``with`` block, at once: their values will be read."""
    token = _skipped.set(True)
    try:
        yield
    finally:
        _skipped.reset(token)


class Initializer(Configurable):
    """What every initializer is: a function of a shape that gives an array."""

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> np.ndarray:
        """Return new values.

        Parameters
        ----------
        shape : sequence of int
            The shape of the weight.
        dtype : dtype, default float32
            The dtype of the result.
        """
        if _skipped.get():
            return np.zeros(shape, np.dtype(dtype or np.float32))
        values = self.draw(tuple(shape))
        return np.ascontiguousarray(values, dtype=np.dtype(dtype or np.float32))

    def draw(self, shape: tuple[int, ...]) -> np.ndarray:
        """Return new values in double precision."""
        raise NotImplementedError


class Constant(Initializer):
    """The same value everywhere, or a given array.

    Parameters
    ----------
    value : float or array_like, default 0
        The value, or the values, of a shape that is or repeats to the weight's.
    """

    def __init__(self, value: Any = 0.0) -> None:
        self.value = value

    def draw(self, shape: tuple[int, ...]) -> np.ndarray:
        """Return the value, repeated."""
        values = np.asarray(self.value, dtype=np.float64)
        if values.ndim and values.shape != shape:
            raise ValueError(f"Constant: expected a value of shape {shape}, got {values.shape}")
        return np.broadcast_to(values, shape)


class Zeros(Initializer):
    """Zeros."""

    def draw(self, shape: tuple[int, ...]) -> np.ndarray:
        """Return zeros."""
        return np.zeros(shape)


class Ones(Initializer):
    """Ones."""

    def draw(self, shape: tuple[int, ...]) -> np.ndarray:
        """Return ones."""
        return np.ones(shape)


class _Random(Initializer):
    seed: int | None

    def generator(self) -> np.random.Generator:
        """Return the generator to draw from."""
        return _random.generator() if self.seed is None else np.random.default_rng(self.seed)


def _seed(seed: Any) -> int | None:
    return None if seed is None else _random.checked_seed(seed)


class RandomUniform(_Random):
    """Uniform in ``[minval, maxval)``.

    Parameters
    ----------
    minval, maxval : float, default -0.05 and 0.05
        The limits.
    seed : int, optional
        Makes every call give the same values.
    """

    def __init__(
        self, minval: float = -0.05, maxval: float = 0.05, seed: int | None = None
    ) -> None:
        self.minval = minval
        self.maxval = maxval
        self.seed = _seed(seed)

    def draw(self, shape: tuple[int, ...]) -> np.ndarray:
        """Return uniform values."""
        return self.generator().uniform(self.minval, self.maxval, shape)


class RandomNormal(_Random):
    """Normal.

    Parameters
    ----------
    mean, stddev : float, default 0 and 0.05
        The distribution's.
    seed : int, optional
        Makes every call give the same values.
    """

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        self.mean = mean
        self.stddev = stddev
        self.seed = _seed(seed)

    def draw(self, shape: tuple[int, ...]) -> np.ndarray:
        """Return normal values."""
        return self.generator().normal(self.mean, self.stddev, shape)


class TruncatedNormal(_Random):
    """Normal, with values beyond two standard deviations drawn again.

    Parameters
    ----------
    mean, stddev : float, default 0 and 0.05
        Those of the distribution before it is truncated.
    seed : int, optional
        Makes every call give the same values.
    """

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        self.mean = mean
        self.stddev = stddev
        self.seed = _seed(seed)

    def draw(self, shape: tuple[int, ...]) -> np.ndarray:
        """Return truncated normal values."""
        return self.mean + self.stddev * _truncated_normal(self.generator(), shape)


def _truncated_normal(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    values = generator.standard_normal(shape)
    while (beyond := np.abs(values) > 2).any():
        values[beyond] = generator.standard_normal(np.count_nonzero(beyond))
    return values


class VarianceScaling(_Random):
    """Random values whose variance follows the number of inputs and outputs of the weight.

    The fans of a kernel of several gates are those of the joined matrix, as in Keras: (I, 3H).

    Parameters
    ----------
    scale : float, default 1
        The variance is ``scale / fan``.
    mode : {"fan_in", "fan_out", "fan_avg"}, default "fan_in"
        Which fan: rows, columns, or their mean.
    distribution : {"truncated_normal", "untruncated_normal", "uniform"}
        The distribution.
    seed : int, optional
        Makes every call give the same values.

    Raises
    ------
    ValueError
        For a scale that is not positive, an unknown mode or an unknown distribution.
    """

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: int | None = None,
    ) -> None:
        if not scale > 0:
            raise ValueError(f"scale: expected a number above 0, got {scale!r}")
        _expect("mode", mode, ("fan_in", "fan_out", "fan_avg"))
        _expect("distribution", distribution, ("truncated_normal", "untruncated_normal", "uniform"))
        self.scale = scale
        self.mode = mode
        self.distribution = distribution
        self.seed = _seed(seed)

    def draw(self, shape: tuple[int, ...]) -> np.ndarray:
        """Return values scaled to the fans of `shape`."""
        fan_in, fan_out = _fans(shape)
        fans = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}
        variance = self.scale / max(1.0, fans[self.mode])
        if self.distribution == "uniform":
            limit = math.sqrt(3 * variance)
            return self.generator().uniform(-limit, limit, shape)
        if self.distribution == "untruncated_normal":
            return self.generator().normal(0, math.sqrt(variance), shape)
        # The deviation of a standard normal truncated at two: makes up for what truncation takes.
        stddev = math.sqrt(variance) / 0.87962566103423978
        return stddev * _truncated_normal(self.generator(), shape)


def _expect(name: str, value: Any, known: Sequence[str]) -> None:
    if value not in known:
        raise ValueError(f"{name}: expected one of {', '.join(known)}, got {value!r}")


def _fans(shape: tuple[int, ...]) -> tuple[int, int]:
    if len(shape) < 2:
        size = shape[0] if shape else 1
        return size, size
    field = math.prod(shape[:-2])
    return shape[-2] * field, shape[-1] * field


class _Scaled(VarianceScaling):
    """A variance scaling with a name of its own, that takes a seed alone."""

    rule: tuple[float, str, str]

    def __init__(self, seed: int | None = None, **unknown: Any) -> None:
        refuse_unknown(type(self), unknown)
        super().__init__(*self.rule, seed=seed)


class GlorotUniform(_Scaled):
    """Uniform with variance ``2 / (fan_in + fan_out)`` (Glorot and Bengio, 2010)."""

    rule = (1.0, "fan_avg", "uniform")


class GlorotNormal(_Scaled):
    """Truncated normal with variance ``2 / (fan_in + fan_out)`` (Glorot and Bengio, 2010)."""

    rule = (1.0, "fan_avg", "truncated_normal")


class HeUniform(_Scaled):
    """Uniform with variance ``2 / fan_in`` (He et al., 2015)."""

    rule = (2.0, "fan_in", "uniform")


class HeNormal(_Scaled):
    """Truncated normal with variance ``2 / fan_in`` (He et al., 2015)."""

    rule = (2.0, "fan_in", "truncated_normal")


class LecunUniform(_Scaled):
    """Uniform with variance ``1 / fan_in`` (LeCun et al., 1998)."""

    rule = (1.0, "fan_in", "uniform")


class LecunNormal(_Scaled):
    """Truncated normal with variance ``1 / fan_in`` (LeCun et al., 1998)."""

    rule = (1.0, "fan_in", "truncated_normal")


class Orthogonal(_Random):
    """A random matrix with orthogonal rows or columns, whichever are fewer (Saxe et al., 2014).

    The Q of a normal matrix' QR decomposition, with signs that make R's diagonal positive. Over a
    weight of several gates it is one matrix for all: (H, 3H) has H orthogonal rows.

    Parameters
    ----------
    gain : float, default 1
        A factor.
    seed : int, optional
        Makes every call give the same values.
    """

    def __init__(self, gain: float = 1.0, seed: int | None = None) -> None:
        self.gain = gain
        self.seed = _seed(seed)

    def draw(self, shape: tuple[int, ...]) -> np.ndarray:
        """Return an orthogonal matrix; leading axes count as rows."""
        if len(shape) < 2:
            raise ValueError(f"Orthogonal: expected at least 2 dimensions, got shape {shape}")
        rows, columns = math.prod(shape[:-1]), shape[-1]
        normal = self.generator().standard_normal((max(rows, columns), min(rows, columns)))
        q, r = np.linalg.qr(normal)
        q *= np.sign(np.diag(r))
        return self.gain * (q.T if rows < columns else q).reshape(shape)


_REGISTRY: Registry[Initializer] = Registry(
    "initializer",
    Initializer,
    [
        Constant,
        GlorotNormal,
        GlorotUniform,
        HeNormal,
        HeUniform,
        LecunNormal,
        LecunUniform,
        Ones,
        Orthogonal,
        RandomNormal,
        RandomUniform,
        TruncatedNormal,
        VarianceScaling,
        Zeros,
    ],
    {"uniform": RandomUniform, "normal": RandomNormal, "zero": Zeros, "one": Ones},
    unserved=("identity",),
)


def get(identifier: Any, argument: str = "initializer") -> Initializer:
    """Return the initializer of a name, a configuration, a class, or an instance itself.

    Parameters
    ----------
    identifier : str, dict, type or Initializer
        What to look up.
    argument : str, default "initializer"
        What error messages call it.

    Raises
    ------
    ValueError
        For an unknown name; the message lists the close ones.
    TypeError
        For anything else.
    """
    return _REGISTRY.get(identifier, argument)


def serialize(initializer: Initializer) -> dict[str, Any]:
    """Return the class name and the configuration of an initializer."""
    return describe(initializer)


def deserialize(config: Any) -> Initializer:
    """Return the initializer that :func:`serialize` described."""
    return get(config)
