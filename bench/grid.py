"""The grid: 13 shapes, inference and training, one thread and two, fastgru beside its peers.

    python bench/grid.py --output run.jsonl
    python bench/grid.py --output run.jsonl --shapes keras-64 tutorial --threads 1 \\
        --python torch=../torch/bin/python --python keras=../tf/bin/python
    python bench/report.py run.jsonl

Every library runs in a process of its own, with the same cores and as many threads; its results
are verified against the NumPy reference in float64; then all are timed in turn, round by round,
and so are the machine's limits. A library that cannot do a job is left out, and the reason is kept.
Results are appended to the output, a line of JSON for each cell.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import one_thread  # noqa: F401  (before NumPy)
from compiler import HERE

sys.path.insert(0, str(HERE.parent / "tests"))

import limits  # noqa: E402
import numpy as np  # noqa: E402
from cases import GRID, Results, run_gru  # noqa: E402

from fastgru import reference  # noqa: E402
from fastgru._bench import machine  # noqa: E402
from fastgru._bench.workers import PEERS, LeftOut, Peer, Worker  # noqa: E402

ALL = PEERS | {"onednn": Peer(HERE / "onednn_gru.py", "onednn")}
TOLERANCE = 1e-4  # of the largest element; half-width arithmetic would not pass
JOBS = ("infer", "train")


@dataclass
class Runs:
    """What was measured of one library in one cell."""

    version: str = ""
    error: float = 0  # the largest difference from float64, relative to the largest element
    seconds: list[float] = field(default_factory=list)  # the median of each round
    left_out: str = ""  # why, if it was

    def summary(self) -> dict[str, Any]:
        """Return it for the record."""
        if self.left_out:
            return {"left_out": self.left_out}
        low, _, high = statistics.quantiles(self.seconds, n=4, method="inclusive")
        return {
            "version": self.version,
            "seconds": statistics.median(self.seconds),
            "low": low,
            "high": high,
            "rounds": len(self.seconds),
            "error": self.error,
        }


class Libraries:
    """The processes of all libraries for one number of threads, started when first wanted."""

    def __init__(self, names: list[str], pythons: dict[str, str], threads: int) -> None:
        self.names, self.pythons, self.threads = names, pythons, threads
        self._workers: dict[str, Worker] = {}
        self._absent: dict[str, str] = {}

    def worker(self, name: str) -> Worker:
        """Return a library's process, a new one if the last one died."""
        if name in self._absent:
            raise LeftOut(self._absent[name])
        if name not in self._workers or not self._workers[name].alive:
            try:
                python = self.pythons.get(name, sys.executable)
                self._workers[name] = Worker(ALL[name], python, self.threads)
            except LeftOut as error:
                self._absent[name] = str(error)
                raise
        return self._workers[name]

    def close(self) -> None:
        """End all processes."""
        for worker in self._workers.values():
            worker.close()


def run_cell(
    libraries: Libraries, shape: str, job: str, right: Results, folder: Path, options: Any
) -> dict[str, Any]:
    """Verify and time all libraries in one cell; return its record."""
    case = GRID[shape]
    runs = {name: Runs() for name in libraries.names}
    for name, run in runs.items():
        try:
            worker = libraries.worker(name)
            run.version = worker.version
            outputs = folder / "outputs.npz"
            inputs = str(folder / "inputs.npz")
            worker.ask("prepare", job=job, inputs=inputs, outputs=str(outputs))
            run.error = verify(outputs, right, job)
        except LeftOut as error:
            run.left_out = str(error)

    size = 12 * case.H**2
    found: list[limits.Limits] = []
    for _ in range(options.rounds):
        found.append(limits.measure(libraries.threads, (size,)))
        for name, run in runs.items():
            if not run.left_out:
                try:
                    answer = libraries.worker(name).ask("time", seconds=options.seconds)
                    run.seconds.append(answer["seconds"])
                except LeftOut as error:
                    run.left_out = str(error)

    limit = limits.Limits(
        statistics.median(each.peak for each in found),
        {size: statistics.median(each.read[size] for each in found)},
    )
    B, T, I, H = case.B, case.T, case.I, case.H
    return {
        "shape": shape,
        "sizes": {"B": B, "T": T, "I": I, "H": H},
        "job": job,
        "threads": libraries.threads,
        "flop": (3 if job == "train" else 1) * 2 * B * T * 3 * H * (I + H),
        "peak": limit.peak,
        "read": limit.read[size],
        "least_seconds": limits.seconds_at_best(B, T, I, H, limit) if job == "infer" else None,
        "machine": machine.facts(),
        "libraries": {name: run.summary() for name, run in runs.items()},
    }


def verify(outputs: Path, right: Results, job: str) -> float:
    """Return the largest relative error of what was saved; refuse what is wrong or missing."""
    with np.load(outputs) as saved:
        got = dict(saved)
    wanted = ["y", "dx", "dkernel", "drecurrent_kernel", "dbias"] if job == "train" else ["y"]
    worst = 0.0
    for name in wanted:
        expected = right[name]
        assert expected is not None
        if name not in got or got[name].shape != expected.shape:
            raise LeftOut(f"its {name} is missing or has another shape")
        error = float(np.abs(got[name] - expected).max() / np.abs(expected).max())
        if not error <= TOLERANCE:
            raise LeftOut(f"its {name} is wrong by {error:.1e} of the largest element")
        worst = max(worst, error)
    return worst


def show(record: dict[str, Any]) -> None:
    """Print a cell in a line."""
    times = {
        name: f"{1e6 * run['seconds']:.0f}" if "seconds" in run else "-"
        for name, run in record["libraries"].items()
    }
    cell = f"{record['job']} {record['shape']} x{record['threads']}"
    print(f"{cell:24} µs:", *(f"{name} {time}" for name, time in times.items()), flush=True)


def parse() -> argparse.Namespace:
    """Return the command's options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True, metavar="RUN.jsonl")
    parser.add_argument("--shapes", nargs="+", choices=GRID, default=list(GRID), metavar="SHAPE")
    parser.add_argument("--jobs", nargs="+", choices=JOBS, default=JOBS)
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--libraries", nargs="+", choices=ALL, default=list(ALL), metavar="NAME")
    parser.add_argument(
        "--python", action="append", default=[], metavar="LIBRARY=PATH",
        help="the interpreter of the environment that has a library; this one by default",
    )  # fmt: skip
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.15, help="of each library in a round")
    options = parser.parse_args()
    pairs = [text.partition("=") for text in options.python]
    options.pythons = {name: path for name, _, path in pairs}
    for name in options.pythons:
        if name not in ALL:
            parser.error(f"--python: no library {name!r}; there are {', '.join(ALL)}")
    return options


def main() -> None:
    """Run the cells that are asked for."""
    options = parse()
    with tempfile.TemporaryDirectory() as temporary, options.output.open("a") as output:
        folder = Path(temporary)
        groups = [Libraries(options.libraries, options.pythons, n) for n in options.threads]
        for shape in options.shapes:
            case = GRID[shape]
            np.savez(folder / "inputs.npz", dy=case.gradients()[0], **case.arrays())
            right = run_gru(reference, case, "float64")
            for libraries in groups:
                for job in options.jobs:
                    record = run_cell(libraries, shape, job, right, folder, options)
                    print(json.dumps(record), file=output, flush=True)
                    show(record)
        for libraries in groups:
            libraries.close()


if __name__ == "__main__":
    main()
