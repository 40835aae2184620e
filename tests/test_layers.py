"""Layers called with arrays: results, shapes, configurations, errors."""

from __future__ import annotations

import json
import re
import threading

import numpy as np
import pytest
from oracles import central_differences

import fastgru
from fastgru import initializers, layers, losses, metrics, optimizers
from fastgru.layers import GRU, Activation, Dense, Dropout, Embedding, Input, InputLayer, Layer

RNG = np.random.default_rng(11)
X = RNG.normal(size=(3, 4, 5))


def randomize(layer, scale=0.7):
    """Give a built layer weights without symmetry."""
    rng = np.random.default_rng(23)
    layer.set_weights([rng.normal(0, scale, w.shape) for w in layer.weights])
    return layer


def gru(units=7, **arguments):
    layer = GRU(units, dtype="float64", **arguments)
    layer(X)
    return randomize(layer)


# ---------------------------------------------------------------- what is refused by name

UNSERVED = [
    (GRU, {"units": 3, "time_major": True}),
    (Dense, {"units": 3, "lora_rank": 2}),
    (Input, {"shape": (3,), "sparse": True}),
]


@pytest.mark.parametrize(("kind", "arguments"), UNSERVED)
def test_what_is_not_served_is_refused_by_name(kind, arguments):
    name = list(arguments)[-1]
    with pytest.raises(NotImplementedError, match=re.escape(f"{name}={arguments[name]!r}")):
        kind(**arguments)


# ---------------------------------------------------------------- options stay as they are

OPTIONS = [
    (lambda: GRU(3, name="a"), {"return_sequences": True, "go_backwards": True, "stateful": True}),
    (lambda: GRU(3, name="a"), {"activation": "relu", "dropout": 0.5, "units": 4, "seed": 1}),
    (lambda: GRU(3, name="a"), {"time_major": True, "use_cudnn": False, "bias_regularizer": "l2"}),
    (lambda: layers.RNN(layers.LSTMCell(3), name="a"), {"return_state": True, "use_bias": False}),
    (lambda: layers.GRUCell(3, name="a"), {"activation": "relu", "recurrent_dropout": 0.5}),
    (lambda: layers.Bidirectional(GRU(3), name="a"), {"stateful": True, "merge_mode": "sum"}),
    (lambda: layers.Bidirectional(GRU(3), name="a"), {"return_sequences": True}),
    (lambda: Dropout(0.5, name="a"), {"rate": 0.1, "seed": 1}),
    (lambda: Dense(3, name="a"), {"activation": "relu", "kernel_regularizer": "l2", "units": 4}),
    (lambda: Dense(3, name="a"), {"activity_regularizer": "l2", "bias_constraint": "non_neg"}),
    (lambda: Activation("relu", name="a"), {"activation": "tanh"}),
]


def built(make):
    layer = make()
    layer.build((2, 5) if isinstance(layer, layers.GRUCell) else (2, 4, 5))
    return layer


@pytest.mark.parametrize(("make", "changes"), OPTIONS)
def test_options_of_a_built_layer_can_not_be_set(make, changes):
    layer = built(make)
    before = layer.get_config()
    for option, value in changes.items():
        with pytest.raises(AttributeError, match=rf"^a: {option}: expected .* was built with, got"):
            setattr(layer, option, value)
    assert layer.get_config() == before


@pytest.mark.parametrize("make", [make for make, _ in OPTIONS])
def test_what_is_no_option_or_has_the_value_can_be_set(make):
    layer = built(make)
    layer.name, layer.trainable, layer.note = "b", False, "mine"
    assert (layer.name, layer.trainable, layer.note) == ("b", False, "mine")
    for option in layer.get_config().keys() - {"dtype", "layer"}:
        setattr(layer, option, getattr(layer, option))


def test_options_that_building_reads_can_be_set_before_and_others_not():
    layer = Dense(2)
    layer.activation, layer.kernel_initializer = fastgru.activations.relu, initializers.Ones()
    np.testing.assert_array_equal(layer(-np.ones((1, 2))), [[0, 0]])
    np.testing.assert_array_equal(layer(np.ones((1, 2))), [[2, 2]])
    for layer, option in (GRU(3), "return_sequences"), (Dropout(0.0), "rate"):
        with pytest.raises(AttributeError, match=f"{option}: expected .* was made with, got 1"):
            setattr(layer, option, 1)


def test_a_layer_of_ones_own_sets_what_it_reads_itself():
    class Scaled(GRU):
        def __init__(self, units, factor, **common):
            super().__init__(units, **common)
            self.units, self.factor = units, factor

    layer = Scaled(300, factor=2)
    layer(X)
    layer.factor = 3
    assert layer.get_config()["factor"] == 3
    with pytest.raises(AttributeError, match=r"Scaled\.from_config"):
        layer.stateful = True


# ---------------------------------------------------------------- Dense, Embedding, the others


@pytest.mark.parametrize("activation", [None, "sigmoid", "tanh", "relu", "softmax", "gelu"])
@pytest.mark.parametrize("shape", [(6, 5), (2, 3, 5), (2, 3, 2, 5), (0, 5)])
def test_dense(operations, activation, shape):
    layer = Dense(4, activation=activation, dtype="float64")
    x = RNG.normal(size=shape)
    assert layer(x).shape == (*shape[:-1], 4)
    kernel, bias = randomize(layer).get_weights()
    expected = fastgru.activations.get(activation)(x @ kernel + bias)
    np.testing.assert_allclose(layer(x), expected, rtol=1e-12, atol=1e-12)


def test_dense_takes_an_activation_of_ones_own(operations):
    square = fastgru.activations.Activation("square", lambda x, out=None: x * x, lambda x, y: 2 * x)
    layer = randomize_built(Dense(4, activation=square, dtype="float64"), X)
    kernel, bias = layer.get_weights()
    np.testing.assert_allclose(layer(X), (X @ kernel + bias) ** 2, rtol=1e-12)


def randomize_built(layer, x):
    layer(x)
    return randomize(layer)


def test_dense_without_bias(operations):
    layer = randomize_built(Dense(4, use_bias=False, dtype="float64"), X)
    assert len(layer.weights) == 1
    np.testing.assert_allclose(layer(X), X @ layer.get_weights()[0], rtol=1e-12)


@pytest.mark.parametrize(
    "ids",
    [
        [[1, 5, 0], [3, 3, 6]],
        [[1.0, 5.0, 0.0], [3.0, 3.0, 6.0]],
        np.array([[1, 5, 0], [3, 3, 6]], np.uint8),
        np.array([[1, 5, 0], [3, 3, 6]], ">i4"),
        np.array([[[1, 5, 0], [3, 3, 6]]]),
        np.empty((0, 3), int),
        [[True, False]],
    ],
)
def test_embedding(operations, ids):
    layer = Embedding(7, 4)
    y = layer(ids)
    table = layer.get_weights()[0]
    np.testing.assert_array_equal(y, table[np.asarray(ids).astype(int)])
    assert table.dtype == np.float32 and np.abs(table).max() < 0.05
    assert layer.compute_output_shape(np.shape(ids)) == y.shape


@pytest.mark.parametrize("in_list", [True, False])
def test_embedding_with_a_given_table(in_list):
    table = RNG.normal(size=(7, 4))
    layer = Embedding(7, 4, weights=[table] if in_list else table, trainable=False)
    np.testing.assert_array_equal(layer([[2, 6]]), table.astype(np.float32)[[[2, 6]]])
    assert "weights" not in layer.get_config()
    with pytest.raises(ValueError, match=r"weights: expected shape \(7, 4\), got \(4, 7\)"):
        Embedding(7, 4, weights=table.T)


def test_dropout_drops_its_share_and_keeps_the_mean():
    x = np.ones((200, 300), np.float32)
    layer = Dropout(0.25, seed=3)
    assert layer(x) is x
    y = layer(x, training=True)
    np.testing.assert_allclose(np.unique(y), [0, 4 / 3], rtol=1e-6)
    assert abs((y == 0).mean() - 0.25) < 0.01
    assert not np.array_equal(layer(x, training=True), y)
    np.testing.assert_array_equal(Dropout(0.25, seed=3)(x, training=True), y)
    assert not np.array_equal(Dropout(0.25, seed=4)(x, training=True), y)
    assert not Dropout(1.0)(x, training=True).any()
    assert Dropout(0)(x, training=True) is x


@pytest.mark.parametrize("name", ["sigmoid", "tanh", "softplus", "linear"])
def test_activation(operations, name):
    np.testing.assert_allclose(
        Activation(name, dtype="float64")(X), fastgru.activations.get(name)(X), rtol=1e-12
    )


# ---------------------------------------------------------------- gradients

BACKWARD = [
    (lambda: GRU(6, dtype="float64"), X),
    (lambda: GRU(6, dtype="float64", return_sequences=True, go_backwards=True), X),
    (lambda: GRU(6, dtype="float64", reset_after=False, update_gate="replace"), X),
    (lambda: GRU(6, dtype="float64", use_bias=False), X),
    (lambda: Dense(6, dtype="float64", activation="softmax"), X),
    (lambda: Dense(6, dtype="float64", activation="tanh", use_bias=False), X[0]),
    (lambda: Embedding(7, 4, dtype="float64"), np.array([[1, 5, 0], [3, 3, 6]])),
    (lambda: Activation("sigmoid", dtype="float64"), X),
    (lambda: Activation("gelu", dtype="float64"), X),
]


@pytest.mark.parametrize(("make", "x"), BACKWARD)
def test_backward_is_the_derivative(operations, make, x):
    layer, x = make(), x.copy()
    y = randomize_built(layer, x)(x)
    dy = RNG.normal(size=y.shape)
    _, cache = layer.forward(x, training=True)
    dx = layer.backward(dy, cache)

    def loss():
        return float((layer.forward(x, training=True)[0] * dy).sum())

    for weight in layer.weights:
        expected = central_differences(loss, weight.writable())
        np.testing.assert_allclose(weight.gradient, expected, rtol=1e-7, atol=1e-9)
    if x.dtype.kind == "f":
        np.testing.assert_allclose(dx, central_differences(loss, x), rtol=1e-7, atol=1e-9)
    else:
        assert dx is None


@pytest.mark.parametrize(("make", "x"), BACKWARD[:7])
def test_backward_accumulates_when_asked_and_only_then(operations, make, x):
    layer = randomize_built(make(), x)
    y, cache = layer.forward(x, training=True)
    layer.backward(np.ones_like(y), cache)
    once = [w.gradient.copy() for w in layer.weights]
    layer.backward(np.ones_like(y), cache)
    for weight, gradient in zip(layer.weights, once, strict=True):
        np.testing.assert_array_equal(weight.gradient, gradient)
    layer.backward(np.ones_like(y), cache, accumulate=True)
    for weight, gradient in zip(layer.weights, once, strict=True):
        np.testing.assert_allclose(weight.gradient, 2 * gradient, rtol=1e-12)
        assert gradient.any()


def test_frozen_weights_get_no_gradient(operations):
    layer = randomize_built(GRU(6, dtype="float64"), X)
    layer.trainable = False
    y, cache = layer.forward(X, training=True)
    assert layer.backward(np.ones_like(y), cache).shape == X.shape
    assert not any(w.gradient.any() for w in layer.weights)


def test_dropout_backward_is_the_same_choice():
    layer = Dropout(0.5, seed=1, dtype="float64")
    y, cache = layer.forward(X, training=True)
    np.testing.assert_array_equal(layer.backward(X, cache), y)
    y, cache = layer.forward(X)
    np.testing.assert_array_equal(layer.backward(X, cache), X)


def test_logits_leave_the_activation_off(operations):
    for layer in (Dense(6, "sigmoid", dtype="float64"), Activation("sigmoid", dtype="float64")):
        y = layer(X)
        assert layer.output_activation == "sigmoid"
        logits, cache = layer.forward_logits(X, training=True)
        np.testing.assert_allclose(1 / (1 + np.exp(-logits)), y, rtol=1e-12)
        dy = RNG.normal(size=y.shape)
        expected = dy @ layer.weights[0].array.T if layer.weights else dy
        np.testing.assert_allclose(layer.backward(dy, cache), expected, rtol=1e-12)


# ---------------------------------------------------------------- names, dtypes, configurations


def test_names_are_numbered_by_class():
    fastgru.backend.clear_session()
    assert [GRU(2).name for _ in range(3)] == ["gru", "gru_1", "gru_2"]
    assert [Dense(2).name, Dense(2, name="mine").name, Dense(2).name] == [
        "dense",
        "mine",
        "dense_1",
    ]
    assert Input((3,)).name == "input_layer"
    fastgru.utils.clear_session()
    assert GRU(2).name == "gru"


@pytest.mark.parametrize("dtype", ["float32", "float64", np.float64, np.dtype("float32")])
def test_dtype(operations, dtype):
    layer = GRU(3, dtype=dtype)
    assert layer(X).dtype == np.dtype(dtype) == layer.dtype == layer.weights[0].dtype
    assert layer(X.astype(np.float32)).dtype == np.dtype(dtype)
    assert layer(np.ones((1, 2, 5), int)).dtype == np.dtype(dtype)


def test_same_seed_same_values_in_either_precision():
    values = [initializers.GlorotUniform(9)((4, 6), dtype) for dtype in ("float32", "float64")]
    np.testing.assert_array_equal(values[0], values[1].astype(np.float32))


CONFIGURED = [
    GRU(
        5,
        activation="relu",
        kernel_initializer=initializers.HeNormal(seed=4),
        bias_initializer="ones",
        return_sequences=True,
        go_backwards=True,
        reset_after=False,
        update_gate="replace",
        dtype="float64",
        name="mine",
        trainable=False,
        input_shape=(None, 3),
    ),
    Dense(4, activation="softmax", use_bias=False, kernel_initializer=initializers.Constant(2.5)),
    Embedding(9, 3, embeddings_initializer=initializers.RandomNormal(1, 2, seed=3), input_length=7),
    Dropout(0.3, seed=5),
    Activation("tanh"),
    InputLayer(shape=(None, 4), batch_size=3, dtype="int32"),
]


@pytest.mark.parametrize("layer", CONFIGURED, ids=lambda layer: type(layer).__name__)
def test_configuration_makes_an_equal_layer(layer):
    config = json.loads(json.dumps(layer.get_config()))
    again = type(layer).from_config(config)
    assert again.get_config() == layer.get_config()
    assert again.name == layer.name
    described = json.loads(json.dumps(layers.serialize(layer)))
    other = layers.deserialize(described)
    assert type(other) is type(layer) and other.get_config() == layer.get_config()


CONFIGURABLE = [
    *(type(layer) for layer in CONFIGURED),
    layers.GRU,
    layers.Bidirectional,
    layers.TimeDistributed,
    fastgru.Sequential,
    fastgru.Model,
    fastgru.optimizers.Adam,
    fastgru.metrics.MeanMetricWrapper,
]


@pytest.mark.parametrize("kind", CONFIGURABLE)
def test_what_is_no_configuration_is_refused(kind):
    for given in (None, 5, [("units", 3)]):
        with pytest.raises(TypeError, match="from_config: expected a dict .* got (None|int|list)"):
            kind.from_config(given)


@pytest.mark.parametrize(
    ("kind", "entry"),
    [
        (layers.Bidirectional, "layer"),
        (layers.TimeDistributed, "layer"),
        (fastgru.Sequential, "layers"),
        (fastgru.Model, "layers, inputs, outputs"),
        (fastgru.metrics.MeanMetricWrapper, "fn"),
        (GRU, "units"),
        (Embedding, "input_dim, output_dim"),
    ],
)
def test_what_a_configuration_lacks_is_named(kind, entry):
    with pytest.raises(ValueError, match=rf"\.from_config: .* got one without {entry}$"):
        kind.from_config({})


# ---------------------------------------------------------------- weights


def test_get_weights_returns_copies_and_set_weights_takes_them():
    layer = gru()
    before = layer.get_weights()
    before[0][:] = 99
    assert not (layer.get_weights()[0] == 99).any()
    values = [RNG.normal(size=w.shape) for w in layer.weights]
    layer.set_weights([v.tolist() for v in values])
    for got, value in zip(layer.get_weights(), values, strict=True):
        np.testing.assert_array_equal(got, value)
    assert layer.count_params() == 5 * 21 + 7 * 21 + 2 * 21


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda w: w[:2], ValueError, r"has 3 weights \(.*gru.*/kernel \(5, 21\).*got 2"),
        (lambda w: [w[0], w[1].T, w[2]], ValueError, r"recurrent_kernel: expected shape \(7, 21\)"),
        (lambda w: [w[0], w[1], w[2].astype(str)], TypeError, "bias: expected real numbers"),
        (lambda w: None, TypeError, "weights: expected a list of arrays, got None"),
        (lambda w: np.array(3), TypeError, "weights: expected a list of arrays, got array"),
        (lambda w: [w[0], w[1], [[1, 2], [3]]], ValueError, "bias: rows have different lengths"),
    ],
)
def test_set_weights_writes_all_or_nothing(change, error, message):
    layer = gru()
    before = layer.get_weights()
    with pytest.raises(error, match=message):
        layer.set_weights(change([w + 1 for w in before]))
    for got, value in zip(layer.get_weights(), before, strict=True):
        np.testing.assert_array_equal(got, value)


def test_a_weight_can_be_looked_at_and_assigned():
    layer = gru()
    assert repr(layer.kernel) == f"<Weight {layer.name}/kernel shape=(5, 21) dtype=float64>"
    copied = np.asarray(layer.kernel)
    copied[:] = 7
    assert not (layer.kernel.numpy() == 7).any()
    layer.kernel.assign(copied)
    assert (layer.kernel.numpy() == 7).all()
    with pytest.raises(ValueError, match="read-only"):
        layer.kernel.array[0, 0] = 8
    assert layer.trainable_weights == layer.weights and layer.non_trainable_weights == []
    layer.trainable = False
    assert layer.trainable_weights == [] and layer.non_trainable_weights == layer.weights


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: GRU(), TypeError, "units"),
        (lambda: GRU(0), ValueError, "units: expected a positive integer, got 0"),
        (lambda: GRU(-2), ValueError, "units: expected a positive integer, got -2"),
        (lambda: GRU(2.5), TypeError, "units: expected a positive integer, got 2.5"),
        (lambda: GRU(True), TypeError, "units: expected a positive integer, got True"),
        (lambda: GRU("8"), TypeError, "units: expected a positive integer, got '8'"),
        (lambda: GRU(3, unit=3), TypeError, "GRU: unknown argument 'unit'; did you mean 'units'"),
        (lambda: GRU(3, return_sequence=True), TypeError, "did you mean 'return_sequences'"),
        (lambda: GRU(3, trainabel=True), TypeError, "did you mean 'trainable'"),
        (lambda: Dense(3, foo=1), TypeError, "Dense: unknown argument 'foo'; known: units, activ"),
        (
            lambda: GRU(2**31),
            ValueError,
            r"units: expected an integer below 2\*\*31, got 2147483648",
        ),
        (lambda: Embedding(2**70, 1), ValueError, r"input_dim: expected an integer below 2\*\*31"),
        (lambda: GRU(3, activation="tan"), ValueError, "activation: unknown name 'tan'.*'tanh'"),
        (lambda: GRU(3, recurrent_activation="sigmoidd"), ValueError, "recurrent_act.*'sigmoid'"),
        (lambda: Dense(3, activation="Relu"), ValueError, "unknown name 'Relu'.*'relu'"),
        (lambda: Dense(3, activation=3), TypeError, "activation: expected a name"),
        (
            lambda: GRU(3, update_gate="new"),
            ValueError,
            "update_gate: expected 'keep' or 'replace'",
        ),
        (
            lambda: GRU(3, kernel_initializer="glorot"),
            ValueError,
            "kernel_initializer: unknown name 'glorot'.*glorot_u",
        ),
        (lambda: GRU(3, kernel_initializer=3), TypeError, "kernel_initializer: expected a name"),
        (lambda: GRU(3, dtype="float16"), ValueError, "dtype: expected 'float32' or 'float64'"),
        (lambda: GRU(3, dtype="int32"), ValueError, "dtype: expected 'float32' or 'float64'"),
        (lambda: GRU(3, dtype="flaot32"), ValueError, "dtype: expected .*got 'flaot32'"),
        (lambda: GRU(3, seed="a"), TypeError, "seed: expected an integer, got 'a'"),
        (lambda: GRU(3, name=3), TypeError, "name: expected a string, got 3"),
        (lambda: optimizers.Adam(name=3), TypeError, "name: expected a string, got 3"),
        (lambda: losses.MeanSquaredError(name=3), TypeError, "name: expected a string, got 3"),
        (lambda: metrics.Mean(name=3), TypeError, "name: expected a string, got 3"),
        (lambda: GRU(3, input_shape=3), TypeError, "input_shape: expected a tuple of sizes"),
        (lambda: GRU(3, input_shape=(0, 2)), ValueError, "input_shape: expected a positive"),
        (lambda: Embedding(0, 3), ValueError, "input_dim: expected a positive integer, got 0"),
        (lambda: Embedding(3, 1.5), TypeError, "output_dim: expected a positive integer, got 1.5"),
        (lambda: Embedding(3, 2, input_length=0), ValueError, "input_length: expected a positive"),
        (lambda: Dropout(1.5), ValueError, "rate: expected a number from 0 to 1, got 1.5"),
        (lambda: Dropout(-0.1), ValueError, "rate: expected a number from 0 to 1, got -0.1"),
        (lambda: Dropout(float("nan")), ValueError, "rate: expected a number from 0 to 1"),
        (lambda: Dropout("half"), TypeError, "rate: expected a number from 0 to 1, got 'half'"),
        (lambda: Dropout(0.5, seed=-1), ValueError, "seed: expected an integer of at least 0"),
        (lambda: Input(), ValueError, "expected either shape or batch_shape"),
        (lambda: Input(shape=10), TypeError, "shape: expected a tuple of sizes"),
        (lambda: Input((3,), dtype="flaot32"), ValueError, "dtype: .*'int32', got 'flaot32'"),
        (lambda: Input((3,), dtype="complex64"), ValueError, "dtype: expected real numbers such"),
        (lambda: Input((3,), dtype=object), ValueError, "dtype: expected real numbers such"),
    ],
)
def test_bad_arguments(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    ("layer", "x", "error", "message"),
    [
        (GRU(3), X[0], ValueError, r"expected 3 dimensions \(batch, time, features\), got .*4, 5"),
        (GRU(3), X[:, :0], ValueError, "expected at least one time step"),
        (GRU(3), X[..., :0], ValueError, "expected features on the last axis"),
        (GRU(3), X.astype(complex), TypeError, "inputs: expected real numbers, got .*complex128"),
        (GRU(3), [[["a"]]], TypeError, "inputs: expected real numbers"),
        (Dense(3), [[[1.0]], [[1.0], [2.0]]], ValueError, "inputs: rows have different lengths"),
        (GRU(3), None, TypeError, "inputs: expected real numbers, got NoneType"),
        (GRU(3), {"x": X}, TypeError, "inputs: expected real numbers, got dict"),
        (GRU(3), np.ma.masked_less(X, 0), TypeError, "inputs: expected an array without a mask"),
        (Embedding(5, 2), np.ma.ones((2, 3), int), TypeError, "inputs: .* without a mask"),
        (Dense(3), X[0, 0], ValueError, "expected at least 2 dimensions"),
        (
            Embedding(5, 2),
            [[1, 5]],
            ValueError,
            r"inputs: expected ids in \[0, 5\), got 5 at .0, 1",
        ),
        (Embedding(5, 2), [[1, -1]], ValueError, r"ids in \[0, 5\), got -1 at \(0, 1\)"),
        (Embedding(5, 2), [[1.5, 2]], ValueError, r"expected whole numbers, got 1.5 at \(0, 0\)"),
        (Embedding(5, 2), [[np.nan]], ValueError, "expected whole numbers, got nan"),
        (Embedding(5, 2), [[np.inf]], ValueError, r"expected ids in \[0, 5\), got inf"),
        (Embedding(5, 2), [["1"]], TypeError, "expected real numbers"),
        (Embedding(5, 2), 3, ValueError, "expected ids of shape"),
        (Embedding(5, 2, input_length=3), [[1, 2]], ValueError, "input_length=3 time steps"),
    ],
)
def test_bad_inputs_leave_the_layer_unbuilt(operations, layer, x, error, message):
    with pytest.raises(error, match=message):
        layer(x)
    assert not layer.built and layer.weights == []


def test_another_feature_size_is_refused(operations):
    for layer in (GRU(3), Dense(3)):
        layer(X)
        with pytest.raises(ValueError, match=f"{layer.name}: built for 5 features, got 4"):
            layer(X[..., :4])


def test_an_unbuilt_layer_has_no_parameters_to_count():
    with pytest.raises(ValueError, match="not built"):
        GRU(3).count_params()


def test_a_failed_build_can_be_tried_again():
    layer = Dense(3, bias_initializer=initializers.Constant([1.0, 2.0]))
    for _ in range(2):
        with pytest.raises(ValueError, match=r"Constant: expected a value of shape \(3,\)"):
            layer(X)
        assert not layer.built
    layer.bias_initializer = initializers.get("ones")
    layer(X)
    assert [w.name for w in layer.weights] == ["kernel", "bias"]


def test_threads_that_build_one_layer_get_one_set_of_weights():
    layer, barrier, outputs = GRU(33, return_sequences=True), threading.Barrier(4), []

    def run():
        barrier.wait()
        outputs.append(layer(X))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(layer.weights) == 3 and len(outputs) == 4
    for output in outputs:
        np.testing.assert_array_equal(output, outputs[0])


def test_repr_tells_name_and_state():
    assert repr(GRU(3, name="mine")) == "<GRU name=mine built=False>"
    assert isinstance(GRU(3), Layer)


@pytest.mark.parametrize(
    "make",
    [
        lambda: GRU(3),
        lambda: GRU(3, stateful=True),
        lambda: layers.Bidirectional(GRU(3, stateful=True)),
        lambda: fastgru.Sequential([GRU(3)]),
    ],
)
def test_a_first_call_that_fails_leaves_no_sizes_behind(make):
    layer = make()
    with pytest.raises(ValueError, match="mask: expected shape"):
        layer(np.ones((2, 4, 5)), mask=np.ones((2, 3), bool))
    assert not layer.built
    assert layer(np.ones((3, 4, 6))).shape[0] == 3


def test_a_first_call_with_states_that_do_not_fit_leaves_no_sizes_behind():
    layer = GRU(3, stateful=True)
    with pytest.raises(ValueError, match="initial_state"):
        layer(np.ones((2, 4, 5)), initial_state=np.ones((2, 4)))
    assert not layer.built and layer.states is None
    layer(np.ones((3, 4, 6)), initial_state=np.ones((3, 3)))
    assert len(layer.states[0]) == 3


class AsInKeras(Layer):
    def call(self, x):
        return x


class Half(Layer):
    def compute_output_shape(self, input_shape):
        return input_shape

    def forward(self, x, *, training=False, mask=None):
        return x / 2, None


class ModelAsInKeras(fastgru.Model):
    def call(self, x):
        return x


def test_what_a_subclass_must_say_is_told():
    with pytest.raises(NotImplementedError, match=r"AsInKeras\.compute_output_shape: .*`call`"):
        AsInKeras()(X)
    assert Half()(X).shape == X.shape
    model = fastgru.Sequential([Dense(5), Half()])
    model.compile("sgd", "mse")
    with pytest.raises(NotImplementedError, match=r"Half\.backward: .*backward\(dy, cache.*dx$"):
        model.train_on_batch(X, X)
    with pytest.raises(NotImplementedError, match=r"ModelAsInKeras\.convert: .*Model\(inputs, ou"):
        ModelAsInKeras()(X)
    with pytest.raises(NotImplementedError, match=r"InKeras\.predict: .*`call`.* is not served"):
        ModelAsInKeras().predict(X)
    with pytest.raises(NotImplementedError, match=r"InKeras\.get_weights: .*`call`"):
        ModelAsInKeras().get_weights()
