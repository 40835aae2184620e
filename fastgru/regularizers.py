"""Penalties on weights and outputs, added to the loss, with Keras' names and numerics.

A regularizer is called with an array and returns its penalty; its `gradient` returns the penalty's
derivative. A regularizer of one's own extends :class:`Regularizer`, gives both, and keeps each
argument in an attribute of the same name.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastgru._configurable import Configurable, Registry, describe
from fastgru._numbers import is_number

__all__ = [
    "L1",
    "L1L2",
    "L2",
    "OrthogonalRegularizer",
    "Regularizer",
    "deserialize",
    "get",
    "l1",
    "l1_l2",
    "l2",
    "orthogonal_regularizer",
    "serialize",
]


class Regularizer(Configurable):
    """What every regularizer is: a function of an array, and its derivative."""

    def __call__(self, x: np.ndarray) -> float:
        """Return the penalty."""
        raise NotImplementedError

    def gradient(self, x: np.ndarray) -> np.ndarray:
        """Return the derivative of the penalty with respect to `x`, in the dtype of `x`."""
        raise NotImplementedError(
            f"{type(self).__name__}.gradient: a regularizer says the derivative of its penalty "
            "too, as gradient(x)"
        )


class L1L2(Regularizer):
    """``l1 · Σ|x| + l2 · Σx²``.

    Parameters
    ----------
    l1, l2 : float, default 0
        The factors. By its name, ``"l1_l2"``, it has 0.01 for both.

    Raises
    ------
    ValueError, TypeError
        If a factor is not a finite number of at least 0.
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0) -> None:
        self.l1 = 0.0 if l1 is None else _checked("l1", l1)
        self.l2 = 0.0 if l2 is None else _checked("l2", l2)

    def __call__(self, x: np.ndarray) -> float:
        """Return the penalty."""
        penalty = self.l1 * float(np.abs(x).sum()) if self.l1 else 0.0
        return penalty + (self.l2 * float(np.square(x).sum()) if self.l2 else 0.0)

    def gradient(self, x: np.ndarray) -> np.ndarray:
        """Return ``l1 · sign(x) + 2 · l2 · x``."""
        gradient = (2 * self.l2) * x
        if self.l1:
            gradient += self.l1 * np.sign(x)
        return np.asarray(gradient)


class L1(L1L2):
    """``l1 · Σ|x|``.

    Parameters
    ----------
    l1 : float, default 0.01
        The factor.

    Raises
    ------
    ValueError, TypeError
        If it is not a finite number of at least 0.
    """

    def __init__(self, l1: float = 0.01) -> None:
        super().__init__(l1=0.01 if l1 is None else l1)


class L2(L1L2):
    """``l2 · Σx²``.

    Parameters
    ----------
    l2 : float, default 0.01
        The factor.

    Raises
    ------
    ValueError, TypeError
        If it is not a finite number of at least 0.
    """

    def __init__(self, l2: float = 0.01) -> None:
        super().__init__(l2=0.01 if l2 is None else l2)


class OrthogonalRegularizer(Regularizer):
    """The mean size of the cosines between the rows, or columns, of a matrix, times a factor.

    Parameters
    ----------
    factor : float, default 0.01
        The factor.
    mode : {"rows", "columns"}, default "rows"
        Which vectors shall be orthogonal.

    Raises
    ------
    ValueError, TypeError
        If the factor is not a finite number of at least 0, or the mode is unknown; when called, if
        the weight is not a matrix.
    """

    def __init__(self, factor: float = 0.01, mode: str = "rows") -> None:
        self.factor = _checked("factor", factor)
        if mode not in ("rows", "columns"):
            raise ValueError(f"mode: expected 'rows' or 'columns', got {mode!r}")
        self.mode = mode

    def __call__(self, x: np.ndarray) -> float:
        """Return the penalty."""
        units, _, scale = self._unit_rows(x)
        return scale * float(np.abs(_without_diagonal(units @ units.T)).sum())

    def gradient(self, x: np.ndarray) -> np.ndarray:
        """Return the derivative; zero for rows that are zero."""
        units, norms, scale = self._unit_rows(x)
        toward = (2 * scale) * (np.sign(_without_diagonal(units @ units.T)) @ units)
        along = (toward * units).sum(axis=1, keepdims=True)  # a longer row is no less orthogonal
        gradient = (toward - along * units) / norms
        return np.asarray(gradient if self.mode == "rows" else gradient.T)

    def _unit_rows(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        """Return the vectors as rows of length 1, their lengths, and the factor of the sum."""
        if x.ndim != 2:
            raise ValueError(f"OrthogonalRegularizer: expected a matrix, got shape {x.shape}")
        rows = x if self.mode == "rows" else x.T
        norms = np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
        count = len(rows)
        return rows / norms, norms, self.factor / max(count * (count - 1), 1)


def _without_diagonal(products: np.ndarray) -> np.ndarray:
    np.fill_diagonal(products, 0)
    return products


def _checked(name: str, value: Any) -> float:
    if not is_number(value):
        raise TypeError(f"{name}: expected a number of at least 0, got {value!r}")
    if not (value >= 0 and math.isfinite(value)):
        raise ValueError(f"{name}: expected a finite number of at least 0, got {value!r}")
    return float(value)


l1, l2, l1_l2, orthogonal_regularizer = L1, L2, L1L2, OrthogonalRegularizer

_REGISTRY: Registry[Regularizer] = Registry(
    "regularizer", Regularizer, [L1, L2, L1L2, OrthogonalRegularizer]
)


def get(identifier: Any, argument: str = "regularizer") -> Regularizer | None:
    """Return the regularizer of a name, a configuration, a class, or an instance; None for None.

    Parameters
    ----------
    identifier : str, dict, type, Regularizer or None
        What to look up.
    argument : str, default "regularizer"
        What error messages call it.

    Raises
    ------
    ValueError
        For an unknown name; the message lists the close ones.
    TypeError
        For anything else, plain functions included: they have no gradient here.
    """
    if identifier is None:
        return None
    if isinstance(identifier, str) and identifier.lower() in ("l1_l2", "l1l2"):
        return L1L2(0.01, 0.01)
    return _REGISTRY.get(identifier, argument)


def serialize(regularizer: Regularizer) -> dict[str, Any]:
    """Return the class name and the configuration of a regularizer."""
    return describe(regularizer)


def deserialize(config: Any) -> Regularizer:
    """Return the regularizer that :func:`serialize` described."""
    return _REGISTRY.get(config)
