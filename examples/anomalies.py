"""Find what is strange in a network's traffic.

    pip install 'fastgru[sklearn]'
    python examples/anomalies.py

A GRU learns from a month of ordinary traffic what comes next. Where the traffic then differs much
from what was expected, something is wrong. That finds what a limit on the traffic itself does not:
a burst at night is no more than an ordinary noon.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from fastgru.sklearn import GRURegressor, sliding_windows

WINDOW = 36  # steps of ten minutes
DAY = 144


def make_traffic(days: int, seed: int) -> np.ndarray:
    """Return requests in every ten minutes: a rhythm of the day, and chance."""
    rng = np.random.default_rng(seed)
    angle = 2 * np.pi * np.arange(DAY * days) / DAY
    drift = np.zeros(len(angle))
    for i in range(1, len(angle)):
        drift[i] = 0.95 * drift[i - 1] + rng.normal(0, 0.02)
    mean = 400 * np.exp(-1.2 * np.cos(angle) + 0.4 * np.cos(2 * angle + 1) + drift)
    return rng.poisson(mean).astype(float)


def disturb(traffic: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Put bursts and failures into traffic; return where they are."""
    rng = np.random.default_rng(seed)
    strange = np.zeros(len(traffic), dtype=bool)
    for start in rng.choice(np.arange(WINDOW, len(traffic) - 9, 40), count, replace=False):
        steps = slice(start, start + rng.integers(1, 4))
        traffic[steps] *= rng.choice([0.65, 1.4])
        strange[steps] = True
    return strange


def best_f1(score: np.ndarray, strange: np.ndarray) -> float:
    """Return the best F1 over all thresholds: 1 finds all and nothing else."""
    found = strange[np.argsort(-score)].cumsum()
    flagged = np.arange(1, len(score) + 1)
    return float((2 * found / (flagged + strange.sum())).max())


def detect() -> tuple[float, float]:
    """Return F1 of the GRU's errors, and of how far the traffic is from its own mean."""
    ordinary = np.log(make_traffic(28, seed=0) + 1)
    mean, scale = ordinary.mean(), ordinary.std()
    x, y = sliding_windows((ordinary - mean) / scale, WINDOW)
    model = GRURegressor(32, epochs=8, learning_rate=0.005, random_state=0).fit(x, y[:, 0])

    traffic = make_traffic(14, seed=1)
    strange = disturb(traffic, 25, seed=2)
    new = (np.log(traffic + 1) - mean) / scale
    error = np.zeros(len(new))
    # One after the other: what was strange is replaced by what was expected before it is read on.
    clean = new.copy()
    usual = np.quantile(np.abs(model.predict(x) - y[:, 0]), 0.999)
    for i in range(WINDOW, len(new)):
        expected = model.predict(clean[None, i - WINDOW : i, None])[0]
        error[i] = abs(new[i] - expected)
        if error[i] > usual:
            clean[i] = expected
    return best_f1(error, strange), best_f1(np.abs(new - new.mean()), strange)


def main() -> None:
    """Learn what is ordinary, find what is not."""
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    start = time.perf_counter()
    ours, limit = detect()
    print(f"F1 of the GRU's surprise: {ours:.2f}; of a limit on the traffic: {limit:.2f}")
    print(f"{time.perf_counter() - start:.1f} s")


if __name__ == "__main__":
    main()
