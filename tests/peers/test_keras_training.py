"""Models trained here and in Keras from the same weights, on the same batches: the same curves.

In double precision, so that only a difference of method could show. Needs Keras 3 with a backend:
``KERAS_BACKEND=torch pytest tests/peers``.
"""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras.src.backend.common import dtypes

import fastgru

# Of Keras' own variables.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

RNG = np.random.default_rng(12)
STEPS = 60
IDS = RNG.integers(0, 15, size=(40, 7))
FEATURES = RNG.normal(size=(40, 7, 3))
LABELS = (IDS[:, :3].sum(axis=1) > 20).astype(int)


@pytest.fixture(params=["compiled", "reference"])
def backend(request):
    with fastgru.use_ops(request.param):
        yield


@pytest.fixture(autouse=True, scope="module")
def _double_precision():
    """Have Keras compute in double precision, as it does by itself on TensorFlow only."""
    narrowing = dtypes.BIT64_TO_BIT32_DTYPE
    narrow = narrowing["float64"]
    narrowing["float64"] = "float64"
    before = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_floatx(before[0])
    keras.config.set_dtype_policy(before[1])
    narrowing["float64"] = narrow


def binary(k):
    return [k.layers.Embedding(15, 8), k.layers.GRU(32), k.layers.Dense(1, activation="sigmoid")]


def logits(k):
    return [k.layers.Embedding(15, 4), k.layers.GRU(9, reset_after=False), k.layers.Dense(1)]


def stacked(k):
    return [
        k.layers.Embedding(15, 5),
        k.layers.GRU(8, return_sequences=True, go_backwards=True),
        k.layers.GRU(7, use_bias=False),
        k.layers.Dense(6, activation="relu"),
        k.layers.Dense(1),
        k.layers.Activation("sigmoid"),
    ]


def every_step(k):
    return [k.layers.GRU(8, return_sequences=True), k.layers.Dense(2, activation="tanh")]


def softmax(k):
    return [
        k.layers.Dense(5, activation="softplus"),
        k.layers.GRU(8),
        k.layers.Dense(4, activation="softmax"),
    ]


def both(layers, x, loss, optimizer):
    """Return a model of Keras and one of fastgru with the same weights, compiled."""
    theirs = keras.Sequential(layers(keras))
    ours = fastgru.Sequential(layers(fastgru))
    ours.layers[0]._dtype = np.dtype("float64")
    theirs(x[:1])
    ours(x[:1])
    weights = [RNG.normal(0, 0.4, w.shape) for w in ours.weights]
    theirs.set_weights(weights)
    ours.set_weights(weights)
    for k, model in ((keras, theirs), (fastgru, ours)):
        model.compile(optimizer(k), loss(k), metrics=["accuracy"])
    return theirs, ours


CASES = {
    "binary": (binary, IDS, LABELS, lambda k: "binary_crossentropy"),
    "logits": (logits, IDS, LABELS, lambda k: k.losses.BinaryCrossentropy(from_logits=True)),
    "stacked": (stacked, IDS, LABELS, lambda k: "binary_crossentropy"),
    "every step": (every_step, FEATURES, np.cumsum(FEATURES, 1)[..., :2] / 5, lambda k: "mse"),
    "softmax": (softmax, FEATURES, np.eye(4)[IDS[:, 0] % 4], lambda k: k.losses.MeanSquaredError()),
}
OPTIMIZERS = {
    "adam": lambda k: k.optimizers.Adam(),
    "adam, other numbers": lambda k: k.optimizers.Adam(0.02, 0.8, 0.95, 1e-4),
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("case", CASES)
def test_step_by_step(backend, case, optimizer):
    layers, x, y, loss = CASES[case]
    theirs, ours = both(layers, x, loss, OPTIMIZERS[optimizer])
    curves = []
    for step in range(STEPS):
        rows = np.random.default_rng(step).permutation(len(x))[:11]
        theirs.reset_metrics()
        expected = theirs.train_on_batch(x[rows], y[rows])
        curves.append((ours.train_on_batch(x[rows], y[rows]), [float(v) for v in expected]))
    got, expected = np.array(curves).transpose(1, 0, 2)
    np.testing.assert_allclose(got, expected, rtol=1e-8)
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-9)
    assert np.ptp(expected[:, 0]) > 1e-3


@pytest.mark.parametrize("case", CASES)
def test_fit_evaluate_and_predict(backend, case):
    layers, x, y, loss = CASES[case]
    theirs, ours = both(layers, x, loss, OPTIMIZERS["adam"])
    arguments = {"batch_size": 9, "epochs": 4, "shuffle": False, "validation_split": 0.25}
    expected = theirs.fit(x, y, verbose=0, **arguments).history
    got = ours.fit(x, y, verbose=0, **arguments).history
    assert set(got) == set(expected) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    for name, values in expected.items():
        np.testing.assert_allclose(got[name], values, rtol=1e-7, err_msg=name)
    np.testing.assert_allclose(
        ours.evaluate(x, y, verbose=0), theirs.evaluate(x, y, verbose=0), rtol=1e-7
    )
    np.testing.assert_allclose(ours.predict(x), theirs.predict(x, verbose=0), rtol=1e-7)


@pytest.mark.parametrize("reset_after", [True, False])
@pytest.mark.parametrize("go_backwards", [True, False])
@pytest.mark.parametrize("return_sequences", [True, False])
def test_a_gru_layer_called_on_arrays(backend, reset_after, go_backwards, return_sequences):
    arguments = {
        "reset_after": reset_after,
        "go_backwards": go_backwards,
        "return_sequences": return_sequences,
        "return_state": True,
    }
    theirs = keras.layers.GRU(9, **arguments)
    ours = fastgru.layers.GRU(9, dtype="float64", **arguments)
    state = RNG.normal(size=(40, 9))
    theirs(FEATURES)
    ours(FEATURES)
    weights = [RNG.normal(0, 0.6, w.shape) for w in ours.weights]
    theirs.set_weights(weights)
    ours.set_weights(weights)
    for given in ({}, {"initial_state": state}, {"initial_state": [state]}):
        expected = theirs(FEATURES, **given)
        for a, b in zip(ours(FEATURES, **given), expected, strict=True):
            np.testing.assert_allclose(a, np.asarray(b.detach().cpu()), rtol=1e-9, atol=1e-12)


def test_summary_and_configuration_in_keras_words():
    ours, theirs = (
        k.Sequential([k.Input((10,)), *binary(k)], name="mine") for k in (fastgru, keras)
    )
    assert ours.count_params() == theirs.count_params() == 4185
    for a, b in zip(ours.layers, theirs.layers, strict=True):
        known = b.get_config()
        shared = set(a.get_config()) & set(known) - {"dtype", "name"}
        assert len(shared) >= 4
        for name in shared:
            if not isinstance(known[name], dict):
                assert a.get_config()[name] == known[name], name
        assert [w.shape for w in a.weights] == [tuple(w.shape) for w in b.weights]
        assert [w.name for w in a.weights] == [w.name for w in b.weights]
