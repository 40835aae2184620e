"""Shared by all benchmarks: one thread for every library, the facts recorded, the option --grid."""

from __future__ import annotations

import os
from typing import Any

import cells  # before NumPy
import pytest
from cases import GRID

import fastgru
from fastgru._bench import machine
from fastgru._bench.workers import environment

os.environ.update(environment(threads=1))  # of the other libraries
DEFAULT = ("keras-64", "tutorial")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--grid", action="store_true", help="all shapes of the grid, not only two")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a benchmark for all cells, and for two shapes of the grid, or for all."""
    if "cell" in metafunc.fixturenames:
        metafunc.parametrize("cell", cells.CELLS)
    if "shape" in metafunc.fixturenames:
        metafunc.parametrize("shape", GRID if metafunc.config.getoption("grid") else DEFAULT)


def pytest_report_header() -> list[str]:
    return [f"{name}: {value}" for name, value in machine.facts().items()]


@pytest.fixture(autouse=True)
def _record_facts(request: pytest.FixtureRequest) -> None:
    """Save the facts beside the figures of every benchmark."""
    if "benchmark" in request.fixturenames:
        benchmark: Any = request.getfixturevalue("benchmark")
        benchmark.extra_info.update(machine.facts(), threads=fastgru.get_num_threads())
