"""Losses: values, gradients, labels, names."""

from __future__ import annotations

import json

import numpy as np
import pytest

from fastgru import losses
from fastgru.losses import BinaryCrossentropy, MeanSquaredError

Y = np.array([[1.0, 0.0, 0.25], [0.0, 1.0, 0.5]])
P = np.array([[0.9, 0.2, 0.6], [0.35, 0.05, 0.5]])


def test_binary_crossentropy(operations):
    expected = -(Y * np.log(P) + (1 - Y) * np.log(1 - P)).mean()
    assert BinaryCrossentropy()(Y, P) == pytest.approx(expected, rel=1e-12)
    logits = np.log(P / (1 - P))
    assert BinaryCrossentropy(from_logits=True)(Y, logits) == pytest.approx(expected, rel=1e-12)
    assert BinaryCrossentropy()([1, 0], [0.9, 0.2]) == pytest.approx(
        -(np.log(0.9) + np.log(0.8)) / 2, rel=1e-6
    )


def test_binary_crossentropy_clips_probabilities_but_not_logits(operations):
    y, p = np.zeros((1, 1)), np.ones((1, 1))
    assert BinaryCrossentropy()(y, p) == pytest.approx(-np.log(1e-7), rel=1e-6)
    assert BinaryCrossentropy(from_logits=True)(y, 30 * p) == pytest.approx(30, rel=1e-9)


def test_mean_squared_error():
    assert MeanSquaredError()(Y, P) == pytest.approx(((Y - P) ** 2).mean(), rel=1e-12)


@pytest.mark.parametrize(
    ("loss", "logits"),
    [
        (BinaryCrossentropy(), False),
        (BinaryCrossentropy(), True),
        (BinaryCrossentropy(from_logits=True), False),
        (MeanSquaredError(), False),
    ],
)
def test_gradient_of_the_mean(operations, loss, logits):
    outputs = P.copy()
    value, gradient = loss.measure(Y, outputs, logits)
    assert isinstance(value, float)
    for i in np.ndindex(P.shape):
        sides = []
        for step in (1e-6, -1e-6):
            outputs[i] = P[i] + step
            sides.append(loss.measure(Y, outputs, logits)[0])
        outputs[i] = P[i]
        assert gradient[i] == pytest.approx((sides[0] - sides[1]) / 2e-6, rel=1e-6)


def test_labels_of_one_axis_less_are_taken_for_a_last_axis_of_one():
    dtype = np.dtype("float32")
    for y in ([1, 0, 1], [[1], [0], [1]], np.array([True, False, True]), [1.0, 0.0, 1.0]):
        labels = BinaryCrossentropy().prepare(y, (3, 1), dtype)
        np.testing.assert_array_equal(labels, [[1], [0], [1]])
        assert labels.dtype == dtype


@pytest.mark.parametrize(
    ("y", "shape", "error", "message"),
    [
        ([1, 0], (3, 1), ValueError, r"y: expected shape \(3, 1\).*got \(2,\)"),
        ([[1, 0, 1]], (3, 1), ValueError, r"y: expected shape \(3, 1\).*got \(1, 3\)"),
        ([1, 0, 1], (3, 2), ValueError, r"y: expected shape \(3, 2\).*got \(3,\)"),
        ([1, np.nan, 1], (3, 1), ValueError, r"y: expected numbers, got nan at \(1, 0\)"),
        ([1, 0, 2], (3, 1), ValueError, r"labels in \[0, 1\] for .*got 2.0 at \(2, 0\)"),
        ([1, 0, -0.5], (3, 1), ValueError, r"labels in \[0, 1\].*got -0.5 at \(2, 0\)"),
        (["a", "b", "c"], (3, 1), TypeError, "y: expected real numbers"),
        ([[1], [0, 1], [1]], (3, 1), ValueError, "y: rows have different lengths"),
    ],
)
def test_labels_that_do_not_fit(y, shape, error, message):
    with pytest.raises(error, match=message):
        BinaryCrossentropy().prepare(y, shape, np.dtype("float64"))


def test_mean_squared_error_takes_any_number_but_nan():
    np.testing.assert_array_equal(
        MeanSquaredError().prepare([5, -3], (2, 1), np.dtype("float32")), [[5], [-3]]
    )
    with pytest.raises(ValueError, match="y: expected numbers, got nan"):
        MeanSquaredError().prepare([5, np.nan], (2, 1), np.dtype("float32"))


def test_names():
    assert type(losses.get("binary_crossentropy")) is BinaryCrossentropy
    assert type(losses.get("BinaryCrossentropy")) is BinaryCrossentropy
    assert type(losses.get("mse")) is MeanSquaredError
    assert type(losses.get("mean_squared_error")) is MeanSquaredError
    assert losses.get("mse").name == "mean_squared_error"
    config = json.loads(json.dumps(losses.serialize(BinaryCrossentropy(from_logits=True))))
    assert losses.deserialize(config).from_logits is True


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: losses.get("binary_crosentropy"), ValueError, "mean 'binary_crossentropy'"),
        (lambda: losses.get("huber"), NotImplementedError, "loss 'huber' is not served yet"),
        (lambda: losses.get(abs), TypeError, "loss: expected a name or an instance of Loss"),
        (lambda: BinaryCrossentropy(label_smoothing=0.1), NotImplementedError, "label_smoothing"),
        (lambda: BinaryCrossentropy(axis=0), NotImplementedError, "axis=0"),
        (lambda: BinaryCrossentropy(reduction="sum"), NotImplementedError, "reduction.*'sum'"),
        (lambda: MeanSquaredError(reduction="summ"), ValueError, "reduction.*'summ'"),
        (lambda: BinaryCrossentropy(logits=True), TypeError, "did you mean 'from_logits'"),
        (lambda: BinaryCrossentropy()(Y, P, sample_weight=[1, 2]), NotImplementedError, "sample_w"),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()
