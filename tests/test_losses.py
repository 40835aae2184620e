"""Losses: values, gradients, labels, names."""

from __future__ import annotations

import json

import numpy as np
import pytest

from fastgru import losses
from fastgru.losses import (
    BinaryCrossentropy,
    CosineSimilarity,
    Huber,
    KLDivergence,
    LogCosh,
    MeanAbsoluteError,
    MeanSquaredError,
)
from fastgru.losses import CategoricalCrossentropy as Categorical
from fastgru.losses import SparseCategoricalCrossentropy as Sparse

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


RNG = np.random.default_rng(3)
ONE_HOT = np.eye(5)[RNG.integers(0, 5, (3, 4))]
SOFT = RNG.dirichlet(np.ones(5), (3, 4))
CLASSES = ONE_HOT.argmax(-1)
ROWS = RNG.uniform(0.05, 0.9, size=(3, 4, 5))
FAR = RNG.normal(size=(3, 4, 5)) * 3

GRADIENTS = {
    "bce": (BinaryCrossentropy(), SOFT, ROWS, False),
    "bce from a sigmoid": (BinaryCrossentropy(), SOFT, FAR, True),
    "bce from logits, smooth": (BinaryCrossentropy(True, 0.2), SOFT, FAR, False),
    "categorical": (Categorical(), ONE_HOT, ROWS, False),
    "categorical, smooth": (Categorical(label_smoothing=0.3), ONE_HOT, ROWS, False),
    "categorical from a softmax": (Categorical(), SOFT, FAR, True),
    "categorical from logits": (Categorical(True), ONE_HOT * 2, FAR, False),
    "sparse": (Sparse(), CLASSES, ROWS, False),
    "sparse from a softmax": (Sparse(), CLASSES, FAR, True),
    "sparse, a class ignored": (Sparse(True, ignore_class=1), CLASSES, FAR, False),
    "sparse, -1 ignored": (Sparse(ignore_class=-1), np.where(CLASSES, CLASSES, -1), ROWS, False),
    "mse": (MeanSquaredError(), SOFT, FAR, False),
    "mae": (MeanAbsoluteError(), SOFT, FAR, False),
    "huber": (Huber(0.7), SOFT, FAR, False),
    "log-cosh": (LogCosh(), SOFT, FAR, False),
    "kl": (KLDivergence(), SOFT, ROWS, False),
    "cosine": (CosineSimilarity(), SOFT, FAR, False),
}
WEIGHTS = RNG.uniform(0.2, 3, size=(3, 4))
MASK = np.array([[1, 1, 0, 0], [1, 1, 1, 1], [0, 1, 0, 1]], bool)


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum", "mean_with_sample_weight"])
@pytest.mark.parametrize(
    "weighting",
    [(None, None), (WEIGHTS[:, 0], None), (WEIGHTS, None), (None, MASK), (WEIGHTS[:, 0], MASK)],
    ids=["alone", "samples", "steps", "mask", "mask and samples"],
)
@pytest.mark.parametrize("case", GRADIENTS)
def test_gradients_by_central_differences(operations, case, weighting, reduction):
    loss, y, outputs, logits = GRADIENTS[case]
    loss = type(loss).from_config({**loss.get_config(), "reduction": reduction})
    y = loss.prepare(y, outputs.shape, outputs.dtype)
    value, gradient = loss.measure(y, outputs, logits, *weighting, factor=2.0)
    assert type(value) is float and gradient.shape == outputs.shape
    assert loss.measure(y, outputs, logits, *weighting, factor=None) == (value, None)
    step = RNG.normal(size=outputs.shape)
    sides = [
        loss.measure(y, outputs + sign * 1e-6 * step, logits, *weighting)[0] for sign in (1, -1)
    ]
    assert 2 * (sides[0] - sides[1]) / 2e-6 == pytest.approx(
        (gradient * step).sum(), rel=1e-6, abs=1e-7
    )
    for i in [(0, 0, 0), (1, 3, 4), (2, 2, 1), (0, 3, 2)]:
        step = np.zeros(outputs.shape)
        step[i] = 1e-6
        sides = [loss.measure(y, outputs + s * step, logits, *weighting)[0] for s in (1, -1)]
        assert (sides[0] - sides[1]) / 1e-6 == pytest.approx(gradient[i], rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("classes", [2, 33, 5000, 70_000])
def test_cross_entropies_of_any_vocabulary_agree(classes, dtype):
    """Blocks of rows, one-hot and integer labels, logits and probabilities: all the same."""
    logits = RNG.normal(size=(7, 3, classes)).astype(dtype)
    y = RNG.integers(0, classes, (7, 3))
    e = np.exp(logits - logits.max(-1, keepdims=True), dtype=np.float64)
    p = e / e.sum(-1, keepdims=True)
    expected = -np.log(np.take_along_axis(p, y[..., None], -1)).mean()
    hot = y[..., None] == np.arange(classes)
    rtol, atol = (1e-5, 1e-7) if dtype == "float32" else (1e-12, 1e-15)
    for loss, labels in ((Sparse(True), y), (Categorical(True), hot.astype(dtype))):
        value, gradient = loss.measure(labels, logits)
        assert value == pytest.approx(expected, rel=rtol)
        assert gradient.dtype == dtype
        np.testing.assert_allclose(gradient, (p - hot) / 21, rtol=1e3 * rtol, atol=atol)
    if classes < 100:  # otherwise some probabilities are clipped
        q = p.astype(dtype)
        assert Sparse()(y, q) == pytest.approx(expected, rel=rtol)
        assert Categorical()(hot, q) == pytest.approx(expected, rel=rtol)


def test_weights_and_masks_in_the_mean():
    y, p = np.zeros((3, 4, 1)), RNG.normal(size=(3, 4, 1))
    squares, w = (p * p)[..., 0], WEIGHTS
    loss = MeanSquaredError()
    assert loss(y, p, w) == pytest.approx((squares * w).mean(), rel=1e-12)
    assert loss(y, p, w[:, 0]) == pytest.approx((squares * w[:, :1]).mean(), rel=1e-12)
    assert loss(y, p, w[..., None]) == pytest.approx((squares * w).mean(), rel=1e-12)
    masked = loss.measure(y, p, False, None, MASK)[0]
    assert masked == pytest.approx(squares[MASK].mean(), rel=1e-12)
    both = loss.measure(y, p, False, w, MASK)[0]
    assert both == pytest.approx((squares * w)[MASK].sum() / MASK.sum(), rel=1e-12)
    assert loss.measure(y, p, False, w, np.zeros_like(MASK))[0] == 0
    by_weight = MeanSquaredError("mean_with_sample_weight")
    assert by_weight(y, p, w) == pytest.approx(np.average(squares, weights=w), rel=1e-12)
    assert MeanSquaredError("sum")(y, p, w) == pytest.approx((squares * w).sum(), rel=1e-12)
    np.testing.assert_allclose(MeanSquaredError("none")(y, p, w), squares * w, rtol=1e-12)
    np.testing.assert_allclose(MeanSquaredError(None)(y, p), squares, rtol=1e-12)
    assert loss([1.0, 3.0], [0.0, 0.0], [2, 1]) == pytest.approx((2 + 9) / 2, rel=1e-12)


def test_an_ignored_class_is_a_mask():
    loss = Sparse(True, ignore_class=-1)
    y = np.where(MASK, CLASSES, -1)
    alone = Sparse(True, reduction="none")(CLASSES, FAR)
    assert loss(y, FAR) == pytest.approx(alone[MASK].mean(), rel=1e-12)


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
        (lambda: losses.get("hinge"), NotImplementedError, "loss 'hinge' is not served yet"),
        (lambda: losses.get(abs), TypeError, "loss: expected a name or an instance of Loss"),
        (lambda: BinaryCrossentropy(label_smoothing=1.1), ValueError, "label_smoothing: .*1.1"),
        (lambda: BinaryCrossentropy(axis=0), NotImplementedError, "axis=0"),
        (lambda: MeanSquaredError(reduction="summ"), ValueError, "reduction.*'summ'"),
        (lambda: BinaryCrossentropy(logits=True), TypeError, "did you mean 'from_logits'"),
        (
            lambda: BinaryCrossentropy()(Y, P, [1, 2, 3]),
            ValueError,
            r"sample_weight: .*shape \(2,\)",
        ),
        (lambda: BinaryCrossentropy()(Y, P, [1, -2]), ValueError, "sample_weight: .*at least 0"),
        (lambda: Huber(0), ValueError, "delta: expected a number above 0, got 0"),
        (lambda: Huber("a"), TypeError, "delta: expected a number, got 'a'"),
        (lambda: Sparse(ignore_class=0.5), TypeError, "ignore_class: expected an integer"),
        (
            lambda: Sparse()([3], [[0.2, 0.3, 0.5]]),
            ValueError,
            r"classes in \[0, 3\) .*got 3 at \(0",
        ),
        (lambda: Sparse()([-1], [[0.2, 0.3, 0.5]]), ValueError, "got -1 at"),
        (lambda: Sparse()([0.5], [[0.2, 0.3, 0.5]]), ValueError, "y: expected whole numbers"),
        (lambda: Sparse()([0, 1], [[0.2, 0.3, 0.5]]), ValueError, r"y: expected shape \(1,\)"),
        (lambda: Categorical()([0], [[0.2, 0.3, 0.5]]), ValueError, r"y: expected shape \(1, 3\)"),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_loss_of_ones_own_that_lacks_its_values_says_so():
    class Mine(losses.Loss):
        def call(self, y_true, y_pred):
            return y_true - y_pred

    with pytest.raises(NotImplementedError, match=r"Mine\.values: .*; a method `call`"):
        Mine()([1.0], [0.5])
