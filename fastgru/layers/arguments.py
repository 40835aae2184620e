"""Checks of what layers are given: sizes, shapes, dtypes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastgru import activations
from fastgru.activations import Activation
from fastgru.backend import floatx
from fastgru.layers.padding import PaddingMask

Shape = tuple[int | None, ...]


def checked_dtype(dtype: Any) -> np.dtype:
    """Return the dtype of a layer.

    Raises
    ------
    ValueError
        If it is neither float32 nor float64.
    """
    try:
        found = np.dtype(floatx() if dtype is None else dtype)
    except TypeError:
        found = None
    if found is None or found not in (np.float32, np.float64):
        raise ValueError(f"dtype: expected 'float32' or 'float64', got {dtype!r}")
    return np.dtype(found.name)


def for_operations(activation: Activation) -> str | Activation:
    """Return an activation as operations take it: the name of a known one, or one's own itself."""
    known = getattr(activations, activation.name, None) is activation
    return activation.name if known else activation


def checked_size(name: str, value: Any) -> int:
    """Return a size as an int.

    Raises
    ------
    TypeError
        If it is not an integer.
    ValueError
        If it is below 1, or more than any array could have.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name}: expected a positive integer, got {value!r}")
    if value < 1:
        raise ValueError(f"{name}: expected a positive integer, got {value}")
    if value >= 2**31:
        raise ValueError(f"{name}: expected an integer below 2**31, got {value}")
    return int(value)


def checked_shape(name: str, shape: Any) -> Shape:
    """Return a shape as a tuple of positive ints and None.

    Raises
    ------
    TypeError, ValueError
        If it is not a sequence of these.
    """
    if isinstance(shape, str) or not isinstance(shape, Sequence):
        raise TypeError(f"{name}: expected a tuple of sizes such as (10, 8), got {shape!r}")
    return tuple(None if size is None else checked_size(name, size) for size in shape)


def is_nested_shape(shape: Sequence[Any]) -> bool:
    """Tell a list of shapes, of several inputs, from one shape; TypeError if it is neither."""
    if not isinstance(shape, tuple | list):
        raise TypeError(f"input_shape: expected a tuple of sizes such as (10, 8), got {shape!r}")
    return bool(len(shape)) and isinstance(shape[0], tuple | list)


def first_shape(
    input_shape: Sequence[int | None] | None, batch_input_shape: Sequence[int | None] | None
) -> Shape | None:
    """Return the shape of a batch that a model's first layer was told to expect."""
    if batch_input_shape is not None:
        return checked_shape("batch_input_shape", batch_input_shape)
    if input_shape is not None:
        return (None, *checked_shape("input_shape", input_shape))
    return None


def checked_mask(owner: str, mask: Any) -> np.ndarray:
    """Return a mask as an array of bool, of any shape.

    Raises
    ------
    TypeError
        If it holds anything but booleans.
    ValueError
        If its rows have different lengths.
    """
    try:
        array = mask if isinstance(mask, PaddingMask) else np.asarray(mask)
    except ValueError:
        raise ValueError(
            f"{owner}: mask: expected an array of booleans, got rows of different lengths"
        ) from None
    if array.dtype != bool:
        raise TypeError(f"{owner}: mask: expected booleans, True where valid, got {array.dtype}")
    return array
