"""A whole training step of a model: Embedding, GRU, Dense, binary cross-entropy, Adam.

On the compiled operations and on the NumPy reference, which is the same model otherwise.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cases import GRID

import fastgru
from fastgru import layers, models, utils

VOCABULARY = {"tutorial": 15}
OPERATIONS = {"fastgru": "compiled", "numpy": "reference"}


def build(shape: str) -> tuple[models.Sequential, np.ndarray, np.ndarray]:
    """Return a model of a shape of the grid, ids (B, T) and labels (B, 1)."""
    case, vocabulary = GRID[shape], VOCABULARY.get(shape, 10_000)
    utils.set_random_seed(1)
    model = models.Sequential(
        [
            layers.Input((case.T,)),
            layers.Embedding(vocabulary, case.I),
            layers.GRU(case.H),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(optimizer="adam", loss="binary_crossentropy")
    random = np.random.default_rng(2)
    ids = random.integers(1, vocabulary, (case.B, case.T))
    labels = random.integers(0, 2, (case.B, 1)).astype("float32")
    return model, ids, labels


def losses(operations: str, shape: str) -> list[float]:
    """Return the losses of the first three steps."""
    with fastgru.use_ops(operations):
        model, ids, labels = build(shape)
        return [float(model.train_on_batch(ids, labels)) for _ in range(3)]


@pytest.mark.parametrize("library", OPERATIONS)
def test_training_step(benchmark: Any, shape: str, library: str) -> None:
    benchmark.group = f"{shape}: a training step of a model"
    operations = OPERATIONS[library]
    np.testing.assert_allclose(losses(operations, shape), losses("reference", shape), rtol=1e-5)
    with fastgru.use_ops(operations):
        model, ids, labels = build(shape)
        benchmark(model.train_on_batch, ids, labels)
