"""Shared by the tests of training beside Keras: double precision."""

from __future__ import annotations

import keras
import pytest
from keras.src.backend.common import dtypes


@pytest.fixture(scope="module")
def double_precision():
    """Have Keras compute in double precision, as it does by itself on TensorFlow only."""
    narrowing = dtypes.BIT64_TO_BIT32_DTYPE
    narrow = narrowing["float64"]
    narrowing["float64"] = "float64"
    before = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_floatx(before[0])
    keras.config.set_dtype_policy(before[1])
    narrowing["float64"] = narrow
