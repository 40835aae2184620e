"""Metrics: values over batches, names, the accuracy that fits."""

from __future__ import annotations

import json

import numpy as np
import pytest

import fastgru
from fastgru import losses, metrics
from fastgru.metrics import (
    AUC,
    BinaryAccuracy,
    CategoricalAccuracy,
    F1Score,
    Mean,
    Metric,
    Perplexity,
    Precision,
    Recall,
    SparseCategoricalAccuracy,
    SparseCategoricalCrossentropy,
    SparseTopKCategoricalAccuracy,
)


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


def test_weights_and_masks():
    hits, w = np.array([[1, 0, 1], [1, 1, 0]]), np.array([[1.0, 2, 0.5], [0.25, 4, 3]])
    outputs = np.where(hits, 0.9, 0.1)[..., None]
    ones = np.ones((2, 3))
    metric = BinaryAccuracy()
    metric.update_state(ones, outputs, w)
    assert metric.result() == pytest.approx(np.average(hits, weights=w), rel=1e-12)
    by_sample = BinaryAccuracy()(ones, outputs, w[:, 0])
    assert by_sample == pytest.approx(np.average(hits.mean(1), weights=w[:, 0]), rel=1e-12)
    metric.reset_state()
    metric.add(ones[..., None], outputs, w > 1)
    assert metric.result() == pytest.approx(hits[w > 1].mean(), rel=1e-12)
    precision = Recall()
    precision.add(ones[..., None], outputs, w > 1)
    assert precision.result() == pytest.approx(hits[w > 1].mean(), rel=1e-12)


def test_a_sample_counts_once_however_many_steps_it_has():
    metric = BinaryAccuracy()
    metric.update_state(np.ones((1, 2)), [[[0.9], [0.9]]])
    metric.update_state(np.ones((1, 4)), np.zeros((1, 4, 1)))
    assert metric.result() == 0.5
    tokens = Perplexity()
    tokens.update_state([[0, 0]], [[[0.5, 0.5]] * 2])
    tokens.update_state([[0] * 4], [[[0.25, 0.75]] * 4])
    assert tokens.result() == pytest.approx(0.5 ** (-10 / 6), rel=1e-12)


def test_a_function_as_a_metric():
    def share_below(y_true, y_pred):
        return (y_pred < y_true).mean(axis=-1)

    metric = metrics.get(share_below)
    assert metric.name == "share_below"
    assert metric([[1, 2], [3, 4]], [[0, 3], [2, 3]]) == pytest.approx(0.75)


def test_metrics_of_thresholds_and_classes_give_arrays():
    y, p = [[1], [0], [1]], [[0.9], [0.6], [0.3]]
    np.testing.assert_allclose(Precision([0.5, 0.2])(y, p), [1 / 2, 2 / 3])
    np.testing.assert_allclose(Precision([0.2, 0.5])(y, p), [2 / 3, 1 / 2])
    scores = F1Score()(np.eye(3), [[0.6, 0.3, 0.1], [0.5, 0.3, 0.2], [0.1, 0.2, 0.7]])
    np.testing.assert_allclose(scores, [2 / 3, 0, 1], atol=1e-6)


def test_the_area_of_a_perfect_and_of_a_useless_model():
    y = np.array([0, 1] * 50)
    for curve in ("ROC", "PR"):
        assert AUC(curve=curve)(y, y) == pytest.approx(1, abs=1e-6)
        assert AUC(curve=curve)(y, np.full(100, 0.5)) == pytest.approx(0.5, abs=1e-6)
        assert AUC(curve=curve).result() == 0


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


@pytest.mark.parametrize("name", [n for n in metrics.__all__ if n[0].isupper()])
def test_every_metric_has_a_name_and_a_configuration(name):
    kind = getattr(metrics, name)
    if name in ("Metric", "MeanMetricWrapper"):
        return
    metric = kind()
    assert type(metrics.get(name)) is type(metrics.get(metric.name)) is kind
    assert isinstance(metric, Metric) and metric.direction in ("up", "down")
    config = json.loads(json.dumps(metrics.serialize(metric)))
    assert metrics.deserialize(config).get_config() == metric.get_config()


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
        (lambda: metrics.check("hinge"), NotImplementedError, "metric 'hinge' is not served yet"),
        (lambda: AUC(curve="RPC"), ValueError, "curve: expected 'ROC' or 'PR', got 'RPC'"),
        (lambda: AUC(num_thresholds=1), ValueError, "num_thresholds: expected at least 2, got 1"),
        (lambda: AUC(thresholds=[0.5, 1.5]), ValueError, r"thresholds: .*\[0, 1\]"),
        (lambda: AUC(summation_method="middle"), ValueError, "summation_method: .*'middle'"),
        (lambda: AUC(multi_label=True), NotImplementedError, "multi_label"),
        (lambda: Precision(1.5), ValueError, "thresholds: .*got 1.5"),
        (lambda: Recall()([1, 0], [[0.5]]), ValueError, r"recall: .*shape \(1, 1\), got \(2, 1\)"),
        (lambda: F1Score("mean"), ValueError, "average: expected None, 'micro'"),
        (lambda: metrics.TopKCategoricalAccuracy(0), ValueError, "k: expected an integer .*got 0"),
        (lambda: metrics.MeanSquaredError(axis=1), TypeError, "unknown argument 'axis'"),
        (lambda: BinaryAccuracy()([1], [[1]], [[2, 3]]), ValueError, r"sample_weight: .*\(1, 2\)"),
        (lambda: metrics.check(3), TypeError, "metric: expected a name or an instance of Metric"),
        (lambda: BinaryAccuracy(threshold=1), ValueError, "threshold: expected a number between"),
        (lambda: BinaryAccuracy(treshold=0.5), TypeError, "did you mean 'threshold'"),
        (lambda: BinaryAccuracy()([1, 0], [[1]]), ValueError, r"shape \(1, 1\), got \(2, 1\)"),
        (lambda: SparseCategoricalAccuracy()([1], np.ones((2, 3))), ValueError, r"shape \(2,\)"),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("metric", [metrics.Precision, metrics.Recall])
def test_outputs_that_are_nan_exceed_no_threshold(metric):
    """As comparisons have it; a model that diverged must not look perfect."""
    found = metric()
    found.update_state([1.0, 0.0, 1.0], np.full(3, np.nan))
    expected = metric()
    expected.update_state([1.0, 0.0, 1.0], np.full(3, -1.0))
    assert found.result() == expected.result() < 1


# ---- labels that are integers --------------------------------------------------------------------

P = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6]])
SPARSE = [SparseCategoricalCrossentropy, Perplexity]


@pytest.mark.parametrize("kind", SPARSE)
@pytest.mark.parametrize("labels", [[0.0, 1.0, 1.0], [[0], [1], [1]], np.array([0, 1, 1], "u1")])
def test_labels_of_classes_in_every_form(kind, labels):
    expected = -np.log([0.7, 0.8, 0.2]).mean()
    expected = np.exp(expected) if kind is Perplexity else expected
    assert kind()(labels, P) == pytest.approx(expected)


@pytest.mark.parametrize("kind", SPARSE)
@pytest.mark.parametrize("wrong", [-1, 3, 0.5])
def test_labels_that_are_no_classes(kind, wrong):
    metric = kind()
    with pytest.raises(ValueError, match=rf"^y_true: .*got {wrong} at \(1,\)$"):
        metric([0, wrong, 1], P)
    assert metric.result() == 0


def test_labels_to_ignore_do_not_count():
    expected = -np.log([0.7, 0.6]).mean()
    metric = SparseCategoricalCrossentropy(ignore_class=-1)
    assert metric([0, -1, 2], P) == pytest.approx(expected)
    copy = SparseCategoricalCrossentropy.from_config(metric.get_config())
    assert copy([0, -1, 2], P) == pytest.approx(expected)
    assert copy([0, -1, 2], P, [1, 5, 0]) == pytest.approx(-np.log([0.7, 0.7, 0.6]).mean())


def test_what_a_models_loss_ignores_no_cross_entropy_counts():
    names = ["sparse_categorical_crossentropy", "perplexity"]
    model = fastgru.Sequential([fastgru.Input((3,)), fastgru.layers.Activation("linear")])
    model.compile("sgd", losses.SparseCategoricalCrossentropy(ignore_class=-1), metrics=names)
    got = model.evaluate(P, [0, -1, 2], verbose=0, return_dict=True)
    assert got["loss"] == pytest.approx(-np.log([0.7, 0.6]).mean(), rel=1e-6)
    assert got[names[0]] == pytest.approx(got["loss"], rel=1e-6)
    assert got[names[1]] == pytest.approx(np.exp(got["loss"]), rel=1e-6)


def test_labels_that_another_loss_has_as_floats():
    model = fastgru.Sequential([fastgru.Input((1,)), fastgru.layers.Dense(1)])
    model.compile("sgd", "mse", metrics=["sparse_categorical_crossentropy"])
    found = model.evaluate(np.ones((2, 1)), [[0.0], [0.0]], verbose=0)
    assert found[1] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("wrong", [-1, 3])
def test_what_is_no_class_is_not_among_the_greatest(wrong):
    assert SparseTopKCategoricalAccuracy(3)([0, wrong], P[:2]) == 0.5


def test_single_numbers():
    assert metrics.MeanSquaredError()(1.0, 0.5) == 0.25
    assert losses.MeanSquaredError()(1.0, 0.5) == 0.25
    assert losses.BinaryCrossentropy()(1, 0.5) == pytest.approx(np.log(2))


def test_a_metric_of_ones_own_that_lacks_a_method_says_so():
    class Mine(Metric):
        def reset_state(self):
            pass

    with pytest.raises(NotImplementedError, match=r"Mine\.result: a metric says it, as"):
        Mine().result()
    with pytest.raises(NotImplementedError, match=r"Mine\.add: a metric says it, as"):
        Mine()([1.0], [0.5])


def test_the_order_of_options_is_keras():
    assert metrics.SparseCategoricalCrossentropy("x", None, False, 0).ignore_class == 0
