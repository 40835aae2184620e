"""Functional models: what they compute and share, gradients, configurations, errors."""

from __future__ import annotations

import copy
import gc
import json
import pickle
import weakref
from functools import partial

import numpy as np
import pytest
from oracles import central_differences

import fastgru
from fastgru import Input, Model, Sequential, callbacks
from fastgru.layers import (
    GRU,
    LSTM,
    Activation,
    Add,
    Bidirectional,
    Concatenate,
    Dense,
    Dropout,
    Embedding,
    GlobalAveragePooling1D,
    GlobalMaxPooling1D,
    Masking,
    RepeatVector,
    SimpleRNN,
    TimeDistributed,
)

RNG = np.random.default_rng(17)
IDS = np.array([[3, 1, 0, 0], [2, 5, 6, 0], [0, 4, 0, 1]])
FEATURES = RNG.normal(size=(3, 5, 4))
FEATURES[1, 3:] = 0
VECTORS = RNG.normal(size=(3, 2))


@pytest.fixture(autouse=True)
def _double():
    fastgru.backend.set_floatx("float64")
    yield
    fastgru.backend.set_floatx("float32")


def randomize(model, scale=0.6):
    rng = np.random.default_rng(29)
    model.set_weights([rng.normal(0, scale, w.shape) for w in model.weights])
    return model


def translator(kind=GRU):
    """An encoder of ids, whose states a decoder of features begins with; all of it masked."""
    ids, features = Input((None,), name="ids"), Input((None, 4), name="features")
    _, *states = kind(5, return_state=True, name="encoder")(Embedding(7, 3, mask_zero=True)(ids))
    y = kind(5, return_sequences=True, name="decoder")(Masking()(features), initial_state=states)
    return randomize(Model([ids, features], Dense(2, "tanh", name="head")(y))), [IDS, FEATURES]


def twins():
    """Two inputs that the same layers read, one of them twice."""
    a, b = Input((None,), name="a"), Input((None,), name="b")
    table, reader = Embedding(7, 3, mask_zero=True), GRU(4)
    first, second = reader(table(a)), reader(table(b))
    both = Concatenate()([first, second, Dense(3, "relu")(first)])
    return randomize(Model([a, b], Dense(1)(both))), [IDS, IDS[:, ::-1].copy()]


def nested():
    """A model in a model in a model; the inner ones are called twice."""
    inner = Sequential([Input((None, 4)), GRU(4, return_sequences=True), Dropout(0.0)])
    x = Input((None, 4))
    middle = Model(x, Add()([x, inner(inner(x))]), name="middle")
    y = Input((None, 4), name="y")
    out = GlobalAveragePooling1D()(middle(Masking()(middle(y))))
    return randomize(Model(y, out)), [FEATURES]


def several():
    """Several outputs, one in the middle of the graph; a bidirectional layer; penalties."""
    x, v = Input((None, 4), name="x"), Input((2,), name="v")
    read = Bidirectional(LSTM(3, return_sequences=True, activity_regularizer="l2"))(Masking()(x))
    pooled = SimpleRNN(4, activity_regularizer="l2")(read)
    joined = Concatenate()([pooled, v])
    repeated = TimeDistributed(Dense(2, "softmax"))(RepeatVector(3)(joined))
    return randomize(Model([x, v], [read, joined, repeated])), [FEATURES, VECTORS]


def stacked():
    """A Sequential of a functional model, an untouched layer and a Sequential."""
    x = Input((None, 4), name="x")
    inner = Model(x, Concatenate()([GRU(2, return_sequences=True)(x), x]), name="inner")
    outer = Sequential([Masking(input_shape=(None, 4)), inner, Sequential([GRU(3), Dense(2)])])
    return randomize(outer), [FEATURES]


def begun():
    """A Sequential that begins with a functional model, which tells the shape of the input."""
    x = Input((5, 4), name="x")
    return randomize(Sequential([Model(x, GRU(3)(x), name="inner"), Dense(2)])), [FEATURES]


MODELS = [translator, lambda: translator(LSTM), twins, nested, several, stacked, begun]


def as_list(value):
    return value if isinstance(value, list) else [value]


@pytest.mark.parametrize("make", MODELS)
def test_gradients_are_the_derivatives(operations, make):
    accumulate = operations == "compiled"
    model, x = make()
    x = model.check_input("x", [a.copy() for a in x] if len(x) > 1 else x[0].copy())
    y, run = model.forward(x, training=True)
    rng = np.random.default_rng(31)
    dy = [rng.normal(size=a.shape) for a in as_list(y)]
    before = RNG.normal(size=model.gradients.shape) if accumulate else 0
    model.gradients[...] = before
    dx = model.backward(dy if isinstance(y, list) else dy[0], run, accumulate=accumulate)

    def loss():
        y, run = model.forward(x, training=True)
        return float(sum((a * d).sum() for a, d in zip(as_list(y), dy, strict=True))) + (
            run.added_loss
        )

    start = 0
    for weight in model.weights:
        expected = central_differences(loss, weight.writable())
        found = (model.gradients - before)[start : start + expected.size].reshape(expected.shape)
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-8, err_msg=weight.path)
        start += expected.size
    for a, d in zip(as_list(x), as_list(dx), strict=True):
        if a.dtype.kind != "f":
            assert d is None
            continue
        masked = (a == 0).all(-1)  # a difference there changes the mask
        differences = central_differences(loss, a)
        np.testing.assert_allclose(d[~masked], differences[~masked], rtol=1e-6, atol=1e-8)


def test_an_output_that_the_loss_ignores_has_no_part_in_the_gradients(operations):
    model, x = several()
    x = model.check_input("x", x)
    y, run = model.forward(x, training=True)
    model.gradients[...] = np.nan
    dy = RNG.normal(size=y[1].shape)
    model.backward([None, dy, None], run)
    found = model.gradients.copy()
    model.backward([np.zeros_like(y[0]), dy, np.zeros_like(y[2])], run)
    np.testing.assert_allclose(found, model.gradients, rtol=1e-12, atol=1e-14)
    unused = model.layers[-1].weights
    assert all((w.gradient == 0).all() for w in unused) and len(unused) == 2


def test_masks_travel():
    model, x = translator()
    _, run = model.forward(model.check_input("x", x))
    np.testing.assert_array_equal(run.masks[0], (FEATURES != 0).any(-1))
    model, x = several()
    _, run = model.forward(model.check_input("x", x))
    np.testing.assert_array_equal(run.masks[0], (FEATURES != 0).any(-1))
    assert run.masks[1:] == [None, None]


def test_what_padding_holds_does_not_matter():
    model, (ids, features) = translator()
    longer = np.concatenate([ids, np.zeros((3, 2), int)], axis=1)
    np.testing.assert_array_equal(model([ids, features]), model([longer, features]))


def test_a_mask_can_be_an_input_of_its_own():
    x, valid = Input((None, 4)), Input((None,), dtype="bool")
    layer = GRU(3)
    model = randomize(Model([x, valid], layer(x, mask=valid)))
    mask = np.array([[1, 1, 0, 1, 0], [0, 1, 1, 1, 1], [1, 0, 0, 0, 0]], bool)
    np.testing.assert_array_equal(model([FEATURES, mask]), layer(FEATURES, mask=mask))
    again = type(model).from_config(json.loads(json.dumps(model.get_config())))
    again.set_weights(model.get_weights())
    np.testing.assert_array_equal(model([FEATURES, mask]), again([FEATURES, mask]))


def test_a_mask_is_computed_of_tensors():
    ids = Input((None,), dtype="int32")
    table, reader = Embedding(9, 4, mask_zero=True), GRU(3)
    model = randomize(Model(ids, reader(table(ids), mask=table.compute_mask(ids))))
    expected = reader(table(IDS), mask=IDS != 0)
    np.testing.assert_array_equal(model(IDS), expected)
    assert not np.array_equal(expected, reader(table(IDS)))
    again = type(model).from_config(json.loads(json.dumps(model.get_config())))
    again.set_weights(model.get_weights())
    np.testing.assert_array_equal(again(IDS), expected)
    model.compile("sgd", "mse")
    before = model.get_weights()
    model.fit(IDS, np.ones((3, 3)), verbose=0)
    assert not any(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    with pytest.raises(NotImplementedError, match=f"{table.name}: compute_mask: a mask is not ser"):
        table.compute_mask(ids, mask=Input((None,)))
    assert Embedding(9, 4).compute_mask(ids) is None


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_a_mask_of_features_is_computed_of_tensors(value):
    x, masking = Input((None, 4)), Masking(value)
    layer = GRU(3)
    model = randomize(Model(x, layer(x, mask=masking.compute_mask(x))))
    hidden = np.where((np.arange(5) == 2)[:, None], value, FEATURES)
    expected = layer(hidden, mask=masking.compute_mask(hidden))
    np.testing.assert_array_equal(model(hidden), expected)
    assert np.isfinite(expected).all()


def test_a_mask_of_sentences_is_computed_of_tensors():
    ids = Input((None, None), dtype="int32")
    table, reader = TimeDistributed(Embedding(9, 4, mask_zero=True)), TimeDistributed(GRU(3))
    model = randomize(Model(ids, reader(table(ids), mask=table.compute_mask(ids))))
    given = np.array([[[1, 2, 0], [3, 0, 0]], [[4, 0, 0], [0, 0, 0]]])
    expected = reader(table(given), mask=given != 0)
    np.testing.assert_array_equal(model(given), expected)


@pytest.mark.filterwarnings("ignore:global_max_pooling1d.* does not support masking")
def test_padding_is_never_valid_whatever_a_given_mask_says():
    x, valid = Input((None, 4)), Input((None,))
    steps = GRU(3, return_sequences=True, go_backwards=True)(x, mask=valid)
    model = randomize(Model([x, valid], [steps, GlobalMaxPooling1D()(steps)]))
    samples = [FEATURES[0], FEATURES[1, :2], FEATURES[2, :3]]
    found = model.predict([samples, [np.ones(len(s)) for s in samples]])
    for i, sample in enumerate(samples):
        alone = model.predict([sample[None], np.ones((1, len(sample)))])
        for got, expected in zip(found, alone, strict=True):
            np.testing.assert_allclose(got[i], expected[0], rtol=1e-5)


@pytest.mark.parametrize("shape", [(4,), (), (5, 1), (5, 4)])
def test_a_mask_of_another_shape_is_refused_where_it_is_connected(shape):
    layer = GRU(3, name="reader")
    with pytest.raises(ValueError, match=r"reader: mask: expected shape \(None, 5\), got \(None"):
        layer(Input((5, 4)), mask=Input(shape, dtype="bool"))
    assert not layer.built
    stack = Sequential([GRU(3, name="first")])
    with pytest.raises(ValueError, match="first: mask: expected shape"):
        stack(Input((5, 4)), mask=Input(shape, dtype="bool"))


def test_a_mask_of_another_length_is_refused_before_training():
    x, valid = Input((None, 4)), Input((None,), dtype="bool")
    model = randomize(Model([x, valid], Dense(1)(GRU(3, name="reader")(x, mask=valid))))
    model.compile("sgd", "mse")
    before, mask = model.get_weights(), np.ones((3, 4), bool)
    for use in (
        lambda: model.fit([FEATURES, mask], np.ones(3), batch_size=1, verbose=0),
        lambda: model.predict([FEATURES, mask]),
        lambda: model([FEATURES, mask]),
    ):
        with pytest.raises(ValueError, match=r"reader: mask: expected shape \(3, 5\), got \(3, 4"):
            use()
    for ours, theirs in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("shape", [(3,), (3, 5, 4), (3, 4)])
def test_a_mask_of_a_call_has_the_right_shape_also_if_it_is_all_true(shape):
    x, v = Input((None, 4)), Input((2,))
    reader, mask = GRU(3, name="reader"), np.ones(shape, bool)
    stack = Sequential([Input((5, 4)), reader])
    several = Model([x, v], Concatenate()([reader(x), v]))
    match = r"reader: mask: expected shape \(3, 5\), got"
    with pytest.raises(ValueError, match=match):
        stack(FEATURES, mask=mask)
    with pytest.raises(ValueError, match=match):
        Model(stack.inputs, stack.outputs)(FEATURES, mask=mask)
    with pytest.raises(ValueError, match=match):
        several([FEATURES, VECTORS], mask=[mask, None])


def test_a_model_is_called_with_a_mask():
    model = randomize(Sequential([Input((None, 4)), GRU(3, return_sequences=True), GRU(2)]))
    mask = np.array([[1, 1, 0, 1, 0], [0, 1, 1, 1, 1], [1, 0, 0, 0, 0]], bool)
    one, two = model.layers
    expected = two(one(FEATURES, mask=mask), mask=mask)
    np.testing.assert_array_equal(model(FEATURES, mask=mask), expected)
    with pytest.raises(ValueError, match=r"mask: expected shape \(3, 5\), got \(3, 4\)"):
        model(FEATURES, mask=mask[:, :4])
    with pytest.raises(TypeError, match="mask: expected booleans"):
        model(FEATURES, mask=mask.astype(int))


def test_a_model_of_several_inputs_is_called_with_masks():
    x, v = Input((None, 4)), Input((2,))
    layer = GRU(3)
    model = randomize(Model([x, v], Concatenate()([layer(x), v])))
    mask = np.array([[1, 1, 0, 1, 0], [0, 1, 1, 1, 1], [1, 0, 0, 0, 0]], bool)
    found = model([FEATURES, VECTORS], mask=[mask, None])
    np.testing.assert_array_equal(found[:, :3], layer(FEATURES, mask=mask))
    with pytest.raises(ValueError, match="mask: expected a list of 2 masks or None"):
        model([FEATURES, VECTORS], mask=mask)
    alone = Model([x], layer(x))
    np.testing.assert_array_equal(alone(FEATURES, mask=mask), layer(FEATURES, mask=mask))


def test_where_a_mask_ends_is_said():
    model = Sequential([Input((None,)), Embedding(7, 3, mask_zero=True), fastgru.layers.Flatten()])
    with pytest.warns(UserWarning, match=r"flatten.* does not support masking: the mask .* ends"):
        model(IDS)


# ---------------------------------------------------------------- sharing


def test_inference_models_of_a_trained_model():
    model, (ids, features) = translator()
    whole = model([ids, features])
    encoder = Model(model.inputs[0], model.get_layer("encoder").output[1:])
    state, step = Input((5,)), Input((1, 4))
    decoder_layer = model.get_layer("decoder")
    decoder = Model(
        [step, state], model.get_layer("head")(decoder_layer(step, initial_state=state))
    )
    assert decoder.weights[0] is decoder_layer.weights[0]
    start = encoder(ids)
    first = decoder([features[:, :1], start])
    np.testing.assert_allclose(first[:, 0], whole[:, 0], rtol=1e-12)


def test_a_model_between_tensors_of_another():
    model, x = several()
    hidden = model.outputs[1]
    tail = Model(hidden, model.outputs[2])
    joined, repeated = model(x)[1:]
    np.testing.assert_array_equal(tail(joined), repeated)
    assert tail.layers[0].batch_shape == hidden.shape
    again = type(tail).from_config(tail.get_config())
    again.set_weights(tail.get_weights())
    np.testing.assert_array_equal(again(joined), repeated)


def test_sequential_models_have_tensors():
    model = Sequential([Input((None, 4)), GRU(3, return_sequences=True), Dense(2)])
    middle = Model(model.inputs, model.layers[0].output)
    np.testing.assert_array_equal(middle(FEATURES), model.layers[0](FEATURES))
    assert model.layers[1].input == model.layers[0].output


def test_a_sequential_model_begins_with_a_functional_one():
    x = Input((5, 4))
    inner = Model(x, GRU(3)(x))
    model = Sequential([inner])
    assert model.built and model.input_shape == (None, 5, 4)
    np.testing.assert_array_equal(model.predict(FEATURES), inner.predict(FEATURES))
    added = Sequential()
    added.add(inner)
    added.add(Dense(1))
    assert added.output_shape == (None, 1)
    for ends in ([x], Add()([x, x])), ({"x": x}, x):
        with pytest.raises(ValueError, match="'listed' was made with a list or dict of inputs"):
            Sequential([Model(*ends, name="listed"), Dense(1)])
    with pytest.raises(ValueError, match="'two' returns 2 outputs; a Sequential takes layers"):
        Sequential([Model(x, [x, x], name="two")])


def test_the_outer_model_holds_the_weights_of_untrained_inner_ones():
    inner = Sequential([Input((None, 4)), GRU(3)])
    outer = Sequential([inner, Dense(2)])
    buffer = outer.weights[0].buffer
    assert all(w.buffer is buffer for w in outer.weights)
    assert outer.gradients.size == outer.count_params()
    assert np.shares_memory(outer.gradients, inner.gradients)
    assert inner.gradients.size == inner.count_params()
    other = Model(inner.inputs, Dense(1)(inner.outputs[0]))
    with pytest.raises(ValueError, match="gradients: .* shares layers with another model"):
        other.gradients  # noqa: B018


@pytest.mark.parametrize("trained", [False, True])
def test_models_that_share_layers_are_trained_in_turn(trained):
    inner = Sequential([Input((2,)), Dense(3, "tanh"), Dense(1)])
    inner.compile(optimizer="adam", loss="mse")
    y = VECTORS.sum(axis=1, keepdims=True)
    if trained:
        inner.fit(VECTORS, y, verbose=0)
    outer = Sequential([inner, Dense(1)])
    outer.compile(optimizer="adam", loss="mse")
    for model in (outer, inner, outer, inner):
        before, frozen = model.get_weights(), outer.layers[1].get_weights()
        model.fit(VECTORS, y, verbose=0)
        moved = [not np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True)]
        assert all(moved)
        kept = [np.array_equal(a, b) for a, b in zip(frozen, outer.layers[1].weights, strict=True)]
        assert all(kept) == (model is inner)


def test_frozen_layers_stay_as_they_are():
    model, x = twins()
    reader = next(layer for layer in model.layers if isinstance(layer, GRU))
    reader.trainable = False
    x = model.check_input("x", x)
    y, run = model.forward(x, training=True)
    model.gradients[...] = 7
    model.backward(np.ones_like(y), run)
    assert all((w.gradient == 7).all() or (w.gradient == 0).all() for w in reader.weights)
    table = next(layer for layer in model.layers if isinstance(layer, Embedding))
    assert np.abs(table.weights[0].gradient).max() not in (0, 7)
    assert [w.path for w in model.non_trainable_weights] == [w.path for w in reader.weights]


@pytest.mark.parametrize("functional", [False, True])
def test_nobody_computes_the_gradient_of_a_models_input(functional, monkeypatch):
    layers = [GRU(3, return_sequences=True), LSTM(2)]
    if functional:
        x = Input((5, 4))
        model = Model(x, layers[1](layers[0](x)))
    else:
        model = Sequential([Input((5, 4)), *layers])
    calls = []

    def spy(operation, *args, **options):
        calls.append(operation(*args, **options))
        return calls[-1]

    for name in "gru_backward", "lstm_backward":
        monkeypatch.setattr(fastgru.ops, name, partial(spy, getattr(fastgru.ops, name)))
    model.compile("sgd", "mse")
    model.train_on_batch(FEATURES, VECTORS)
    (dx, *_), (none, *gradients) = calls
    assert dx.any() and none is None
    assert all(g.any() for g in gradients[:3])


def test_models_are_freed_without_the_garbage_collector():
    gc.disable()
    try:
        for make in (*MODELS, lambda: (Sequential([Input((3,)), Dense(2)]), None)):
            model, _ = make()
            seen = [weakref.ref(layer) for layer in (model, *model.layers)]
            del model
            assert not any(found() for found in seen)
    finally:
        gc.enable()


# ---------------------------------------------------------------- configurations, copies


@pytest.mark.parametrize("make", MODELS)
@pytest.mark.parametrize(
    "again",
    [
        lambda m: type(m).from_config(json.loads(json.dumps(m.get_config()))),
        lambda m: fastgru.layers.deserialize(fastgru.layers.serialize(m)),
        copy.deepcopy,
        lambda m: pickle.loads(pickle.dumps(m)),
    ],
    ids=["config", "serialize", "deepcopy", "pickle"],
)
def test_models_made_again(make, again):
    model, x = make()
    other = again(model)
    assert other.get_config() == model.get_config()
    assert [w.shape for w in other.weights] == [w.shape for w in model.weights]
    other.set_weights(model.get_weights())
    x = x if len(x) > 1 else x[0]
    for a, b in zip(as_list(other(x)), as_list(model(x)), strict=True):
        np.testing.assert_array_equal(a, b)
    assert other.layers[-1].output.shape == model.layers[-1].output.shape
    assert not {id(w) for w in other.weights} & {id(w) for w in model.weights}


def test_names_and_places():
    model, _ = translator()
    assert [layer.name for layer in model.layers][-3:] == ["features", "masking", "decoder"] or (
        model.layers[-1].name == "head"
    )
    assert model.input_names == ["ids", "features"] and model.output_names == ["head"]
    assert model.get_layer("encoder").weights[0].path == "encoder/kernel"
    assert len(model.get_layer("decoder").get_weights()) == 3
    assert model.input_shape == [(None, None), (None, None, 4)]
    assert model.output_shape == (None, None, 2)
    assert model.output_activation == "tanh"
    assert several()[0].output_activation == [None, None, None]


def test_summary_tells_what_layers_are_called_on():
    lines = []
    model, _ = translator()
    model.summary(print_fn=lines.append)
    assert {len(line) for line in lines if line[:1] in "_= "} == {98}
    text = "\n".join(lines)
    assert "Connected to" in text and "encoder[0][1]" in text and "ids[0][0]" in text
    assert f"Total params: {model.count_params()}" in text


def test_inputs_come_as_lists_or_by_name():
    model, (ids, features) = translator()
    expected = model([ids, features])
    for x in ((ids, features), {"features": features, "ids": ids.astype(np.uint8)}):
        np.testing.assert_array_equal(model(x), expected)
        np.testing.assert_array_equal(model.predict(x, batch_size=2, verbose=0), expected)
    single = randomize(Model(x := Input((2,)), Dense(3)(x)))
    np.testing.assert_array_equal(single([VECTORS]), single(VECTORS))


def test_outputs_come_by_name_if_the_model_was_made_so(tmp_path):
    x = Input((2,))
    ends = {"second": Dense(3, "softmax")(x), "first": Dense(1)(x)}
    model = randomize(Model(x, ends))
    assert model.output_names == ["first", "second"] and model.output["second"] is ends["second"]
    listed = Model(x, [ends["first"], ends["second"]])
    first, second = listed(VECTORS)
    seen = []
    watch = callbacks.LambdaCallback(on_predict_batch_end=lambda _, logs: seen.append(logs))
    model.save(tmp_path / "model.npz")
    loaded = fastgru.models.load_model(tmp_path / "model.npz")
    outer = Model(v := Input((2,)), model(v)["first"])
    for found in (
        model(VECTORS),
        model.predict(VECTORS, verbose=0, callbacks=[watch]),
        model.predict_on_batch(VECTORS),
        loaded(VECTORS),
        seen[0]["outputs"],
    ):
        assert list(found) == ["first", "second"]
        np.testing.assert_array_equal(found["first"], first)
        np.testing.assert_array_equal(found["second"], second)
    np.testing.assert_array_equal(outer(VECTORS), first)
    begins = {"first": Input((1,), name="first"), "second": Input((3,), name="second")}
    head = randomize(Model(begins, Concatenate()(list(begins.values()))))
    joined = Model(v, head(model(v)))
    np.testing.assert_array_equal(joined(VECTORS), np.concatenate([first, second], axis=1))
    model.compile("sgd", {"second": "categorical_crossentropy", "first": "mse"})
    y = {"second": np.eye(3)[np.arange(len(VECTORS)) % 3], "first": VECTORS[:, :1]}
    logs = model.evaluate(VECTORS, y, verbose=0, return_dict=True)
    assert logs.keys() == {"loss", "first_loss", "second_loss"}
    assert logs["first_loss"] == pytest.approx(((first - y["first"]) ** 2).mean())
    only = Model(x, {"only": ends["first"]})
    np.testing.assert_array_equal(only.predict(VECTORS, verbose=0)["only"], first)
    only.compile("sgd", {"only": "mse"}, metrics={"only": "mae"}, loss_weights={"only": 2.0})
    history = only.fit(VECTORS, {"only": y["first"]}, verbose=0).history
    assert history["loss"] == [pytest.approx(2 * logs["first_loss"])]
    assert model.fit(VECTORS, y, verbose=0).history.keys() == logs.keys()


def test_losses_and_metrics_are_listed_in_keras_order(tmp_path):
    """Losses in the order of outputs, or of losses if both are dicts; metrics sorted by name."""
    x = Input((2,))
    ends = {"zeta": Dense(1, name="zeta")(x), "beta": Dense(1, name="beta")(x)}
    for outputs, loss, order in (
        (list(ends.values()), "mse", ["zeta", "beta"]),
        (list(ends.values()), {"beta": "mse", "zeta": "mse"}, ["zeta", "beta"]),
        (ends, "mse", ["beta", "zeta"]),
        (ends, {"zeta": "mse", "beta": "mse"}, ["zeta", "beta"]),
    ):
        model = randomize(Model(x, outputs))
        model.compile("sgd", loss, metrics={"zeta": ["mae", "mse"], "beta": ["mae"]})
        listed = ["loss", *(f"{name}_loss" for name in order), "beta_mae", "zeta_mae", "zeta_mse"]
        y = dict.fromkeys(ends, VECTORS[:, :1])
        y = y if isinstance(outputs, dict) else list(y.values())
        model.save(tmp_path / "model.npz")
        for one in (model, fastgru.models.load_model(tmp_path / "model.npz")):
            logs = one.evaluate(VECTORS, y, verbose=0, return_dict=True)
            assert list(logs) == listed
            assert one.evaluate(VECTORS, y, verbose=0) == list(logs.values())


def test_logits_are_left_off_where_nothing_else_needs_the_output():
    x = Input((2,))
    y, z = Dense(3, "sigmoid")(x), Dense(3, "sigmoid")(x)
    model = randomize(Model(x, [y, Activation("softmax")(z), z]))
    assert model.output_activation == ["sigmoid", "softmax", None]
    plain = model.forward(VECTORS)[0]
    bare = model.forward(VECTORS, logits=[True, False, False])[0]
    np.testing.assert_allclose(1 / (1 + np.exp(-bare[0])), plain[0], rtol=1e-12)
    np.testing.assert_array_equal(bare[1], plain[1])


# ---------------------------------------------------------------- errors


def parts():
    a, b = Input((4,), name="a"), Input((4,), name="b")
    return a, b, Dense(3, name="d")(Add(name="sum")([a, b]))


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (
            lambda a, b, y: Model(a, y),
            ValueError,
            r"outputs: they depend on the Input 'b' of shape \(None, 4\), which is not among the "
            "inputs 'a'; 'sum' needs it",
        ),
        (lambda a, b, y: Model([a, 3], y), TypeError, "inputs: expected tensors .* got 3"),
        (lambda a, b, y: Model([a, b], []), TypeError, "outputs: expected tensors"),
        (lambda a, b, y: Model([a, a, b], y), ValueError, "inputs: expected tensors that differ"),
        (
            lambda a, b, y: Model([a, b], Dense(2, name="d")(y)),
            ValueError,
            "2 layers have the name 'd'",
        ),
        (
            lambda a, b, y: Model([a, b], y)([np.ones((2, 4))]),
            ValueError,
            r"has 2 inputs \(a \(None, 4\), b \(None, 4\)\); expected a list of as many arrays, "
            "got 1",
        ),
        (
            lambda a, b, y: Model([a, b], y)({"a": 1, "c": 2}),
            ValueError,
            "has the inputs a, b; got a, c",
        ),
        (
            lambda a, b, y: Model([a, b], y)([np.ones((2, 4)), np.ones((2, 5))]),
            ValueError,
            r"b: expected shape \(None, 4\), got \(2, 5\)",
        ),
        (
            lambda a, b, y: Model([a, b], y)([np.ones((2, 4)), np.ones((3, 4))]),
            ValueError,
            "as many samples in every input",
        ),
        (
            lambda a, b, y: Add(name="s")([a, np.ones((2, 4))]),
            TypeError,
            "s: inputs: expected tensors .* got ndarray at place 1",
        ),
        (
            lambda a, b, y: GRU(3, name="g")(a),
            ValueError,
            r"g: expected 3 dimensions \(batch, time, features\), got shape \(None, 4\)",
        ),
        (
            lambda a, b, y: Concatenate(name="c")([a, Input((4, 5))]),
            ValueError,
            "c: expected inputs with an axis -1",
        ),
        (lambda a, b, y: np.exp(y), TypeError, "holds no numbers yet"),
        (lambda a, b, y: bool(y), TypeError, "holds no numbers yet"),
        (
            lambda a, b, y: Dropout(0.5, name="drop")(y, training=False),
            NotImplementedError,
            "drop: training=False is not served on tensors",
        ),
        (
            lambda a, b, y: Dense(1, dtype="float32", name="e")(y),
            ValueError,
            "share one dtype, but 'e' has float32",
        ),
        (
            lambda a, b, y: Sequential([a, y]),
            TypeError,
            "layers: expected layers, got <KerasTensor",
        ),
        (lambda a, b, y: Dense(2, name="n").output, AttributeError, "n: output: .* not part of"),
    ],
)
def test_errors(use, error, message):
    with pytest.raises(error, match=message):
        use(*parts())


def test_a_model_names_its_tensors():
    a, b = fastgru.layers.Input((3,)), fastgru.layers.Input((3,))
    total = fastgru.layers.add([a, b])
    both = Model([a, b], fastgru.layers.concatenate([total, a]))
    assert both.input == [a, b] and both.output.shape == (None, 6)
    single = Model(a, fastgru.layers.Dense(2)(a))
    assert single.input is a and single.trainable_variables == single.trainable_weights
    x, y = np.ones((2, 3), "float32"), np.full((2, 3), 2, "float32")
    np.testing.assert_array_equal(both([x, y]), [[3, 3, 3, 1, 1, 1]] * 2)


def test_a_dataset_of_ones_own_feeds_fit():
    class Batches(fastgru.utils.PyDataset):
        def __len__(self):
            return 3

        def __getitem__(self, index):
            return np.full((4, 2), index, "float32"), np.zeros((4, 1), "float32")

    x = fastgru.layers.Input((2,))
    model = Model(x, fastgru.layers.Dense(1)(x))
    model.compile("sgd", "mse")
    assert len(model.fit(Batches(workers=2), epochs=2, verbose=0).history["loss"]) == 2


def test_a_list_of_one_output_is_as_that_one_alone():
    a = Input((3, 2))
    y = GRU(4)(a)
    one, same = Model(a, y), Model([a], [y])
    x = np.random.default_rng(1).normal(size=(5, 3, 2)).astype(np.float32)
    np.testing.assert_array_equal(same.predict(x, verbose=0), one.predict(x, verbose=0))
    assert same.output_shape == (None, 4) and same.outputs == [y] and same.output is y
    again = Model.from_config(same.get_config())
    again.set_weights(same.get_weights())
    np.testing.assert_array_equal(again(x), one(x))
    assert isinstance(Model(a, {"y": y})(x), dict) and isinstance(Model(a, [y, y])(x), list)
