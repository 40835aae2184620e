"""What a comparison found: a table, a winner, a picture."""

from __future__ import annotations

import csv
import io
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgru.comparison._inputs import Inputs
from fastgru.comparison._tasks import Task
from fastgru.models import Model

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_GATES: dict[str, tuple[str, ...]] = {
    "simple_rnn": (),
    "gru": ("update", "reset"),
    "lstm": ("input", "forget", "output"),
}
_STATES = {"simple_rnn": ("hidden",), "gru": ("hidden",), "lstm": ("hidden", "cell")}


@dataclass(frozen=True)
class Run:
    """One training.

    Attributes
    ----------
    seed : int
        What initial weights and order of samples came from.
    model : Model
        The trained model, with the weights of its best epoch.
    history : dict of str to list
        Training and validation loss by epoch.
    score : float
        The score of the best epoch on the held-out samples.
    best_epoch : int
        The epoch with the lowest validation loss, counted from 1.
    seconds : float
        The median time of an epoch of training.
    """

    seed: int
    model: Model
    history: dict[str, list[float]]
    score: float
    best_epoch: int
    seconds: float


@dataclass
class Result:
    """What one cell achieved.

    Attributes
    ----------
    cell : str
        Its name.
    runs : list of Run
        Its trainings, one for each seed.
    """

    cell: str
    runs: list[Run] = field(default_factory=list)

    @property
    def gates(self) -> tuple[str, ...]:
        """The names of its gates."""
        return _GATES[self.cell]

    @property
    def states(self) -> tuple[str, ...]:
        """The names of its states: what it remembers."""
        return _STATES[self.cell]

    @property
    def parameters(self) -> int:
        """The number of parameters of the whole model."""
        return self.runs[0].model.count_params()

    @property
    def seconds(self) -> float:
        """The median time of an epoch of training."""
        return float(np.median([run.seconds for run in self.runs]))

    @property
    def scores(self) -> list[float]:
        """The score of each seed."""
        return [run.score for run in self.runs]

    @property
    def mean(self) -> float:
        """The mean of the scores."""
        return float(np.mean(self.scores))

    @property
    def spread(self) -> float:
        """The standard deviation of the scores over the seeds; 0 for a single one."""
        return float(np.std(self.scores, ddof=1)) if len(self.runs) > 1 else 0.0

    @property
    def best_epoch(self) -> float:
        """The median of the seeds' best epochs."""
        return float(np.median([run.best_epoch for run in self.runs]))


class Comparison:
    """What :func:`fastgru.compare` found; prints as a table.

    Attributes
    ----------
    results : list of Result
        One for each cell, in the order given.
    score_name : str
        What was compared: ``"accuracy"``, or ``"RMSE"`` in the units of the targets.
    task : {"binary", "classes", "regression"}
        What the targets were taken for.
    baseline : tuple of str and float
        The simplest guess and its score.
    train, held_out : ndarray of int
        Which of the samples were trained on, and which judged.
    """

    def __init__(
        self,
        results: list[Result],
        inputs: Inputs,
        target: Task,
        rows: tuple[np.ndarray, np.ndarray],
        baseline: tuple[str, float],
    ) -> None:
        self.results = results
        self.baseline = baseline
        self.score_name, self.task = target.score_name, target.kind
        self._inputs, self._target = inputs, target
        self.train, self.held_out = rows

    def __getitem__(self, cell: str) -> Result:
        """Return what a cell achieved.

        Raises
        ------
        KeyError
            If it was not compared.
        """
        for result in self.results:
            if result.cell == cell:
                return result
        known = ", ".join(result.cell for result in self.results)
        raise KeyError(f"no cell {cell!r} was compared; there are: {known}")

    @property
    def winner(self) -> str:
        """The cell with the best mean score; of equals the one with fewer parameters."""
        return self._best_result().cell

    def _best_result(self) -> Result:
        sign = -1 if self._target.higher_is_better else 1
        return min(self.results, key=lambda r: (sign * r.mean, r.parameters))

    @property
    def best(self) -> Model:
        """The winner's model with the best score.

        It takes sequences as :meth:`prepare` returns them; :meth:`predict` does both.
        """
        sign = -1 if self._target.higher_is_better else 1
        return min(self._best_result().runs, key=lambda run: sign * run.score).model

    def prepare(self, x: Any) -> Any:
        """Return sequences, such as were compared on, as the models take them: scaled."""
        return self._inputs.prepare(x)

    def predict(self, x: Any) -> np.ndarray:
        """Return what the best model predicts for sequences such as were compared on.

        Returns
        -------
        ndarray, shape (N,) or (N, K)
            Classes by their own names, or numbers in the units of the targets.
        """
        return self._target.restored(self.best.predict(self.prepare(x), verbose=0))

    # ---- tables ----

    def _score(self, result: Result) -> str:
        several = len(result.runs) > 1
        return f"{result.mean:.4g}" + (f" ± {result.spread:.2g}" if several else "")

    def _score_title(self) -> str:
        seeds = len(self.results[0].runs)
        return f"validation {self.score_name}" + (f" (± over {seeds} seeds)" if seeds > 1 else "")

    def _remarks(self) -> list[str]:
        name, score = self.baseline
        better = "more" if self._target.higher_is_better else "less"
        best = self._best_result()
        counts = f"{len(self.train)} to train on, {len(self.held_out)} held out"
        lines = [
            f"Data: {self._inputs.describe()}; {counts}.",
            f"Task: {self._task()}; {better} {self.score_name} is better. "
            f"The simplest guess, {name}: {score:.4g}.",
            f"Winner: {best.cell}.",
        ]
        near = [r.cell for r in self.results if r is not best and self._near(r, best)]
        if near:
            lines[-1] += f" The difference to {' and '.join(near)} is within the seeds' spread."
        return lines

    def _near(self, a: Result, b: Result) -> bool:
        return abs(a.mean - b.mean) <= a.spread + b.spread

    def _task(self) -> str:
        if self._target.classes is None:
            return (
                f"regression of {self._target.outputs} numbers"
                if (self._target.outputs > 1)
                else "regression"
            )
        return f"{len(self._target.classes)} classes"

    def __str__(self) -> str:
        """Return a table with a line for each cell, and remarks below."""
        rows = [["cell", "gates", "states", "parameters", "time per epoch", "best epoch"]]
        rows[0].append(self._score_title())
        for r in self.results:
            facts = [r.cell, str(len(r.gates)), str(len(r.states)), f"{r.parameters:,}"]
            rows.append([*facts, _time(r.seconds), f"{r.best_epoch:g}", self._score(r)])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = []
        for first, *others in rows:
            fields = [text.rjust(w) for text, w in zip(others, widths[1:], strict=True)]
            lines.append("  ".join([first.ljust(widths[0]), *fields]))
        lines.insert(1, "-" * len(lines[0]))
        return "\n".join([*lines, "", *self._remarks()])

    def __repr__(self) -> str:
        """Return the table."""
        return str(self)

    def to_markdown(self) -> str:
        """Return a table with a column for each cell, and remarks below, in Markdown."""
        rows = {
            "Gates": [
                f"{len(r.gates)}: {', '.join(r.gates)}" if r.gates else "none" for r in self.results
            ],
            "State": [" and ".join(f"{s} state" for s in r.states) for r in self.results],
            "Parameters": [f"{r.parameters:,}" for r in self.results],
            "Time per epoch": [_time(r.seconds) for r in self.results],
            "Best epoch": [f"{r.best_epoch:g}" for r in self.results],
            self._score_title().replace("v", "V", 1): [self._score(r) for r in self.results],
        }
        lines = ["| Feature | " + " | ".join(r.cell for r in self.results) + " |"]
        lines.append("| --- " * (1 + len(self.results)) + "|")
        lines += [f"| {name} | {' | '.join(values)} |" for name, values in rows.items()]
        return "\n".join([*lines, "", *(f"- {line}" for line in self._remarks())]) + "\n"

    _repr_markdown_ = to_markdown

    def to_csv(self, path: str | os.PathLike[str] | None = None) -> str:
        """Return the numbers as CSV, one line for each training; write them into a file too.

        Parameters
        ----------
        path : path, optional
            The file.
        """
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        score = self.score_name.lower()
        facts = ["cell", "gates", "states", "parameters", "seed", "seconds_per_epoch"]
        writer.writerow([*facts, "best_epoch", f"validation_{score}", "validation_loss"])
        for r in self.results:
            for run in r.runs:
                loss = run.history["val_loss"][run.best_epoch - 1]
                cell = r.cell, len(r.gates), len(r.states), r.parameters, run.seed
                measured = f"{run.seconds:.6g}", run.best_epoch, repr(run.score), repr(loss)
                writer.writerow([*cell, *measured])
        if path is not None:
            Path(path).write_text(text.getvalue())
        return text.getvalue()

    def plot(self) -> Figure:
        """Draw scores, validation losses and times; needs matplotlib, the extra ``plot``.

        Returns
        -------
        matplotlib.figure.Figure
            The figure.
        """
        from fastgru.comparison._picture import draw

        return draw(self)


def _time(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds >= 1 else f"{1e3 * seconds:.3g} ms"
