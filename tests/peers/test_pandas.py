"""Columns of pandas as data: their rows go by places, whatever the labels of the rows are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import fastgru
from fastgru.layers import GRU, Dense, Embedding, Input

RNG = np.random.default_rng(4)
X = RNG.normal(size=(40, 4, 3))
Y, W = X[:, 0, 0], np.arange(40) / 40


def trained(x: Any, y: Any, weights: Any) -> list[float]:
    """Return the losses of a model that was shuffled through the data."""
    fastgru.utils.set_random_seed(1)
    model = fastgru.Sequential([Input((4, 3)), GRU(3), Dense(1)])
    model.compile("adam", "mse")
    fit = model.fit(x, y, batch_size=8, epochs=2, sample_weight=weights, verbose=0)
    return fit.history["loss"]


@pytest.mark.parametrize("labels", [np.arange(40)[::-1], np.arange(100, 140)])
@pytest.mark.parametrize("on_disk", [True, False])
def test_labels_and_weights(labels: np.ndarray, on_disk: bool, tmp_path: Path) -> None:
    x: np.ndarray = X
    if on_disk:
        x = np.memmap(tmp_path / "x", X.dtype, "w+", shape=X.shape)
        x[:] = X
    y, weights = pd.Series(Y, labels), pd.Series(W, labels)
    expected = trained(x, Y, W)
    assert trained(x, y, weights) == expected
    assert trained(x, pd.DataFrame({"y": y}), weights) == expected


def test_a_column_of_sequences() -> None:
    column = pd.Series([[1, 2], [3]], [5, 3])
    np.testing.assert_array_equal(fastgru.utils.pad_sequences(column), [[1, 2], [0, 3]])
    model = fastgru.Sequential([Embedding(9, 3), GRU(2, return_sequences=True), Dense(1)])
    model.compile("sgd", "mse")
    model.fit(column, column.map(lambda ids: [[i / 9] for i in ids]), verbose=0)
    assert [len(steps) for steps in model.predict(column)] == [2, 1]
    alike = pd.Series([[1, 2], [3, 4]])
    np.testing.assert_array_equal(model.predict(alike), model.predict(np.array(alike.tolist())))
