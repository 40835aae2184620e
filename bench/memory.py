"""Memory of a training step of one layer, in bytes for each of B·T·H, beside the peers. Linux only.

    python bench/memory.py --python torch=../torch/bin/python jax=../jax/bin/python
    python bench/memory.py --cell lstm --libraries fastgru

By how much a process grows at most while it runs forward and backward, outputs included, inputs and
weights not. What does not depend on T is taken out: each figure is the difference between two
lengths, each in a process of its own. The outputs y and dx are 4 + 4 I/H of the bytes.

"recomputing" is fastgru's low-memory mode. A second table compares its results with the plain
ones, to the bit, and then its time, in turn; what takes more than 1.4 times as long is bold.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from functools import partial
from pathlib import Path

import cells  # before NumPy
import grid
import numpy as np
from cases import RecurrentCase
from timing import median_of_runs, pinned

from fastgru._bench.peers import fastgru_layer
from fastgru._bench.quiet import least_disturbed
from fastgru._bench.workers import LeftOut, Worker

SHAPES = {  # B, T, I, H
    "imdb-128, longer": (32, 400, 128, 128),
    "mid-512": (64, 50, 512, 512),
    "long, one row": (1, 10_000, 128, 128),
    "long, few rows": (4, 10_000, 64, 64),
    "long, 32 rows": (32, 10_000, 64, 64),
    "long and wide": (16, 10_000, 128, 128),
}
LIBRARIES = ("fastgru", "numpy", "torch", "jax")
RECOMPUTING, BAR = "recomputing", 1.4  # times the plain time
# The C library's heap gives back what is freed: otherwise it is there before, and does not grow.
GIVE_BACK = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}


def growth(name: str, python: str | None, case: RecurrentCase, inputs: Path) -> int:
    """Return by how many bytes a new process grows in a training step."""
    np.savez(inputs, **arrays(case))
    others = {} if python is None else {"python": python}
    peer, job = grid.ALL.get(name, grid.ALL["fastgru"]), "train"
    if name == RECOMPUTING:
        job = "train_recomputing"
    with Worker(peer, variables=GIVE_BACK, **others) as worker:
        return worker.ask("memory", cell=case.cell, job=job, inputs=str(inputs))["bytes"]


def arrays(case: RecurrentCase) -> dict[str, np.ndarray]:
    """Return what the adapters get."""
    return {"dy": case.gradients()[0], **case.arrays()}


def bytes_each(name: str, python: str | None, case: RecurrentCase, inputs: Path) -> str:
    """Return the bytes for each of B·T·H, or why there is no figure."""
    half = cells.layer(case.cell, case.B, case.T // 2, case.I, case.H)
    try:
        difference = growth(name, python, case, inputs) - growth(name, python, half, inputs)
    except LeftOut as error:
        return f"left out: {error}"
    return f"{difference / (case.B * (case.T - half.T) * case.H):.1f}"


def times(case: RecurrentCase, rounds: int) -> tuple[float, float]:
    """Return how long a plain and a recomputing step take, after a look at their bits."""
    given, found = arrays(case), []
    jobs = [
        make(case.cell, given, 1) for make in (fastgru_layer.train, fastgru_layer.train_recomputing)
    ]
    one, other = (results(run()) for run, results in jobs)
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name, strict=True)
    del one, other
    for _ in range(rounds):
        turns = (partial(median_of_runs, run, 0.05) for run, _ in jobs)
        found.append([least_disturbed(turn, os.getpid())[0] for turn in turns])
    plain, recomputing = (statistics.median(each) for each in zip(*found, strict=True))
    return plain, recomputing


def label(name: str, case: RecurrentCase) -> str:
    """Return a name with the sizes."""
    return f"{name} (B={case.B} T={case.T} I={case.I} H={case.H})"


def memory_table(options: argparse.Namespace) -> None:
    """Print the bytes of each library."""
    names = [*options.libraries, RECOMPUTING]
    pythons = dict(options.python)
    print(f"| bytes for each of B·T·H, {options.cell} | {' | '.join(names)} |")
    print("|---" * (1 + len(names)) + "|")
    with tempfile.TemporaryDirectory() as folder:
        inputs = Path(folder, "inputs.npz")
        for shape, sizes in SHAPES.items():
            case = cells.layer(options.cell, *sizes)
            found = (bytes_each(name, pythons.get(name), case, inputs) for name in names)
            print(f"| {label(shape, case)} | {' | '.join(found)} |", flush=True)


def time_table(options: argparse.Namespace) -> None:
    """Print the times of the plain and the low-memory mode."""
    print(f"\n| {options.cell}, same bits | plain, ms | recomputing, ms | ratio |")
    print("|---|---|---|---|")
    longer = {name: cells.layer(options.cell, *sizes) for name, sizes in SHAPES.items()}
    with pinned(1):
        for shape, case in (longer | cells.grid(options.cell)).items():
            plain, recomputing = times(case, options.rounds)
            ratio = recomputing / plain
            text = f"**{ratio:.2f}**" if ratio > BAR else f"{ratio:.2f}"
            pair = f"{1e3 * plain:.4g} | {1e3 * recomputing:.4g}"
            print(f"| {label(shape, case)} | {pair} | {text} |", flush=True)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cell", choices=cells.CELLS, default="gru")
    grid.add_library_options(parser, LIBRARIES)
    parser.add_argument("--rounds", type=int, default=3, help="of the times")
    options = parser.parse_args()
    memory_table(options)
    time_table(options)


if __name__ == "__main__":
    main()
