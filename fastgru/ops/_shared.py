"""What the operations share: documentation, activations' numbers, arrays as C reads them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np

from .. import activations, reference
from .._arrays import Array
from ..activations import Activation

Function = TypeVar("Function", bound=Callable[..., Any])
Result = TypeVar("Result")
GivenArray = TypeVar("GivenArray", Array, Array | None)


def documented(function: Function) -> Function:
    """Give an operation the documentation of its twin in the reference."""
    function.__doc__ = getattr(reference, function.__name__).__doc__
    return function


def number_of(
    activation: str | Activation, numbers: Mapping[str, int], argument: str = "activation"
) -> int | None:
    """Return the number of an activation in C; None for a user's own, whatever its name."""
    if isinstance(activation, str) and activation in numbers:
        return numbers[activation]
    function = activations.get(activation, argument)
    number = numbers.get(function.name)
    return number if number is None or activations.get(function.name) is function else None


def contiguous(a: GivenArray) -> GivenArray:
    """Return an array that C can read as it is: itself, or a copy of one with other strides."""
    if a is None:
        return a
    flags = a.flags
    return a if flags.c_contiguous and flags.aligned else np.array(a, order="C")


def aligned(a: Array) -> Array:
    """Return an array that C can address: itself, or a copy of a field of packed records."""
    return a if a.flags.aligned else a.copy()


def contiguous_rows(a: GivenArray) -> GivenArray:
    """Do the same for an array that may have any strides but the last."""
    if a is None or (a.strides[-1] == a.itemsize and a.flags.aligned):
        return a
    return contiguous(a)


def plain(a: Any) -> Array:
    """Return an array that C takes as it is, no subclass: itself, a view or a copy."""
    return aligned(np.asarray(a, order="C"))


def taken(found: Result | None) -> Result:
    """Return what C made of arrays that were checked; refuse one that is not what it claims."""
    if found is None:
        raise ValueError("buffer: an array has not the shape or the kind of numbers that it claims")
    return found
