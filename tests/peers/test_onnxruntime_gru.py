"""The forward pass against onnxruntime's operator GRU: both resets, directions, biases, lengths."""

from __future__ import annotations

from types import ModuleType

import pytest
from cases import GRUCase
from onnxruntime_cells import OPTIONS, SHAPES, check

CASES = [
    GRUCase(*shape, dtype="float32", reset_after=after, **options)
    for shape in SHAPES
    for after in (True, False)
    for options in OPTIONS
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_gru(case: GRUCase, operations: ModuleType):
    check(operations, case)
