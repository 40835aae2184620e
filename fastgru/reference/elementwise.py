"""Elementwise functions in plain NumPy."""

# mypy: disable-error-code="no-any-return"
# (NumPy's stubs give Any for many results.)

from __future__ import annotations

import numpy as np

from .. import _checks, activations
from .._arrays import Array
from ..activations import Activation


def exp(x: Array) -> Array:
    """Return e to the power of each element.

    Parameters
    ----------
    x : array, any shape

    Returns
    -------
    y : array, as x

    Raises
    ------
    TypeError
        For a wrong type or dtype.
    """
    return _elementwise(activations.exponential, x)


def sigmoid(x: Array) -> Array:
    """Return 1 / (1 + exp(-x)) of each element.

    Parameters
    ----------
    x : array, any shape

    Returns
    -------
    y : array, as x

    Raises
    ------
    TypeError
        For a wrong type or dtype.
    """
    return _elementwise(activations.sigmoid, x)


def tanh(x: Array) -> Array:
    """Return the hyperbolic tangent of each element.

    Parameters
    ----------
    x : array, any shape

    Returns
    -------
    y : array, as x

    Raises
    ------
    TypeError
        For a wrong type or dtype.
    """
    return _elementwise(activations.tanh, x)


def _elementwise(function: Activation, x: Array) -> Array:
    dtype = _checks.floating("x", x)
    return function.forward(x, out=np.empty(x.shape, dtype))
