"""Where a number that is not finite comes from: the layer, the step, the gate."""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgru import backend
from fastgru.layers import Masking
from fastgru.layers.nesting import held_by
from fastgru.tracing.recorder import Recorder, named_cells, unchanged_states
from fastgru.tracing.traces import LABELS, LayerTrace

if TYPE_CHECKING:
    from fastgru.models.model import Model


def warn(
    model: Model,
    x: Any,
    loss: float = math.nan,
    mask: Any = None,
    y: Any = None,
    before: Any = None,
) -> None:
    """Warn that the loss of a batch is not finite, and say where that came from.

    To be called before the optimizer steps: the weights must be those that gave the loss.

    Parameters
    ----------
    model : Model
        The model.
    x : ndarray or list of ndarray
        The batch, as the model's `forward` takes it.
    loss : float
        What came out.
    mask : ndarray or list, optional
        Which of the batch's steps are valid.
    y : ndarray or list, optional
        The labels.
    before : ndarray or list, optional
        The samples of the training step before.
    """
    where = explain(model, x, mask, y, before)
    step = 1 + (0 if model.optimizer is None else model.optimizer.iterations)
    said = f"the loss is {_kind(loss)} at training step {step}: {where}"
    warnings.warn(said, RuntimeWarning, stacklevel=_depth_of_the_call())


def _depth_of_the_call() -> int:
    """Return how many frames above `warn` the caller of fastgru is."""
    depth, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("fastgru."):
        depth, frame = depth + 1, frame.f_back
    return depth


def explain(model: Model, x: Any, mask: Any = None, y: Any = None, before: Any = None) -> str:
    """Return a sentence that says where a model's numbers cease to be finite on a batch.

    The first that is found: in the input, in the labels, in a weight, in a gate or a state of a
    recurrent layer, in the output of another layer; then labels too large for a loss.

    Parameters
    ----------
    model : Model
        The model, built.
    x, mask : ndarray or list of ndarray
        The batch, as the model's `forward` takes it.
    y : ndarray or list, optional
        The labels.
    before : ndarray or list, optional
        The samples of the training step that made the weights what they are.
    """
    may_be_nan = any(isinstance(layer, Masking) and layer.masks_nan for layer in _leaves(model))
    inputs = [] if may_be_nan else _named("input", "the input", x)
    labels = _named("y", "y", y)
    for name, array in inputs + labels:
        place = _first(array)
        if place is not None:
            return f"{name} is {_kind(array[place])} {_where(place)}"
    for layer, weight in model._named_weights():
        place = _first(weight.array)
        if place is not None:
            return (
                f"{layer.name}: the {weight.name} is {_kind(weight.array[place])} since the last "
                f"step, {_why([] if may_be_nan else before)}"
            )
    found = _in_layers(model, x, mask)
    if found is None:
        found = next((_too_large(*named) for named in labels if _too_large(*named)), None)
    return found or "all layers' outputs are finite without dropout"


def _why(samples: Any) -> str:
    """Return why the step on some samples has spoiled weights: gates hide an infinity in a loss."""
    for name, array in _named("input", "the input", samples):
        place = _first(array)
        if place is not None:
            return f"in whose batch {name} was {_kind(array[place])} {_where(place)}"
    return "whose gradients were too large: try a lower learning rate, or clipnorm"


def _too_large(name: str, array: np.ndarray) -> str | None:
    """Return a sentence about the greatest label, if its square is no finite number."""
    if array.dtype.kind != "f" or not array.size:
        return None
    place = np.unravel_index(np.abs(array).argmax(), array.shape)
    if abs(array[place]) < math.sqrt(np.finfo(array.dtype).max):
        return None
    return f"{name} is {array[place]:g} {_where(place)}, too large for the loss"


def _in_layers(model: Model, x: Any, mask: Any) -> str | None:
    watcher = _Watcher(model)
    with unchanged_states(model), backend.using(watcher), np.errstate(all="ignore"):
        output, _ = model.forward(x, mask=mask)
    for name, found in watcher.found:
        if isinstance(found, LayerTrace):
            sentence = _in_layer(found)
            if sentence is not None:
                return f"{name}: {sentence}"
        elif (place := _first(found)) is not None:
            return f"{name}: its output is {_kind(found[place])} {_where(place)}"
    for array in output if isinstance(output, list) else [output]:
        if (place := _first(array)) is not None:
            return f"the output is {_kind(array[place])} {_where(place)}"
    return None


class _Watcher(Recorder):
    """A recorder that looks at layers without states too."""

    def __init__(self, model: Any) -> None:
        super().__init__(named_cells(model))
        self._owners = [(w.array, layer.name) for layer in _leaves(model) for w in layer.weights]
        #: The layers in the order they ran, with their traces or outputs.
        self.found: list[tuple[str, Any]] = []

    def keep(self, kernel: Any, made: LayerTrace) -> None:
        super().keep(kernel, made)
        self.found.append((made.name, made))

    def dense_forward(self, x: Any, kernel: Any, *arguments: Any, **options: Any) -> Any:
        y, cache = self.reference.dense_forward(x, kernel, *arguments, **options)
        self.found.append((self._owner(kernel), y))
        return y, cache

    def embedding_forward(self, ids: Any, table: Any) -> Any:
        y = self.reference.embedding_forward(ids, table)
        self.found.append((self._owner(table), y))
        return y

    def _owner(self, array: Any) -> str:
        return next((name for owned, name in self._owners if owned is array), "a layer")


def _leaves(thing: Any) -> Iterator[Any]:
    """Yield the layers that hold no other layers."""
    inner = held_by(thing)
    if not inner:
        yield thing
    for _, layer in inner:
        yield from _leaves(layer)


def _in_layer(found: LayerTrace) -> str | None:
    """Return a sentence about the first step, and in it the first gate, that is not finite."""
    arrays = found.arrays()
    wrong = np.stack([~np.isfinite(array).all(axis=2) for array in arrays.values()])
    if found.mask is not None:
        wrong &= found.mask
    steps = np.flatnonzero(wrong.any(axis=(0, 1)))
    if not len(steps):
        return None
    t = steps[-1 if found.go_backwards else 0]
    gate, sample = np.argwhere(wrong[:, :, t])[0]
    name = list(arrays)[gate]
    row = arrays[name][sample, t]
    unit = np.flatnonzero(~np.isfinite(row))[0]
    where = f"at time step {t} of sample {sample} (unit {unit})"
    return f"the {LABELS[name]} is {_kind(row[unit])} {where}"


def _named(several: str, only: str, given: Any) -> list[tuple[str, np.ndarray]]:
    """Return arrays with their names, of several or of the only one."""
    if isinstance(given, list | tuple):
        arrays = [(f"{several} {i}", array) for i, array in enumerate(given)]
    else:
        arrays = [(only, given)]
    return [(name, np.asarray(array)) for name, array in arrays if array is not None]


def _first(array: np.ndarray) -> tuple[int, ...] | None:
    """Return the place of the first entry that is not finite."""
    if array.dtype.kind != "f" or np.isfinite(array).all():
        return None
    return tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])


def _where(place: Sequence[Any]) -> str:
    if len(place) < 3:
        return f"in sample {place[0]}"
    return f"at time step {place[1]} of sample {place[0]}"


def _kind(number: Any) -> str:
    if math.isnan(number):
        return "NaN"
    return "infinite" if math.isinf(number) else str(number)
