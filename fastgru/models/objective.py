"""What training aims at: the losses and metrics of a model's outputs."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from fastgru import activations, losses, metrics
from fastgru._numbers import is_number
from fastgru.backend import current_ops
from fastgru.losses.base import spread
from fastgru.metrics.means import SparseLossMetric
from fastgru.optimizers import Optimizer


class Compiled(NamedTuple):
    """What `compile` was given, looked up: lists where there are several outputs.

    A dict of losses stays one, for its order.
    """

    optimizer: Optimizer
    loss: Any
    loss_weights: Any
    metrics: Any
    weighted_metrics: Any


class Target:
    """The loss and the metrics of one output.

    Parameters
    ----------
    compiled : tuple
        Loss (or None), its weight, metrics and weighted metrics: those of this output.
    activation : str or None
        What the output ends with and can be left off.
    prefix : str
        What the names of this output's metrics begin with.
    """

    def __init__(
        self, compiled: tuple[Any, float, list[Any], list[Any]], activation: str | None, prefix: str
    ) -> None:
        self.loss, self.weight, self._metrics, self._weighted = compiled
        self.logits = self.loss is not None and activation in self.loss.takes_logits_of
        self.activation, self.prefix = activation, prefix
        self.metrics: list[metrics.Metric] | None = None  # until the shapes are known
        self.names: list[str] = []

    def fit_to(self, y_shape: tuple[int, ...], output_shape: tuple[int, ...]) -> None:
        """Choose the metrics that fit labels and outputs of these shapes; require that all do."""
        every = [
            (metrics.for_shapes(_own(metric), y_shape, output_shape), weighted)
            for given, weighted in ((self._metrics, False), (self._weighted, True))
            for metric in given
        ]
        self.metrics = [metric for metric, _ in every]
        self._uses = [
            (metric, weighted, self.logits and self.activation not in metric.takes_logits_of)
            for metric, weighted in every
        ]
        self._activates = any(needs for *_, needs in self._uses)
        self.names = []
        for metric, weighted in every:
            self.names.append(_new_name(self.prefix, metric.name, weighted, self.names))

    def measure(
        self,
        y: np.ndarray,
        y_pred: np.ndarray,
        weights: np.ndarray | None,
        mask: np.ndarray | None,
        learn: bool,
    ) -> tuple[float, np.ndarray | None]:
        """Return the loss and, to learn from, the weighted loss' gradient; take in the metrics."""
        factor = self.weight if learn else None
        mask = None if mask is None else np.asarray(mask)
        result: tuple[float, np.ndarray | None] = (0.0, None)
        if self.loss is not None:
            result = self.loss.measure(y, y_pred, self.logits, weights, mask, factor)
        if self.metrics is None:
            self.fit_to(y.shape, y_pred.shape)
        if self.metrics:
            self._count(y, y_pred, weights, mask)
        return result

    def _count(
        self,
        y: np.ndarray,
        y_pred: np.ndarray,
        weights: np.ndarray | None,
        mask: np.ndarray | None,
    ) -> None:
        plain = y_pred
        if self._activates:
            if self.activation == "sigmoid":
                plain = current_ops().sigmoid(y_pred)
            else:
                plain = activations.get(self.activation)(y_pred)
        both = mask
        if weights is not None:
            both = weights if mask is None else spread(weights, mask.shape) * mask
        valid = None if self.loss is None else self.loss.valid(y)
        for metric, weighted, needs_plain in self._uses:
            labels, how_much = y, both if weighted else mask
            if valid is not None and isinstance(metric, SparseLossMetric):
                # What the loss ignores is no class that a cross-entropy could be measured for.
                labels = np.where(valid, y, 0)
                how_much = valid if how_much is None else spread(how_much, valid.shape) * valid
            if needs_plain:
                metric.add(labels, plain, how_much)
            else:
                metric.add(labels, y_pred, how_much, self.logits)


def _own(metric: metrics.Metric | str) -> metrics.Metric | str:
    """Return a metric that no other pass adds to, unless a caller may hold it.

    Threads may evaluate at once, and a callback may while the model trains.
    """
    return metric if isinstance(metric, str) or metric.held else copy.deepcopy(metric)


def _new_name(prefix: str, name: str, weighted: bool, taken: list[str]) -> str:
    """Return the name of a metric in logs, told from those that are taken as in Keras."""
    if prefix + name not in taken:
        return prefix + name
    return f"{prefix}weighted_{name}" if weighted else f"{prefix}{name}_1"


def targets_of(compiled: Compiled, activation: Any, names: Sequence[str]) -> list[Target]:
    """Return the targets of a model's outputs, which have names."""
    if len(names) < 2:
        weight = 1.0 if compiled.loss_weights is None else compiled.loss_weights
        given = compiled.loss, weight, compiled.metrics, compiled.weighted_metrics
        return [Target(given, activation, "")]
    each = for_each_output("loss", compiled.loss, names)
    weights = compiled.loss_weights or [1.0] * len(names)
    found = zip(each, weights, compiled.metrics, compiled.weighted_metrics, strict=True)
    return [
        Target(given, end, f"{name}_")
        for given, end, name in zip(found, activation, names, strict=True)
    ]


# ---- what compile was given ----------------------------------------------------------------------


def checked(
    optimizer: Optimizer,
    loss: Any,
    loss_weights: Any,
    given_metrics: Any,
    weighted_metrics: Any,
    names: Sequence[str],
) -> Compiled:
    """Return what `compile` was given, looked up; `names` are those of the outputs.

    Raises
    ------
    ValueError, TypeError, NotImplementedError
        As :meth:`Model.compile`.
    """
    if len(names) < 2:
        loss = _only("loss", loss, names)
        loss = None if loss is None else _loss(loss)
        weight = _only("loss_weights", loss_weights, names)
        if weight is not None:
            weight = _weight(weight)
        found = (
            _metrics(_only_metrics("metrics", given_metrics, names)),
            _metrics(_only_metrics("weighted_metrics", weighted_metrics, names)),
        )
        _check_names(found[0])
        return Compiled(optimizer, loss, weight, *found)
    if loss is not None:
        if not isinstance(loss, list | tuple | Mapping):
            loss = [loss] * len(names)
        each = [None if one is None else _loss(one) for one in for_each_output("loss", loss, names)]
        loss = {k: each[names.index(k)] for k in loss} if isinstance(loss, Mapping) else each
    weights = loss_weights
    if weights is not None:
        weights = [
            1.0 if w is None else _weight(w)
            for w in for_each_output("loss_weights", weights, names)
        ]
    plain, weighted = (
        [_metrics(one) for one in for_each_output(name, given, names)]
        for name, given in (("metrics", given_metrics), ("weighted_metrics", weighted_metrics))
    )
    for one in plain:
        _check_names(one)
    return Compiled(optimizer, loss, weights, plain, weighted)


def _loss(given: Any) -> losses.Loss:
    loss = losses.get(given)
    if loss.reduction in ("none", None):
        raise ValueError(f"loss: {loss.name} has no reduction, so it gives no number to minimize")
    return loss


def _weight(value: Any) -> float:
    if not is_number(value):
        raise TypeError(f"loss_weights: expected numbers, got {value!r}")
    return float(value)


def _only(name: str, given: Any, names: Sequence[str]) -> Any:
    """Return what is meant for the only output."""
    if isinstance(given, Mapping) and "class_name" in given:
        return given
    if isinstance(given, list | tuple | Mapping):
        if len(given) != 1:
            raise ValueError(f"{name}: the model has one output, got {len(given)} for it")
        if not isinstance(given, Mapping):
            return given[0]
        if names:
            _require_known(name, given, names)
        return next(iter(given.values()))
    return given


def _require_known(name: str, given: Mapping[str, Any], names: Sequence[str]) -> None:
    for key in given:
        if key not in names:
            known = "output is" if len(names) == 1 else "outputs are"
            raise ValueError(
                f"{name}: the model has no output {key!r}; its {known} {', '.join(names)}"
            )


def for_each_output(name: str, given: Any, names: Sequence[str]) -> list[Any]:
    """Return what is given for each of several outputs, in a list or a dict; None for none.

    Raises
    ------
    ValueError
        If the list is too long or too short, or the dict names an output that there is not.
    """
    if given is None:
        return [None] * len(names)
    if isinstance(given, Mapping):
        _require_known(name, given, names)
        return [given.get(key) for key in names]
    if not isinstance(given, list | tuple) or len(given) != len(names):
        got = f"{len(given)} of them" if isinstance(given, list | tuple) else type(given).__name__
        raise ValueError(
            f"{name}: expected a list with an entry for each of the {len(names)} outputs "
            f"({', '.join(names)}), got {got}; a dict by their names will do, too"
        )
    return list(given)


def _only_metrics(name: str, given: Any, names: Sequence[str]) -> Any:
    """Return the metrics of the only output, which Keras allows in a list or a dict of its own."""
    if isinstance(given, Mapping):
        given = _only(name, given, names)
    return given[0] if isinstance(given, list | tuple) and len(given) == 1 else given


def _metrics(given: Any) -> list[metrics.Metric | str]:
    if given is None:
        return []
    listed = given if isinstance(given, list | tuple) else [given]
    found = [metrics.check(m) for m in listed]
    for metric in found:
        if isinstance(metric, metrics.Metric) and not any(metric is one for one in listed):
            metric.held = False
    return found


def _check_names(found: list[metrics.Metric | str]) -> None:
    names = [m if isinstance(m, str) else m.name for m in found]
    if len(set(names)) < len(names) or "loss" in names:
        raise ValueError(f"metrics: expected names that differ, and none 'loss', got {names}")
