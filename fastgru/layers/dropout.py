"""Dropout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastgru import _random
from fastgru._configurable import refuse
from fastgru.layers.base import Layer, Shape


class Dropout(Layer):
    """Sets a random share of its input to zero in training and scales the rest by ``1/(1-rate)``.

    Parameters
    ----------
    rate : float
        The share to drop, from 0 to 1.
    noise_shape : None
        Not served yet.
    seed : int, optional
        Begins the layer's own generator; otherwise drawn from the common one.
    **common
        name, dtype: see :class:`Layer`.

    Raises
    ------
    ValueError
        If `rate` lies outside [0, 1].
    """

    noise_shape = None

    def __init__(
        self, rate: float, noise_shape: Any = None, seed: int | None = None, **common: Any
    ) -> None:
        super().__init__(**common)
        refuse(type(self).__name__, noise_shape=noise_shape)
        if isinstance(rate, bool) or not isinstance(rate, int | float | np.number):
            raise TypeError(f"rate: expected a number from 0 to 1, got {rate!r}")
        if not 0 <= rate <= 1:
            raise ValueError(f"rate: expected a number from 0 to 1, got {rate!r}")
        self.rate = float(rate)
        self.seed = None if seed is None else _random.checked_seed(seed)
        self.seed_generator = _random.SeedGenerator(self.seed) if self.rate else None

    @property
    def seed_generators(self) -> list[_random.SeedGenerator]:
        """The generator that is drawn from, unless nothing is dropped."""
        return [] if self.seed_generator is None else [self.seed_generator]

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Shape:
        """Return the shape as it is."""
        return tuple(input_shape)

    def forward(self, x: Any, *, training: bool = False, mask: Any = None) -> tuple[Any, Any]:
        """Return the input, with a part dropped when training."""
        if not training or self.seed_generator is None:
            return x, None
        scale = self.seed_generator.keep(x.shape, self.rate, x.dtype)
        return x * scale, scale

    def backward(self, dy: Any, cache: Any, *, accumulate: bool = False) -> Any:
        """Return dx."""
        return dy if cache is None else dy * cache
