"""Dropout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastgru import _random
from fastgru._numbers import checked_rate
from fastgru.layers.arguments import Shape, checked_shape
from fastgru.layers.base import Layer


class Dropout(Layer):
    """Sets a random share of its input to zero in training and scales the rest by ``1/(1-rate)``.

    Parameters
    ----------
    rate : float
        The share to drop, from 0 to 1.
    noise_shape : sequence of int or None, optional
        The shape of what is drawn: 1 along an axis drops or keeps all of it together, None stands
        for the size of the input. ``(None, 1, None)`` drops whole features of a sequence.
    seed : int, optional
        Begins the layer's own generator; otherwise drawn from the common one.
    **common
        name, dtype: see :class:`Layer`.

    Raises
    ------
    ValueError
        If `rate` lies outside [0, 1].
    """

    supports_masking = True
    fixed_at_once = True

    def __init__(
        self,
        rate: float,
        noise_shape: Sequence[int | None] | None = None,
        seed: int | None = None,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.rate = checked_rate("rate", rate)
        self.noise_shape = (
            None if noise_shape is None else checked_shape("noise_shape", noise_shape)
        )
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
        scale = self.seed_generator.keep(self._drawn_shape(x.shape), self.rate, x.dtype)
        return x * scale, scale

    def _drawn_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        noise = self.noise_shape
        if noise is None:
            return shape
        fits = len(noise) == len(shape) and all(
            n in (None, 1, size) for n, size in zip(noise, shape, strict=True)
        )
        if not fits:
            raise ValueError(
                f"{self.name}: noise_shape: {noise} does not fit an input of shape {shape}"
            )
        return tuple(size if n is None else n for n, size in zip(noise, shape, strict=True))

    def backward(self, dy: Any, cache: Any, *, accumulate: bool = False) -> Any:
        """Return dx."""
        return dy if cache is None else dy * cache


class SpatialDropout1D(Dropout):
    """Drops whole features of a sequence: (B, T, F), the same ones in every step of a row.

    Parameters
    ----------
    rate : float
        The share to drop, from 0 to 1.
    seed : int, optional
        Begins the layer's own generator; otherwise drawn from the common one.
    **common
        name, dtype: see :class:`Layer`.

    Raises
    ------
    ValueError
        If `rate` lies outside [0, 1].
    """

    def __init__(self, rate: float, seed: int | None = None, **common: Any) -> None:
        super().__init__(rate, (None, 1, None), seed, **common)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Shape:
        """Return the shape as it is."""
        self.expect_rank(input_shape, 3, "(batch, time, features)")
        return tuple(input_shape)
