"""The LSTM against torch.nn.LSTM, forward and backward, padded and packed."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType

import pytest
from cases import LSTMCase, assert_close, run_recurrent
from torch_cells import SHAPES, TOLERANCE, check_masks, run_torch

CASES = [
    LSTMCase(*shape, dtype=dtype, bias=bias, dy=dy, dh_n=dh_n, dc_n=dc_n, ragged=ragged)
    for shape in SHAPES
    for dtype in TOLERANCE
    for bias, dy, dh_n, dc_n in (
        (True, True, True, True),
        (True, True, False, False),
        (False, False, True, False),
        (False, False, False, True),
    )
    for ragged in (False, True)
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_lstm(case: LSTMCase, operations: ModuleType):
    for options in ({}, {"packed": True, "recompute": True}):
        results = run_recurrent(operations, replace(case, **options))
        assert_close(results, run_torch(case), TOLERANCE[case.dtype])


@pytest.mark.parametrize("shape", SHAPES)
def test_masks_at_the_end(shape: tuple[int, ...], operations: ModuleType):
    check_masks(operations, LSTMCase(*shape))
