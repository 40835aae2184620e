"""Gates and states along a sequence, as heat maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgru._naming import did_you_mean
from fastgru.plot._matplotlib import require_matplotlib
from fastgru.tracing import GRUTrace, LayerTrace, LSTMTrace, Trace, trace
from fastgru.tracing.traces import LABELS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WORDS_IN_A_LINE = 40
_INCHES = 0.32  # the width of a step that has a word


def gates(
    traced: Any,
    x: Any = None,
    *,
    layer: str | None = None,
    sample: int = 0,
    show: str | Sequence[str] = "kept",
    words: Sequence[Any] | None = None,
    sort: bool = False,
    padding: bool = False,
    title: str | None = None,
) -> Figure:
    """Draw the gates of a recurrent layer along one sequence, as a heat map.

    Columns are time steps, from left to right, rows are units. By default the colour tells how much
    of its old state a unit keeps at a step: of a GRU what the update gate keeps (whatever
    `update_gate` means by 1), of an LSTM its forget gate. The strip above is the mean of all units.
    Steps that a mask hides are grey.

    Parameters
    ----------
    traced : Trace, LayerTrace, Model or Layer
        What :func:`fastgru.trace` returned, or what it is to be called with.
    x : array_like
        With a model: the samples.
    layer : str, optional
        The recurrent layer; by default the first one.
    sample : int, default 0
        Which of the samples.
    show : str or sequence of str, default "kept"
        ``"kept"``, or names of gates and states: ``"z"``, ``"r"``, ``"candidate"``, ``"h"``; of an
        LSTM ``"i"``, ``"f"``, ``"candidate"``, ``"o"``, ``"c"``, ``"h"``. Several are drawn below
        each other.
    words : sequence, optional
        A label for each step, or for each step that is not masked. Long sentences are broken into
        lines.
    sort : bool, default False
        Whether to sort the units by their means, which shows what many units have in common.
    padding : bool, default False
        Whether to draw the masked steps at both ends too.
    title : str, optional
        Otherwise the layer's name.

    Returns
    -------
    matplotlib.figure.Figure
        The figure.

    Raises
    ------
    ImportError
        If matplotlib is missing.
    ValueError, KeyError, IndexError
        If there is no such layer, gate or sample, or the number of words does not fit.
    """
    pyplot = require_matplotlib()
    found = _layer_trace(traced, x, layer)
    names = [show] if isinstance(show, str) else list(show)
    panels = [_panel(found, _resolved(found, name), sample) for name in names]
    steps, labels = _steps(found, sample, words, padding)
    lines = _lines(steps, labels)
    widest = max(len(line) for line in lines)

    count = len(panels) * len(lines)
    wide = 2.2 + (_INCHES * widest if labels else min(9.0, 0.05 * widest))
    longest = max(map(len, labels.values()), default=2)
    high = min(3.6, 0.9 + 0.11 * found.units) + 0.09 * longest + 0.4
    figure = pyplot.figure(figsize=(max(6.4, wide), high * count + 0.4), layout="constrained")
    figure.suptitle(title or _title(found, panels, sample), fontsize=11)
    parts = figure.subfigures(count, 1, squeeze=False)[:, 0]
    i = 0
    for panel in panels:
        for line in lines:
            units = panel.order() if sort else np.arange(found.units)
            _draw_line(parts[i], panel, line, labels, units, widest)
            parts[i].axes[1].set_ylabel("unit, sorted" if sort else "unit")
            i += 1
    return figure  # type: ignore[no-any-return]


def _title(found: LayerTrace, panels: Sequence[_Panel], sample: int) -> str:
    title = f"{found.name}, sample {sample}"
    if [panel.name for panel in panels] != ["kept"]:
        return title
    gate = "forget" if isinstance(found, LSTMTrace) else "update"
    return f"{title}: what the {gate} gate keeps"


class _Panel:
    """What one heat map shows."""

    def __init__(self, name: str, values: np.ndarray, label: str, signed: bool) -> None:
        self.name, self.values, self.label = name, values, label
        finite = values[np.isfinite(values)]
        largest = max(1.0, float(np.abs(finite).max())) if signed and len(finite) else 1.0
        self.limits = (-largest, largest) if signed else (0.0, 1.0)
        self.colours = "RdBu_r" if signed else "viridis"

    def order(self) -> np.ndarray:
        """Return the units in the order of their means."""
        shown = self.values[np.isfinite(self.values).all(axis=1)]
        return (
            np.argsort(shown.mean(axis=0), kind="stable")
            if len(shown)
            else np.arange(shown.shape[1])
        )


def _layer_trace(traced: Any, x: Any, layer: str | None) -> LayerTrace:
    if isinstance(traced, LayerTrace):
        return traced
    if not isinstance(traced, Trace):
        if x is None:
            raise ValueError("x: expected samples to run the model on, or give a trace of it")
        traced = trace(traced, x)
    if not traced and layer is None:
        raise ValueError("traced: the model has no recurrent layer, so there are no gates to draw")
    found: LayerTrace = traced[next(iter(traced)) if layer is None else layer]
    return found


def _resolved(found: LayerTrace, name: str) -> str:
    known = [*found.arrays(), *(["kept"] if found.kept is not None else [])]
    aliases = {"n": "candidate", "g": "candidate", "update": "z", "reset": "r"}
    if name == "kept" and found.kept is None:
        return "h"  # a simple recurrent layer has no gates
    name = aliases.get(name, name) if name not in known else name
    if name not in known:
        close = did_you_mean(str(name), known) or f"; there are: {', '.join(known)}"
        raise ValueError(f"show: {found.name} has no gate or state {name!r}{close}")
    return name


def _panel(found: LayerTrace, name: str, sample: int) -> _Panel:
    array = found.kept if name == "kept" else found.arrays()[name]
    assert array is not None
    if not -len(array) <= sample < len(array):
        raise IndexError(f"sample: the trace has {len(array)} samples, got {sample}")
    label = LABELS.get(name, "")
    if name == "kept":
        label = "share of the old state kept"
    elif name == "z" and isinstance(found, GRUTrace):
        label += " (1 keeps)" if found.update_gate == "keep" else " (1 replaces)"
    values = np.array(array[sample], float)
    if found.mask is not None:
        values[~found.mask[sample]] = np.nan
    return _Panel(name, values, label, signed=name in ("candidate", "c", "h"))


def _steps(
    found: LayerTrace, sample: int, words: Sequence[Any] | None, padding: bool
) -> tuple[np.ndarray, dict[int, str]]:
    """Return the steps to draw, and their labels."""
    steps = np.arange(found.steps)
    valid = steps if found.mask is None else np.flatnonzero(found.mask[sample])
    labels: dict[int, str] = {}
    if words is not None:
        labelled = steps if len(words) == len(steps) else valid
        if len(words) != len(labelled):
            raise ValueError(
                f"words: expected {len(steps)} labels, one for each step"
                + (
                    f", or {len(valid)}, one for each that is not masked"
                    * (len(valid) < len(steps))
                )
                + f", got {len(words)}"
            )
        labels = {int(t): str(word) for t, word in zip(labelled, words, strict=True)}
    if not padding and len(valid):
        steps = steps[valid[0] : valid[-1] + 1]
    return steps, labels


def _lines(steps: np.ndarray, labels: dict[int, str]) -> list[np.ndarray]:
    """Break the steps into lines of about equal length, if they have words."""
    count = -(-len(steps) // _WORDS_IN_A_LINE) if labels else 1
    size = -(-len(steps) // count)
    return [steps[i : i + size] for i in range(0, len(steps), size)]


def _draw_line(
    part: Any,
    panel: _Panel,
    line: np.ndarray,
    labels: dict[int, str],
    units: np.ndarray,
    widest: int,
) -> None:
    """Draw one line of a heat map, with the mean above it and the words below."""
    above, axes = part.subplots(2, 1, sharex=True, height_ratios=(1, 7))
    values = panel.values[line][:, units].T
    low, high = panel.limits
    colours = _colours(panel.colours)
    shared: dict[str, Any] = {"cmap": colours, "vmin": low, "vmax": high}
    shared |= {"aspect": "auto", "interpolation": "nearest"}
    extent = (line[0] - 0.5, line[-1] + 0.5)
    with np.errstate(invalid="ignore"):
        mean = np.where(np.isnan(values).all(axis=0), np.nan, values.mean(axis=0))
    above.imshow(mean[None], extent=(*extent, 0, 1), **shared)
    image = axes.imshow(values, extent=(*extent, len(units) - 0.5, -0.5), **shared)
    for each in (above, axes):
        each.set_xlim(line[0] - 0.5, line[0] + widest - 0.5)
    above.set_yticks([0.5], ["mean"])
    above.tick_params(bottom=False, labelbottom=False)
    _label_steps(axes, line, labels)
    _label_units(axes, len(units))
    bar = part.colorbar(image, ax=[above, axes], pad=0.015, fraction=0.06, aspect=14)
    bar.set_label(panel.label, fontsize=8)
    bar.ax.tick_params(labelsize=8)


def _colours(name: str) -> Any:
    """Return a colour map in which what is masked is grey."""
    import matplotlib

    return matplotlib.colormaps[name].with_extremes(bad="0.85")


def _label_steps(axes: Axes, line: np.ndarray, labels: dict[int, str]) -> None:
    from matplotlib.ticker import MaxNLocator

    if labels:
        axes.set_xticks(line, [labels.get(int(t), "") for t in line], rotation=90, fontsize=9)
    else:
        axes.xaxis.set_major_locator(MaxNLocator(12, integer=True, min_n_ticks=1))
        axes.set_xlabel("time step")


def _label_units(axes: Axes, count: int) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.yaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    axes.set_ylim(count - 0.5, -0.5)
