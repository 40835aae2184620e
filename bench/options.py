"""What options cost beside the plain layer: masks, ragged rows, dropout, activations and the like.

    python bench/options.py
    python bench/options.py --quick
    python bench/options.py --cells lstm --shapes keras-64 imdb-128 --threads 2

A variant and the plain layer run in this process, in turn, run by run. A figure is the variant's
time over the plain layer's, the median of the rounds, and in brackets the least and the greatest;
with a mask or ragged rows it is divided by the share of the steps that are valid, too. What misses
its bar is bold. What is not verified against the NumPy reference in float64 is not timed.
"""

from __future__ import annotations

import argparse
import functools
import os
import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import cells  # before NumPy
import numpy as np
from cases import GRID, RecurrentCase, assert_close, backward, forward
from timing import pinned, ratio_of_runs

from fastgru import ops, reference
from fastgru._bench import machine
from fastgru._bench.quiet import least_disturbed

QUICK = ("tutorial", "keras-64", "mid-256")
JOBS = ("infer", "train")
TOLERANCE = 1e-4  # of the largest element; float32, hundreds of steps
MANY_ROWS = 32  # from here on masks have a bar
KINKED = ("relu", "selu")  # float32 may fall on the other side of 0, where their slopes jump
DRAWS = 4  # of x, for these
ACTIVATIONS = ("relu", "linear", "sigmoid", "softsign", "elu", "selu", "gelu", "silu")
Arrays = dict[str, np.ndarray]


@dataclass
class Variant:
    """A layer with an option, and how its time compares with the plain layer's.

    share : of the steps that are valid
    bar : what its figure may be at most; None for no bar
    """

    name: str
    case: RecurrentCase
    arrays: Arrays
    bar: float | None = None
    share: float = 1.0
    infers: bool = True  # whether it matters in inference
    rounds: list[float] = field(default_factory=list)  # its time over the plain layer's

    def job(self, job: str) -> Callable[[], Any]:
        """Return what is timed: forward, or forward and backward."""
        case, arrays, dy = self.case, dict(self.arrays), self.dy()
        run, run_back, options = forward(ops, case), backward(ops, case), case.options()
        if job == "train":
            return lambda: run_back(dy, run(**arrays, **options, training=True)[-1])
        pack = getattr(ops, f"pack_{case.cell}")
        mode = {k: v for k, v in options.items() if k == "reset_after"}
        arrays["kernel"] = pack(arrays["kernel"], arrays["recurrent_kernel"], **mode)
        arrays["recurrent_kernel"] = None
        return lambda: run(**arrays, **options)[0]

    def dy(self) -> np.ndarray:
        """Return the gradient of the outputs."""
        leading = self.arrays["x"].shape[:-1]
        random = np.random.default_rng(5)
        return random.normal(size=(*leading, self.case.H)).astype(np.float32)

    def verify(self) -> None:
        """Compare outputs and gradients with the reference's, and inference with training."""
        exact = {k: a.astype("d") if a.dtype == "f" else a for k, a in self.arrays.items()}
        got, right = (self._results(o, a) for o, a in ((ops, self.arrays), (reference, exact)))
        if self.case.activation == "relu":
            assert_close_but_at_kinks(got, right)
        else:
            assert_close(got, right, TOLERANCE)
        assert_close({"y": self.job("infer")()}, {"y": right["y"]}, TOLERANCE)

    def _results(self, library: Any, arrays: Arrays) -> dict[str, Any]:
        case = self.case
        y, *_, cache = forward(library, case)(**arrays, **case.options(), training=True)
        gradients = backward(library, case)(self.dy().astype(y.dtype), cache)
        return {"y": y} | dict(zip(case.gradient_names(), gradients, strict=True))


def assert_close_but_at_kinks(got: Arrays, right: Arrays) -> None:
    """Require close results; but relu's slope jumps at 0, where float32 may see another sign."""
    for name, expected in right.items():
        if expected is not None:
            off = np.abs(got[name] - expected) > TOLERANCE * max(1.0, np.abs(expected).max())
            assert off.mean() < 0.01, f"{name}: {100 * off.mean():.1f} % are off"


def variants(case: RecurrentCase) -> list[Variant]:
    """Return the plain layer and its variants."""
    plain = Variant("plain", case, case.arrays())
    found = [plain, *masked(plain), *dropped(plain), *activated(plain)]
    if case.cell == "gru":
        before = replace(case, reset_after=False)
        found.append(Variant("reset before", before, before.arrays(), 1.25))
    recomputing = replace(case, recompute=True)
    found.append(Variant("recompute", recomputing, plain.arrays, 1.4, infers=False))
    return found


def masked(plain: Variant) -> Iterable[Variant]:
    """Yield masks of several shapes and shares, and ragged rows."""
    case, arrays = plain.case, plain.arrays
    B, T = case.B, case.T
    random, bar = np.random.default_rng((B, T)), 1.15 if B >= MANY_ROWS else None
    lengths, most = random.integers(1, T + 1, B), random.integers(T * 3 // 4, T + 1, B)
    lengths[0] = most[0] = T if B > 1 else T // 2  # a batch is padded to its longest row
    rows = np.where(np.arange(B) % 2, 1, T)
    steps, interior = np.arange(T), random.random((B, T)) < 0.5
    interior[0, 0] = True
    masks = {
        "right-padded": steps < lengths[:, None],
        "right-padded a little": steps < most[:, None],
        "left-padded": steps >= T - lengths[:, None],
        "every other row of one step": steps < rows[:, None],
        "interior, at random": interior,
        "all valid": np.ones((B, T), bool),
    }
    for name, mask in masks.items():
        yield Variant(f"mask, {name}", case, arrays | {"mask": mask}, bar, mask.mean())
    sizes = (steps[:, None] < np.sort(lengths)).sum(1)
    packed = arrays["x"].swapaxes(0, 1)[steps[:, None] < -np.sort(-lengths)]
    ragged = arrays | {"x": packed, "batch_sizes": sizes[sizes > 0]}
    yield Variant("ragged rows", case, ragged, bar, len(packed) / (B * T))


def dropped(plain: Variant) -> Iterable[Variant]:
    """Yield dropout by half, as Keras draws it: inputs; states, a mask for each gate; both."""
    case, random = plain.case, np.random.default_rng(7)
    B, each = case.B, () if case.gates == 1 else (case.gates,)

    def mask(*shape: int) -> np.ndarray:
        return 2 * random.integers(0, 2, shape).astype(np.float32)

    kinds = {
        "dropout": ({"input_dropout": mask(B, case.I)}, 1.1),
        "recurrent dropout": ({"recurrent_dropout": mask(*each, B, case.H)}, 1.4),
        "both dropouts": (
            {
                "input_dropout": mask(*each, B, case.I),
                "recurrent_dropout": mask(*each, B, case.H),
            },
            1.54,  # of both: 1.1 * 1.4
        ),
    }
    for name, (given, bar) in kinds.items():
        yield Variant(name, case, plain.arrays | given, bar, infers=False)


def activated(plain: Variant) -> Iterable[Variant]:
    """Yield other activations; with a smaller recurrent kernel, for some are not bounded."""
    case, arrays = plain.case, dict(plain.arrays)
    arrays["recurrent_kernel"] = arrays["recurrent_kernel"] / 4
    for name in ACTIVATIONS:
        yield Variant(f"activation {name}", replace(case, activation=name), arrays, 1.3)
    if "recurrent_activation" in case.choices:
        hard: Any = {"recurrent_activation": "hard_sigmoid"}
        yield Variant("gates hard_sigmoid", replace(case, **hard), arrays, 1.3)


def verified(variant: Variant, shape: str) -> bool:
    """Whether a variant gives the right results; if not, tell. At a kink another x may do."""
    for draw in range(DRAWS if variant.case.activation in KINKED else 1):
        x = variant.arrays["x"]
        if draw:
            other = np.random.default_rng(draw).normal(size=x.shape).astype(x.dtype)
            variant.arrays = variant.arrays | {"x": other * x.std()}
        try:
            variant.verify()
        except AssertionError as error:
            found = error
        else:
            return True
    print(f"**Wrong**: {variant.case.cell}, {variant.name} at {shape}: {found}", flush=True)
    return False


def take_turns(found: list[Variant], job: str, options: argparse.Namespace) -> None:
    """Time each variant beside the plain layer, the first, round by round."""
    plain = found[0].job(job)
    turns = [
        (v, functools.partial(ratio_of_runs, v.job(job), plain, options.seconds)) for v in found
    ]
    for variant in found:
        variant.rounds = []
    for variant, turn in turns * options.rounds:
        ratio, _ = least_disturbed(turn, os.getpid())
        variant.rounds.append(ratio / variant.share)


class Table:
    """A Markdown table of the variants of one layer in one job: a row each, a column a shape."""

    def __init__(self, shapes: list[str]) -> None:
        self.shapes = shapes
        self.cells: dict[str, dict[str, str]] = {}
        self.bars: dict[str, float | None] = {}
        self.missed: list[str] = []

    def add(self, shape: str, found: list[Variant]) -> None:
        """Add a column; the first variant is the plain layer."""
        for variant in found:
            self.bars[variant.name] = self.bars.get(variant.name) or variant.bar
            value = statistics.median(variant.rounds)
            late = variant.bar is not None and value > variant.bar
            text = f"**{value:.2f}**" if late else f"{value:.2f}"
            self.cells.setdefault(variant.name, {})[shape] = (
                f"{text} ({min(variant.rounds):.2f}–{max(variant.rounds):.2f})"
            )
            if late:
                self.missed.append(f"{variant.name} at {shape}: {value:.2f}, not {variant.bar}")

    def __str__(self) -> str:
        rows = [["", "bar", *self.shapes], ["---"] * (len(self.shapes) + 2)]
        for name, cells_ in self.cells.items():
            bar = f"{self.bars[name]}" if self.bars[name] else ""
            rows.append([name, bar, *(cells_.get(shape, "") for shape in self.shapes)])
        lines = [f"| {' | '.join(row)} |" for row in rows]
        missed = "; ".join(self.missed)
        return "\n".join([*lines, "", f"Over the bar: {missed}." if missed else "All within."])


def parse() -> argparse.Namespace:
    """Return the command's options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", nargs="+", choices=cells.CELLS, default=list(cells.CELLS))
    parser.add_argument("--shapes", nargs="+", choices=GRID, metavar="SHAPE")
    parser.add_argument("--threads", nargs="+", type=int, default=[1])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--seconds",
        type=float,
        default=0.06,
        help="of each variant in a round, with the plain layer",
    )
    parser.add_argument(
        "--quick", action="store_true", help=f"{', '.join(QUICK)} only, three rounds, two minutes"
    )
    options = parser.parse_args()
    options.shapes = options.shapes or list(QUICK if options.quick else GRID)
    options.rounds = 3 if options.quick else options.rounds
    return options


def main() -> None:
    """Verify, measure, print."""
    options = parse()
    print(", ".join(f"{name}: {value}" for name, value in machine.facts().items()))
    for cell in options.cells:
        tables = {(n, job): Table(options.shapes) for n in options.threads for job in JOBS}
        for shape in options.shapes:
            plain, *others = variants(cells.grid(cell)[shape])
            if not verified(plain, shape):
                print(f"{shape} is left out: there is nothing to compare with.", flush=True)
                continue
            found = [plain, *(v for v in others if verified(v, shape))]
            for (threads, job), table in tables.items():
                those = [v for v in found if v.infers or job == "train"]
                with pinned(threads):
                    take_turns(those, job, options)
                table.add(shape, those)
        for (threads, job), table in tables.items():
            print(f"\n## {cell}, {job}, {threads} thread{'s' if threads > 1 else ''}\n\n{table}")


if __name__ == "__main__":
    main()
