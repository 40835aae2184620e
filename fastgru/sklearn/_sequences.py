"""Sequences from what scikit-learn's users have: tables, 3-D arrays, lists of sequences."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import assert_all_finite, check_array, validate_data

#: (B, T) or (B, T, I), or as many arrays (T, …) of different lengths.
Sequences = np.ndarray | list[np.ndarray]


def take_sequences(
    estimator: BaseEstimator, X: Any, dtype: type[np.generic], mask_value: float | None, reset: bool
) -> Sequences:
    """Return sequences as arrays; remember or check the sizes that the estimator was fitted to.

    Parameters
    ----------
    estimator : BaseEstimator
        Its ``n_features_in_`` and ``n_steps_in_`` are written or checked.
    X : array_like of shape (B, T) or (B, T, I), or a list of B sequences (T,) or (T, I)
        The sequences.
    dtype : type
        Of the numbers.
    mask_value : float, optional
        Steps that hold nothing else are left out.
    reset : bool
        Whether to write the sizes.

    Raises
    ------
    TypeError, ValueError
        As scikit-learn's estimators do, and for sequences without a step.
    """
    finite: Any = "allow-nan" if mask_value is not None and np.isnan(mask_value) else True
    given = _as_list(X)
    if given is not None:
        x = _from_list(given, dtype)
        _check_sizes(estimator, None, _features(x), reset)
        for sequence in x:
            assert_all_finite(sequence, allow_nan=finite is not True, input_name="X")
    elif getattr(X, "ndim", None) == 3:
        x = check_array(X, dtype=dtype, allow_nd=True, ensure_all_finite=finite, input_name="X")
        _check_sizes(estimator, None, x.shape[2], reset)
    else:
        x = _take_table(estimator, X, dtype, finite, reset)
    return x if mask_value is None else _without(x, mask_value)


def select(x: Sequences, rows: np.ndarray) -> Sequences:
    """Return some of the sequences."""
    return x[rows] if isinstance(x, np.ndarray) else [x[row] for row in rows]


def with_features(x: Sequences) -> Sequences:
    """Return sequences of numbers as sequences of one feature each: (…, T) as (…, T, 1)."""
    if x[0].ndim == 2:
        return x
    return x[..., None] if isinstance(x, np.ndarray) else [sequence[:, None] for sequence in x]


def without_features(x: Sequences) -> Sequences:
    """Return sequences of one feature each as sequences of numbers; refuse several."""
    if x[0].ndim == 1:
        return x
    if x[0].shape[1] != 1:
        raise ValueError(f"X: expected one id at each step, got {x[0].shape[1]} features")
    return x[..., 0] if isinstance(x, np.ndarray) else [sequence[:, 0] for sequence in x]


def _take_table(
    estimator: BaseEstimator, X: Any, dtype: type[np.generic], finite: Any, reset: bool
) -> np.ndarray:
    """Return a table, (B, T): its columns are the steps, and have names if it is a data frame."""
    any_length = not reset and estimator.n_steps_in_ is None
    if any_length:
        x: np.ndarray = check_array(X, dtype=dtype, ensure_all_finite=finite, input_name="X")
        _check_sizes(estimator, None, 1, reset=False)
        return x
    x = validate_data(estimator, X, reset=reset, dtype=dtype, ensure_all_finite=finite)
    if reset:
        estimator.n_steps_in_ = estimator.n_features_in_
    return x


def _check_sizes(estimator: BaseEstimator, steps: int | None, features: int, reset: bool) -> None:
    if reset:
        estimator.n_steps_in_, estimator.n_features_in_ = steps, features
        return
    expected = estimator.n_features_in_ if estimator.n_steps_in_ is None else 1
    if features != expected:
        raise ValueError(
            f"X has {features} features, but {type(estimator).__name__} is expecting {expected} "
            "features as input at each step"
        )


def _as_list(X: Any) -> list[Any] | None:
    """Return a list of sequences, or None for what is a table or an array.

    A list of arrays is one; a list of lists or tuples only if their lengths differ, for otherwise
    scikit-learn takes it for a table.
    """
    if getattr(X, "ndim", None) == 1 and X.dtype == np.dtype(object):
        X = list(np.asarray(X))
    if not isinstance(X, list | tuple) or not len(X):
        return None
    arrays = [getattr(s, "ndim", 0) > 0 for s in X]
    if not all(array or isinstance(s, list | tuple) for array, s in zip(arrays, X, strict=True)):
        return None
    return list(X) if any(arrays) or len({len(s) for s in X}) > 1 else None


def _from_list(given: list[Any], dtype: type[np.generic]) -> Sequences:
    x: list[np.ndarray] = []
    for i, sequence in enumerate(given):
        try:
            array = np.asarray(sequence)
            array = array.astype(dtype, casting="unsafe" if array.dtype == object else "same_kind")
        except (TypeError, ValueError) as error:
            raise ValueError(f"X: expected numbers in sequence {i} ({error})") from None
        if array.ndim not in (1, 2) or 0 in array.shape:
            raise ValueError(
                "X: expected sequences of shape (steps,) or (steps, features), of at least one "
                f"step, got {array.shape} in sequence {i}"
            )
        if array.shape[1:] != (x[0] if x else array).shape[1:]:
            raise ValueError(
                f"X: expected steps of shape {x[0].shape[1:]} in all sequences, "
                f"got {array.shape[1:]} in sequence {i}"
            )
        x.append(array)
    return _joined(x)


def _joined(x: list[np.ndarray]) -> Sequences:
    """Return one array if all sequences have one length."""
    return np.stack(x) if len({len(sequence) for sequence in x}) == 1 else x


def _features(x: Sequences) -> int:
    shape = x[0].shape
    return shape[1] if len(shape) == 2 else 1


def _without(x: Sequences, mask_value: float) -> Sequences:
    """Leave out the steps whose numbers all equal `mask_value`: a masked step changes no state."""
    kept = []
    for i, sequence in enumerate(x):
        masked = np.isnan(sequence) if np.isnan(mask_value) else sequence == mask_value
        part = sequence[~(masked if masked.ndim == 1 else masked.all(axis=1))]
        if not len(part):
            raise ValueError(f"X: every step of sequence {i} is masked by {mask_value!r}")
        kept.append(part)
    if np.isnan(mask_value):  # what is left must be finite
        for part in kept:
            assert_all_finite(part, input_name="X")
    return _joined(kept)
