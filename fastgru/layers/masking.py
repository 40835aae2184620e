"""A mask made from the data: steps that hold one value only are not valid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastgru._numbers import is_number
from fastgru.layers.arguments import Shape
from fastgru.layers.base import Layer
from fastgru.layers.padding import own_steps, with_own


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
        self.masks_nan = math.isnan(mask_value)  # NaN equals nothing, itself included

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

        Only what a model has padded itself is never valid.
        """
        differs = ~np.isnan(x) if self.masks_nan else x != self.mask_value
        valid, own = differs.any(-1), own_steps(mask)
        return valid if own is None else with_own(valid & own, own)

    def forward(self, x: Any, *, training: bool = False, mask: Any = None) -> tuple[Any, Any]:
        """Return the input with masked steps set to zero."""
        kept = np.asarray(self.compute_mask(x, mask))[..., None]
        return np.where(kept, x, 0).astype(x.dtype, copy=False), kept if training else None

    def backward(self, dy: Any, cache: Any, *, accumulate: bool = False) -> Any:
        """Return dx."""
        return dy * cache
