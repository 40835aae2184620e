"""The parts of a training step, fastgru beside the NumPy reference: backward, and all with Adam.

test_layer.py times forward, and forward with backward, beside other libraries too. Both are
verified against the reference in float64 before they are timed.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

import cells
import numpy as np
import pytest
from cases import RecurrentCase, assert_close, backward, forward, run_recurrent

from fastgru import reference

LIBRARIES = {"fastgru": "fastgru.ops", "numpy": "fastgru.reference"}
TOLERANCE = 1e-4  # of the largest element; float32, hundreds of steps
_verified: set[tuple[str, str, str]] = set()
_right: dict[tuple[str, str], dict[str, np.ndarray | None]] = {}


@pytest.fixture(params=LIBRARIES)
def verified(
    request: pytest.FixtureRequest, cell: str, shape: str
) -> tuple[ModuleType, RecurrentCase]:
    """Return a set of operations, and a case that they were seen to do right."""
    ops, case = importlib.import_module(LIBRARIES[request.param]), cells.grid(cell)[shape]
    if (request.param, cell, shape) not in _verified:
        if (cell, shape) not in _right:
            _right.clear()  # the large ones are large
            _right[cell, shape] = run_recurrent(reference, case, "float64")
        assert_close(run_recurrent(ops, case), _right[cell, shape], TOLERANCE)
        _verified.add((request.param, cell, shape))
    return ops, case


def test_backward(
    benchmark: Any, verified: tuple[ModuleType, RecurrentCase], cell: str, shape: str
) -> None:
    benchmark.group = f"{cell} backward {shape}"
    ops, case = verified
    dy, *_ = case.gradients()
    *_, cache = forward(ops, case)(**case.arrays(), training=True)
    benchmark(backward(ops, case), dy, cache)


def test_training_step(
    benchmark: Any, verified: tuple[ModuleType, RecurrentCase], cell: str, shape: str
) -> None:
    """Forward, backward, and Adam's update of the three weights."""
    benchmark.group = f"{cell} train and update {shape}"
    ops, case = verified
    run, run_back = forward(ops, case), backward(ops, case)
    arrays, (dy, *_) = case.arrays(), case.gradients()
    x, weights = arrays.pop("x"), list(arrays.values())
    flat = [w.reshape(-1) for w in weights]  # views: the update is seen by the next step
    moments = [(np.zeros_like(w), np.zeros_like(w)) for w in flat]

    def step() -> None:
        *_, cache = run(x, *weights, training=True)
        gradients = run_back(dy, cache)[1:4]
        for w, dw, (m, v) in zip(flat, gradients, moments, strict=True):
            ops.adam_update(w, dw.reshape(-1), m, v, step=1, learning_rate=1e-5)

    benchmark(step)
