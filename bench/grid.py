"""The grid: 13 shapes, inference and training, one thread and two, fastgru beside its peers.

    python bench/grid.py --output run.jsonl
    python bench/grid.py --output run.jsonl --shapes keras-64 tutorial --threads 1 \\
        --python torch=../torch/bin/python --python keras=../tf/bin/python
    python bench/grid.py --output lstm.jsonl --cell lstm
    python bench/report.py run.jsonl lstm.jsonl

Every library runs in a process of its own, with the same cores and as many threads; its results
are verified against the NumPy reference in float64; then all are timed in turn, round by round,
and so are the machine's vector peak and bandwidth. A library that cannot do a job is left out, and
the reason is kept. Results are appended to the output, a line of JSON for each cell.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import cells  # before NumPy
import limits
import numpy as np
from cases import GRID, RecurrentCase, Results, run_recurrent
from compiler import HERE

from fastgru import reference
from fastgru._bench import machine
from fastgru._bench.compare import Libraries, Runs, compare
from fastgru._bench.workers import PEERS, Peer

JOBS = ("infer", "train")
ALL = PEERS | {"onednn": Peer(HERE / "onednn_layer.py", "onednn")}


def run_cell(
    libraries: Libraries,
    shape: str,
    case: RecurrentCase,
    job: str,
    inputs: Path,
    right: Results,
    options: Any,
) -> dict[str, Any]:
    """Verify and time all libraries in one cell, and the machine's limits; return its record."""
    B, T, I, H, G = case.B, case.T, case.I, case.H, case.gates
    size, found = 4 * G * H**2, list[limits.Limits]()
    runs = compare(
        libraries, job, inputs, right,
        cell=case.cell,
        rounds=options.rounds,
        seconds=options.seconds,
        each_round=lambda: found.append(limits.measure(libraries.threads, (size,))),
    )  # fmt: skip
    limit = limits.Limits(  # the best of the rounds
        max(each.peak for each in found), {size: max(each.read[size] for each in found)}
    )
    return {
        "cell": case.cell,
        "shape": shape,
        "sizes": {"B": B, "T": T, "I": I, "H": H},
        "job": job,
        "threads": libraries.threads,
        "flop": (3 if job == "train" else 1) * 2 * B * T * G * H * (I + H),
        "peak": limit.peak,
        "read": limit.read[size],
        "least_seconds": limits.seconds_at_best(B, T, I, H, G, limit) if job == "infer" else None,
        "machine": machine.facts(),
        "libraries": {name: summary(run) for name, run in runs.items()},
    }


def summary(run: Runs) -> dict[str, Any]:
    """Return what was measured of one library, for the record."""
    if run.left_out:
        return {"left_out": run.left_out}
    low, high = run.quartiles()
    return {
        "version": run.version,
        "seconds": run.seconds,
        "low": low,
        "high": high,
        "rounds": len(run.rounds),
        "disturbed": run.disturbed,
        "error": run.error,
    }


def show(record: dict[str, Any]) -> None:
    """Print a cell in a line."""
    times = {
        name: f"{1e6 * run['seconds']:.0f}" if "seconds" in run else "-"
        for name, run in record["libraries"].items()
    }
    cell = f"{record['cell']} {record['job']} {record['shape']} x{record['threads']}"
    print(f"{cell:32} µs:", *(f"{name} {time}" for name, time in times.items()), flush=True)


def parse() -> argparse.Namespace:
    """Return the command's options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True, metavar="RUN.jsonl")
    parser.add_argument("--cell", choices=cells.CELLS, default="gru")
    parser.add_argument("--shapes", nargs="+", choices=GRID, default=list(GRID), metavar="SHAPE")
    parser.add_argument("--jobs", nargs="+", choices=JOBS, default=JOBS)
    add_library_options(parser)
    add_timing_options(parser)
    return parser.parse_args()


def add_library_options(parser: argparse.ArgumentParser, default: Iterable[str] = ALL) -> None:
    """Declare what other benchmarks beside the peers have, too."""
    parser.add_argument(
        "--libraries", nargs="+", choices=ALL, default=list(default), metavar="LIBRARY"
    )
    parser.add_argument(
        "--python", nargs="+", action="extend", type=interpreter, default=[],
        metavar="LIBRARY=PATH",
        help="the interpreter of the environment that has a library; this one by default",
    )  # fmt: skip


def add_timing_options(parser: argparse.ArgumentParser) -> None:
    """Declare what other benchmarks that take libraries in turn have, too."""
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.15, help="of each library in a round")


def interpreter(text: str) -> tuple[str, str]:
    """Return library and path of LIBRARY=PATH."""
    name, _, path = text.partition("=")
    if name not in ALL or not path:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not LIBRARY=PATH for one of {', '.join(ALL)}"
        )
    return name, path


def main() -> None:
    """Run the cells that are asked for."""
    options = parse()
    # Whichever peers are asked for, the report compares them with fastgru.
    peers = {name: ALL[name] for name in ("fastgru", *options.libraries)}
    with ExitStack() as stack:
        inputs = Path(stack.enter_context(tempfile.TemporaryDirectory()), "inputs.npz")
        output = stack.enter_context(options.output.open("a"))
        groups = [
            stack.enter_context(Libraries(peers, threads, dict(options.python)))
            for threads in options.threads
        ]
        for shape in options.shapes:
            case = cells.grid(options.cell)[shape]
            np.savez(inputs, dy=case.gradients()[0], **case.arrays())
            right = run_recurrent(reference, case, "float64")
            for libraries, job in itertools.product(groups, options.jobs):
                record = run_cell(libraries, shape, case, job, inputs, right, options)
                print(json.dumps(record), file=output, flush=True)
                show(record)


if __name__ == "__main__":
    main()
