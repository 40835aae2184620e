"""The optimizer that is an operation of its own, in plain NumPy."""

# mypy: disable-error-code="no-any-return"
# (NumPy's stubs give Any for many results.)

from __future__ import annotations

import math

import numpy as np

from .. import _checks
from .._arrays import Array


def adam_update(
    parameters: Array,
    gradients: Array,
    m: Array,
    v: Array,
    *,
    step: int,
    learning_rate: float = 1e-3,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-7,
) -> None:
    """Advance parameters and both moments by one step of Adam, in place, with Keras' numerics.

        m += (1 - β₁) (g - m)
        v += (1 - β₂) (g² - v)
        p -= α m / (√v + ε)    with α = learning_rate √(1 - β₂ᵗ) / (1 - β₁ᵗ)

    Parameters
    ----------
    parameters, gradients, m, v : arrays (N,)
        Contiguous, of one dtype; all but gradients are written.
    step : int
        The number t of this update, from 1.
    learning_rate : float, default 1e-3
    beta_1, beta_2 : float, default 0.9 and 0.999
    epsilon : float, default 1e-7
        Added outside of the bias correction.

    Raises
    ------
    ValueError
        For a wrong shape, strides, a read-only array, or a number out of range.
    TypeError
        For a wrong type or dtype.

    References
    ----------
    D. P. Kingma and J. Ba, "Adam: A Method for Stochastic Optimization", 2015, end of section 2.
    """
    t, rate, b1, b2, eps, _ = _checks.adam_update(
        parameters, gradients, m, v, step, learning_rate, beta_1, beta_2, epsilon
    )
    alpha = rate * math.sqrt(1 - b2**t) / (1 - b1**t)
    m += (1 - b1) * (gradients - m)
    v += (1 - b2) * (gradients * gradients - v)
    parameters -= alpha * m / (np.sqrt(v) + eps)
