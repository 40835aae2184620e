"""The simple recurrent layer against Keras' layer, forward and backward, over all its options."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType

import pytest
from cases import ACTIVATIONS, SimpleRNNCase, assert_close, run_recurrent
from keras_cells import TOLERANCE, dropped_cases, masked_cases, plain_cases, run_keras

SMALL = SimpleRNNCase(5, 4, 3, 7, dtype="float32")
CASES = [*plain_cases(SMALL), *masked_cases(SMALL), *dropped_cases(SMALL)]
CASES += [replace(SMALL, T=2, activation=name) for name in ACTIVATIONS]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_rnn(case: SimpleRNNCase, operations: ModuleType):
    assert_close(run_recurrent(operations, case), run_keras(case), TOLERANCE)
