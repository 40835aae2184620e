"""Memory of a training step of one layer, in bytes for each of B·T·H, beside the peers. Linux only.

    python bench/memory.py --python torch=../torch/bin/python jax=../jax/bin/python

By how much a process grows at most while it runs forward and backward, outputs included, inputs and
weights not. What does not depend on T is taken out: each figure is the difference between two
lengths, each in a process of its own.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import grid
import numpy as np
from cases import GRID, GRUCase

from fastgru._bench.workers import LeftOut, Worker

SHAPES = {
    "imdb-128": replace(GRID["imdb-128"], T=400),
    "mid-512": GRID["mid-512"],
    "long": GRUCase(1, 10_000, 128, 128, dtype="float32", h0=False, dh_n=False),
}
LIBRARIES = ("fastgru", "numpy", "torch", "jax")
# The C library's heap gives back what is freed: otherwise it is there before, and does not grow.
GIVE_BACK = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}


def growth(name: str, python: str | None, case: GRUCase, inputs: Path) -> int:
    """Return by how many bytes a new process grows in a training step."""
    np.savez(inputs, dy=case.gradients()[0], **case.arrays())
    others = {} if python is None else {"python": python}
    with Worker(grid.ALL[name], variables=GIVE_BACK, **others) as worker:
        return worker.ask("memory", job="train", inputs=str(inputs))["bytes"]


def bytes_each(name: str, python: str | None, case: GRUCase, inputs: Path) -> str:
    """Return the bytes for each of B·T·H, or why there is no figure."""
    half = replace(case, T=case.T // 2)
    try:
        difference = growth(name, python, case, inputs) - growth(name, python, half, inputs)
    except LeftOut as error:
        return f"left out: {error}"
    return f"{difference / (case.B * (case.T - half.T) * case.H):.1f}"


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    grid.add_library_options(parser, LIBRARIES)
    options = parser.parse_args()
    pythons = dict(options.python)
    print(f"| bytes for each of B·T·H | {' | '.join(options.libraries)} |")
    print("|---" * (1 + len(options.libraries)) + "|")
    with tempfile.TemporaryDirectory() as folder:
        for shape, case in SHAPES.items():
            sizes = f"{shape} (B={case.B} T={case.T} I={case.I} H={case.H})"
            cells = (
                bytes_each(name, pythons.get(name), case, Path(folder, "inputs.npz"))
                for name in options.libraries
            )
            print(f"| {sizes} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
