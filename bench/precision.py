"""How exact is each layer of the grid, and how fast in float64?

    python bench/precision.py
    python bench/precision.py --cells lstm --shapes keras-64 --rounds 3

Largest errors, over outputs and gradients, relative to the largest element of each array, in units
of the dtype's epsilon (float32: 1.2e-7): of float32 against the NumPy reference in float64, of
float64 against the same. Then the time in float64 over that in float32, both in turn; half the
speed is the bar, and what misses it is bold.
"""

from __future__ import annotations

import argparse
import os
from functools import partial
from typing import Any

import cells  # before NumPy
import numpy as np
from cases import GRID, RecurrentCase
from timing import median_of_runs, pinned

from fastgru import ops, reference
from fastgru._bench import machine
from fastgru._bench.peers import numpy_layer
from fastgru._bench.quiet import least_disturbed

JOBS = {"infer": numpy_layer.infer, "train": numpy_layer.train}
BAR = 2.0  # as twice as many bytes


def arrays(case: RecurrentCase, dtype: str) -> dict[str, np.ndarray]:
    """Return what a job gets: the same numbers in either dtype."""
    given = {"dy": case.gradients()[0], **case.arrays()}
    return {name: a.astype(dtype) for name, a in given.items() if a is not None}


def results(library: Any, case: RecurrentCase, dtype: str) -> dict[str, np.ndarray]:
    """Return outputs and gradients."""
    run, named = numpy_layer.train(case.cell, arrays(case, dtype), 1, library)
    return named(run())


def error(got: dict[str, np.ndarray], right: dict[str, np.ndarray], names: list[str]) -> str:
    """Return the largest error in units of the dtype's epsilon."""
    worst = max(
        float(np.abs(got[name] - right[name]).max() / np.abs(right[name]).max()) for name in names
    )
    return f"{worst / np.finfo(got[names[0]].dtype).eps:.1f}"


def slowdown(case: RecurrentCase, job: str, options: argparse.Namespace) -> str:
    """Return the time in float64 over that in float32, of the fastest rounds."""
    runs = [JOBS[job](case.cell, arrays(case, t), 1, ops)[0] for t in ("float32", "float64")]
    found: list[list[float]] = [[], []]
    for _ in range(options.rounds):
        for run, rounds in zip(runs, found, strict=True):
            turn = partial(median_of_runs, run, options.seconds)
            rounds.append(least_disturbed(turn, os.getpid())[0])
    single, double = map(min, found)
    return f"**{double / single:.2f}**" if double > BAR * single else f"{double / single:.2f}"


def row(case: RecurrentCase, options: argparse.Namespace) -> list[str]:
    """Return the figures of a layer."""
    right = results(reference, case, "float64")
    gradients = [name for name in right if name != "y"]
    found = []
    for dtype in ("float32", "float64"):
        got = results(ops, case, dtype)
        found += [error(got, right, ["y"]), error(got, right, gradients)]
    return found + [slowdown(case, job, options) for job in JOBS]


def main() -> None:
    """Print a table for each cell."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", nargs="+", choices=cells.CELLS, default=list(cells.CELLS))
    parser.add_argument("--shapes", nargs="+", choices=GRID, default=list(GRID), metavar="SHAPE")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.05, help="of each dtype in a round")
    options = parser.parse_args()
    print(", ".join(f"{name}: {value}" for name, value in machine.facts().items()))
    for cell in options.cells:
        print(
            f"\n| {cell} | float32: y | gradients | float64: y | gradients "
            "| float64 / float32: infer | train |"
        )
        print("|---" * 7 + "|")
        for shape in options.shapes:
            with pinned(1):
                print(f"| {shape} | {' | '.join(row(cells.grid(cell)[shape], options))} |")


if __name__ == "__main__":
    main()
