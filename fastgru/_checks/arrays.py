"""Checks of arrays and numbers, which those of the operations are made of."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from numpy import ndarray

from .._arrays import Array

_F32 = np.dtype(np.float32)
_F64 = np.dtype(np.float64)
_INTS = (np.dtype(np.int64), np.dtype(np.int32))


# ---- arrays --------------------------------------------------------------------------------------


def array(name: str, a: object, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    """Require `a` to be an array of exactly this dtype and shape."""
    if type(a) is ndarray and a.dtype is dtype and a.shape == shape:
        return
    a = numpy_array(name, a)
    if a.dtype != dtype:
        raise TypeError(f"{name}: expected dtype {dtype}, got {dtype_name(a.dtype)}")
    if a.shape != shape:
        raise ValueError(f"{name}: expected shape {shape}, got {a.shape}")


def floating(name: str, a: object) -> np.dtype[Any]:
    """Require a float32 or float64 array of any shape and return its dtype."""
    if type(a) is ndarray:
        dtype: np.dtype[Any] = a.dtype
        if dtype is _F32 or dtype is _F64:
            return dtype
    a = numpy_array(name, a)
    for known in (_F32, _F64):
        if a.dtype == known:
            return known
    raise TypeError(f"{name}: expected dtype float32 or float64, got {dtype_name(a.dtype)}")


def numpy_array(name: str, a: object) -> Array:
    # A masked array's mask would be ignored, a matrix multiplies differently.
    if not isinstance(a, ndarray) or isinstance(a, np.ma.MaskedArray | np.matrix):
        raise TypeError(f"{name}: expected numpy.ndarray, got {type_name(a)}")
    return a


def type_name(a: object) -> str:
    if a is None:
        return "None"
    kind = type(a)
    return (
        kind.__qualname__
        if kind.__module__ == "builtins"
        else f"{kind.__module__}.{kind.__qualname__}"
    )


def dtype_name(dtype: np.dtype[Any]) -> str:
    return str(dtype) if dtype.isnative else f"{dtype.name} with swapped bytes ({dtype.str})"


def integers(name: str, a: object) -> np.dtype[Any]:
    """Require an int32 or int64 array of any shape and return its dtype."""
    dtype = (a if type(a) is ndarray else numpy_array(name, a)).dtype
    if dtype not in _INTS:
        raise TypeError(f"{name}: expected dtype int32 or int64, got {dtype_name(dtype)}")
    return dtype


def writable(name: str, a: Any, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    """Require an array that a result of this dtype and shape can be written into as a whole."""
    array(name, a, dtype, shape)
    flags = a.flags
    if not flags.c_contiguous:
        raise ValueError(f"{name}: expected a C-contiguous array, got strides {a.strides}")
    if not flags.aligned:
        raise ValueError(f"{name}: expected an aligned array, got one at an odd address")
    if not flags.writeable:
        raise ValueError(f"{name}: expected a writable array, got a read-only one")


def gradients(
    names: str, out: Any, shapes: tuple[tuple[int, ...] | None, ...], dtype: np.dtype[Any]
) -> None:
    """Require `out` to be arrays for gradients of these shapes, None where the shape is None."""
    if not isinstance(out, tuple | list):
        raise TypeError(f"out: expected a tuple {names}, got {type_name(out)}")
    if len(out) != len(shapes):
        raise ValueError(f"out: expected {len(shapes)} items {names}, got {len(out)}")
    for i, shape in enumerate(shapes):
        if shape is not None:
            writable(f"out[{i}]", out[i], dtype, shape)
        elif out[i] is not None:
            got = type_name(out[i])
            raise ValueError(f"out[{i}]: expected None, as there is no bias, got {got}")


# ---- numbers -------------------------------------------------------------------------------------


def number(name: str, value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise TypeError(f"{name}: expected a number, got {type_name(value)}") from None
    except OverflowError:
        raise ValueError(f"{name}: expected a finite number, got a larger one") from None


def integer(name: str, value: Any) -> int:
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{name}: expected an integer, got {type_name(value)}") from None


# ---- caches --------------------------------------------------------------------------------------


def cache(given: object, expected: type, operation: str) -> None:
    """Require the cache that `operation` returns when it is called with training=True."""
    if type(given) is expected:
        return
    if given is None:
        raise TypeError(f"cache: got None; call {operation} with training=True to get one")
    raise TypeError(f"cache: expected the cache of {operation}, got {type_name(given)}")
