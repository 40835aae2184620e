"""Single numbers that a user passes as arguments, checked."""

from __future__ import annotations

from typing import Any

import numpy as np


def is_number(value: Any) -> bool:
    """Tell whether a value is a real number; a bool is none."""
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def checked_count(name: str, value: Any, default: int | None = None, least: int = 1) -> int:
    """Return a number of things as an int, or the default, if there is one, for None.

    Raises
    ------
    TypeError
        If it is not an integer.
    ValueError
        If it is too small.
    """
    if value is None and default is not None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name}: expected an integer, got {value!r}")
    if value < least:
        raise ValueError(f"{name}: expected at least {least}, got {value}")
    return int(value)


def optional_count(name: str, value: Any) -> int | None:
    """Return a number of things or None; raises as :func:`checked_count`."""
    return None if value is None else checked_count(name, value)


def checked_rate(name: str, value: Any) -> float:
    """Return a share to drop as a float.

    Raises
    ------
    TypeError
        If it is not a number.
    ValueError
        If it lies outside [0, 1].
    """
    if not is_number(value):
        raise TypeError(f"{name}: expected a number from 0 to 1, got {value!r}")
    if not 0 <= value <= 1:
        raise ValueError(f"{name}: expected a number from 0 to 1, got {value!r}")
    return float(value)
