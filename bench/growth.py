"""How time grows with T, B and H, over two decades each: linear, linear, quadratic, without cliffs.

    python bench/growth.py --picture bench/growth.png

One GRU layer in float32, forward and backward, one thread. Sizes are powers of two, their
neighbours, and odd ones; all are timed in turn, round by round. Prints a table, and for each of
the three the largest factor by which a size takes longer than a larger one (1 if never). Each size
is verified against the reference first. The picture needs Matplotlib.
"""

from __future__ import annotations

import argparse
import functools
import os
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cells  # before NumPy
from cases import RecurrentCase, assert_close, run_recurrent
from timing import median_of_runs, pinned

from fastgru import ops, reference
from fastgru._bench import machine
from fastgru._bench.quiet import least_disturbed

# Powers of two and their neighbours, where lanes and cache sets begin anew.
TO_9 = (1, 2, 3, 4, 5, 7, 8, 9)
FROM_10 = (10, 12, 15, 16, 17, 24, 31, 32, 33, 48, 63, 64, 65, 100, 127, 128, 129, 200)
TO_1000 = (*FROM_10, 255, 256, 257, 400, 511, 512, 513, 777, 1000)
BASE = cells.layer("gru", 1, 1, 1, 1)


@dataclass(frozen=True)
class Sweep:
    """What grows, and the power of its size that time should follow."""

    letters: str
    sizes: tuple[int, ...]
    power: int
    base: RecurrentCase
    fixed: str

    def case(self, size: int) -> RecurrentCase:
        return replace(self.base, **dict.fromkeys(self.letters, size))


SWEEPS = {
    "T": Sweep("T", TO_1000, 1, replace(BASE, B=8, I=128, H=128), "B=8, I=H=128"),
    "B": Sweep("B", (*TO_9, *FROM_10), 1, replace(BASE, T=20, I=128, H=128), "T=20, I=H=128"),
    "H": Sweep(
        "IH", (*TO_1000, 1023, 1024, 1025, 1600), 2, replace(BASE, B=16, T=20), "B=16, T=20, I=H"
    ),
}
TOLERANCE = 1e-4


@dataclass
class Point:
    """A size, and the times of a run at it."""

    size: int
    run: Callable[[], object]
    rounds: list[float] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return statistics.median(self.rounds)


def points(sweep: Sweep) -> list[Point]:
    """Return the points of a sweep, verified."""
    made = []
    for case in map(sweep.case, sweep.sizes):
        assert_close(run_recurrent(ops, case), run_recurrent(reference, case, "float64"), TOLERANCE)
        made.append(Point(getattr(case, sweep.letters[-1]), job(case)))
    return made


def job(case: RecurrentCase) -> Callable[[], object]:
    """Return what is timed: forward and backward."""
    arrays, (dy, _) = case.arrays(), case.gradients()

    def run() -> Any:
        _, _, cache = ops.gru_forward(**arrays, training=True)
        return ops.gru_backward(dy, cache)

    return run


def take_turns(found: list[Point], rounds: int, seconds: float) -> None:
    """Time all points in turn; tell how often others disturbed."""
    disturbed = 0
    for point in found * rounds:
        turn = functools.partial(median_of_runs, point.run, seconds)
        median, others = least_disturbed(turn, os.getpid())
        point.rounds.append(median)
        disturbed += others
    print(f"\nIn {disturbed / len(found) / rounds:.0%} of the rounds others used the same core.")


def worst_cliff(found: list[Point]) -> tuple[float, int]:
    """Return the largest factor by which a size takes longer than a larger one, and that size."""
    factors = [
        (point.seconds / later.seconds, point.size)
        for i, point in enumerate(found)
        for later in found[i + 1 :]
    ]
    return max([(1.0, 0), *factors])


def draw(sweeps: dict[str, list[Point]], path: Path) -> None:
    """Draw time against size, beside the slope that it should have."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    columns = len(sweeps)
    figure, axes = plt.subplots(
        1, columns, figsize=(4 * columns, 3.8), layout="constrained", squeeze=False
    )
    axes = axes[0]
    for panel, (letter, found) in zip(axes, sweeps.items(), strict=True):
        sizes, times = [p.size for p in found], [1e3 * p.seconds for p in found]
        power = SWEEPS[letter].power
        ideal = [times[-1] * (size / sizes[-1]) ** power for size in sizes]
        panel.loglog(sizes, ideal, color="gray", linewidth=1, linestyle="--")
        panel.loglog(sizes, times, color="#4c72b0", marker="o", markersize=3, linewidth=1)
        panel.set_xlabel(f"{letter}, at {SWEEPS[letter].fixed}")
        panel.set_title(f"dashed: as {letter}{'²' if power == 2 else ''}", fontsize=9)
        panel.grid(which="both", color="#eeeeee")
    axes[0].set_ylabel("forward and backward, ms")
    facts = machine.facts()
    figure.suptitle(f"{facts['cpu']}, {facts['isa']}, one thread, {facts['commit']}", fontsize=9)
    figure.savefig(path, dpi=120)


def main() -> None:
    """Measure, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--picture", type=Path, metavar="FILE.png")
    parser.add_argument("--sweeps", nargs="+", choices=SWEEPS, default=list(SWEEPS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.05, help="of each size in a round")
    options = parser.parse_args()

    sweeps = {letter: points(SWEEPS[letter]) for letter in options.sweeps}
    for letter, found in sweeps.items():
        with pinned(1):
            take_turns(found, options.rounds, options.seconds)
        power = SWEEPS[letter].power
        unit = f"µs / {letter}{'²' if power == 2 else ''}"
        print(f"\n| {letter} | ms | {unit} |\n|---|---|---|")
        for point in found:
            each = 1e6 * point.seconds / point.size**power
            print(f"| {point.size} | {1e3 * point.seconds:.4g} | {each:.4g} |")
        factor, size = worst_cliff(found)
        print(f"\nAt worst {letter} = {size} takes {factor:.2f} times as long as a larger one.")
    if options.picture:
        draw(sweeps, options.picture)


if __name__ == "__main__":
    main()
