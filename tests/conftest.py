"""Shared by all tests: the instruction sets in the header, the `isa` fixture, seeds."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

import numpy as np
import pytest

# An interpreter that a test starts shall find the installed package, not the sources that may lie
# in the current folder: those have no compiled core.
os.environ["PYTHONSAFEPATH"] = "1"


def pytest_report_header() -> str:
    """Say on what instruction set the compiled operations run."""
    try:
        from fastgru import _core
    except ImportError as error:
        return f"fastgru: no compiled core ({error})"
    return f"fastgru: ISA {_core.isa()} of {', '.join(_core.available_isas())}; {_core.compiler()}"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that takes `isa` once for every instruction set that the machine has."""
    if "isa" in metafunc.fixturenames:
        from fastgru import _core

        metafunc.parametrize("isa", _core.available_isas(), indirect=True)


@pytest.fixture
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    """Run the compiled operations on one instruction set, and make sure that they do."""
    from fastgru import _core

    before = _core.isa()
    _core.set_isa(request.param)
    assert _core.isa() == request.param
    yield request.param
    _core.set_isa(before)
    assert _core.isa() == before


@pytest.fixture(params=["compiled", "reference"])
def operations(request: pytest.FixtureRequest) -> Iterator[str]:
    """Run layers and models on the compiled operations, and once more on the reference."""
    import fastgru

    with fastgru.use_ops(request.param) as module:
        assert fastgru.current_ops() is module
        yield request.param


@pytest.fixture(autouse=True)
def _seeds() -> None:
    """Start every test from the same random state."""
    random.seed(0)
    np.random.seed(0)
