"""The loops of fit and evaluate, and the work on one batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgru._numbers import checked_count, optional_count
from fastgru.callbacks import Callback, CallbackList, History
from fastgru.layers.nesting import keeps_states
from fastgru.models import _progress, data
from fastgru.models.data import Arrays, Source
from fastgru.models.passes import Pass
from fastgru.models.preparation import prepare
from fastgru.models.sources import (
    BATCH,
    EpochIterator,
    is_stream,
    require_even_batches,
    source_of,
)

if TYPE_CHECKING:
    from fastgru.models.model import Model


class FitPlan:
    """The numbers that `fit` was given, checked."""

    def __init__(
        self,
        *,
        batch_size: Any,
        epochs: Any,
        initial_epoch: Any,
        shuffle: Any,
        verbose: Any,
        steps_per_epoch: Any,
        validation_steps: Any,
        validation_batch_size: Any,
        validation_freq: Any,
    ) -> None:
        checked_count("batch_size", batch_size, BATCH)
        checked_count("validation_batch_size", validation_batch_size, BATCH)
        self.batch_size = batch_size
        self.validation_batch_size = validation_batch_size
        self.epochs = checked_count("epochs", epochs, 1, least=0)
        self.initial_epoch = checked_count("initial_epoch", initial_epoch, 0, least=0)
        if not isinstance(shuffle, bool | np.bool_ | int):
            raise TypeError(f"shuffle: expected True or False, got {shuffle!r}")
        self.shuffle = bool(shuffle)
        self.verbose = _progress.checked_verbosity(verbose)
        self.steps_per_epoch = optional_count("steps_per_epoch", steps_per_epoch)
        self.validation_steps = optional_count("validation_steps", validation_steps)
        self.validation_freq = checked_count("validation_freq", validation_freq, 1)


def fit(
    model: Model,
    x: Any,
    y: Any,
    sample_weight: Any,
    class_weight: Any,
    plan: FitPlan,
    callbacks: Callback | Sequence[Callback] | None,
    validation_split: float,
    validation_data: Any,
) -> History:
    """Train a model: see `Model.fit`."""
    require_compiled(model, "fit")
    source = source_of(
        model,
        x,
        y,
        sample_weight,
        class_weight=class_weight,
        batch_size=plan.batch_size,
        shuffle=plan.shuffle,
    )
    by_class = class_weight is not None
    source, held_out = _held_out(model, source, plan, by_class, validation_split, validation_data)
    require_even_batches(model, source, plan.steps_per_epoch)
    if held_out is not None:
        where = "validation_split: " if validation_data is None else "validation_data: "
        require_even_batches(model, held_out.source, plan.validation_steps, where)
        if not model.built:
            _require_alike(model, source.example(), held_out.source.example(), where)
    history, bars = History(), _progress.for_verbosity(plan.verbose)
    called = CallbackList(
        [*CallbackList(callbacks).callbacks, *bars, history],
        model,
        verbose=plan.verbose,
        epochs=plan.epochs,
        steps=plan.steps_per_epoch or source.steps,
    )
    testing = None
    if held_out is not None:
        testing = Pass(model)
        testing.fit_to(held_out.source.example())
    training = Pass(model)
    training.begin(source.example())
    if held_out is not None:  # what a model that has just been built can take is known now
        found = held_out.source.example()
        model.check_fit(f"{where}x", found.x if found.in_list else found.x[0])
    batches = EpochIterator(source, plan.steps_per_epoch, plan.shuffle, False)

    model.history = history
    model.stop_training = False
    called.call("on_train_begin", {})
    try:
        logs = _train(training, batches, testing, held_out, plan, called)
    finally:
        for bar in bars:
            bar.close()
    training.optimizer.finalize()
    called.call("on_train_end", logs)
    return history


def _train(
    training: Pass,
    batches: EpochIterator,
    testing: Pass | None,
    held_out: EpochIterator | None,
    plan: FitPlan,
    called: CallbackList,
) -> dict[str, Any]:
    """Train for the epochs of a plan; return the logs of the last."""
    model, logs = training.model, dict[str, Any]()
    for epoch in range(plan.initial_epoch, plan.epochs):
        called.call("on_epoch_begin", epoch, {})
        training.reset()
        if not _train_epoch(training, batches, called):
            break
        logs = training.logs()
        if testing is not None and held_out is not None and not (epoch + 1) % plan.validation_freq:
            testing.reset()
            testing.find_penalties()
            found = _test(testing, held_out, called)
            logs |= {f"val_{name}": value for name, value in found.items()}
        called.call("on_epoch_end", epoch, logs)
        if model.stop_training or batches.ran_out:
            break
    return logs


def _held_out(
    model: Model, source: Source, plan: FitPlan, by_class: bool, share: float, given: Any
) -> tuple[Source, EpochIterator | None]:
    """Return what to train on and what to test on."""
    if given is not None:
        where, size = "validation_data: ", plan.validation_batch_size
        x, y, weights = validation_data(given)
        if size is None and y is not None:
            size = plan.batch_size
        found = source_of(model, x, y, weights, batch_size=size, where=where)
        return source, EpochIterator(found, plan.validation_steps, False, not keeps_states(model))
    if not share:
        return source, None
    if not isinstance(source, Arrays):
        raise ValueError(
            "validation_split: expected arrays in memory to take a share of; give validation_data"
        )
    source, rest = data.split(source, share)
    if by_class:  # as in Keras, classes weigh in training alone
        rest = rest.unweighted()
    rest.batch_size = plan.validation_batch_size or source.batch_size
    rest.steps = -(-rest.count // rest.batch_size)
    return source, EpochIterator(rest, plan.validation_steps, False, not keeps_states(model))


def _require_alike(model: Model, training: Arrays, testing: Arrays, where: str) -> None:
    """Require that a model which is to be built for some samples can take others."""
    shape, other = training.input_shape(), testing.input_shape()
    alike = len(shape) == len(other)
    if alike and not model.takes_ids:
        alike = shape[-1] == other[-1]
    if not alike:
        raise ValueError(f"{where}x: expected samples as those to train on, {shape}, got {other}")


def validation_data(given: Any) -> tuple[Any, Any, Any]:
    """Return validation samples, labels and weights; the last two are None for a stream.

    Raises
    ------
    TypeError
        If it is neither a tuple of two or three nor a stream.
    """
    if is_stream(given):
        return given, None, None
    if not isinstance(given, tuple | list) or len(given) not in (2, 3):
        raise TypeError(
            "validation_data: expected a tuple (x, y) or (x, y, sample_weight), "
            f"got {type(given).__name__}"
        )
    return (*given, None)[:3]


def _train_epoch(training: Pass, batches: EpochIterator, called: CallbackList) -> bool:
    """Train on the batches of an epoch; return whether there were any."""
    model, batch = training.model, -1
    begins, ends = called.has("on_train_batch_begin"), called.has("on_train_batch_end")
    for batch, given in enumerate(batches):
        if begins:
            called.call("on_train_batch_begin", batch, {})
        training.train(given)
        if ends:
            called.call("on_train_batch_end", batch, training.logs())
        if model.stop_training:
            break
    if batch < 0 and not batches.ran_out:
        batches.warn()
    return batch >= 0


def evaluate(
    model: Model,
    x: Any,
    y: Any,
    sample_weight: Any,
    batch_size: Any,
    steps: Any,
    verbose: Any,
    callbacks: Callback | Sequence[Callback] | None,
) -> dict[str, Any]:
    """Return loss and metrics by name: see `Model.evaluate`."""
    require_compiled(model, "evaluate")
    model.require_built("evaluate")
    steps = optional_count("steps", steps)
    checked_count("batch_size", batch_size, BATCH)
    source = source_of(model, x, y, sample_weight, batch_size=batch_size)
    require_even_batches(model, source, steps)
    tested = Pass(model)
    tested.fit_to(source.example())
    tested.find_penalties()
    bars = _progress.for_verbosity(verbose)
    called = CallbackList(
        [*CallbackList(callbacks).callbacks, *bars], model, steps=steps or source.steps
    )
    tested.reset()
    try:
        return _test(tested, EpochIterator(source, steps, False, not keeps_states(model)), called)
    finally:
        for bar in bars:
            bar.close()


def _test(tested: Pass, batches: EpochIterator, called: CallbackList) -> dict[str, Any]:
    called.call("on_test_begin", {})
    for batch, given in enumerate(batches):
        called.call("on_test_batch_begin", batch, {})
        tested.test(given)
        if called.has("on_test_batch_end"):
            called.call("on_test_batch_end", batch, tested.logs())
    logs = tested.logs()
    called.call("on_test_end", logs)
    return logs


def on_batch(
    model: Model,
    what: str,
    x: Any,
    y: Any,
    sample_weight: Any = None,
    class_weight: Any = None,
) -> dict[str, Any]:
    """Do what `train_on_batch`, `grads_on_batch` or `test_on_batch` says; return the logs."""
    require_compiled(model, what)
    require_arrays(x)
    if what == "test_on_batch":
        model.require_built(what)
    arrays = prepare(model, x, y, sample_weight, class_weight)
    run = Pass(model)
    if what == "test_on_batch":
        run.fit_to(arrays)
        run.find_penalties()
    else:
        run.begin(arrays)
    run.reset()
    steps = {"train_on_batch": run.train, "grads_on_batch": run.learn, "test_on_batch": run.test}
    steps[what](arrays.batch(slice(None)))
    return run.logs()


def require_arrays(x: Any) -> None:
    """Raise a TypeError for what gives batches, where one batch is wanted."""
    if is_stream(x):
        raise TypeError(f"x: expected arrays, got {type(x).__name__}")


def require_compiled(model: Model, what: str) -> None:
    """Raise a ValueError if the model was not compiled with a loss."""
    if model.compiled is None:
        raise ValueError(
            f"{what}: the model {model.name!r} is not compiled; "
            "call compile(optimizer=…, loss=…) first"
        )
    if model.compiled.loss is None:
        raise ValueError(f"{what}: the model {model.name!r} was compiled without a loss")
