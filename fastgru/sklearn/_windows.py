"""Series cut into windows."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils.validation import check_array

from fastgru._numbers import checked_count


def sliding_windows(
    series: Any, window: int, horizon: int = 1, *, exogenous: Any = None
) -> tuple[np.ndarray, np.ndarray]:
    """Cut a series into windows and what follows them: samples and targets for a regressor.

    Parameters
    ----------
    series : array_like of shape (n,) or (n, k)
        k quantities at n times, evenly spaced.
    window : int
        The number of steps in a window.
    horizon : int, default 1
        The number of steps to be predicted.
    exogenous : array_like of shape (n, m), optional
        What is known of all times in advance, such as the day of the week.

    Returns
    -------
    X : ndarray of float64, shape (n - window - horizon + 1, window, k + m * horizon)
        At each step the series, and the exogenous columns of the `horizon` steps that follow it.
    y : ndarray of float64, shape (n - window - horizon + 1, k * horizon)
        The next `horizon` steps of the series, step by step.

    Raises
    ------
    ValueError
        If the series is shorter than `window` and `horizon` together, or something does not fit.
    """
    values = columns("series", series)
    known = np.empty((len(values), 0)) if exogenous is None else columns("exogenous", exogenous)
    if len(known) != len(values):
        raise ValueError(f"exogenous: expected {len(values)} rows, got {len(known)}")
    checked_count("window", window)
    checked_count("horizon", horizon)
    count = len(values) - window - horizon + 1
    if count < 1:
        raise ValueError(
            f"series: expected at least window + horizon = {window + horizon} steps, "
            f"got {len(values)}"
        )
    steps = with_known(values[: len(values) - horizon], known, horizon)
    X = _runs(steps, window)
    y = _runs(values[window:], horizon)
    return X, y.reshape(count, -1)


def _runs(values: np.ndarray, length: int) -> np.ndarray:
    """Return all runs of `length` rows: (n - length + 1, length, k)."""
    view = np.lib.stride_tricks.sliding_window_view(values, length, axis=0)
    return np.ascontiguousarray(view.transpose(0, 2, 1))


def with_known(values: np.ndarray, known: np.ndarray, horizon: int) -> np.ndarray:
    """Return each step of `values` beside the rows of `known` for the `horizon` steps after it."""
    steps = values.shape[-2]
    ahead = [known[..., h : h + steps, :] for h in range(1, horizon + 1)]
    return np.concatenate([values, *ahead], axis=-1)


def columns(name: str, values: Any) -> np.ndarray:
    """Return (n,) as (n, 1), and (n, k) as it is."""
    array = check_array(values, dtype=np.float64, ensure_2d=False, input_name=name)
    return array.reshape(len(array), -1)
