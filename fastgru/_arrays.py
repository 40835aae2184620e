"""What a user passes as data, turned into the arrays that the operations expect."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]


def to_array(name: str, value: Any) -> np.ndarray:
    """Return a value as a numeric array.

    Raises
    ------
    TypeError
        If it does not hold real numbers, or has a mask, which would be ignored.
    ValueError
        If its rows have different lengths.
    """
    subclass = isinstance(value, np.ndarray) and type(value) is not np.ndarray
    if subclass and isinstance(value, np.ma.MaskedArray):  # numpy.ma takes time to load
        raise TypeError(f"{name}: expected an array without a mask; see its method filled")
    try:
        array = np.asarray(value)
    except ValueError:
        raise ValueError(
            f"{name}: rows have different lengths; pad them with pad_sequences"
        ) from None
    if array.dtype.kind not in "fiub":
        got = f"an array of {array.dtype}" if array.ndim else type(value).__name__
        raise TypeError(f"{name}: expected real numbers, got {got}")
    return array


def to_floats(name: str, value: Any, dtype: np.dtype) -> np.ndarray:
    """Return a value as an array of a floating dtype; raises as :func:`to_array`."""
    return to_array(name, value).astype(dtype, copy=False)


def to_ids(name: str, value: Any, input_dim: int) -> np.ndarray:
    """Return ids as an int64 array, checked to lie in ``[0, input_dim)``.

    Whole numbers in a floating dtype are accepted, as Keras accepts them.

    Raises
    ------
    TypeError, ValueError
        As :func:`to_array`; ValueError also for fractions and for ids out of range.
    """
    array = to_array(name, value)
    if array.dtype.kind == "f":
        _refuse_first(name, array, ~(np.floor(array) == array), "whole numbers")
    if array.size and (array.min() < 0 or array.max() >= input_dim):
        _refuse_first(name, array, (array < 0) | (array >= input_dim), f"ids in [0, {input_dim})")
    return array.astype(np.int64, copy=False)


def _refuse_first(name: str, array: np.ndarray, wrong: np.ndarray, expected: str) -> None:
    if wrong.any():
        where = first(wrong)
        raise misplaced(f"{name}: expected {expected}, got {array[where]}", where)


# ---- where something wrong is --------------------------------------------------------------------


def first(wrong: np.ndarray) -> tuple[int, ...]:
    """Return where the first True is."""
    return tuple(map(int, np.argwhere(wrong)[0]))


def misplaced(what: str, place: Any) -> ValueError:
    """Return an error that says what is wrong at a place, such as in an array."""
    error = ValueError(f"{what} at {place}")
    vars(error).update(what=what, place=place)
    return error


def told_of(error: ValueError, where: Callable[[tuple[int, ...]], Any]) -> ValueError:
    """Return an error of :func:`misplaced` that says another place; others as they are.

    For arrays that were made of what a user gave, who knows nothing of their rows.
    """
    known = vars(error)
    return misplaced(known["what"], where(known["place"])) if "place" in known else error


def renamed(error: Exception, old: str, new: str) -> Exception:
    """Return an error with another name at the beginning of what it says."""
    found = type(error)(new + str(error).removeprefix(old))
    vars(found).update(vars(error))
    if "what" in vars(found):
        vars(found)["what"] = new + vars(found)["what"].removeprefix(old)
    return found
