"""The same numbers in another shape."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastgru.layers.arguments import Shape, checked_size
from fastgru.layers.base import Layer
from fastgru.layers.padding import own_steps


def _sizes(name: str, given: Any) -> Sequence[Any]:
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise TypeError(f"{name}: expected a tuple of integers, got {given!r}")
    return given


class Rearranging(Layer):
    """The base of layers after which steps are no longer along the time axis."""

    def mask_of_output(self, x: Any, mask: Any, cache: Any) -> Any:
        """Return None, with a warning; refuse steps that a model has padded samples with.

        Raises
        ------
        ValueError
            If there are any: nothing after the layer could tell them from the samples' own.
        """
        own = own_steps(mask)
        if own is not None and not own.all():
            raise ValueError(
                f"{self.name} ({type(self).__name__}): expected samples of one length, as it moves "
                f"steps to other places, got lengths from {own.sum(1).min()} to {own.shape[1]}; "
                "pad them with pad_sequences"
            )
        return super().mask_of_output(x, mask, cache)


class RepeatVector(Layer):
    """Repeats a vector as the steps of a sequence: (B, F) → (B, n, F).

    Parameters
    ----------
    n : int
        The number of steps.
    **common
        name, dtype: see :class:`Layer`.
    """

    def __init__(self, n: int, **common: Any) -> None:
        super().__init__(**common)
        self.n = checked_size("n", n)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Shape:
        """Return (B, n, F)."""
        self.expect_rank(input_shape, 2, "(batch, features)")
        return (input_shape[0], self.n, input_shape[1])

    def forward(self, x: Any, *, training: bool = False, mask: Any = None) -> tuple[Any, Any]:
        """Return the vectors, repeated."""
        return np.repeat(x[:, None], self.n, axis=1), None

    def backward(self, dy: Any, cache: Any, *, accumulate: bool = False) -> Any:
        """Return dx."""
        return dy.sum(axis=1)


class Reshape(Rearranging):
    """Gives each sample another shape.

    Parameters
    ----------
    target_shape : sequence of int
        The shape, without the batch; one size may be -1, whatever is left.
    **common
        name, dtype: see :class:`Layer`.
    """

    def __init__(self, target_shape: Sequence[int], **common: Any) -> None:
        super().__init__(**common)
        self.target_shape = tuple(
            size if size == -1 else checked_size("target_shape", size)
            for size in _sizes("target_shape", target_shape)
        )
        if self.target_shape.count(-1) > 1:
            raise ValueError(f"target_shape: expected at most one -1, got {self.target_shape}")

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Shape:
        """Return the shape, with -1 resolved if the input's sizes are known."""
        batch, *sizes = input_shape
        known = math.prod(size for size in self.target_shape if size != -1)
        if None in sizes:
            return (batch, *(None if size == -1 else size for size in self.target_shape))
        count = math.prod(size for size in sizes if size is not None)
        if count % known or (-1 not in self.target_shape and count != known):
            raise ValueError(
                f"{self.name}: target_shape: {self.target_shape} does not hold the {count} numbers "
                f"of a sample in an input of shape {tuple(input_shape)}"
            )
        return (batch, *(count // known if size == -1 else size for size in self.target_shape))

    def forward(self, x: Any, *, training: bool = False, mask: Any = None) -> tuple[Any, Any]:
        """Return the input in its new shape."""
        return x.reshape(self.compute_output_shape(x.shape)), x.shape if training else None

    def backward(self, dy: Any, cache: Any, *, accumulate: bool = False) -> Any:
        """Return dx."""
        return dy.reshape(cache)


class Flatten(Rearranging):
    """Makes each sample one vector.

    Parameters
    ----------
    **common
        name, dtype: see :class:`Layer`.
    """

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Shape:
        """Return (B, all numbers of a sample)."""
        if not input_shape:
            raise ValueError(f"{self.name}: expected at least 1 dimension (batch, …), got shape ()")
        batch, *sizes = input_shape
        return (batch, None if None in sizes else math.prod(s for s in sizes if s is not None))

    def forward(self, x: Any, *, training: bool = False, mask: Any = None) -> tuple[Any, Any]:
        """Return the input, flat."""
        return x.reshape(self.compute_output_shape(x.shape)), x.shape if training else None

    def backward(self, dy: Any, cache: Any, *, accumulate: bool = False) -> Any:
        """Return dx."""
        return dy.reshape(cache)


class Permute(Rearranging):
    """Exchanges axes.

    Parameters
    ----------
    dims : sequence of int
        Which axis comes where: ``(2, 1)`` exchanges the first two after the batch's, which is 0.
    **common
        name, dtype: see :class:`Layer`.
    """

    def __init__(self, dims: Sequence[int], **common: Any) -> None:
        super().__init__(**common)
        self.dims = tuple(checked_size("dims", axis) for axis in _sizes("dims", dims))
        if sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            raise ValueError(f"dims: expected 1 to the number of axes, in any order, got {dims!r}")

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Shape:
        """Return the sizes in their new order."""
        self.expect_rank(input_shape, len(self.dims) + 1, f"(batch, and {len(self.dims)} more)")
        return (input_shape[0], *(input_shape[i] for i in self.dims))

    def forward(self, x: Any, *, training: bool = False, mask: Any = None) -> tuple[Any, Any]:
        """Return the input with axes exchanged."""
        return np.ascontiguousarray(x.transpose(0, *self.dims)), None

    def backward(self, dy: Any, cache: Any, *, accumulate: bool = False) -> Any:
        """Return dx."""
        return dy.transpose(np.argsort((0, *self.dims)))
