"""The source of randomness: one generator for the process, begun anew by `set_random_seed`."""

from __future__ import annotations

import operator
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

_generator: np.random.Generator | None = None
_of_this_thread: ContextVar[np.random.Generator | None] = ContextVar("generator", default=None)
_WORD = 2**64 - 1
_forks = 0  # of this process, its parent, and so on


def generator() -> np.random.Generator:
    """Return the generator that initial weights, shuffles and dropout draw from."""
    global _generator
    own = _of_this_thread.get()
    if own is not None:
        return own
    if _generator is None:
        _generator = np.random.default_rng()
    return _generator


def begin(seed: int) -> None:
    """Begin the generator anew."""
    global _generator
    _generator = np.random.default_rng(seed)


@contextmanager
def drawing_from(own: np.random.Generator) -> Iterator[None]:
    """Draw from another generator inside a ``with`` block, in this thread only."""
    token = _of_this_thread.set(own)
    try:
        yield
    finally:
        _of_this_thread.reset(token)


def own_generator(seed: int | None) -> np.random.Generator:
    """Return a generator of the caller's own, begun from `seed` or else from the common one."""
    return np.random.default_rng(generator().integers(2**63) if seed is None else seed)


def _unlocked(locked: np.random.Generator) -> np.random.Generator:
    """Return a generator at the same place, with a lock that nobody holds."""
    twin = np.random.Generator(type(locked.bit_generator)())
    twin.bit_generator.state = locked.bit_generator.state
    return twin


def _begin_anew() -> None:
    """Replace, in a forked child, locks that threads of its parent may have held."""
    global _forks, _generator
    _forks += 1
    if _generator is not None:
        _generator = _unlocked(_generator)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)


class SeedGenerator:
    """A generator whose place in its sequence can be saved and taken up again.

    Parameters
    ----------
    seed : int, optional
        Where the sequence begins; otherwise drawn from the common generator.
    """

    def __init__(self, seed: int | None = None) -> None:
        self.generator = own_generator(seed)
        self._made_after = _forks

    def keep(self, shape: tuple[int, ...], rate: float, dtype: np.dtype[Any]) -> np.ndarray:
        """Draw the factors of dropout: 0 for a share `rate`, 1 / (1 - rate) for the others."""
        if self._made_after != _forks:
            self.generator, self._made_after = _unlocked(self.generator), _forks
        kept = self.generator.random(shape, dtype=np.float32) >= rate
        return np.asarray(kept * dtype.type(1 / (1 - rate) if rate < 1 else 0))

    @property
    def state(self) -> np.ndarray:
        """The place in the sequence: six numbers, uint64."""
        found: Any = self.generator.bit_generator.state
        state, inc = found["state"]["state"], found["state"]["inc"]
        words = (state >> 64, state & _WORD, inc >> 64, inc & _WORD)
        return np.array([*words, found["has_uint32"], found["uinteger"]], np.uint64)

    @state.setter
    def state(self, numbers: Any) -> None:
        words = [int(n) for n in np.asarray(numbers).ravel()]
        if len(words) != 6:
            raise ValueError(f"state: expected 6 numbers, got {len(words)}")
        self.generator.bit_generator.state = {
            "bit_generator": "PCG64",
            "state": {"state": words[0] << 64 | words[1], "inc": words[2] << 64 | words[3]},
            "has_uint32": words[4],
            "uinteger": words[5],
        }


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
