"""The source of randomness: one generator for the process, begun anew by `set_random_seed`."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

_generator: np.random.Generator | None = None


def generator() -> np.random.Generator:
    """Return the generator that initial weights, shuffles and dropout draw from."""
    global _generator
    if _generator is None:
        _generator = np.random.default_rng()
    return _generator


def begin(seed: int) -> None:
    """Begin the generator anew."""
    global _generator
    _generator = np.random.default_rng(seed)


def own_generator(seed: int | None) -> np.random.Generator:
    """Return a generator of the caller's own, begun from `seed` or else from the common one."""
    return np.random.default_rng(generator().integers(2**63) if seed is None else seed)


def checked_seed(seed: Any) -> int:
    """Return a seed as an int.

    Raises
    ------
    TypeError
        If it is not an integer.
    ValueError
        If it is negative.
    """
    try:
        seed = operator.index(seed)
    except TypeError:
        raise TypeError(f"seed: expected an integer, got {seed!r}") from None
    if seed < 0:
        raise ValueError(f"seed: expected an integer of at least 0, got {seed}")
    return int(seed)
