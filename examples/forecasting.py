"""Forecast two time series: a town's demand for power, and a stock's price.

    pip install 'fastgru[sklearn]'
    python examples/forecasting.py

The series are made up, so that everyone gets the same ones, but have what real ones have: demand
follows the hour, the week and the weather; prices wander, and tomorrow's move is mostly, but not
wholly, chance. A forecast is worth something if it beats what costs nothing: "as a week ago" for
the demand, "as today" for the price.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from fastgru.sklearn import GRUForecaster, GRURegressor


def make_demand(days: int = 120, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return hourly demand, (hours,), and what is known in advance, (hours, 4).

    Known are the hour on a circle, whether the day is at a weekend, and the forecast temperature.
    """
    rng = np.random.default_rng(seed)
    hours = np.arange(24 * days)
    angle = 2 * np.pi * hours / 24
    weekend = (hours // 24 % 7 >= 5).astype(float)
    weather = np.zeros(days)
    for day in range(1, days):  # warm and cold spells
        weather[day] = 0.9 * weather[day - 1] + rng.normal()
    temperature = 12 + 4 * np.repeat(weather, 24) - 5 * np.cos(angle - 0.5)
    habit = 10 - 4 * np.cos(angle) - 2 * np.cos(2 * angle + 1)
    heating = 0.6 * np.maximum(15 - temperature, 0)
    demand = habit * (1 - 0.3 * weekend) + heating + rng.normal(0, 0.4, len(hours))
    return demand, np.column_stack([np.sin(angle), np.cos(angle), weekend, temperature])


def make_price(days: int = 3000, seed: int = 1) -> np.ndarray:
    """Return daily closing prices, whose moves go on a little from one day to the next."""
    rng = np.random.default_rng(seed)
    moves = rng.normal(0, 0.01, days)
    for day in range(1, days):
        moves[day] += 0.35 * moves[day - 1]
    return 100 * np.exp(np.cumsum(moves))


def mean_absolute(error: np.ndarray) -> float:
    """Return the mean size of an error."""
    return float(np.abs(error).mean())


def forecast_demand(test_days: int = 28) -> tuple[float, float]:
    """Forecast day by day; return the mean errors of the GRU and of "as a week ago"."""
    demand, known = make_demand()
    end = len(demand) - 24 * test_days
    regressor = GRURegressor(48, epochs=12, learning_rate=0.005, random_state=0)
    forecaster = GRUForecaster(window=48, horizon=24, regressor=regressor)
    forecaster.fit(demand[:end], exogenous=known[:end])
    ours, naive = [], []
    for midnight in range(end, len(demand), 24):
        day = slice(midnight, midnight + 24)
        seen = slice(midnight - 48, midnight)
        forecast = forecaster.predict(
            demand[seen], exogenous=known[midnight - 48 : midnight + 24], steps=24
        )
        ours.append(forecast - demand[day])
        naive.append(demand[midnight - 168 : midnight - 144] - demand[day])
    return mean_absolute(np.array(ours)), mean_absolute(np.array(naive))


def forecast_price(test_days: int = 600) -> tuple[float, float]:
    """Forecast the next day's price; return the mean errors of the GRU and of "as today"."""
    price = make_price()
    end = len(price) - test_days
    regressor = GRURegressor(
        16, epochs=60, learning_rate=0.005, early_stopping=True, random_state=0
    )
    # Logarithms: a move is a share of the price. Relative: the level tells nothing.
    forecaster = GRUForecaster(window=10, horizon=1, relative=True, regressor=regressor)
    forecaster.fit(np.log(price[:end]))
    days = range(end, len(price))
    histories = [np.log(price[day - 10 : day]) for day in days]
    forecasts = np.exp(np.concatenate(forecaster.predict(histories)))
    return mean_absolute(forecasts - price[end:]), mean_absolute(price[end - 1 : -1] - price[end:])


def main() -> None:
    """Forecast both series and print the errors."""
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    for what, forecast, baseline in (
        ("demand, a day ahead", forecast_demand, "as a week ago"),
        ("price, tomorrow's", forecast_price, "as today"),
    ):
        start = time.perf_counter()
        ours, naive = forecast()
        print(
            f"{what}, mean error: {ours:.3f}; {baseline}: {naive:.3f} "
            f"({1 - ours / naive:.0%} less; {time.perf_counter() - start:.1f} s)"
        )


if __name__ == "__main__":
    main()
