"""The simple recurrent layer against torch.nn.RNN, forward and backward, padded and packed."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType

import pytest
from cases import SimpleRNNCase, assert_close, run_recurrent
from torch_cells import SHAPES, TOLERANCE, check_masks, run_torch

CASES = [
    SimpleRNNCase(
        *shape, dtype=dtype, bias=bias, dy=dy, dh_n=dh_n, ragged=ragged, activation=activation
    )
    for shape in SHAPES
    for dtype in TOLERANCE
    for activation in ("tanh", "relu")
    for bias, dy, dh_n in ((True, True, True), (True, True, False), (False, False, True))
    for ragged in (False, True)
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_rnn(case: SimpleRNNCase, operations: ModuleType):
    for options in ({}, {"packed": True, "recompute": True}):
        results = run_recurrent(operations, replace(case, **options))
        assert_close(results, run_torch(case), TOLERANCE[case.dtype])


@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("shape", SHAPES)
def test_masks_at_the_end(shape: tuple[int, ...], activation: str, operations: ModuleType):
    check_masks(operations, SimpleRNNCase(*shape, activation=activation))
