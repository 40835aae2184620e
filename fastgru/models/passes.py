"""One pass of batches through a model: training steps or test steps, loss and metrics."""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from fastgru.layers.parameters import Weight
from fastgru.models.data import Arrays, Batch

if TYPE_CHECKING:
    from fastgru.models.model import Model


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
        self._listed = self._losses_to_list() if self.several else []
        self._out_list = isinstance(model.output_activation, list)
        flags = [target.logits for target in self.targets]
        self._logits: Any = flags if self._out_list else flags[0]
        self._penalized: list[Any] = []
        self._metrics: list[tuple[str, Any]] | None = None
        self._told = False
        self._before: Any = None  # the samples of the last training step
        self.reset()

    def _losses_to_list(self) -> list[int]:
        """Return the targets whose losses are told one by one, in Keras' order.

        That is the order of the outputs, or of a dict of losses where the outputs are a dict.
        """
        assert self.model.compiled is not None
        order, loss = list(range(len(self.targets))), self.model.compiled.loss
        if isinstance(loss, dict) and isinstance(self.model.output, dict):
            order = [self.model.output_names.index(name) for name in loss]
        found = [i for i in order if self.targets[i].loss]
        return found if len(found) > 1 else []

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
            for pair in zip(target.names, target.metrics or (), strict=True)
        ]
        if self.several:
            self._metrics.sort(key=itemgetter(0))  # as Keras lists them
        directions = {name: metric.direction for name, metric in self._metrics}
        self.model.metric_directions = directions
        self.model.metrics = [metric for _, metric in self._metrics]

    def begin(self, example: Arrays) -> None:
        """Build the model, if it is not, and bind the optimizer: the first changes of a fit."""
        self.fit_to(example)
        model = self.model
        if not model.built:
            model.build(example.input_shape())
        weights = model.weights
        self.optimizer.bind(weights)
        self.find_penalties(weights)

    def find_penalties(self, weights: Sequence[Weight] | None = None) -> None:
        """Find the weights with regularizers, among the model's."""
        found = self.model.weights if weights is None else weights
        self._penalized = [w for w in found if w.trainable and w.regularizer]

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
        self._before = batch.x

    def learn(self, batch: Batch) -> None:
        """Write the gradients of a batch."""
        model = self.model
        y_pred, run = model.forward(batch.x, training=True, mask=batch.mask, logits=self._logits)
        gradient = self._measure(batch, y_pred, run, True)
        model.backward_to_weights(gradient, run)
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
            nonfinite.warn(self.model, batch.x, loss, batch.mask, batch.y, self._before)
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
        logs |= {f"{self.targets[i].prefix}loss": self._totals[i] / count for i in self._listed}
        if self._metrics is None:
            self._list_metrics()
        for name, metric in self._metrics or ():
            logs[name] = metric.result()
        self.model.last_results = dict(logs)
        return logs
