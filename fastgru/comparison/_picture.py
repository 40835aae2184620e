"""The picture of a comparison."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastgru.plot import require_matplotlib

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from fastgru.comparison._result import Comparison


def draw(found: Comparison) -> Figure:
    """Draw the scores of all seeds, the validation losses by epoch, and the times."""
    from matplotlib.ticker import MaxNLocator

    pyplot = require_matplotlib()
    figure, (scores, losses, times) = pyplot.subplots(
        1, 3, figsize=(12.5, 3.8), layout="constrained"
    )
    for i, result in enumerate(found.results):
        colour = f"C{i}"
        scores.plot([i] * len(result.runs), result.scores, "o", color=colour, alpha=0.5)
        scores.plot([i - 0.25, i + 0.25], [result.mean] * 2, color=colour, linewidth=2)
        curves = np.array([run.history["val_loss"] for run in result.runs], float)
        epochs = np.arange(1, curves.shape[1] + 1)
        losses.plot(epochs, curves.mean(axis=0), color=colour, label=result.cell)
        if len(curves) > 1:
            low, high = curves.min(axis=0), curves.max(axis=0)
            losses.fill_between(epochs, low, high, color=colour, alpha=0.15, linewidth=0)
        times.bar(i, 1e3 * result.seconds, width=0.5, color=colour)
        words = f"{result.parameters:,}\nparameters"
        times.annotate(words, (i, 1e3 * result.seconds), ha="center", va="bottom", fontsize=8)
    name, score = found.baseline
    scores.axhline(score, color="0.5", linestyle=":", linewidth=1)
    scores.annotate(name, (0.99, score), xycoords=("axes fraction", "data"), fontsize=8,
                    ha="right", va="bottom", color="0.4")  # fmt: skip
    scores.margins(y=0.15)
    scores.set_ylabel(f"validation {found.score_name}")
    scores.set_title("score: a dot for each seed, a line at the mean", fontsize=9)
    losses.set_xlabel("epoch")
    losses.set_ylabel("validation loss")
    shown = np.concatenate([run.history["val_loss"] for r in found.results for run in r.runs])
    if np.nanmin(shown) > 0 and np.nanmax(shown) > 20 * np.nanmin(shown):
        losses.set_yscale("log")
    losses.set_title("loss: mean and range over the seeds", fontsize=9)
    losses.xaxis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1))
    losses.legend(fontsize=8)
    times.set_ylabel("milliseconds per epoch")
    times.set_title("time of training", fontsize=9)
    times.margins(y=0.25)
    _name_cells(scores, found)
    _name_cells(times, found)
    scores.grid(axis="y", alpha=0.3)
    losses.grid(alpha=0.3)
    return figure  # type: ignore[no-any-return]


def _name_cells(axes: Any, found: Comparison) -> None:
    axes.set_xticks(range(len(found.results)), [result.cell for result in found.results])
    axes.set_xlim(-0.6, len(found.results) - 0.4)
