"""The LSTM against Keras' layer, forward and backward, over all its options."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType

import pytest
from cases import ACTIVATIONS, LSTMCase, assert_close, run_recurrent
from keras_cells import TOLERANCE, dropped_cases, masked_cases, plain_cases, run_keras

SMALL = LSTMCase(5, 4, 3, 7, dtype="float32")
CASES = [*plain_cases(SMALL), *masked_cases(SMALL), *dropped_cases(SMALL)]
CASES += [replace(SMALL, c0=c0, h0=not c0, dc_n=not c0, dy=c0) for c0 in (True, False)]
CASES += [
    replace(SMALL, T=1 if name == "exponential" else 2, **{argument: name})
    for name in ACTIVATIONS
    for argument in ("activation", "recurrent_activation")
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_lstm(case: LSTMCase, operations: ModuleType):
    assert_close(run_recurrent(operations, case), run_keras(case), TOLERANCE)
