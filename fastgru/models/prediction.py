"""The loop of predict."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgru._numbers import checked_count, optional_count
from fastgru.callbacks import Callback, CallbackList
from fastgru.layers.nesting import keeps_states
from fastgru.layers.padding import own_steps
from fastgru.models import _progress
from fastgru.models.data import Arrays, Batch, Source
from fastgru.models.preparation import samples_of
from fastgru.models.sources import BATCH, require_even_batches, source_of

if TYPE_CHECKING:
    from fastgru.models.model import Model


def predict(
    model: Model,
    x: Any,
    batch_size: Any,
    steps: Any,
    verbose: Any,
    callbacks: Callback | Sequence[Callback] | None,
) -> Any:
    """Return the outputs for samples: see `Model.predict`."""
    model.require_built("predict")
    checked_count("batch_size", batch_size, BATCH)
    steps = optional_count("steps", steps)
    source = source_of(model, x, None, batch_size=batch_size, prepare=_samples)
    require_even_batches(model, source, steps)
    bars = _progress.for_verbosity(verbose)
    called = CallbackList(
        [*CallbackList(callbacks).callbacks, *bars], model, steps=steps or source.steps
    )
    found = Predictions()
    try:
        called.call("on_predict_begin", {})
        for number, (rows, batch) in enumerate(_batches(model, source)):
            if number == steps:
                break
            called.call("on_predict_batch_begin", number, {})
            outputs, run = model.forward(batch.x, mask=batch.mask)
            found.add(outputs, run.masks if batch.mask is not None else None, rows)
            if called.has("on_predict_batch_end"):
                called.call("on_predict_batch_end", number, {"outputs": model.arranged(outputs)})
        called.call("on_predict_end", {})
    finally:
        for bar in bars:
            bar.close()
    return model.arranged(found.whole(source.x if isinstance(source, Arrays) else []))


def _samples(
    model: Model, x: Any, y: Any, weights: Any, class_weight: Any, size: int | None, where: str
) -> Arrays:
    leaves, in_list, _, out_list = samples_of(model, where + "x", x)
    size = size or max(1, len(leaves[0]))
    return Arrays(leaves, None, None, in_list, out_list, size, every_mask=True)


def _batches(model: Model, source: Source) -> Iterator[tuple[np.ndarray | None, Batch]]:
    """Yield batches, with the places of their samples if these are not in order."""
    if not isinstance(source, Arrays):
        for batch in source.batches():
            yield None, batch
        return
    if not source.count:  # nothing in, nothing out: but of the right shape
        yield None, source.batch(slice(None))
        return
    by_length = source.lengths is not None and not keeps_states(model)
    for rows in source.rows(False, by_length):
        places = rows if isinstance(rows, np.ndarray) else None
        yield places, source.batch(rows)


class Predictions:
    """The outputs of batches, put together."""

    def __init__(self) -> None:
        self._parts: list[list[np.ndarray]] = []
        self._rows: list[np.ndarray] = []
        self._own: list[list[Any]] = []
        self._in_list = False

    def add(self, outputs: Any, masks: list[Any] | None, rows: np.ndarray | None) -> None:
        """Take in the outputs of a batch; masks of samples that were padded tell their steps."""
        self._in_list = isinstance(outputs, list)
        parts = outputs if self._in_list else [outputs]
        self._parts.append(parts)
        masks = masks or [None] * len(parts)
        self._own.append([_own(y, mask) for y, mask in zip(parts, masks, strict=True)])
        if rows is not None:
            self._rows.append(rows)

    def whole(self, inputs: Sequence[Any]) -> Any:
        """Return all outputs in the order of the samples, each in memory of its own.

        Where steps of different lengths come out, these are a list with an array for each sample.
        """
        if not self._parts:
            raise ValueError("x: expected batches, but there are none")
        found: list[Any] = []
        for parts, own in zip(
            zip(*self._parts, strict=True), zip(*self._own, strict=True), strict=True
        ):
            shapes = {part.shape[1:] for part in parts}
            if len(shapes) > 1 or any(steps is not None for steps in own):
                found.append(self._each(parts, own))
                continue
            whole = parts[0] if len(parts) == 1 else np.concatenate(parts)
            if self._rows:
                ordered = np.empty_like(whole)
                ordered[np.concatenate(self._rows)] = whole
                whole = ordered
            elif any(isinstance(x, np.ndarray) and np.may_share_memory(whole, x) for x in inputs):
                whole = whole.copy()
            found.append(whole)
        return found if self._in_list else found[0]

    def _each(self, parts: Sequence[np.ndarray], own: Sequence[Any]) -> list[np.ndarray]:
        flat = [
            row.copy() if steps is None else row[steps[i]]
            for part, steps in zip(parts, own, strict=True)
            for i, row in enumerate(part)
        ]
        if not self._rows:
            return flat
        places = np.concatenate(self._rows)
        ordered = [flat[0]] * len(flat)
        for place, rows in zip(places, flat, strict=True):
            ordered[place] = rows
        return ordered


def _own(output: np.ndarray, mask: Any) -> np.ndarray | None:
    """Return which steps of an output are the samples' own, if its mask tells."""
    if mask is None:
        return None
    known = own_steps(mask)
    steps = np.asarray(mask) if known is None else known
    return steps if steps.shape == output.shape[:2] else None
