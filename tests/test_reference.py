"""The reference's other operations, against plain loops and central differences."""

from __future__ import annotations

import math

import numpy as np
import pytest
from bad_input import BAD, Bad, good
from cases import DENSE, EMBEDDING, DenseCase, EmbeddingCase, run_dense
from oracles import close, gradient_is

from fastgru import activations, reference

Array = np.ndarray

# ---- dense ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", DENSE, ids=str)
def test_dense(case: DenseCase):
    arrays = case.arrays()
    dy = arrays.pop("dy")
    results = run_dense(reference, case)
    pre = np.tensordot(arrays["x"], arrays["kernel"], 1) + arrays.get("bias", 0)
    np.testing.assert_allclose(results["y"], activations.get(case.activation)(pre), 1e-13, 1e-14)

    if arrays["x"].size * case.O > 500:
        return  # central differences of the large ones would take long, and show nothing new

    def loss() -> float:
        return float((reference.dense_forward(**arrays, activation=case.activation)[0] * dy).sum())

    assert (results["dbias"] is None) == (not case.bias)
    for name, a in arrays.items():
        assert gradient_is(results[f"d{name}"], loss, a, case.activation), name


def test_dense_of_an_empty_batch():
    results = run_dense(reference, DenseCase((0, 3)))
    assert results["y"].shape == (0, 3, 4) and results["dx"].shape == (0, 3, 5)
    assert not results["dkernel"].any() and not results["dbias"].any()


# ---- embedding -----------------------------------------------------------------------------------


@pytest.mark.parametrize("case", EMBEDDING, ids=str)
def test_embedding(case: EmbeddingCase):
    a = case.arrays()
    y = reference.embedding_forward(a["ids"], a["table"])
    dtable = reference.embedding_backward(a["dy"], a["ids"], case.V)
    expected = np.zeros((case.V, case.D))
    for i in np.ndindex(case.shape):
        np.testing.assert_array_equal(y[i], a["table"][a["ids"][i]])
        expected[a["ids"][i]] += a["dy"][i]
    assert y.shape == (*case.shape, case.D)
    assert close(dtable, expected)


# ---- binary cross-entropy ------------------------------------------------------------------------


@pytest.mark.parametrize("from_logits", [True, False])
def test_binary_crossentropy(from_logits: bool):
    random = np.random.default_rng(0)
    y_true = random.random((4, 3))
    y_true[0] = [0, 1, 0.5]
    y_pred = random.normal(0, 3, (4, 3)) if from_logits else random.uniform(0.05, 0.95, (4, 3))
    losses, gradients = reference.binary_crossentropy(y_true, y_pred, from_logits=from_logits)
    p = 1 / (1 + np.exp(-y_pred)) if from_logits else y_pred
    assert close(losses, -(y_true * np.log(p) + (1 - y_true) * np.log(1 - p)))

    def loss() -> float:
        losses, _ = reference.binary_crossentropy(y_true, y_pred, from_logits=from_logits)
        return float(losses.sum())

    assert gradient_is(gradients, loss, y_pred)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_binary_crossentropy_of_sure_predictions(dtype: str):
    zero, one = np.zeros(4, dtype), np.ones(4, dtype)
    p = np.array([0, 1e-8, 1 - 1e-8, 1], dtype)
    low, high = np.array([1e-7, 1 - 1e-7], dtype).astype("float64")
    for labels, wrong in ((zero, -math.log1p(-high)), (one, -math.log(low))):
        losses, gradients = reference.binary_crossentropy(labels, p)
        right = -math.log1p(-low) if labels is zero else -math.log(high)
        expected = [right, right, wrong, wrong] if labels is zero else [wrong, wrong, right, right]
        np.testing.assert_allclose(losses, expected, 1e-6)
        assert not gradients.any()

    logits = np.array([-1000, -30, 30, 1000], dtype)
    losses, gradients = reference.binary_crossentropy(zero, logits, from_logits=True)
    np.testing.assert_allclose(losses, [0, math.exp(-30), 30, 1000], 1e-6)
    np.testing.assert_allclose(gradients, [0, math.exp(-30), 1, 1], 1e-6)


def test_binary_crossentropy_passes_nan_predictions_on():
    for from_logits in (True, False):
        for result in reference.binary_crossentropy(
            np.array([0.0, 1.0]), np.array([np.nan, 0.5]), from_logits=from_logits
        ):
            assert np.isnan(result[0]) and np.isfinite(result[1])


# ---- Adam ----------------------------------------------------------------------------------------


def test_adam_update():
    random = np.random.default_rng(0)
    p, m, v = np.array([0.5, -1.5, 2.0]), np.zeros(3), np.zeros(3)
    q, mean, square = p.tolist(), [0.0] * 3, [0.0] * 3
    rate, b1, b2, eps = 0.01, 0.8, 0.95, 1e-3
    for t in range(1, 6):
        g = random.normal(size=3)
        reference.adam_update(
            p, g, m, v, step=t, learning_rate=rate, beta_1=b1, beta_2=b2, epsilon=eps
        )
        for i in range(3):
            mean[i] = b1 * mean[i] + (1 - b1) * g[i]
            square[i] = b2 * square[i] + (1 - b2) * g[i] ** 2
            alpha = rate * math.sqrt(1 - b2**t) / (1 - b1**t)
            q[i] -= alpha * mean[i] / (math.sqrt(square[i]) + eps)
        np.testing.assert_allclose([p, m, v], [q, mean, square], 1e-13)


def test_adam_moves_what_has_no_gradient_any_more():
    p, m, v = np.ones(1), np.zeros(1), np.zeros(1)
    reference.adam_update(p, np.ones(1), m, v, step=1)
    np.testing.assert_allclose(p, 1 - 1e-3, 1e-8)
    before = p.copy()
    reference.adam_update(p, np.zeros(1), m, v, step=2)
    assert p < before


# ---- elementwise ---------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["exp", "sigmoid", "tanh"])
def test_elementwise(name: str, dtype: str):
    function = getattr(reference, name)
    oracle = {"exp": math.exp, "sigmoid": lambda v: 1 / (1 + math.exp(-v)), "tanh": math.tanh}
    x = np.linspace(-20, 20, 101, dtype=dtype).reshape(1, 101)
    y = function(x)
    assert y.dtype == x.dtype and y.shape == x.shape
    expected = [[oracle[name](v) for v in x[0].tolist()]]
    np.testing.assert_allclose(y, expected, 4 * np.finfo(dtype).eps)

    edges = np.array([-np.inf, -1e4, 0, 1e4, np.inf, np.nan], dtype)
    ends = {
        "exp": [0, 0, 1, np.inf, np.inf],
        "sigmoid": [0, 0, 0.5, 1, 1],
        "tanh": [-1, -1, 0, 1, 1],
    }
    np.testing.assert_array_equal(function(edges), [*ends[name], np.nan])
    assert np.signbit(reference.tanh(np.array([-0.0], dtype)))
    assert function(np.array(0.5, dtype)).shape == ()
    assert function(np.zeros((0, 3), dtype)).shape == (0, 3)
    np.testing.assert_allclose(function(x[:, ::-2]), y[:, ::-2], 2 * np.finfo(dtype).eps)


# ---- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", BAD, ids=str)
def test_refuses(bad: Bad):
    operation = getattr(reference, bad.operation)
    operation(**good(bad.operation, reference))  # all is well without the change
    with pytest.raises(bad.error) as raised:
        operation(**bad.arguments(reference))
    assert str(raised.value).startswith(bad.message)


@pytest.mark.parametrize("bad", [b for b in BAD if b.operation == "adam_update"], ids=str)
def test_adam_refuses_before_it_changes_anything(bad: Bad):
    arguments = bad.arguments(reference)
    arrays = {k: a for k, a in arguments.items() if isinstance(a, np.ndarray)}
    before = {k: a.copy() for k, a in arrays.items()}
    with pytest.raises(bad.error):
        reference.adam_update(**arguments)
    for k, a in arrays.items():
        np.testing.assert_array_equal(a, before[k])
