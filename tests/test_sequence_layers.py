"""The layers that sequence models need beside recurrent ones: values, masks, gradients, errors."""

from __future__ import annotations

import json

import numpy as np
import pytest
from oracles import central_differences

import fastgru
from fastgru import Input, Model, Sequential, layers
from fastgru.layers import (
    GRU,
    Activation,
    Add,
    Bidirectional,
    Concatenate,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GlobalAveragePooling1D,
    GlobalMaxPooling1D,
    Masking,
    Permute,
    RepeatVector,
    Reshape,
    SpatialDropout1D,
    TimeDistributed,
)

RNG = np.random.default_rng(41)
X = RNG.normal(size=(3, 5, 4))
X[0, 3:] = X[2, 0] = 0
MASK = (X != 0).any(-1)
IDS = np.array([[[3, 1, 0], [0, 0, 0]], [[2, 5, 6], [4, 0, 1]]])


@pytest.fixture(autouse=True)
def _double():
    fastgru.backend.set_floatx("float64")
    yield
    fastgru.backend.set_floatx("float32")


def run(layer, x, mask=None):
    """Return what a layer returns in training; the call builds it, with weights of its own."""
    layer(x)
    rng = np.random.default_rng(43)
    layer.set_weights([rng.normal(0, 0.6, w.shape) for w in layer.weights])
    how = {} if mask is None else {"mask": mask}
    return layer.forward(layer.convert("x", x), training=True, **how)


# ---------------------------------------------------------------- values


def test_masking():
    layer = Masking()
    np.testing.assert_array_equal(layer.compute_mask(X), MASK)
    np.testing.assert_array_equal(layer.compute_mask(X.tolist()), MASK)
    np.testing.assert_array_equal(layer(X), X)
    seven = np.where(MASK[..., None], X, 7)
    np.testing.assert_array_equal(Masking(7)(seven), X)
    np.testing.assert_array_equal(Masking(mask_value=7.0).compute_mask(seven), MASK)
    missing = np.where(MASK[..., None], X, np.nan)
    np.testing.assert_array_equal(Masking(np.nan)(missing), X)
    missing[0, 0, 0] = np.nan  # one feature of a step that has others
    np.testing.assert_array_equal(Masking(np.nan).compute_mask(missing), MASK)
    assert layer.makes_mask and Masking(dtype="float32")(X.astype(np.float32)).dtype == np.float32


def test_means_and_maxima():
    valid = np.array([X[i][MASK[i]].mean(0) for i in range(3)])
    mean, top = GlobalAveragePooling1D(), GlobalMaxPooling1D()
    np.testing.assert_allclose(mean(X, mask=MASK), valid, rtol=1e-14)
    np.testing.assert_allclose(mean(X), X.mean(1), rtol=1e-14)
    np.testing.assert_array_equal(mean(X, mask=np.ones_like(MASK)), mean(X))
    np.testing.assert_array_equal(mean(X, MASK), mean(X, mask=MASK))
    tensors = Input((5, 4)), Input((5,), dtype="bool")
    np.testing.assert_array_equal(Model(tensors, mean(*tensors))([X, MASK]), mean(X, MASK))
    np.testing.assert_array_equal(top(X), X.max(1))
    assert not mean(X, mask=np.zeros_like(MASK)).any()
    for layer in (GlobalAveragePooling1D(keepdims=True), GlobalMaxPooling1D(keepdims=True)):
        plain = type(layer)()
        np.testing.assert_array_equal(layer(X)[:, 0], plain(X))
        np.testing.assert_array_equal(layer(X, mask=MASK)[:, 0], plain(X, mask=MASK))
        assert layer.compute_output_shape((None, None, 4)) == (None, 1, 4)
        assert layer.compute_mask(X, MASK) is None


def test_what_masked_steps_hold_does_not_matter_for_the_mean():
    other = np.where(MASK[..., None], X, np.nan)
    mean = GlobalAveragePooling1D()
    np.testing.assert_array_equal(mean(X, mask=MASK), mean(other, mask=MASK))


def test_merging():
    a, b = X, RNG.normal(size=(3, 5, 2))
    np.testing.assert_array_equal(Concatenate()([a, b]), np.concatenate([a, b], -1))
    np.testing.assert_array_equal(Concatenate(axis=1)([a, a]), np.concatenate([a, a], 1))
    assert Concatenate(np.int64(1)).get_config()["axis"] == 1
    np.testing.assert_array_equal(Add()([a, a[:, :1], a]), a + a[:, :1] + a)
    joined = Concatenate(1).compute_mask([a, a[:, :2]], [MASK, None])
    np.testing.assert_array_equal(joined, np.concatenate([MASK, np.ones((3, 2), bool)], 1))
    other = np.roll(MASK, 1, axis=1)
    np.testing.assert_array_equal(Concatenate().compute_mask([a, b], [MASK, other]), MASK | other)
    assert Concatenate().compute_mask([a, b], [MASK, None]).all()
    assert Concatenate().compute_mask([a, b], [None, None]) is None
    np.testing.assert_array_equal(Add().compute_mask([a, a], [MASK, other]), MASK | other)
    assert Add().compute_mask([a, a], [MASK, None]) is None
    assert Concatenate().compute_output_shape([(None, None, 3), (None, 7, 2)]) == (None, 7, 5)
    assert Add().compute_output_shape([(None, None, 3), (2, 1, 3)]) == (2, None, 3)


def test_reshaping():
    np.testing.assert_array_equal(RepeatVector(3)(X[0]), np.stack([X[0]] * 3, 1))
    np.testing.assert_array_equal(Flatten()(X), X.reshape(3, 20))
    np.testing.assert_array_equal(Reshape((2, -1))(X), X.reshape(3, 2, 10))
    np.testing.assert_array_equal(Permute((2, 1))(X), X.transpose(0, 2, 1))
    assert Reshape((2, -1)).compute_output_shape((None, 5, 4)) == (None, 2, 10)
    assert Reshape((2, -1)).compute_output_shape((None, None, 4)) == (None, 2, None)
    assert Flatten().compute_output_shape((None, None, 4)) == (None, None)


def test_embedding_masks_zero():
    layer = Embedding(7, 3, mask_zero=True)
    np.testing.assert_array_equal(layer.compute_mask(IDS[0]), IDS[0] != 0)
    assert Embedding(7, 3).compute_mask(IDS[0]) is None
    np.testing.assert_array_equal(layer.compute_mask(IDS[0].tolist()), IDS[0] != 0)
    expected = layer(IDS[0])
    for dtype in (np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.uint64, ">i8"):
        np.testing.assert_array_equal(layer(IDS[0].astype(dtype)), expected)


def test_time_distributed_is_its_layer_at_every_step():
    layer = TimeDistributed(Dense(3, "tanh"))
    y, _ = run(layer, X)
    for t in range(5):
        np.testing.assert_allclose(y[:, t], layer.layer(X[:, t]), rtol=1e-13)
    assert layer.compute_mask(X, MASK) is MASK
    assert [w.path for w in layer.weights] == [
        f"{layer.name}/{layer.layer.name}/{name}" for name in ("kernel", "bias")
    ]
    assert layer.count_params() == 15


def test_time_distributed_reads_sentences_of_words():
    words = Sequential([Embedding(7, 3, mask_zero=True), GRU(4)])
    model = Sequential([Input((None, None)), TimeDistributed(words), GRU(2)])
    by_hand = np.stack([words(IDS[:, i]) for i in range(2)], axis=1)
    np.testing.assert_allclose(model(IDS), model.layers[1](by_hand), rtol=1e-13)
    outer = Sequential([Input((None, None)), Embedding(7, 3, mask_zero=True)])
    outer.add(TimeDistributed(GRU(4)))
    _, found = outer.forward(IDS)
    np.testing.assert_array_equal(found.masks[0], [[True, False], [True, True]])
    table, inner = outer.layers
    by_hand = [inner.layer(table(IDS[:, i]), mask=IDS[:, i] != 0) for i in range(2)]
    np.testing.assert_allclose(outer(IDS), np.stack(by_hand, axis=1), rtol=1e-13)


# ---------------------------------------------------------------- dropout


def test_dropout_with_a_noise_shape():
    y = Dropout(0.5, noise_shape=(None, 1, None), seed=5)(np.ones((40, 6, 30)), training=True)
    assert (y == y[:, :1]).all() and abs((y == 0).mean() - 0.5) < 0.05
    same = SpatialDropout1D(0.5, seed=5)(np.ones((40, 6, 30)), training=True)
    np.testing.assert_array_equal(same, y)
    whole = Dropout(0.5, noise_shape=(40, 6, 1), seed=5)(np.ones((40, 6, 30)), training=True)
    assert (whole == whole[..., :1]).all()
    with pytest.raises(ValueError, match=r"noise_shape: \(2, 1\) does not fit .* \(3, 5, 4\)"):
        Dropout(0.5, noise_shape=(2, 1))(X, training=True)


def test_the_place_of_dropout_can_be_saved():
    model = Sequential([Input((None, 4)), Dropout(0.5, seed=1), SpatialDropout1D(0.5), Dense(2)])
    first, second = model.seed_generators
    states = [generator.state for generator in (first, second)]
    expected = model(X, training=True)
    assert not np.array_equal(model(X, training=True), expected)
    first.state, second.state = states
    np.testing.assert_array_equal(model(X, training=True), expected)


# ---------------------------------------------------------------- gradients, configurations

MADE = {
    "Masking": (Masking, X, None),
    "mean": (GlobalAveragePooling1D, X, None),
    "masked mean": (lambda: GlobalAveragePooling1D(keepdims=True), X, MASK),
    "maximum": (GlobalMaxPooling1D, X, None),
    "kept maximum": (lambda: GlobalMaxPooling1D(keepdims=True), X, None),
    "Concatenate": (Concatenate, [X, X[..., :2], X], None),
    "Concatenate steps": (lambda: Concatenate(axis=1), [X, X[:, :2]], None),
    "Add": (Add, [X, X[:, :1], X[..., :1]], None),
    "RepeatVector": (lambda: RepeatVector(3), X[0], None),
    "Reshape": (lambda: Reshape((-1, 2)), X, None),
    "Flatten": (Flatten, X, None),
    "Permute": (lambda: Permute((2, 1)), X, None),
    "TimeDistributed": (lambda: TimeDistributed(Dense(3, "softsign")), X, MASK),
    "TimeDistributed GRU": (lambda: TimeDistributed(GRU(3)), X[:, None] * [[[[1]], [[-2]]]], None),
    "Dense": (lambda: Dense(3, "elu"), X, MASK),
    "Activation": (lambda: Activation("softmax"), X, MASK),
    "Dropout": (lambda: Dropout(0.0), X, MASK),
    "no dropout": (lambda: SpatialDropout1D(0.0), X, MASK),
}


@pytest.mark.parametrize("name", MADE)
def test_gradients_are_the_derivatives(operations, name):
    make, x, mask = MADE[name]
    layer = make()
    x = [a.copy() for a in x] if isinstance(x, list) else x.copy()
    y, cache = run(layer, x, mask)
    dy = RNG.normal(size=y.shape)
    dx = layer.backward(dy, cache)
    how = {} if mask is None else {"mask": mask}

    def loss():
        return float((layer.forward(x, training=True, **how)[0] * dy).sum())

    for a, d in zip(*((v if isinstance(v, list) else [v]) for v in (x, dx)), strict=True):
        held = ~MASK if name == "Masking" else np.zeros(a.shape[:2], bool)
        differences = central_differences(loss, a)
        np.testing.assert_allclose(d[~held], differences[~held], rtol=1e-6, atol=1e-8)
    for weight in layer.weights:
        expected = central_differences(loss, weight.writable())
        np.testing.assert_allclose(weight.gradient, expected, rtol=1e-6, atol=1e-8)
    once = [weight.gradient.copy() for weight in layer.weights]
    for times, backward in ((2, layer.backward), (3, layer.backward_to_weights)):
        backward(dy, layer.forward(x, training=True, **how)[1], accumulate=True)
        for weight, gradient in zip(layer.weights, once, strict=True):
            np.testing.assert_allclose(weight.gradient, times * gradient, rtol=1e-12)


@pytest.mark.parametrize("name", MADE)
def test_layers_made_again(name):
    make, x, mask = MADE[name]
    layer = make()
    y, _ = run(layer, x, mask)
    again = layers.deserialize(json.loads(json.dumps(layers.serialize(layer))))
    assert type(again) is type(layer) and again.get_config() == layer.get_config()
    assert np.shape(y) == tuple(again.compute_output_shape(shape_of(x)))
    again(x)
    again.set_weights(layer.get_weights())
    np.testing.assert_array_equal(again(x, mask=mask), layer(x, mask=mask))
    assert layers.get(layer) is layer


def shape_of(x):
    return [a.shape for a in x] if isinstance(x, list) else x.shape


def test_ties_share_the_gradient_of_a_maximum():
    x = np.zeros((1, 4, 2))
    x[0, :, 1] = [1, 3, 3, 2]
    layer = GlobalMaxPooling1D()
    y, cache = layer.forward(x, training=True)
    dx = layer.backward(np.array([[4.0, 6.0]]), cache)
    np.testing.assert_array_equal(y, [[0, 3]])
    np.testing.assert_array_equal(dx[0].T, [[1, 1, 1, 1], [0, 3, 3, 0]])


@pytest.mark.parametrize("make", [lambda **a: Dense(3, **a), lambda **a: GRU(3, **a)])
def test_penalties_on_outputs_join_the_loss(operations, make):
    model = Sequential([Input((None, 4)), make(activity_regularizer="l2"), Dense(2)])
    y, run = model.forward(X, training=True)
    hidden = model.layers[0](X)
    assert run.added_loss == pytest.approx(0.01 * (hidden**2).sum() / 3, rel=1e-12)
    assert model.forward(X)[1].added_loss == run.added_loss
    model.backward_to_weights(np.zeros_like(y), run)
    weight = model.layers[0].weights[0]

    def loss():
        return float(model.forward(X, training=True)[1].added_loss)

    expected = central_differences(loss, weight.writable())
    np.testing.assert_allclose(weight.gradient, expected, rtol=1e-6, atol=1e-10)


def test_weights_have_regularizers_and_constraints():
    dense = Dense(3, kernel_regularizer="l1", bias_regularizer="l2", kernel_constraint="non_neg")
    dense.build((None, 4))
    kernel, bias = dense.weights
    assert type(kernel.regularizer).__name__ == "L1" and type(bias.regularizer).__name__ == "L2"
    assert type(kernel.constraint).__name__ == "NonNeg" and bias.constraint is None
    table = Embedding(5, 2, embeddings_regularizer="l2", embeddings_constraint="max_norm")
    table.build((None, None))
    assert type(table.weights[0].regularizer).__name__ == "L2"
    assert type(table.weights[0].constraint).__name__ == "MaxNorm"
    again = layers.deserialize(layers.serialize(dense))
    assert again.get_config() == dense.get_config()


def test_a_frozen_layer_inside_stays_frozen():
    layer = TimeDistributed(Dense(3, trainable=False))
    layer(X)
    assert not layer.layer.trainable and not layer.trainable_weights
    layer.trainable = True
    assert layer.layer.trainable and len(layer.trainable_weights) == 2
    layer.trainable = False
    assert not layer.layer.trainable and not layer.learns


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    "make",
    [
        lambda: Activation("relu"),
        lambda: Bidirectional(GRU(3)),
        lambda: Dense(3),
        lambda: Dropout(0.5),
        lambda: GlobalAveragePooling1D(),
        lambda: GlobalMaxPooling1D(),
        lambda: GRU(3),
        lambda: Masking(),
        lambda: TimeDistributed(Dense(3)),
        lambda: Sequential([GRU(3)]),
    ],
)
@pytest.mark.parametrize(
    ("mask", "got"),
    [
        (np.ones(3, bool), r"shape \(3, 5\), got \(3,\)"),
        (np.ones((3, 5, 4), bool), r"shape \(3, 5\), got \(3, 5, 4\)"),
        (np.ones((3, 4), bool), r"shape \(3, 5\), got \(3, 4\)"),
        ([[True], [True, False], [True]], "an array of booleans, got rows of different lengths"),
    ],
)
def test_masks_that_do_not_fit_are_refused_in_the_same_words(make, mask, got):
    layer = make()
    name = layer.layers[0].name if isinstance(layer, Sequential) else layer.name
    name = rf"({name}|{layer.name})"
    with pytest.raises(ValueError, match=f"^{name}: mask: expected {got}"):
        layer(X, mask=mask)
    assert not layer.built


def test_masks_of_steps_of_steps_and_of_several_inputs_are_checked():
    by_sentence = TimeDistributed(GRU(3, name="g"), name="t")
    message = r"t: mask: expected shape \(1, 3\) or \(1, 3, 5\), got \(1, 3, 5, 4\)"
    with pytest.raises(ValueError, match=message):
        by_sentence(X[None], mask=np.ones((1, 3, 5, 4), bool))
    assert by_sentence(X[None], mask=MASK[None]).shape == (1, 3, 3)
    for mask in (MASK[:, :4], [MASK, MASK[:, :4]]):
        with pytest.raises(ValueError, match=r"c: mask: expected shape \(3, 5\), got \(3, 4\)"):
            Concatenate(name="c")([X, X], mask=mask)
    with pytest.raises(ValueError, match=r"e: mask: expected shape \(2, 3\), got \(2,\)"):
        Embedding(7, 2, name="e")(IDS[0], mask=np.ones(2, bool))


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (lambda: Masking("0"), TypeError, "mask_value: expected a number, got '0'"),
        (lambda: TimeDistributed(3), TypeError, r"layer: expected a layer, got 3 \(int\)"),
        (
            lambda: TimeDistributed(Dense(3), name="t")(X[0]),
            ValueError,
            r"t: expected at least 3 dimensions \(batch, time, …\), got shape \(5, 4\)",
        ),
        (
            lambda: TimeDistributed(Sequential([Dense(3, activity_regularizer="l2", name="d")])),
            NotImplementedError,
            "has layers with an activity_regularizer; that is not served inside",
        ),
        (
            lambda: TimeDistributed(GRU(3, stateful=True, name="s")),
            NotImplementedError,
            "layer: 's' is stateful.*; that is not served inside a TimeDistributed",
        ),
        (
            lambda: TimeDistributed(Sequential([Bidirectional(GRU(3, stateful=True))])),
            NotImplementedError,
            "layer: 'sequential.*' is stateful, or has a layer that is",
        ),
        (lambda: GlobalMaxPooling1D("channels_first"), ValueError, "data_format: expected"),
        (
            lambda: GlobalAveragePooling1D(name="p")(X[0]),
            ValueError,
            r"p: expected 3 dimensions .* got shape \(5, 4\); a recurrent layer before it needs",
        ),
        (
            lambda: Concatenate(name="c")([X, X[:, :2]]),
            ValueError,
            r"c: expected inputs of equal sizes but for axis -1, got shapes \[\(3, 5, 4\)",
        ),
        (lambda: Concatenate(axis=0)([X, X]), ValueError, "an axis 0 beside that of the batch"),
        (lambda: Concatenate(name="c")(X), TypeError, "c: inputs: expected a list of arrays"),
        (lambda: Add(name="s")([X, X[..., :3]]), ValueError, "s: expected inputs of one shape"),
        (lambda: Add(name="s")([X, X[:2]]), ValueError, "s: expected inputs of one batch size"),
        (lambda: Reshape((3, 3), name="r")(X), ValueError, r"r: target_shape: \(3, 3\) does not"),
        (lambda: Reshape((-1, -1)), ValueError, "target_shape: expected at most one -1"),
        (lambda: Permute((1, 3)), ValueError, "dims: expected 1 to the number of axes"),
        (lambda: Permute(1), TypeError, "dims: expected a tuple of integers, got 1"),
        (lambda: Permute(("a",)), TypeError, "dims: expected a positive integer, got 'a'"),
        (lambda: Reshape(20), TypeError, "target_shape: expected a tuple of integers, got 20"),
        (lambda: Reshape("20"), TypeError, "target_shape: expected a tuple of integers, got '20'"),
        (lambda: layers.Flatten()(np.float32(1)), ValueError, r"flatten.*: expected at least 1 di"),
        (lambda: layers.GRU(3).build(None), TypeError, "input_shape: expected a tuple .*got None"),
        (
            lambda: layers.Dense(3).build("ab"),
            TypeError,
            "input_shape: expected a tuple .*got 'ab'",
        ),
        (lambda: layers.GRU(3).build((2, 3, -1)), ValueError, "expected features on the last axis"),
        (lambda: RepeatVector(0), ValueError, "n: expected a positive integer, got 0"),
        (
            lambda: Sequential([Input((None, 4)), Bidirectional(GRU(3), merge_mode=None)]),
            ValueError,
            "returns 2 outputs; a Sequential takes layers with one",
        ),
        (lambda: fastgru.backend.set_floatx("half"), ValueError, "set_floatx: expected 'float32'"),
        (lambda: layers.get("Gru_"), ValueError, "unknown name 'Gru_'; did you mean 'gru'"),
    ],
)
def test_errors(use, error, message):
    with pytest.raises(error, match=message):
        use()
