"""The forward pass against onnxruntime's operator LSTM: directions, biases, lengths."""

from __future__ import annotations

from types import ModuleType

import pytest
from cases import LSTMCase
from onnxruntime_cells import OPTIONS, SHAPES, check

CASES = [LSTMCase(*shape, dtype="float32", **options) for shape in SHAPES for options in OPTIONS]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_lstm(case: LSTMCase, operations: ModuleType):
    check(operations, case)
