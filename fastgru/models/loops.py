"""The loops of fit, evaluate and predict."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgru import _progress, _random, metrics
from fastgru.backend import current_ops
from fastgru.callbacks import Callback, CallbackList, History
from fastgru.models import nonfinite
from fastgru.models.data import (
    Labelled,
    checked_count,
    prepare,
    split,
    validation_pair,
)

if TYPE_CHECKING:
    from fastgru.models.model import Model

_BATCH = 32  # Keras' default


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
        validation_batch_size: Any,
        validation_freq: Any,
    ) -> None:
        self.batch_size = checked_count("batch_size", batch_size, _BATCH)
        self.epochs = checked_count("epochs", epochs, 1, least=0)
        self.initial_epoch = checked_count("initial_epoch", initial_epoch, 0, least=0)
        if not isinstance(shuffle, bool | np.bool_ | int):
            raise TypeError(f"shuffle: expected True or False, got {shuffle!r}")
        self.shuffle = bool(shuffle)
        self.verbose = _progress.checked_verbosity(verbose)
        self.validation_batch_size = checked_count(
            "validation_batch_size", validation_batch_size, self.batch_size
        )
        self.validation_freq = checked_count("validation_freq", validation_freq, 1)


class Pass:
    """One pass of batches through a compiled model: its loss and metrics so far.

    Parameters
    ----------
    model : Model
        The model, compiled.
    data : Labelled
        Batches will have the shapes of these, the number of samples aside.
    """

    def __init__(self, model: Model, data: Labelled) -> None:
        assert model.compiled is not None and model.compiled.loss is not None
        self.model = model
        self.loss = model.compiled.loss
        self.optimizer = model.compiled.optimizer
        self.logits = model.output_activation in self.loss.takes_logits_of
        self.metrics = [
            metrics.for_shapes(metric, data.y.shape, data.output_shape)
            for metric in model.compiled.metrics
        ]
        self._warned = False
        self.reset()

    def reset(self) -> None:
        """Begin anew."""
        self._total = 0.0
        self._count = 0
        for metric in self.metrics:
            metric.reset_state()

    def train(self, x: np.ndarray, y: np.ndarray) -> None:
        """Take one training step on a batch."""
        y_pred, caches = self.model.forward(x, training=True, logits=self.logits)
        gradient = self._measure(y, y_pred)
        if not (math.isfinite(self._total) or self._warned):
            self._warned = True
            nonfinite.warn(self.model, x, self._total)
        self.model.backward(gradient, caches)
        self.optimizer.step()

    def test(self, x: np.ndarray, y: np.ndarray) -> None:
        """Take in a batch without learning from it."""
        self._measure(y, self.model.forward(x, logits=self.logits)[0])

    def _measure(self, y: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
        """Take in labels and outputs; return the gradient of the outputs."""
        loss, gradient = self.loss.measure(y, y_pred, self.logits)
        count = len(y)
        self._total += loss * count
        self._count += count
        if self.metrics:
            if self.logits:  # the only activation that a loss looks through, as yet
                y_pred = current_ops().sigmoid(y_pred)
            for metric in self.metrics:
                metric.add(y, y_pred)
        return gradient

    def logs(self) -> dict[str, float]:
        """Return the loss and the metrics so far, by name."""
        logs = {"loss": self._total / self._count}
        for metric in self.metrics:
            logs[metric.name] = metric.result()
        return logs


def fit(
    model: Model,
    x: Any,
    y: Any,
    plan: FitPlan,
    callbacks: Callback | Sequence[Callback] | None,
    validation_split: float,
    validation_data: Any,
) -> History:
    """Train a model: see `Model.fit`."""
    require_compiled(model, "fit")
    data, held_out = prepare(model, x, y), None
    if validation_data is not None:
        held_out = prepare(model, *validation_pair(validation_data), "validation_data: ")
    elif validation_split:
        data, held_out = split(data, validation_split)
    steps = -(-len(data.x) // plan.batch_size)
    history = History()
    progress = _progress.for_verbosity(plan.verbose)
    called = CallbackList(
        [*CallbackList(callbacks).callbacks, *progress, history],
        model,
        verbose=plan.verbose,
        epochs=plan.epochs,
        steps=steps,
    )
    training = _begin_training(model, data)

    logs: dict[str, float] = {}
    model.history = history
    model.stop_training = False
    called.call("on_train_begin", {})
    try:
        for epoch in range(plan.initial_epoch, plan.epochs):
            called.call("on_epoch_begin", epoch, {})
            _train_epoch(training, data, plan, called)
            logs = training.logs()
            if held_out is not None and (epoch + 1) % plan.validation_freq == 0:
                tested = _test(Pass(model, held_out), held_out, plan.validation_batch_size, called)
                logs |= {f"val_{name}": value for name, value in tested.items()}
            called.call("on_epoch_end", epoch, logs)
            if model.stop_training:
                break
    finally:
        for bar in progress:
            bar.close()
    called.call("on_train_end", logs)
    return history


def _begin_training(model: Model, data: Labelled) -> Pass:
    """Build the model, if it is not, and bind the optimizer: the first changes of a fit."""
    training = Pass(model, data)
    if not model.built:
        model.build((None, *data.x.shape[1:]))
    training.optimizer.bind(model.weights)
    return training


def _train_epoch(training: Pass, data: Labelled, plan: FitPlan, called: CallbackList) -> None:
    model = training.model
    training.reset()
    begins, ends = called.has("on_train_batch_begin"), called.has("on_train_batch_end")
    count, size = len(data.x), plan.batch_size
    order = _random.generator().permutation(count) if plan.shuffle else None
    for batch, start in enumerate(range(0, count, size)):
        if begins:
            called.call("on_train_batch_begin", batch, {})
        training.train(*data.batch(start, start + size, order))
        if ends:
            called.call("on_train_batch_end", batch, training.logs())
        if model.stop_training:
            break


def evaluate(
    model: Model,
    x: Any,
    y: Any,
    batch_size: Any,
    verbose: Any,
    callbacks: Callback | Sequence[Callback] | None,
) -> dict[str, float]:
    """Return loss and metrics by name: see `Model.evaluate`."""
    require_compiled(model, "evaluate")
    model.require_built("evaluate")
    size = checked_count("batch_size", batch_size, _BATCH)
    data = prepare(model, x, y)
    steps = -(-len(data.x) // size)
    bars = _progress.for_verbosity(verbose)
    called = CallbackList([*CallbackList(callbacks).callbacks, *bars], model, steps=steps)
    try:
        return _test(Pass(model, data), data, size, called)
    finally:
        for bar in bars:
            bar.close()


def _test(tested: Pass, data: Labelled, size: int, called: CallbackList) -> dict[str, float]:
    called.call("on_test_begin", {})
    for batch, start in enumerate(range(0, len(data.x), size)):
        called.call("on_test_batch_begin", batch, {})
        tested.test(*data.batch(start, start + size))
        if called.has("on_test_batch_end"):
            called.call("on_test_batch_end", batch, tested.logs())
    logs = tested.logs()
    called.call("on_test_end", logs)
    return logs


def predict(
    model: Model,
    x: Any,
    batch_size: Any,
    verbose: Any,
    callbacks: Callback | Sequence[Callback] | None,
) -> np.ndarray:
    """Return the outputs for samples: see `Model.predict`."""
    model.require_built("predict")
    size = checked_count("batch_size", batch_size, _BATCH)
    array = model.check_input("x", x)
    steps = -(-len(array) // size)
    bars = _progress.for_verbosity(verbose)
    called = CallbackList([*CallbackList(callbacks).callbacks, *bars], model, steps=steps)
    try:
        called.call("on_predict_begin", {})
        parts = []
        for batch, start in enumerate(range(0, max(1, len(array)), size)):
            called.call("on_predict_batch_begin", batch, {})
            parts.append(model.forward(array[start : start + size])[0])
            called.call("on_predict_batch_end", batch, {"outputs": parts[-1]})
        called.call("on_predict_end", {})
    finally:
        for bar in bars:
            bar.close()
    outputs = parts[0] if len(parts) == 1 else np.concatenate(parts)
    return outputs.copy() if np.may_share_memory(outputs, array) else outputs


def train_on_batch(model: Model, x: Any, y: Any) -> dict[str, float]:
    """Take one step: see `Model.train_on_batch`."""
    require_compiled(model, "train_on_batch")
    data = prepare(model, x, y)
    training = _begin_training(model, data)
    training.train(data.x, data.y)
    return training.logs()


def test_on_batch(model: Model, x: Any, y: Any) -> dict[str, float]:
    """Return loss and metrics of a batch: see `Model.test_on_batch`."""
    require_compiled(model, "test_on_batch")
    model.require_built("test_on_batch")
    data = prepare(model, x, y)
    tested = Pass(model, data)
    tested.test(data.x, data.y)
    return tested.logs()


def require_compiled(model: Model, what: str) -> None:
    """Raise a ValueError if the model was not compiled with a loss."""
    if model.compiled is None:
        raise ValueError(
            f"{what}: the model {model.name!r} is not compiled; "
            "call compile(optimizer=…, loss=…) first"
        )
    if model.compiled.loss is None:
        raise ValueError(f"{what}: the model {model.name!r} was compiled without a loss")
