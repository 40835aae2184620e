"""Train one model in several processes, on one machine or many, with MPI.

    pip install mpi4py mpich
    mpirun -n 2 python examples/mpi_training.py

Every process holds the same model. Of each batch it takes its share of the rows and computes their
gradients; MPI adds these up, and all processes take the same step. So the result is that of one
process with the whole batch, up to rounding.

The task is a classic for recurrent networks: of a sequence of numbers two are marked, and the
network is to tell their sum (Hochreiter and Schmidhuber, 1997).
"""

from __future__ import annotations

import argparse
import os
import time

# One thread for each process: they share the cores already. Set before fastgru is imported.
os.environ.setdefault("FASTGRU_NUM_THREADS", "1")

import numpy as np
from mpi4py import MPI

import fastgru
from fastgru.layers import GRU, Dense, Input


def make_data(count: int, steps: int = 20, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return sequences (count, steps, 2), a number and a mark at each step, and sums (count, 1)."""
    rng = np.random.default_rng(seed)
    numbers = rng.uniform(-1, 1, (count, steps))
    first = rng.integers(0, steps // 2, count)
    second = rng.integers(steps // 2, steps, count)
    marks = np.zeros((count, steps))
    rows = np.arange(count)
    marks[rows, first] = marks[rows, second] = 1
    return np.stack([numbers, marks], axis=-1), (numbers * marks).sum(axis=1, keepdims=True)


def make_model(units: int = 32, dtype: str = "float32") -> fastgru.Sequential:
    """Return the model; a seed makes it the same in every process."""
    fastgru.set_random_seed(1)
    layers = [Input((None, 2)), GRU(units, dtype=dtype), Dense(1, dtype=dtype)]
    model = fastgru.Sequential(layers)
    model.compile(fastgru.optimizers.Adam(0.005), "mean_squared_error")
    return model


def shared_gradients(
    model: fastgru.Sequential, x: np.ndarray, y: np.ndarray, count: int, processes: MPI.Comm
) -> float:
    """Make ``model.gradients`` those of a batch that is spread over the processes.

    Parameters
    ----------
    x, y : ndarray
        This process' rows of the batch; there may be none.
    count : int
        The number of rows in all processes.

    Returns
    -------
    float
        The mean loss over all rows.
    """
    share = len(x) / count  # a loss is a mean over rows: shares need not be equal
    loss = model.grads_on_batch(x, y)["loss"] * share if len(x) else 0.0
    gradients = model.gradients  # one flat array, those of all weights
    gradients *= share
    processes.Allreduce(MPI.IN_PLACE, gradients, MPI.SUM)
    return float(processes.allreduce(loss, MPI.SUM))


def train(
    model: fastgru.Sequential,
    x: np.ndarray,
    y: np.ndarray,
    processes: MPI.Comm,
    *,
    epochs: int,
    batch_size: int,
    verbose: bool = False,
) -> list[float]:
    """Train for some epochs; return the mean loss of each."""
    rng = np.random.default_rng(2)  # the same order in every process
    losses = []
    for epoch in range(epochs):
        order = rng.permutation(len(x))
        total = 0.0
        for start in range(0, len(x), batch_size):
            batch = order[start : start + batch_size]
            mine = batch[processes.rank :: processes.size]
            loss = shared_gradients(model, x[mine], y[mine], len(batch), processes)
            model.apply_gradients()
            total += loss * len(batch)
        losses.append(total / len(x))
        if verbose and processes.rank == 0:
            print(f"epoch {epoch + 1}: loss {losses[-1]:.4f}")
    return losses


def main() -> None:
    """Train, then test in the first process."""
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    processes = MPI.COMM_WORLD
    x, y = make_data(4000)
    model = make_model()
    start = time.perf_counter()
    train(model, x, y, processes, epochs=8, batch_size=64, verbose=True)
    seconds = time.perf_counter() - start
    if processes.rank == 0:
        x_test, y_test = make_data(1000, seed=3)
        error = np.mean((model.predict(x_test, verbose=0) - y_test) ** 2)
        print(f"{processes.size} processes, {seconds:.1f} s")
        print(f"test: mean squared error {error:.4f}; always the mean: {y_test.var():.4f}")


if __name__ == "__main__":
    main()
