"""The forward pass against onnxruntime's operator RNN: directions, biases, lengths."""

from __future__ import annotations

from types import ModuleType

import pytest
from cases import SimpleRNNCase
from onnxruntime_cells import OPTIONS, SHAPES, check

CASES = [
    SimpleRNNCase(*shape, dtype="float32", **options) for shape in SHAPES for options in OPTIONS
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_rnn(case: SimpleRNNCase, operations: ModuleType):
    check(operations, case)
