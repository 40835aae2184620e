"""The loops of fit, evaluate and predict."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgru import _progress
from fastgru._numbers import checked_count, optional_count
from fastgru.callbacks import Callback, CallbackList, History
from fastgru.models import data
from fastgru.models.data import Arrays, Batch, Source
from fastgru.models.given import prepare
from fastgru.models.sources import BATCH, Passes, is_stream, source_of

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


class Pass:
    """One pass of batches through a compiled model: its loss and metrics so far.

    Parameters
    ----------
    model : Model
        The model, compiled.
    """

    def __init__(self, model: Model) -> None:
        assert model.compiled is not None
        self.model = model
        self.optimizer = model.compiled.optimizer
        self.targets = model.targets()
        self.several = len(self.targets) > 1
        flags = [target.logits for target in self.targets]
        self._logits: Any = flags if self.several else flags[0]
        self._out_list = isinstance(model.output_activation, list)
        if self._out_list:
            self._logits = flags
        self._penalized: list[Any] = []
        self._metrics: list[tuple[str, Any]] | None = None
        self._told = False
        self.reset()

    def fit_to(self, example: Arrays) -> None:
        """Require that metrics fit the labels, before anything changes."""
        assert example.y is not None
        shapes = [leaf.shape for leaf in example.x]
        found = self.model.compute_output_shape(shapes if example.in_list else shapes[0])
        outputs = found if isinstance(found, list) else [found]
        for target, y, shape in zip(self.targets, example.y, outputs, strict=True):
            if y is not None:
                target.fit_to(y.shape, shape)
        self._list_metrics()

    def _list_metrics(self) -> None:
        self._metrics = [
            pair
            for target in self.targets
            for pair in zip(getattr(target, "names", ()), target.metrics or (), strict=True)
        ]
        directions = {name: metric.direction for name, metric in self._metrics}
        self.model.metric_directions = directions

    def begin(self, example: Arrays) -> None:
        """Build the model, if it is not, and bind the optimizer: the first changes of a fit."""
        self.fit_to(example)
        model = self.model
        if not model.built:
            model.build(example.input_shape())
        weights = model.weights
        self.optimizer.bind(weights)
        self.find_penalties()

    def find_penalties(self) -> None:
        """Find the weights with regularizers."""
        self._penalized = [w for w in self.model.weights if w.trainable and w.regularizer]

    def reset(self) -> None:
        """Begin anew."""
        self._total = 0.0
        self._count = 0
        self._totals = [0.0] * len(self.targets) if self.several else []
        for _, metric in self._metrics or ():
            metric.reset_state()

    def train(self, batch: Batch) -> None:
        """Take one training step on a batch."""
        self.learn(batch)
        self.optimizer.step()

    def learn(self, batch: Batch) -> None:
        """Write the gradients of a batch."""
        model = self.model
        y_pred, run = model.forward(batch.x, training=True, mask=batch.mask, logits=self._logits)
        gradient = self._measure(batch, y_pred, run, True)
        model.backward(gradient, run)
        for weight in self._penalized:
            weight.gradient += weight.regularizer.gradient(weight.array)

    def test(self, batch: Batch) -> None:
        """Take in a batch without learning from it."""
        y_pred, run = self.model.forward(batch.x, mask=batch.mask, logits=self._logits)
        self._measure(batch, y_pred, run, False)

    def _measure(self, batch: Batch, y_pred: Any, run: Any, learn: bool) -> Any:
        """Take in labels and outputs; return the gradient of the outputs."""
        gradient: Any
        if self._out_list:
            loss, gradient = self._measure_each(batch, y_pred, run.masks, learn)
        else:
            target = self.targets[0]
            loss, gradient = target.measure(batch.y, y_pred, batch.weights, run.masks[0], learn)
            loss *= target.weight
        loss += run.added_loss
        for weight in self._penalized:
            loss += weight.regularizer(weight.array)
        if not math.isfinite(loss) and learn and not self._told:
            from fastgru.models import nonfinite

            self._told = True  # once is enough
            nonfinite.warn(self.model, batch.x, loss, batch.mask)
        self._total += loss * batch.size
        self._count += batch.size
        return gradient

    def _measure_each(
        self, batch: Batch, y_pred: list[Any], masks: list[Any], learn: bool
    ) -> tuple[float, list[Any]]:
        total, gradients = 0.0, []
        weights = batch.weights or [None] * len(y_pred)
        for i, target in enumerate(self.targets):
            loss, gradient = 0.0, None
            if batch.y[i] is not None:
                loss, gradient = target.measure(batch.y[i], y_pred[i], weights[i], masks[i], learn)
            if self.several:
                self._totals[i] += loss * batch.size
            total += target.weight * loss
            gradients.append(gradient)
        return total, gradients

    def logs(self) -> dict[str, Any]:
        """Return the loss and the metrics so far, by name."""
        count = self._count or 1
        logs: dict[str, Any] = {"loss": self._total / count}
        if self.several:
            counted = [(t, s) for t, s in zip(self.targets, self._totals, strict=True) if t.loss]
            if len(counted) > 1:
                logs |= {f"{target.prefix}loss": total / count for target, total in counted}
        if self._metrics is None:
            self._list_metrics()
        for name, metric in self._metrics or ():
            logs[name] = metric.result()
        return logs


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
    source, held_out = _held_out(model, source, plan, validation_split, validation_data)
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
    passes = Passes(source, plan.steps_per_epoch, plan.shuffle, False)

    model.history = history
    model.stop_training = False
    called.call("on_train_begin", {})
    try:
        logs = _train(training, passes, testing, held_out, plan, called)
    finally:
        for bar in bars:
            bar.close()
    training.optimizer.finalize()
    called.call("on_train_end", logs)
    return history


def _train(
    training: Pass,
    passes: Passes,
    testing: Pass | None,
    held_out: Passes | None,
    plan: FitPlan,
    called: CallbackList,
) -> dict[str, Any]:
    """Train for the epochs of a plan; return the logs of the last."""
    model, logs = training.model, dict[str, Any]()
    for epoch in range(plan.initial_epoch, plan.epochs):
        called.call("on_epoch_begin", epoch, {})
        training.reset()
        if not _train_epoch(training, passes, called):
            break
        logs = training.logs()
        if testing is not None and held_out is not None and not (epoch + 1) % plan.validation_freq:
            testing.reset()
            testing.find_penalties()
            found = _test(testing, held_out, called)
            logs |= {f"val_{name}": value for name, value in found.items()}
        called.call("on_epoch_end", epoch, logs)
        if model.stop_training or passes.ran_out:
            break
    return logs


def _held_out(
    model: Model, source: Source, plan: FitPlan, share: float, given: Any
) -> tuple[Source, Passes | None]:
    """Return what to train on and what to test on."""
    if given is not None:
        where, size = "validation_data: ", plan.validation_batch_size
        x, y, weights = validation_data(given)
        if size is None and y is not None:
            size = plan.batch_size
        found = source_of(model, x, y, weights, batch_size=size, where=where)
        return source, Passes(found, plan.validation_steps, False, _may_sort(model))
    if not share:
        return source, None
    if not isinstance(source, Arrays):
        raise ValueError(
            "validation_split: expected arrays in memory to take a share of; give validation_data"
        )
    source, rest = data.split(source, share)
    rest.batch_size = plan.validation_batch_size or source.batch_size
    rest.steps = -(-rest.count // rest.batch_size)
    return source, Passes(rest, plan.validation_steps, False, _may_sort(model))


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


def _may_sort(model: Model) -> bool:
    """Tell whether the order of samples is of no account: no layer keeps states."""
    return not any(getattr(layer, "stateful", False) for layer in model.layers)


def _train_epoch(training: Pass, passes: Passes, called: CallbackList) -> bool:
    """Train on the batches of an epoch; return whether there were any."""
    model, batch = training.model, -1
    begins, ends = called.has("on_train_batch_begin"), called.has("on_train_batch_end")
    for batch, given in enumerate(passes):
        if begins:
            called.call("on_train_batch_begin", batch, {})
        training.train(given)
        if ends:
            called.call("on_train_batch_end", batch, training.logs())
        if model.stop_training:
            break
    if batch < 0 and not passes.ran_out:
        passes.warn()
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
    tested = Pass(model)
    tested.fit_to(source.example())
    tested.find_penalties()
    bars = _progress.for_verbosity(verbose)
    called = CallbackList(
        [*CallbackList(callbacks).callbacks, *bars], model, steps=steps or source.steps
    )
    tested.reset()
    try:
        return _test(tested, Passes(source, steps, False, _may_sort(model)), called)
    finally:
        for bar in bars:
            bar.close()


def _test(tested: Pass, passes: Passes, called: CallbackList) -> dict[str, Any]:
    called.call("on_test_begin", {})
    for batch, given in enumerate(passes):
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
    batch = arrays.batch(slice(None))
    {"train_on_batch": run.train, "grads_on_batch": run.learn, "test_on_batch": run.test}[what](
        batch
    )
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
