"""Losses and metrics beside Keras': the same numbers for the same labels, outputs, weights, masks.

In double precision. Gradients of losses are those of torch.
"""

from __future__ import annotations

import keras
import numpy as np
import pytest
import torch
from keras.src.backend.common.masking import set_keras_mask
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

import fastgru

pytestmark = [
    # Of Keras' own variables.
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.usefixtures("double_precision"),
]

RNG = np.random.default_rng(4)
B, T, V = 6, 5, 7
CLASSES = RNG.integers(0, V, (B, T))
HOT = np.eye(V)[CLASSES]
SOFT = RNG.dirichlet(np.ones(V), (B, T))
ROWS = RNG.uniform(0.02, 0.97, size=(B, T, V))
SHARP = np.where(RNG.random((B, T, V)) < 0.1, 1e-12, ROWS)  # some are clipped
FAR = 3 * RNG.normal(size=(B, T, V))
WEIGHTS = RNG.uniform(0.1, 3, size=(B, T))
MASK = RNG.random((B, T)) < 0.6

LOSSES = {
    "bce": (lambda k: k.BinaryCrossentropy(), SOFT, SHARP),
    "bce, smooth": (lambda k: k.BinaryCrossentropy(label_smoothing=0.3), HOT, ROWS),
    "bce, logits": (lambda k: k.BinaryCrossentropy(from_logits=True), SOFT, FAR),
    "bce, logits, smooth": (lambda k: k.BinaryCrossentropy(True, 0.1), HOT, FAR),
    "categorical": (lambda k: k.CategoricalCrossentropy(), HOT, SHARP),
    "categorical, soft": (lambda k: k.CategoricalCrossentropy(), SOFT, ROWS),
    "categorical, smooth": (lambda k: k.CategoricalCrossentropy(label_smoothing=0.2), HOT, ROWS),
    "categorical, logits": (lambda k: k.CategoricalCrossentropy(from_logits=True), HOT, FAR),
    "categorical, logits, smooth": (lambda k: k.CategoricalCrossentropy(True, 0.2), HOT, FAR),
    "sparse": (lambda k: k.SparseCategoricalCrossentropy(), CLASSES, SHARP),
    "sparse, logits": (lambda k: k.SparseCategoricalCrossentropy(True), CLASSES, FAR),
    "sparse, ignoring": (lambda k: k.SparseCategoricalCrossentropy(True, 3), CLASSES, FAR),
    "mse": (lambda k: k.MeanSquaredError(), SOFT, FAR),
    "mae": (lambda k: k.MeanAbsoluteError(), SOFT, FAR),
    "huber": (lambda k: k.Huber(), SOFT, FAR),
    "huber, delta": (lambda k: k.Huber(0.3), SOFT, FAR),
    "log-cosh": (lambda k: k.LogCosh(), SOFT, FAR),
    "kl": (lambda k: k.KLDivergence(), SOFT, SHARP),
    "cosine": (lambda k: k.CosineSimilarity(), SOFT, FAR),
}
REDUCTIONS = ["sum_over_batch_size", "mean", "sum", "mean_with_sample_weight"]


def with_reduction(make, module, reduction):
    loss = make(module)
    loss.reduction = reduction
    return loss


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("case", LOSSES)
def test_losses_and_gradients(case, reduction, weighted, masked):
    make, y, outputs = LOSSES[case]
    theirs = with_reduction(make, keras.losses, reduction)
    ours = with_reduction(make, fastgru.losses, reduction)
    weights = WEIGHTS if weighted else None
    mask = MASK if masked else None

    tensor = torch.tensor(outputs, requires_grad=True)
    if masked:
        set_keras_mask(tensor, torch.tensor(mask))
    expected = theirs(y, tensor, weights)
    expected.backward()
    labels = ours.prepare(y, outputs.shape, outputs.dtype)
    value, gradient = ours.measure(labels, outputs, False, weights, mask)
    assert value == pytest.approx(float(expected.detach()), rel=1e-12)
    np.testing.assert_allclose(gradient, tensor.grad, rtol=1e-9, atol=1e-15)
    if not masked:
        assert ours(y, outputs, weights) == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize("case", LOSSES)
def test_losses_without_a_reduction(case):
    make, y, outputs = LOSSES[case]
    got = with_reduction(make, fastgru.losses, "none")(y, outputs, WEIGHTS)
    if "ignoring" in case:
        expected = with_reduction(make, keras.losses, "sum")(y, outputs, WEIGHTS)
        assert got.sum() == pytest.approx(float(expected), rel=1e-12)
        return
    expected = with_reduction(make, keras.losses, "none")(y, outputs, WEIGHTS)
    np.testing.assert_allclose(got, np.asarray(expected), rtol=1e-11)


BINARY = (RNG.random((B, T)) < 0.4).astype(float)
SCORES = np.clip(0.3 * BINARY + RNG.normal(0.35, 0.25, size=(B, T)), 0, 1)

METRICS = {
    "accuracy": (lambda m: m.Accuracy(), CLASSES, CLASSES * (RNG.random((B, T)) < 0.6)),
    "binary": (lambda m: m.BinaryAccuracy(), BINARY, SCORES),
    "binary, 0.3": (lambda m: m.BinaryAccuracy(threshold=0.3), BINARY, SCORES),
    "categorical": (lambda m: m.CategoricalAccuracy(), HOT, ROWS),
    "sparse": (lambda m: m.SparseCategoricalAccuracy(), CLASSES, ROWS),
    "top 3": (lambda m: m.TopKCategoricalAccuracy(3), HOT, ROWS),
    "sparse, top 3": (lambda m: m.SparseTopKCategoricalAccuracy(k=3), CLASSES, ROWS),
    "mse": (lambda m: m.MeanSquaredError(), SOFT, FAR),
    "rmse": (lambda m: m.RootMeanSquaredError(), SOFT, FAR),
    "mae": (lambda m: m.MeanAbsoluteError(), SOFT, FAR),
    "log-cosh": (lambda m: m.LogCoshError(), SOFT, FAR),
    "kl": (lambda m: m.KLDivergence(), SOFT, ROWS),
    "cosine": (lambda m: m.CosineSimilarity(), SOFT, FAR),
    "bce": (lambda m: m.BinaryCrossentropy(), SOFT, ROWS),
    "bce, smooth": (lambda m: m.BinaryCrossentropy(label_smoothing=0.1), HOT, ROWS),
    "cce": (lambda m: m.CategoricalCrossentropy(from_logits=True), HOT, FAR),
    "cce, smooth": (lambda m: m.CategoricalCrossentropy(label_smoothing=0.1), HOT, ROWS),
    "scce": (lambda m: m.SparseCategoricalCrossentropy(from_logits=True), CLASSES, FAR),
    "precision": (lambda m: m.Precision(), BINARY, SCORES),
    "recall": (lambda m: m.Recall(), BINARY, SCORES),
    "precision, 3": (lambda m: m.Precision([0.7, 0.2, 0.4]), BINARY, SCORES),
    "recall, 3": (lambda m: m.Recall([0.7, 0.2, 0.4]), BINARY, SCORES),
    "true positives": (lambda m: m.TruePositives(0.4), BINARY, SCORES),
    "true negatives": (lambda m: m.TrueNegatives(), BINARY, SCORES),
    "false positives": (lambda m: m.FalsePositives([0.4, 0.1]), BINARY, SCORES),
    "false negatives": (lambda m: m.FalseNegatives(), BINARY, SCORES),
    "f1": (lambda m: m.F1Score(), HOT[:, 0], ROWS[:, 0]),
    "f1, micro": (lambda m: m.F1Score("micro", 0.5), HOT[:, 0], ROWS[:, 0]),
    "f1, macro": (lambda m: m.F1Score("macro", 0.5), HOT[:, 0], ROWS[:, 0]),
    "fbeta, weighted": (lambda m: m.FBetaScore("weighted", 2.0), HOT[:, 0], ROWS[:, 0]),
    "top 2, class 3": (lambda m: m.Precision(top_k=2, class_id=3), HOT[:, 0], ROWS[:, 0]),
    "recall, class 2": (lambda m: m.Recall(0.3, class_id=2), HOT[:, 0], ROWS[:, 0]),
}
for _curve in ("ROC", "PR"):
    for _method in ("interpolation", "minoring", "majoring"):
        METRICS[f"auc, {_curve}, {_method}"] = (
            lambda m, c=_curve, s=_method: m.AUC(curve=c, summation_method=s), BINARY, SCORES,
        )  # fmt: skip
    METRICS[f"auc, {_curve}, 10"] = (lambda m, c=_curve: m.AUC(10, c), BINARY, SCORES)
    METRICS[f"auc, {_curve}, thresholds"] = (
        lambda m, c=_curve: m.AUC(curve=c, thresholds=[0.9, 0.3, 0.5, 0.55]), BINARY, SCORES,
    )  # fmt: skip


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("case", METRICS)
def test_metrics_over_batches(case, weighted):
    make, y, outputs = METRICS[case]
    theirs, ours = make(keras.metrics), make(fastgru.metrics)
    for _ in range(2):
        for rows in (slice(0, 2), slice(2, 3), slice(3, B)):
            weights = None
            if weighted:
                by_sample = outputs.ndim == 2 and outputs.shape[-1] != T
                weights = WEIGHTS[rows, 0] if by_sample else WEIGHTS[rows]
            labels, p = y[rows], outputs[rows]
            theirs.update_state(labels, p, sample_weight=weights)
            if outputs.ndim == 2 and outputs.shape[-1] == T:  # steps, each with one output
                labels, p = labels[..., None], p[..., None]
            ours.update_state(labels, p, weights)
            expected = keras.ops.convert_to_numpy(theirs.result())
            # Keras keeps the counts behind curves in single precision.
            np.testing.assert_allclose(ours.result(), expected, rtol=2e-6, atol=1e-9)
        theirs.reset_state()
        ours.reset_state()


def test_areas_and_scores_beside_scikit_learn():
    rng = np.random.default_rng(2)
    y = (rng.random(4000) < 0.3).astype(float)
    p = np.clip(0.25 * y + rng.normal(0.35, 0.2, size=4000), 0, 1)
    w = rng.uniform(0.1, 2, size=4000)
    for weights in (None, w):
        area = fastgru.metrics.AUC(2000)(y, p, weights)
        assert area == pytest.approx(roc_auc_score(y, p, sample_weight=weights), abs=1e-4)
        area = fastgru.metrics.AUC(2000, "PR")(y, p, weights)
        expected = average_precision_score(y, p, sample_weight=weights)
        assert area == pytest.approx(expected, abs=1e-3)
        score = fastgru.metrics.F1Score("micro", 0.5)(y[:, None], p[:, None], weights)
        expected = f1_score(y, p > 0.5, sample_weight=weights)
        assert score == pytest.approx(expected, rel=1e-6)


def test_perplexity_is_that_of_all_tokens():
    metric = fastgru.metrics.Perplexity(from_logits=True, mask_token_id=2)
    for rows in (slice(0, 2), slice(2, B)):
        metric.update_state(CLASSES[rows], FAR[rows], WEIGHTS[rows])
    losses = torch.nn.functional.cross_entropy(
        torch.tensor(FAR.reshape(-1, V)), torch.tensor(CLASSES.reshape(-1)), reduction="none"
    ).numpy()
    counted = (WEIGHTS * (CLASSES != 2)).reshape(-1)
    expected = np.exp(np.average(losses, weights=counted))
    assert metric.result() == pytest.approx(expected, rel=1e-12)
