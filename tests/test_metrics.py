"""Metrics: values over batches, names, the accuracy that fits."""

from __future__ import annotations

import json

import numpy as np
import pytest

from fastgru import metrics
from fastgru.metrics import BinaryAccuracy, CategoricalAccuracy, Mean, SparseCategoricalAccuracy


def test_binary_accuracy():
    metric = BinaryAccuracy()
    assert metric.result() == 0
    metric.update_state([[1], [0], [1]], [[0.6], [0.4], [0.5]])
    assert metric.result() == pytest.approx(2 / 3)
    metric.update_state([1], [[0.9]])
    assert metric.result() == pytest.approx(3 / 4)
    metric.reset_state()
    assert metric.result() == 0
    assert BinaryAccuracy(threshold=0.3)([1, 0], [[0.4], [0.4]]) == 0.5


def test_binary_accuracy_wants_whole_labels():
    # As in Keras: a soft label equals no class.
    assert BinaryAccuracy()([[0.7]], [[0.9]]) == 0


def test_categorical_accuracies():
    outputs = np.array([[0.1, 0.7, 0.2], [0.5, 0.3, 0.2], [0.2, 0.2, 0.6]])
    assert CategoricalAccuracy()(np.eye(3)[[1, 2, 2]], outputs) == pytest.approx(2 / 3)
    assert SparseCategoricalAccuracy()([1, 2, 2], outputs) == pytest.approx(2 / 3)
    assert SparseCategoricalAccuracy()([[1], [2], [2]], outputs) == pytest.approx(2 / 3)


def test_mean():
    metric = Mean(name="average")
    metric.update_state([1, 2, 6])
    metric.update_state(7)
    assert metric.result() == 4 and metric.name == "average"


@pytest.mark.parametrize(
    ("y_true", "y_pred", "kind"),
    [
        ((5, 1), (5, 1), BinaryAccuracy),
        ((5, 3), (5, 3), CategoricalAccuracy),
        ((5,), (5, 3), SparseCategoricalAccuracy),
        ((5, 4, 1), (5, 4, 3), SparseCategoricalAccuracy),
    ],
)
def test_accuracy_follows_the_shapes(y_true, y_pred, kind):
    for name in ("accuracy", "acc"):
        metric = metrics.for_shapes(metrics.check(name), y_true, y_pred)
        assert type(metric) is kind and metric.name == name


def test_names():
    assert metrics.get("binary_accuracy").name == "binary_accuracy"
    assert type(metrics.get("BinaryAccuracy")) is BinaryAccuracy
    metric = BinaryAccuracy(threshold=0.25, name="mine")
    assert metrics.get(metric) is metric
    again = metrics.deserialize(json.loads(json.dumps(metrics.serialize(metric))))
    assert again.threshold == 0.25 and again.name == "mine"


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: metrics.check("acuracy"), ValueError, "unknown name 'acuracy'; .*'accuracy'"),
        (lambda: metrics.check("auc"), NotImplementedError, "metric 'auc' is not served yet"),
        (lambda: metrics.check(3), TypeError, "metric: expected a name or an instance of Metric"),
        (lambda: BinaryAccuracy(threshold=1), ValueError, "threshold: expected a number between"),
        (lambda: BinaryAccuracy(treshold=0.5), TypeError, "did you mean 'threshold'"),
        (lambda: BinaryAccuracy()([1, 0], [[1]]), ValueError, r"shape \(1, 1\), got \(2, 1\)"),
        (lambda: SparseCategoricalAccuracy()([1], np.ones((2, 3))), ValueError, r"shape \(2,\)"),
        (lambda: BinaryAccuracy()([1], [[1]], [2]), NotImplementedError, "sample_weight"),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()
