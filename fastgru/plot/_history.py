"""Training curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgru._naming import did_you_mean
from fastgru.callbacks import History
from fastgru.plot._matplotlib import require_matplotlib

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def history(trained: Any, *, names: Sequence[str] | None = None, log: bool = False) -> Figure:
    """Draw training curves: a panel for the loss and for each metric, over the epochs.

    Curves of the validation data are dashed, and a dot marks their best epoch: the lowest of a
    loss or an error, the highest of anything else.

    Parameters
    ----------
    trained : History, Model, or dict of str to list
        What `fit` returned, or the model, or the numbers by name. A dict of several of these draws
        them into the same panels, in colours of their own.
    names : sequence of str, optional
        What to draw, without ``val_``; by default everything.
    log : bool, default False
        Whether losses get a logarithmic axis.

    Returns
    -------
    matplotlib.figure.Figure
        The figure.

    Raises
    ------
    ImportError
        If matplotlib is missing.
    ValueError
        If there is nothing to draw, or no curve of a name.
    TypeError
        If `trained` is none of these.
    """
    pyplot = require_matplotlib()
    runs = _runs(trained)
    found = dict.fromkeys(
        name.removeprefix("val_") for _, curves in runs.values() for name in curves
    )
    wanted = list(found) if names is None else list(names)
    for name in wanted:
        if name not in found:
            close = did_you_mean(str(name), found) or f"; there are: {', '.join(found)}"
            raise ValueError(f"names: no curve {name!r}{close}")
    if not wanted:
        raise ValueError("trained: expected the numbers of at least one epoch, got none")
    columns = min(len(wanted), 3)
    rows = -(-len(wanted) // columns)
    size = (0.6 + 4.4 * columns, 0.3 + 3.4 * rows)
    figure, axes = pyplot.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")
    for name, panel in zip(wanted, axes.flat, strict=False):
        _draw_curves(panel, name, runs, log)
    for panel in axes.flat[len(wanted) :]:
        panel.remove()
    return figure  # type: ignore[no-any-return]


_Curves = Mapping[str, Sequence[float]]


def _runs(trained: Any) -> dict[str, tuple[list[int], _Curves]]:
    """Return epochs and curves by the name of the run; one that is alone has none."""
    if isinstance(trained, Mapping) and trained:
        one = next(iter(trained.values()))
        if isinstance(one, Mapping) or hasattr(one, "history"):
            return {str(name): _curves(run) for name, run in trained.items()}
    return {"": _curves(trained)}


def _curves(trained: Any) -> tuple[list[int], _Curves]:
    if not isinstance(trained, History | Mapping):
        trained = getattr(trained, "history", trained)  # a model's
    curves = trained.history if isinstance(trained, History) else trained
    if not isinstance(curves, Mapping):
        raise TypeError(
            "trained: expected a History, a model that was trained, or a dict of lists, "
            f"got {type(trained).__name__}"
        )
    longest = max((len(values) for values in curves.values()), default=0)
    epochs = [e + 1 for e in trained.epoch] if isinstance(trained, History) else []
    return epochs if len(epochs) == longest else list(range(1, longest + 1)), curves


def _draw_curves(
    axes: Axes, name: str, runs: Mapping[str, tuple[list[int], _Curves]], log: bool
) -> None:
    from matplotlib.ticker import MaxNLocator

    for i, (run, (epochs, curves)) in enumerate(runs.items()):
        for key, style in ((name, "-"), (f"val_{name}", "--")):
            if key not in curves:
                continue
            values = np.asarray(curves[key], float)
            at = epochs[len(epochs) // len(values) - 1 :: len(epochs) // len(values)]
            at = at[: len(values)]  # a validation may take place every few epochs only
            what = "validation" if style == "--" else "training"
            label = f"{run}, {what}" if run else what
            marker = "o" if len(values) == 1 else None
            colour = f"C{i}" if run else ("C0" if style == "-" else "C1")
            axes.plot(at, values, style, color=colour, label=label, marker=marker, markersize=4)
            if style == "--" and len(values) > 1 and np.isfinite(values).any():
                best = np.nanargmin(values) if _is_error(name) else np.nanargmax(values)
                axes.plot(at[best], values[best], "o", color=colour, markersize=5)
    axes.set_xlabel("epoch")
    axes.set_ylabel(name.replace("_", " "))
    if log and _is_error(name):
        axes.set_yscale("log")
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1))
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)


_ERRORS = (
    "loss", "error", "mae", "mse", "crossentropy", "bce", "divergence", "kld", "logcosh", "perplex",
    "false_",
)  # fmt: skip


def _is_error(name: str) -> bool:
    """Tell whether less of a quantity is better."""
    return any(part in name for part in _ERRORS)
