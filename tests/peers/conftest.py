"""Tests against other frameworks: torch, keras, onnx and onnxruntime. Run `pytest tests/peers`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from types import ModuleType

import pytest

from fastgru import _core, ops, reference

os.environ.setdefault("KERAS_BACKEND", "torch")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that takes `operations` on the reference and on every instruction set."""
    if "operations" in metafunc.fixturenames:
        names = ("reference", *_core.available_isas())
        metafunc.parametrize("operations", names, indirect=True)


@pytest.fixture
def operations(request: pytest.FixtureRequest) -> Iterator[ModuleType]:
    """A set of operations: the reference, or the compiled ones on one instruction set."""
    if request.param == "reference":
        yield reference
        return
    before = _core.isa()
    _core.set_isa(request.param)
    assert _core.isa() == request.param
    yield ops
    _core.set_isa(before)


@pytest.fixture(autouse=True)
def _torch_seed() -> None:
    """Start every test from the same random state of torch, where it is loaded."""
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


@pytest.fixture(scope="module")
def double_precision() -> Iterator[None]:
    """Have Keras compute in double precision, as it does by itself on TensorFlow only."""
    import keras
    from keras.src.backend.common import dtypes

    narrowing = dtypes.BIT64_TO_BIT32_DTYPE
    narrow = narrowing["float64"]
    narrowing["float64"] = "float64"
    # The policy too: asked for once, it stays what floatx was then.
    before = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_floatx(before[0])
    keras.config.set_dtype_policy(before[1])
    narrowing["float64"] = narrow
