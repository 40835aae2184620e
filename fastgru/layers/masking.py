"""A mask made from the data: steps that hold one value only are not valid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastgru._arrays import to_array, to_ids
from fastgru._numbers import is_number
from fastgru.layers.arguments import Shape
from fastgru.layers.base import Layer
from fastgru.layers.padding import own_steps, with_own
from fastgru.layers.symbolic import is_symbolic


class Masking(Layer):
    """Masks the steps of which all features equal a value, and sets them to zero.

    Parameters
    ----------
    mask_value : float, default 0.0
        The value; NaN masks the steps of which all features are NaN.
    **common
        name, dtype: see :class:`Layer`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastgru.layers import Masking
    >>> x = np.array([[[1, 2], [0, 0]]], np.float32)
    >>> Masking().compute_mask(x)
    array([[ True, False]])
    """

    supports_masking = makes_mask = fixed_at_once = True

    def __init__(self, mask_value: float = 0.0, **common: Any) -> None:
        super().__init__(**common)
        if not is_number(mask_value):
            raise TypeError(f"mask_value: expected a number, got {mask_value!r}")
        self.mask_value = mask_value
        self.masks_nan = math.isnan(mask_value)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Shape:
        """Return the shape as it is."""
        if len(input_shape) < 2:
            raise ValueError(
                f"{self.name}: expected at least 2 dimensions (batch, …, features), "
                f"got shape {tuple(input_shape)}"
            )
        return tuple(input_shape)

    def compute_mask(self, x: Any, mask: Any = None) -> Any:
        """Return where any feature differs from the value; a mask of the input does not count.

        Only what a model has padded itself is never valid. The mask of a tensor of a functional
        model is such a tensor.
        """
        if is_symbolic(x):
            return NotEqual(self.mask_value, dtype=self.dtype)(x)
        x = to_array(f"{self.name}: inputs", x)
        valid, own = _differs(x, self.mask_value).any(-1), own_steps(mask)
        return valid if own is None else with_own(valid & own, own)

    def forward(self, x: Any, *, training: bool = False, mask: Any = None) -> tuple[Any, Any]:
        """Return the input with masked steps set to zero."""
        kept = np.asarray(self.compute_mask(x, mask))[..., None]
        return np.where(kept, x, 0).astype(x.dtype, copy=False), kept if training else None

    def backward(self, dy: Any, cache: Any, *, accumulate: bool = False) -> Any:
        """Return dx."""
        return dy * cache


class NotEqual(Layer):
    """What a mask is computed with in a functional model: 1 where the input differs from a value.

    Made by the `compute_mask` of layers, for the `mask` of others.

    Parameters
    ----------
    value : float
        The value.
    of_ids : bool, default False
        Whether each id is looked at; otherwise it is whether any of a step's features differs.
    **common
        name, dtype: see :class:`Layer`.
    """

    supports_masking = True

    def __init__(self, value: float, of_ids: bool = False, **common: Any) -> None:
        super().__init__(**common)
        self.value, self.of_ids = value, bool(of_ids)
        self.takes_ids = self.of_ids

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Shape:
        """Return the shape, without the features."""
        return tuple(input_shape) if self.of_ids else tuple(input_shape[:-1])

    def convert(self, name: str, x: Any) -> Any:
        """Return ids as integers, or features as the layer takes them."""
        return to_ids(name, x, 2**63 - 1) if self.of_ids else super().convert(name, x)

    def forward(self, x: Any, *, training: bool = False, mask: Any = None) -> tuple[Any, Any]:
        """Return the mask, as numbers."""
        differs = _differs(x, self.value)
        return (differs if self.of_ids else differs.any(-1)).astype(self._dtype), None

    def backward(self, dy: Any, cache: Any, *, accumulate: bool = False) -> Any:
        """Return None: there is no gradient."""
        return None


def _differs(x: np.ndarray, value: float) -> np.ndarray:
    """Return where numbers differ from a value; NaN, which equals nothing, does not from NaN."""
    differs: np.ndarray = ~np.isnan(x) if math.isnan(value) else x != value
    return differs
