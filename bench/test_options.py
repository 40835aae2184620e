"""What options cost, a group for each cell; options.py holds the figures against their bars."""

from __future__ import annotations

from typing import Any

import cells
import options
import pytest

SHAPE = "keras-64"
VARIANTS = {
    f"{cell}, {variant.name}": variant
    for cell in cells.CELLS
    for variant in options.variants(cells.grid(cell)[SHAPE])
}


@pytest.mark.parametrize("name", VARIANTS)
def test_forward_and_backward(benchmark: Any, name: str) -> None:
    variant = VARIANTS[name]
    benchmark.group = f"{variant.case.cell} options {SHAPE}"
    variant.verify()
    benchmark(variant.job("train"))
