"""Several inputs to one: side by side, or summed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np

from fastgru.layers.arguments import Shape
from fastgru.layers.base import Layer
from fastgru.layers.padding import own_of_any, own_steps, with_own


class Merge(Layer):
    """The base of layers that take a list of inputs and return one output."""

    supports_masking = True

    def convert(self, name: str, x: Any) -> list[np.ndarray]:
        """Return the inputs as arrays."""
        if not isinstance(x, list | tuple):
            raise TypeError(
                f"{self.name}: {name}: expected a list of arrays, got {type(x).__name__}"
            )
        return [super(Merge, self).convert(f"{name}[{i}]", a) for i, a in enumerate(x)]

    def compute_output_shape(self, input_shape: Any) -> Shape:
        """Return the shape of the output for those of the inputs."""
        if not isinstance(input_shape, list) or not input_shape:
            raise ValueError(
                f"{self.name}: expected a list of at least one input, got shape {input_shape}"
            )
        shapes = [tuple(shape) for shape in input_shape]
        if len({shape[0] for shape in shapes} - {None}) > 1:
            raise ValueError(f"{self.name}: expected inputs of one batch size, got shapes {shapes}")
        return self.merged_shape(shapes)

    def merged_shape(self, shapes: list[Shape]) -> Shape:
        """Return the shape of the output for those of the inputs, whose batch sizes agree."""
        raise NotImplementedError


class Concatenate(Merge):
    """Puts inputs side by side.

    Parameters
    ----------
    axis : int, default -1
        Along which axis. The sizes of all others are equal.
    **common
        name, dtype: see :class:`Layer`.
    """

    def __init__(self, axis: int = -1, **common: Any) -> None:
        super().__init__(**common)
        if isinstance(axis, bool) or not isinstance(axis, int | np.integer):
            raise TypeError(f"axis: expected an integer, got {axis!r}")
        self.axis = int(axis)

    def merged_shape(self, shapes: list[Shape]) -> Shape:
        """Return the shape of the first input, with the sum of the sizes along the axis."""
        rank = len(shapes[0])
        fits = all(len(shape) == rank for shape in shapes) and -rank <= self.axis < rank
        axis = self.axis % rank if fits else 0
        if not fits or not axis:
            raise ValueError(
                f"{self.name}: expected inputs with an axis {self.axis} beside that of the batch, "
                f"as many axes in each, got shapes {shapes}"
            )
        merged = list(shapes[0])
        for i in range(1, rank):
            sizes = [shape[i] for shape in shapes]
            known = {size for size in sizes if size is not None}
            if i == axis:
                merged[i] = None if None in sizes else sum(known and sizes)  # type: ignore[arg-type]
            elif len(known) > 1:
                raise ValueError(
                    f"{self.name}: expected inputs of equal sizes but for axis {self.axis}, "
                    f"got shapes {shapes}"
                )
            elif known:
                merged[i] = known.pop()
        return tuple(merged)

    def compute_mask(self, x: Any, mask: Any = None) -> Any:
        """Return the masks side by side along a time axis; along features, where any is valid."""
        if mask is None or all(m is None for m in mask):
            return None
        own = own_of_any(mask) if self.axis in (-1, x[0].ndim - 1) else self._joined_own(x, mask)
        valid = self._joined(x, mask)
        return valid if own is None else with_own(valid & own, own)

    def _joined(self, x: Any, masks: Sequence[Any]) -> Any:
        joined = []
        for a, m in zip(x, masks, strict=True):
            if m is None:
                m = np.ones(a.shape, bool)
            joined.append(m if m.ndim == a.ndim else np.broadcast_to(m[..., None], a.shape))
        return np.concatenate(joined, axis=self.axis).any(-1)

    def _joined_own(self, x: Any, masks: Sequence[Any]) -> np.ndarray | None:
        own = [own_steps(m) for m in masks]
        return None if all(steps is None for steps in own) else self._joined(x, own)

    def forward(self, x: Any, *, training: bool = False, mask: Any = None) -> tuple[Any, Any]:
        """Return the inputs side by side."""
        ends = np.cumsum([a.shape[self.axis] for a in x])[:-1]
        return np.concatenate(x, axis=self.axis), ends if training else None

    def backward(self, dy: Any, cache: Any, *, accumulate: bool = False) -> Any:
        """Return each input's part of dy."""
        return np.split(dy, cache, axis=self.axis)


class Add(Merge):
    """Sums inputs of one shape, or of shapes that NumPy can broadcast along the axes but the first.

    Parameters
    ----------
    **common
        name, dtype: see :class:`Layer`.
    """

    def merged_shape(self, shapes: list[Shape]) -> Shape:
        """Return the shape that all inputs are broadcast to."""
        rank = len(shapes[0])
        if any(len(shape) != rank for shape in shapes):
            raise ValueError(
                f"{self.name}: expected inputs with as many axes in each, got shapes {shapes}"
            )
        merged: list[int | None] = []
        for sizes in zip(*shapes, strict=True):
            known = {size for size in sizes if size not in (None, 1)}
            if len(known) > 1:
                raise ValueError(
                    f"{self.name}: expected inputs of one shape, or with sizes of 1, "
                    f"got shapes {shapes}"
                )
            merged.append(known.pop() if known else None if None in sizes else 1)
        return tuple(merged)

    def compute_mask(self, x: Any, mask: Any = None) -> Any:
        """Return where any input is valid; if one has no mask, all but what a model has padded."""
        if mask is None:
            return None
        own = own_of_any(mask)
        if any(m is None for m in mask):
            return with_own(own, own)
        return with_own(reduce(np.logical_or, mask), own)

    def forward(self, x: Any, *, training: bool = False, mask: Any = None) -> tuple[Any, Any]:
        """Return the sum."""
        return sum(x[1:], x[0]), [a.shape for a in x] if training else None

    def backward(self, dy: Any, cache: Any, *, accumulate: bool = False) -> Any:
        """Return dy for each input, summed along the axes that it was broadcast along."""
        return [_summed_to(dy, shape) for shape in cache]


def _summed_to(dy: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    axes = tuple(i for i, size in enumerate(shape) if size != dy.shape[i])
    return dy.sum(axis=axes, keepdims=True) if axes else dy


def add(inputs: Sequence[Any], **common: Any) -> Any:
    """Return the sum of inputs: :class:`Add`, called at once."""
    return Add(**common)(inputs)


def concatenate(inputs: Sequence[Any], axis: int = -1, **common: Any) -> Any:
    """Return inputs joined along an axis: :class:`Concatenate`, called at once."""
    return Concatenate(axis=axis, **common)(inputs)
