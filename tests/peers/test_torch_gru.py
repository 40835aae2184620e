"""The GRU against torch.nn.GRU, forward and backward."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest
from cases import GRUCase, assert_close, run_recurrent
from torch_cells import SHAPES, TOLERANCE, check_masks, run_torch

CASES = [
    GRUCase(*shape, dtype=dtype, bias=bias, dy=dy, dh_n=dh_n, packed=packed, ragged=ragged)
    for shape in SHAPES
    for dtype in TOLERANCE
    for bias, dy, dh_n, packed in (
        (True, True, True, False),
        (True, True, False, True),
        (False, False, True, False),
    )
    for ragged in (False, True)
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_gru(case: GRUCase, operations: ModuleType):
    right = run_torch(replace(case, packed=False))
    assert_close(run_recurrent(operations, case), right, TOLERANCE[case.dtype])


@pytest.mark.parametrize("shape", SHAPES)
def test_masks_at_the_end(shape: tuple[int, ...], operations: ModuleType):
    check_masks(operations, GRUCase(*shape))


def test_torch_layout_is_a_view(operations: ModuleType):
    """A kernel in torch's own memory layout, rows of gates, is taken as the view that it is."""
    case = GRUCase(5, 6, 7, 9)
    a = case.arrays()
    for name in ("kernel", "recurrent_kernel"):
        a[name] = np.ascontiguousarray(a[name].T).T
    y, _, _ = operations.gru_forward(**a)
    assert_close({"y": y}, {"y": run_torch(case)["y"]}, TOLERANCE["float64"])
