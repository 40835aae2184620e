"""Time series continued."""

from __future__ import annotations

from typing import Any, NamedTuple, Self

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.metrics import r2_score
from sklearn.utils.validation import check_is_fitted

from fastgru._numbers import checked_count
from fastgru.sklearn._estimators import GRURegressor
from fastgru.sklearn._windows import columns, sliding_windows, with_known


class GRUForecaster(BaseEstimator):
    """Continue time series: a regressor over sliding windows.

    The regressor sees the last `window` steps of a series and predicts the next `horizon` at once;
    what lies farther ahead is predicted from predictions. It is trained on every window of every
    series it is given. All columns are scaled to mean 0 and variance 1 first.

    `X` is a series here, or a list of them: its rows are times, not samples, and `predict` returns
    the times that follow rather than a number for each row. So this is no regressor in
    scikit-learn's sense; it can be cloned, pickled and searched over, with
    :class:`sklearn.model_selection.TimeSeriesSplit`, and does not claim more.

    Parameters
    ----------
    window : int, default 24
        How many steps are looked at.
    horizon : int, default 1
        How many steps are predicted at once.
    relative : bool, default False
        Whether windows and what follows them are taken relative to the last step of the window. The
        level of the series then makes no difference: right for prices and other series that wander
        or grow, wrong for those that return to a level.
    regressor : estimator, optional
        Predicts (B, k * horizon) from windows (B, window, features); by default a `GRURegressor`.
        Any scikit-learn regressor for 3-D arrays will do.

    Attributes
    ----------
    regressor_ : estimator
        The regressor, fitted.
    n_features_in_ : int
        k, the number of columns of a series.
    n_exogenous_ : int
        m, the number of exogenous columns.

    Examples
    --------
    >>> import numpy as np
    >>> from fastgru.sklearn import GRUForecaster, GRURegressor
    >>> series = np.sin(np.arange(300) * 2 * np.pi / 12)
    >>> regressor = GRURegressor(16, epochs=20, learning_rate=0.01, random_state=0)
    >>> forecaster = GRUForecaster(window=24, horizon=6, regressor=regressor).fit(series)
    >>> forecaster.predict(steps=12).shape
    (12,)
    """

    def __init__(
        self,
        window: int = 24,
        horizon: int = 1,
        *,
        relative: bool = False,
        regressor: Any = None,
    ) -> None:
        self.window = window
        self.horizon = horizon
        self.relative = relative
        self.regressor = regressor

    def fit(self, X: Any, y: Any = None, *, exogenous: Any = None) -> Self:
        """Learn to continue series.

        Parameters
        ----------
        X : array_like of shape (n,) or (n, k), or a list of such
            One series or several, each of at least ``window + horizon`` steps; lengths may differ.
        y : None
            Ignored.
        exogenous : array_like of shape (n, m), or a list of such, optional
            Columns that are known in advance, for the same times as `X`.
        """
        series, self._form = _series("X", X)
        known = _beside(series, exogenous)
        self.n_features_in_, self.n_exogenous_ = series[0].shape[1], known[0].shape[1]
        self._check_columns(series, known)
        self._mean, self._scale = _moments(series)
        self._known_mean, self._known_scale = _moments(known)
        samples, targets, _ = self._samples(series, known)
        self.regressor_ = clone(GRURegressor() if self.regressor is None else self.regressor)
        self.regressor_.fit(samples, targets[:, 0] if targets.shape[1] == 1 else targets)
        self._ends = [values[-self.window :] for values in series]
        return self

    def predict(self, X: Any = None, *, exogenous: Any = None, steps: int | None = None) -> Any:
        """Return how series go on.

        Parameters
        ----------
        X : array_like of shape (n,) or (n, k), or a list of such, optional
            The series to continue, each of at least `window` steps; by default those of `fit`.
        exogenous : array_like of shape (n + steps, m), or a list of such, optional
            The exogenous columns, for the times of `X` and those to come, `steps` rounded up to
            whole horizons. Without `X`: for the last `window` times of `fit` and those to come.
        steps : int, default `horizon`
            How many steps.

        Returns
        -------
        ndarray of float64, shape (steps,) or (steps, k), or a list of such
            One for each series; without a second axis where `X` has none.
        """
        check_is_fitted(self)
        count = self.horizon if steps is None else steps
        checked_count("steps", count)
        series, form = (self._ends, self._form) if X is None else _series("X", X)
        rounds = -(-count // self.horizon)
        known = _beside(series, exogenous, ahead=rounds * self.horizon)
        self._check_columns(series, known)
        futures = self._continue(series, known, rounds)[:, :count]
        if form.flat:
            futures = futures[..., 0]
        return list(futures) if form.many else futures[0]

    def _continue(
        self, series: list[np.ndarray], known: list[np.ndarray], rounds: int
    ) -> np.ndarray:
        """Return the next `rounds` horizons of all series: (series, steps, k)."""
        short = min(map(len, series))
        if short < self.window:
            raise ValueError(f"X: expected at least window = {self.window} steps, got {short}")
        ends = np.stack([v[-self.window :] for v in series])
        ends = (ends - self._mean) / self._scale
        seen = self.window + rounds * self.horizon
        beside = np.stack([k[len(k) - seen :] for k in known])
        beside = (beside - self._known_mean) / self._known_scale
        parts = []
        for start in range(0, rounds * self.horizon, self.horizon):
            last = ends[:, -1:] if self.relative else 0.0
            samples = with_known(ends - last, beside[:, start:], self.horizon)
            predicted = self.regressor_.predict(samples)
            parts.append(predicted.reshape(len(ends), self.horizon, -1) + last)
            ends = np.concatenate([ends, parts[-1]], axis=1)[:, -self.window :]
        return np.concatenate(parts, axis=1) * self._scale + self._mean

    def score(self, X: Any, y: Any = None, *, exogenous: Any = None) -> float:
        """Return R² of the `horizon` steps after every window of the series in `X`."""
        check_is_fitted(self)
        series, _ = _series("X", X)
        known = _beside(series, exogenous)
        self._check_columns(series, known)
        samples, targets, lasts = self._samples(series, known)
        predicted = self.regressor_.predict(samples).reshape(targets.shape)
        return float(r2_score(targets + lasts, predicted + lasts))

    def _samples(
        self, series: list[np.ndarray], known: list[np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return all windows, scaled, what follows them, and what both were taken relative to."""
        parts = []
        for values, beside in zip(series, known, strict=True):
            parts.append(
                sliding_windows(
                    (values - self._mean) / self._scale,
                    self.window,
                    self.horizon,
                    exogenous=(beside - self._known_mean) / self._known_scale
                    if beside.shape[1]
                    else None,
                )
            )
        samples = np.concatenate([x for x, _ in parts])
        targets = np.concatenate([y for _, y in parts])
        lasts = np.zeros_like(targets)
        if self.relative:
            k = series[0].shape[1]
            lasts = np.tile(samples[:, -1, :k], self.horizon)
            samples[:, :, :k] -= samples[:, -1:, :k].copy()
        return samples, targets - lasts, lasts

    def _check_columns(self, series: list[np.ndarray], known: list[np.ndarray]) -> None:
        for name, given, count in (
            ("X", series, self.n_features_in_),
            ("exogenous", known, self.n_exogenous_),
        ):
            for values in given:
                if values.shape[1] != count:
                    raise ValueError(f"{name}: expected {count} columns, got {values.shape[1]}")


class _Form(NamedTuple):
    """How series were given, and are to be returned."""

    many: bool  # in a list
    flat: bool  # as (n,)


def _series(name: str, given: Any) -> tuple[list[np.ndarray], _Form]:
    """Return series as a list of (n, k), and how they were given.

    A list of numbers is one series; a list of anything else is a list of series.
    """
    if not isinstance(given, list | tuple):
        return [columns(name, given)], _Form(False, np.ndim(given) == 1)
    if not given or np.ndim(given[0]) == 0:
        return [columns(name, given)], _Form(False, True)
    return [columns(name, one) for one in given], _Form(True, np.ndim(given[0]) == 1)


def _beside(series: list[np.ndarray], given: Any, ahead: int = 0) -> list[np.ndarray]:
    """Return the exogenous columns beside each series, `ahead` rows longer; none for None."""
    lengths = [len(values) + ahead for values in series]
    if given is None:
        return [np.empty((length, 0)) for length in lengths]
    known, _ = _series("exogenous", given)
    if [len(values) for values in known] != lengths:
        raise ValueError(
            f"exogenous: expected {lengths} rows for the series, got {[len(k) for k in known]}"
        )
    return known


def _moments(arrays: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and scale of columns; constant ones have scale 1."""
    values = np.concatenate(arrays)
    deviation = values.std(axis=0)
    return values.mean(axis=0), np.where(deviation > 0, deviation, 1.0)
