"""The loss that is an operation of its own, in plain NumPy."""

# mypy: disable-error-code="no-any-return"
# (NumPy's stubs give Any for many results.)

from __future__ import annotations

import numpy as np

from .. import _checks
from .._arrays import Array
from .elementwise import sigmoid

_CLIP = 1e-7  # Keras' backend epsilon


def binary_crossentropy(
    y_true: Array, y_pred: Array, *, from_logits: bool = False
) -> tuple[Array, Array]:
    """Binary cross-entropy of each element, and its derivative.

    Parameters
    ----------
    y_true : array
        Labels in [0, 1]; shape and dtype of y_pred.
    y_pred : array, any shape
        Probabilities, clipped to [1e-7, 1 - 1e-7] as Keras does; or logits.
    from_logits : bool, default False
        Whether y_pred holds logits.

    Returns
    -------
    losses : array, as y_pred
        -y_true log(p) - (1 - y_true) log(1 - p).
    gradients : array, as y_pred
        The derivatives with respect to y_pred; zero where a probability was clipped.

    Raises
    ------
    ValueError
        For shapes that differ, or a label that is NaN or outside of [0, 1].
    TypeError
        For a wrong type or dtype.
    """
    _checks.binary_crossentropy(y_true, y_pred)
    _checks.labels_in_range(y_true)
    if from_logits:
        with np.errstate(under="ignore", invalid="ignore"):  # exp(-large); inf - inf
            tail = np.log1p(np.exp(-np.abs(y_pred)))
            losses = np.maximum(y_pred, 0) - y_pred * y_true + tail
        return losses, sigmoid(y_pred) - y_true
    p = np.clip(y_pred, _CLIP, 1 - _CLIP)
    losses = -(y_true * np.log(p) + (1 - y_true) * np.log1p(-p))
    gradients = (p - y_true) / (p * (1 - p))
    gradients[(y_pred < _CLIP) | (y_pred > 1 - _CLIP)] = 0
    return losses, gradients
