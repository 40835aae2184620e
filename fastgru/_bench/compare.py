"""Verify libraries against the NumPy reference, then time them in turn, round by round."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from fastgru._bench.quiet import least_disturbed
from fastgru._bench.workers import LeftOut, Peer, Worker

__all__ = ["RESULTS", "TOLERANCE", "Libraries", "Runs", "compare", "readable"]

# Of the largest element. Half-width arithmetic would not pass; libraries' Adams differ in epsilon.
TOLERANCE = {"infer": 1e-4, "train": 1e-4, "step": 2e-3}
RESULTS = {
    "infer": ("y",),
    "train": ("y", "dx", "dkernel", "drecurrent_kernel", "dbias"),
    "step": ("loss",),
}


@dataclass
class Runs:
    """What was measured of one library in one case.

    Attributes
    ----------
    version : str
        The library's.
    error : float
        The largest difference from the right results, relative to the largest element.
    rounds : list of float
        The median time of a run in each round, in seconds.
    disturbed : int
        In how many rounds others used the same cores.
    left_out : str
        Why the library was not timed, if it was not.
    """

    version: str = ""
    error: float = 0.0
    rounds: list[float] = field(default_factory=list)
    disturbed: int = 0
    left_out: str = ""

    @property
    def seconds(self) -> float:
        """The median of the rounds."""
        return statistics.median(self.rounds)

    def quartiles(self) -> tuple[float, float]:
        """Return the bounds of the middle half of the rounds, in seconds."""
        if len(self.rounds) < 2:
            return self.rounds[0], self.rounds[0]
        low, _, high = statistics.quantiles(self.rounds, n=4, method="inclusive")
        return low, high


class Libraries:
    """The processes of several libraries, each started when it is first wanted.

    Parameters
    ----------
    peers : mapping of str to Peer
        The libraries by name.
    threads : int
        How many threads each may use.
    pythons : mapping of str to str, optional
        The interpreters of the libraries that are in other environments than this one.
    """

    def __init__(
        self, peers: Mapping[str, Peer], threads: int, pythons: Mapping[str, str] | None = None
    ) -> None:
        self.peers, self.threads, self._pythons = peers, threads, pythons or {}
        self._workers: dict[str, Worker] = {}
        self._absent: dict[str, str] = {}

    def worker(self, name: str) -> Worker:
        """Return a library's process; a new one if the last one died.

        Raises
        ------
        LeftOut
            If the library cannot be loaded.
        """
        if name in self._absent:
            raise LeftOut(self._absent[name])
        if name not in self._workers or not self._workers[name].alive:
            try:
                python = self._pythons.get(name, sys.executable)
                self._workers[name] = Worker(self.peers[name], python, self.threads)
            except LeftOut as error:
                self._absent[name] = str(error)
                raise
        return self._workers[name]

    def versions(self) -> dict[str, str]:
        """Return the versions of the libraries that were loaded."""
        return {name: worker.version for name, worker in self._workers.items()}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        for worker in self._workers.values():
            worker.close()


def compare(
    libraries: Libraries,
    job: str,
    inputs: Path,
    right: Mapping[str, Any],
    *,
    cell: str = "gru",
    rounds: int,
    seconds: float,
    each_round: Callable[[], object] = lambda: None,
) -> dict[str, Runs]:
    """Verify all libraries in one case, then time them in turn.

    Parameters
    ----------
    libraries : Libraries
        Who takes part.
    job : {"infer", "train", "step"}
        Forward, forward and backward, or a training step of a whole model.
    inputs : Path
        An .npz file of the arrays that adapters get (see `peers`).
    right : mapping of str to array
        The right results, in float64.
    cell : {"gru", "lstm", "simple_rnn"}, default "gru"
        Which layer.
    rounds : int
        How many times it is each library's turn.
    seconds : float
        How long a turn lasts; at least one run. A turn in which others used the same cores is
        taken again, up to twice; the least disturbed one counts.
    each_round : callable, optional
        Called before each round, for what else is to be measured in turn.

    Returns
    -------
    dict of str to Runs
        By the libraries' names.
    """
    runs = {name: Runs() for name in libraries.peers}
    for name, run in _still_in(runs):
        try:
            worker = libraries.worker(name)
            run.version = worker.version
            outputs = inputs.with_name("outputs.npz")
            where: dict[str, Any] = {"inputs": str(inputs), "outputs": str(outputs)}
            worker.ask("prepare", cell=cell, job=job, **where)
            run.error = _largest_error(outputs, right, job)
        except LeftOut as error:
            run.left_out = str(error)
    for _ in range(rounds):
        each_round()
        for name, run in _still_in(runs):
            try:
                worker = libraries.worker(name)
                turn = partial(_median, worker, seconds)
                median, disturbed = least_disturbed(turn, worker.id)
                run.rounds.append(median)
                run.disturbed += disturbed
            except LeftOut as error:
                run.left_out = str(error)
    return runs


def _median(worker: Worker, seconds: float) -> float:
    return float(worker.ask("time", seconds=seconds)["seconds"])


def _still_in(runs: dict[str, Runs]) -> Iterable[tuple[str, Runs]]:
    return [(name, run) for name, run in runs.items() if not run.left_out]


def _largest_error(outputs: Path, right: Mapping[str, Any], job: str) -> float:
    with np.load(outputs) as saved:
        got = dict(saved)
    outputs.unlink()
    worst = 0.0
    for name in RESULTS[job]:
        expected = right[name]
        if name not in got or got[name].shape != expected.shape:
            raise LeftOut(f"its {name} is missing or has another shape")
        error = float(np.abs(got[name] - expected).max() / np.abs(expected).max())
        if not error <= TOLERANCE[job]:
            raise LeftOut(f"its {name} is wrong by {error:.1e} of the largest element")
        worst = max(worst, error)
    return worst


def readable(seconds: float) -> str:
    """Return a time with three digits and its unit."""
    unit, scale = ("µs", 1e6) if seconds < 1e-3 else ("ms", 1e3) if seconds < 1 else ("s", 1)
    value = scale * seconds
    return f"{value:.{max(0, 3 - len(str(int(value))))}f} {unit}"
