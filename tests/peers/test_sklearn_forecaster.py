"""Windows over series, and the forecaster on them."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from fastgru.sklearn import GRUForecaster, GRURegressor, sliding_windows


def flat(x):
    return x.reshape(len(x), -1)


def linear():
    """A regressor that is exact for linear series: what it gets and gives can be checked."""
    return make_pipeline(FunctionTransformer(flat), LinearRegression())


def waves(count=200, seed=0):
    """Two columns that follow from their past without an error."""
    t = np.arange(count) + seed
    return np.column_stack([5 + 3 * np.sin(t / 3), np.cos(t / 5) - 40])


# ---------------------------------------------------------------- windows


def test_windows_of_one_column():
    x, y = sliding_windows(np.arange(7.0), 3, 2)
    np.testing.assert_array_equal(x[..., 0], [[0, 1, 2], [1, 2, 3], [2, 3, 4]])
    np.testing.assert_array_equal(y, [[3, 4], [4, 5], [5, 6]])


def test_windows_of_several_columns_with_known_ones():
    series = np.arange(12.0).reshape(6, 2)
    known = 100 + np.arange(6.0)
    x, y = sliding_windows(series, 2, 2, exogenous=known)
    assert x.shape == (3, 2, 4) and y.shape == (3, 4)
    # Step 1 of the series, and what is known of steps 2 and 3.
    np.testing.assert_array_equal(x[0], [[0, 1, 101, 102], [2, 3, 102, 103]])
    np.testing.assert_array_equal(y[0], [4, 5, 6, 7])
    np.testing.assert_array_equal(x[2, -1], [6, 7, 104, 105])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((np.arange(4.0), 3, 2), ValueError, "at least window . horizon = 5 steps, got 4"),
        ((np.arange(9.0), 0), ValueError, "window: expected at least 1, got 0"),
        ((np.arange(9.0), 2, 1.5), TypeError, "horizon: expected an integer, got 1.5"),
        (([1.0, np.nan, 2.0], 1), ValueError, "Input series contains NaN"),
    ],
)
def test_wrong_windows_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        sliding_windows(*arguments)
    with pytest.raises(ValueError, match="exogenous: expected 9 rows, got 8"):
        sliding_windows(np.arange(9.0), 2, exogenous=np.ones(8))


# ---------------------------------------------------------------- the forecaster


@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize(("horizon", "steps"), [(1, 5), (4, 4), (4, 10)])
def test_linear_series_are_continued_exactly(horizon, steps, relative):
    series = waves(260)
    forecaster = GRUForecaster(6, horizon, relative=relative, regressor=linear())
    forecaster.fit(series[:200])
    np.testing.assert_allclose(forecaster.predict(steps=steps), series[200 : 200 + steps])
    later = forecaster.predict(series[:240], steps=steps)
    np.testing.assert_allclose(later, series[240 : 240 + steps])
    assert forecaster.score(series[200:]) > 1 - 1e-9
    assert forecaster.n_features_in_ == 2


def test_several_series_at_once():
    many = [waves(100), waves(60, seed=500), waves(81, seed=900)]
    forecaster = GRUForecaster(6, 2, regressor=linear()).fit(many)
    futures = forecaster.predict(steps=3)
    for future, (count, seed) in zip(futures, [(100, 0), (60, 500), (81, 900)], strict=True):
        np.testing.assert_allclose(future, waves(count + 3, seed)[-3:])
    (one,) = forecaster.predict([waves(70, seed=77)], steps=3)
    np.testing.assert_allclose(one, waves(73, seed=77)[-3:])
    assert isinstance(forecaster.score(many), float)


def test_what_is_known_in_advance_is_used():
    rng = np.random.default_rng(1)
    known = rng.normal(size=(300, 2))
    series = np.zeros(300)
    for t in range(1, 300):
        series[t] = 0.5 * series[t - 1] + known[t] @ [2, -1] + 7
    forecaster = GRUForecaster(3, 2, regressor=linear()).fit(series[:250], exogenous=known[:250])
    assert forecaster.n_exogenous_ == 2
    ahead = forecaster.predict(exogenous=known[247:256], steps=6)
    assert ahead.shape == (6,)
    np.testing.assert_allclose(ahead, series[250:256])
    ahead = forecaster.predict(series[:260], exogenous=known[:264], steps=3)  # two horizons
    np.testing.assert_allclose(ahead, series[260:263])
    assert forecaster.score(series[250:], exogenous=known[250:]) > 1 - 1e-9
    with pytest.raises(ValueError, match="exogenous: expected 2 columns, got 0"):
        forecaster.predict(series[:260])
    with pytest.raises(ValueError, match=r"exogenous: expected \[264\] rows .* got \[263\]"):
        forecaster.predict(series[:260], exogenous=known[:263], steps=3)


def test_with_its_own_regressor():
    t = np.arange(400)
    series = 100 + 10 * np.sin(t * 2 * np.pi / 12)
    regressor = GRURegressor(16, epochs=30, learning_rate=0.01, random_state=0)
    forecaster = GRUForecaster(24, 6, regressor=regressor).fit(series[:300])
    ahead = forecaster.predict(steps=24)
    assert np.abs(ahead - series[300:324]).max() < 2
    assert forecaster.score(series[300:]) > 0.97
    again = clone(forecaster).fit(series[:300])
    np.testing.assert_array_equal(again.predict(steps=24), ahead)
    copy = pickle.loads(pickle.dumps(forecaster))
    np.testing.assert_array_equal(copy.predict(steps=24), ahead)


def test_in_a_grid_search():
    series = waves(240)[:, 0]
    search = GridSearchCV(
        GRUForecaster(regressor=GRURegressor(8, epochs=3, random_state=0)),
        {"window": [4, 12], "regressor__learning_rate": [1e-6, 0.03]},
        cv=TimeSeriesSplit(3),
    ).fit(series)
    assert search.best_params_["regressor__learning_rate"] == 0.03
    assert search.best_estimator_.predict().shape == (1,)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"X": waves(5)}, "at least window = 6 steps, got 5"),
        ({"X": waves(50)[:, 0]}, "X: expected 2 columns, got 1"),
        ({"X": [waves(50), waves(50)[:, :1]]}, "X: expected 2 columns, got 1"),
        ({"steps": 0}, "steps: expected at least 1, got 0"),
        ({"exogenous": np.ones((7, 1))}, "exogenous: expected 0 columns, got 1"),
    ],
)
def test_wrong_series_are_refused(arguments, message):
    forecaster = GRUForecaster(6, 1, regressor=linear()).fit(waves())
    with pytest.raises(ValueError, match=message):
        forecaster.predict(**arguments)


def test_not_fitted():
    with pytest.raises(NotFittedError):
        GRUForecaster().predict(waves())
