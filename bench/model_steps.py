"""A whole training step of a model beside the peers: Embedding, a layer, Dense, loss, Adam.

    python bench/model_steps.py --python torch=../torch/bin/python jax=../jax/bin/python

The tutorial's shape and that of keras-64, each library in a process of its own, in turn. The loss
after one update is compared with that of the NumPy reference in float64 before anything is timed.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import cells  # before NumPy
import grid
import numpy as np

from fastgru._bench import machine
from fastgru._bench.compare import Libraries, compare
from fastgru._bench.peers import numpy_layer

VOCABULARIES = {"tutorial": 15, "keras-64": 10_000}
LIBRARIES = ("fastgru", "numpy", "torch", "keras", "jax")


def make_arrays(shape: str, cell: str = "gru") -> dict[str, np.ndarray]:
    """Return what the adapters' `step` gets: ids, labels, and the weights of a new model."""
    case, V = cells.grid(cell)[shape], VOCABULARIES[shape]
    random = np.random.default_rng(3)
    arrays = case.arrays()
    arrays |= {
        "ids": random.integers(0, V, (case.B, case.T)).astype(np.int32),
        "labels": random.integers(0, 2, (case.B, 1)).astype(np.float32),
        "table": random.uniform(-0.05, 0.05, (V, case.I)).astype(np.float32),
        "dense_kernel": random.normal(0, case.H**-0.5, (case.H, 1)).astype(np.float32),
        "dense_bias": np.array([0.1], np.float32),
    }
    del arrays["x"]
    return arrays


def right_loss(arrays: dict[str, np.ndarray], cell: str = "gru") -> np.ndarray:
    """Return the loss after one update, by the reference."""
    run, results = numpy_layer.step(cell, arrays, 1)
    run()
    return results(run())["loss"]


def main() -> None:
    """Print a table of the times of a step."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cell", choices=cells.CELLS, default="gru")
    grid.add_library_options(parser, LIBRARIES)
    grid.add_timing_options(parser)
    options = parser.parse_args()
    print(", ".join(f"{name}: {value}" for name, value in machine.facts().items()))
    print(f"| step, {options.cell} | {' | '.join(options.libraries)} |")
    print("|---" * (1 + len(options.libraries)) + "|")
    reasons: dict[str, str] = {}
    peers = {name: grid.ALL[name] for name in options.libraries}
    with tempfile.TemporaryDirectory() as folder:
        inputs = Path(folder, "inputs.npz")
        for threads in options.threads:
            with Libraries(peers, threads, dict(options.python)) as libraries:
                for shape in VOCABULARIES:
                    arrays = make_arrays(shape, options.cell)
                    np.savez(inputs, **arrays)
                    right = {"loss": right_loss(arrays, options.cell)}
                    runs = compare(
                        libraries, "step", inputs, right, cell=options.cell,
                        rounds=options.rounds, seconds=options.seconds,
                    )  # fmt: skip
                    reasons |= {name: run.left_out for name, run in runs.items() if run.left_out}
                    times = (
                        "–" if run.left_out else f"{1e6 * run.seconds:.0f} µs"
                        for run in runs.values()
                    )
                    print(f"| {shape}, {threads} threads | {' | '.join(times)} |", flush=True)
    for name, reason in reasons.items():
        print(f"{name} was left out: {reason}")


if __name__ == "__main__":
    main()
