"""Projections of weights, applied after every step of an optimizer, with Keras' names and numerics.

A constraint is called with a weight's values and returns new ones. A constraint of one's own
extends :class:`Constraint` and keeps each argument in an attribute of the same name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastgru._configurable import Configurable, Registry, describe
from fastgru._numbers import is_number

__all__ = [
    "Constraint",
    "MaxNorm",
    "MinMaxNorm",
    "NonNeg",
    "UnitNorm",
    "deserialize",
    "get",
    "max_norm",
    "min_max_norm",
    "non_neg",
    "serialize",
    "unit_norm",
]

_EPSILON = 1e-7  # keeps the division by a norm of zero finite


class Constraint(Configurable):
    """What every constraint is: a function of a weight's values that returns allowed ones."""

    def __call__(self, w: np.ndarray) -> np.ndarray:
        """Return the values nearest to `w`, in some sense, that are allowed; `w` stays as it is."""
        raise NotImplementedError


class NonNeg(Constraint):
    """No value below zero."""

    def __call__(self, w: np.ndarray) -> np.ndarray:
        """Return the values, zero where they were negative."""
        return np.asarray(np.maximum(w, 0))


class _Norm(Constraint):
    """A constraint on the Euclidean norms along some axes."""

    axis: int | Sequence[int]

    def norms(self, w: np.ndarray) -> np.ndarray:
        """Return the norms, with axes of size 1 where they were taken."""
        axis = self.axis if isinstance(self.axis, int) else tuple(self.axis)
        norms: np.ndarray = np.sqrt(np.sum(np.square(w), axis=axis, keepdims=True))
        return norms


class MaxNorm(_Norm):
    """Norms of at most a value (Srivastava et al., 2014).

    Parameters
    ----------
    max_value : float, default 2
        The largest norm.
    axis : int or sequence of int, default 0
        Where the norms are taken: 0 for the weights into each unit of a kernel (I, units).
    """

    def __init__(self, max_value: float = 2, axis: int | Sequence[int] = 0) -> None:
        self.max_value = _checked("max_value", max_value)
        self.axis = _checked_axis(axis)

    def __call__(self, w: np.ndarray) -> np.ndarray:
        """Return the values, scaled down where the norm was larger."""
        norms = self.norms(w)
        return np.asarray(w * (np.clip(norms, 0, self.max_value) / (_EPSILON + norms)))


class UnitNorm(_Norm):
    """Norms of 1.

    Parameters
    ----------
    axis : int or sequence of int, default 0
        Where the norms are taken: 0 for the weights into each unit of a kernel (I, units).
    """

    def __init__(self, axis: int | Sequence[int] = 0) -> None:
        self.axis = _checked_axis(axis)

    def __call__(self, w: np.ndarray) -> np.ndarray:
        """Return the values divided by their norms."""
        return np.asarray(w / (_EPSILON + self.norms(w)))


class MinMaxNorm(_Norm):
    """Norms between two values.

    Parameters
    ----------
    min_value, max_value : float, default 0 and 1
        The limits.
    rate : float, default 1
        The share of the way to the nearest allowed norm that a step goes.
    axis : int or sequence of int, default 0
        Where the norms are taken: 0 for the weights into each unit of a kernel (I, units).
    """

    def __init__(
        self,
        min_value: float = 0.0,
        max_value: float = 1.0,
        rate: float = 1.0,
        axis: int | Sequence[int] = 0,
    ) -> None:
        self.min_value = _checked("min_value", min_value)
        self.max_value = _checked("max_value", max_value)
        if self.min_value > self.max_value:
            raise ValueError(f"min_value: expected at most {max_value}, got {min_value}")
        self.rate = _checked("rate", rate)
        self.axis = _checked_axis(axis)

    def __call__(self, w: np.ndarray) -> np.ndarray:
        """Return the values, scaled towards the limits where their norms were beyond."""
        norms = self.norms(w)
        desired = self.rate * np.clip(norms, self.min_value, self.max_value)
        desired += (1 - self.rate) * norms
        return np.asarray(w * (desired / (_EPSILON + norms)))


def _checked(name: str, value: Any) -> float:
    if not is_number(value):
        raise TypeError(f"{name}: expected a number of at least 0, got {value!r}")
    if not value >= 0:
        raise ValueError(f"{name}: expected a number of at least 0, got {value!r}")
    return float(value)


def _checked_axis(axis: Any) -> int | list[int]:
    single = isinstance(axis, int | np.integer)
    axes = [axis] if single else axis
    if not isinstance(axes, list | tuple) or not all(isinstance(a, int | np.integer) for a in axes):
        raise TypeError(f"axis: expected an integer or a list of integers, got {axis!r}")
    return int(axis) if single else [int(a) for a in axes]


max_norm, min_max_norm, non_neg, unit_norm = MaxNorm, MinMaxNorm, NonNeg, UnitNorm

_REGISTRY: Registry[Constraint] = Registry(
    "constraint", Constraint, [MaxNorm, MinMaxNorm, NonNeg, UnitNorm]
)


def get(identifier: Any, argument: str = "constraint") -> Constraint | None:
    """Return the constraint of a name, a configuration, a class, or an instance; None for None.

    Parameters
    ----------
    identifier : str, dict, type, Constraint or None
        What to look up.
    argument : str, default "constraint"
        What error messages call it.

    Raises
    ------
    ValueError
        For an unknown name; the message lists the close ones.
    TypeError
        For anything else.
    """
    return None if identifier is None else _REGISTRY.get(identifier, argument)


def serialize(constraint: Constraint) -> dict[str, Any]:
    """Return the class name and the configuration of a constraint."""
    return describe(constraint)


def deserialize(config: Any) -> Constraint:
    """Return the constraint that :func:`serialize` described."""
    return _REGISTRY.get(config)
