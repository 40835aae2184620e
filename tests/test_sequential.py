"""Sequential: putting layers together, building, looking at the result, weights."""

from __future__ import annotations

import copy
import json
import pickle
import threading

import numpy as np
import pytest
from oracles import central_differences

import fastgru
from fastgru import Input, Sequential, activations
from fastgru.layers import GRU, Activation, Dense, Dropout, Embedding, TimeDistributed

RNG = np.random.default_rng(5)
IDS = RNG.integers(0, 9, size=(4, 6))


def make_model(**first):
    return Sequential(
        [Embedding(9, 4, **first), GRU(5, return_sequences=True), GRU(7), Dense(1, "sigmoid")]
    )


# ---------------------------------------------------------------- building

WAYS = {
    "input_length": lambda: make_model(input_length=6),
    "input_shape": lambda: make_model(input_shape=(6,)),
    "batch_input_shape": lambda: make_model(batch_input_shape=(None, 6)),
    "Input": lambda: Sequential([Input((6,)), *make_model().layers]),
    "Input by keyword": lambda: Sequential([Input(shape=(6,)), *make_model().layers]),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_known_shape_builds_at_construction(way):
    model = WAYS[way]()
    assert model.built
    assert (model.input_shape, model.output_shape) == ((None, 6), (None, 1))
    assert [layer.output_shape for layer in model.layers] == [
        (None, 6, 4), (None, 6, 5), (None, 7), (None, 1),
    ]  # fmt: skip
    assert model.count_params() == 36 + (4 * 15 + 5 * 15 + 30) + (5 * 21 + 7 * 21 + 42) + 8


def test_otherwise_a_call_builds(operations):
    model = make_model()
    assert not model.built
    assert model(IDS).shape == (4, 1)
    assert model.built and model.input_shape == (None, 6)
    assert model(IDS[:, :3]).shape == (4, 1)


def test_build_by_hand_and_layer_by_layer():
    model = make_model()
    model.build((None, 6))
    assert model.built and model.output_shape == (None, 1)

    fastgru.utils.set_random_seed(3)
    whole = make_model(input_length=6)
    fastgru.utils.set_random_seed(3)
    grown = Sequential()
    for make in (
        lambda: Input((6,)),
        lambda: Embedding(9, 4),
        lambda: GRU(5, return_sequences=True),
        lambda: GRU(7),
        lambda: Dense(1, "sigmoid"),
    ):
        grown.add(make())
    assert grown.built and len(grown.layers) == 4
    for a, b in zip(whole.get_weights(), grown.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_all_weights_live_in_one_buffer():
    model = make_model(input_length=6)
    buffers = {weight.buffer for weight in model.weights}
    assert len(buffers) == 1 and buffers.pop().values.size == model.count_params()
    model.add(Dense(3))
    buffers = {weight.buffer for weight in model.weights}
    assert len(buffers) == 1 and buffers.pop().values.size == model.count_params()


def test_layers_may_be_shared_by_models(operations):
    model = make_model(input_length=6)
    encoder = Sequential(model.layers[:3])
    before = encoder(IDS)
    assert before.shape == (4, 7)
    assert {w.buffer for w in encoder.weights} == {w.buffer for w in model.layers[0].weights}
    model.set_weights([2 * w for w in model.get_weights()])
    assert not np.array_equal(encoder(IDS), before)

    classifier = Sequential([*model.layers[:3], Dense(1, "sigmoid")])
    classifier.compile("adam", "binary_crossentropy")
    classifier(IDS)
    shared, own = model.layers[1].get_weights()[0], classifier.layers[3].get_weights()[0]
    last = model.layers[3].get_weights()
    classifier.fit(IDS, [1, 0, 1, 1], verbose=0)
    assert not np.array_equal(model.layers[1].get_weights()[0], shared)
    assert not np.array_equal(classifier.layers[3].get_weights()[0], own)
    for a, b in zip(model.layers[3].get_weights(), last, strict=True):
        np.testing.assert_array_equal(a, b)


def test_add_and_pop(operations):
    model = make_model(input_length=6)
    kept = model.get_weights()
    model.add(Dense(3))
    assert model.output_shape == (None, 3) and model(IDS).shape == (4, 3)
    assert isinstance(model.pop(), Dense)
    assert model.output_shape == (None, 1)
    for a, b in zip(model.get_weights(), kept, strict=True):
        np.testing.assert_array_equal(a, b)
    for _ in range(4):
        model.pop()
    assert model.layers == [] and not model.built
    with pytest.raises(ValueError, match="pop: the model '.*' has no layers"):
        model.pop()


def test_a_change_of_a_trained_model_asks_for_compile():
    model = make_model(input_length=6)
    model.compile("adam", "binary_crossentropy")
    model.pop()
    model.add(Dense(1, "sigmoid"))
    model.fit(IDS, [1, 0, 1, 1], verbose=0)  # nothing was trained: still compiled
    model.pop()
    model.add(Dense(1, "sigmoid"))
    with pytest.raises(ValueError, match="fit: the model '.*' is not compiled"):
        model.fit(IDS, [1, 0, 1, 1], verbose=0)


def test_a_model_may_be_frozen_as_a_whole():
    model = Sequential(make_model(input_length=6).layers, False)
    assert not model.trainable and model.trainable_weights == []
    model.trainable = True
    assert model.trainable and len(model.trainable_weights) == 9


# ---------------------------------------------------------------- computation


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_first_layer_gives_its_dtype(operations, dtype):
    model = make_model(input_length=6, dtype=dtype)
    assert {w.dtype for w in model.weights} == {dtype} == {model.dtype}
    assert model(IDS).dtype == dtype == model.predict(IDS).dtype


def test_calls_of_threads_do_not_meet(operations):
    model = make_model(input_length=6)
    batches = [RNG.integers(0, 9, size=(n, 6)) for n in (1, 3, 8, 17)]
    expected = [model.predict(b) for b in batches]
    wrong = []

    def run(batch, right):
        with fastgru.use_ops(operations):
            for _ in range(50):
                if not np.array_equal(model.predict(batch, verbose=0), right):
                    wrong.append(batch)

    threads = [
        threading.Thread(target=run, args=pair) for pair in zip(batches, expected, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_thread_keeps_its_own_choice_of_operations():
    seen = []
    with fastgru.use_ops("reference"):
        thread = threading.Thread(target=lambda: seen.append(fastgru.current_ops().__name__))
        thread.start()
        thread.join()
        assert fastgru.current_ops().__name__ == "fastgru.reference"
        with fastgru.use_ops("compiled") as ops:
            assert ops.__name__ == "fastgru.ops" == fastgru.current_ops().__name__
        assert fastgru.current_ops().__name__ == "fastgru.reference"
    assert seen == ["fastgru.ops"]
    with pytest.raises(ValueError, match="expected 'compiled' or 'reference', got 'refrence'"):
        fastgru.use_ops("refrence").__enter__()


def test_both_operations_give_one_model():
    model = make_model(input_length=6, dtype="float64")
    fast = model.predict(IDS)
    with fastgru.use_ops("reference"):
        np.testing.assert_allclose(model.predict(IDS), fast, rtol=1e-12)


@pytest.mark.parametrize(
    "layers",
    [
        [Embedding(9, 4), GRU(5, return_sequences=True), GRU(3), Dense(2, "tanh"), Dense(1)],
        [Embedding(9, 4), GRU(5, return_sequences=True, reset_after=False), Dense(2)],
        [Embedding(9, 4), GRU(5, go_backwards=True), Activation("sigmoid"), Dense(2, "softmax")],
    ],
)
def test_gradients_of_a_whole_model(operations, layers):
    model = Sequential([type(layer).from_config(layer.get_config()) for layer in layers])
    for layer in model.layers:
        layer._dtype = np.dtype("float64")
    model(IDS)
    model.set_weights([RNG.normal(0, 0.8, w.shape) for w in model.weights])
    y, caches = model.forward(IDS, training=True)
    dy = RNG.normal(size=y.shape)
    model.backward_to_weights(dy, caches)
    for weight in model.weights:
        expected = central_differences(
            lambda: float((model.forward(IDS, training=True)[0] * dy).sum()), weight.writable()
        )
        np.testing.assert_allclose(weight.gradient, expected, rtol=1e-6, atol=1e-9)
        assert np.abs(expected).max() > 1e-4


def test_dropout_acts_in_training_only(operations):
    model = Sequential([Input((4,)), Dropout(0.5, seed=1), Dense(3)])
    x = RNG.normal(size=(5, 4))
    np.testing.assert_array_equal(model(x), model.predict(x))
    assert not np.array_equal(model(x, training=True), model(x))
    assert not np.array_equal(model(x, training=True), model(x, training=True))


# ---------------------------------------------------------------- looking at it


def test_summary_of_all_kinds_of_layers(capsys):
    model = Sequential(
        [Input((None, 4)), GRU(5, name="a" * 40), Dropout(0.5), Dense(3, trainable=False)]
    )
    model.summary()
    lines = capsys.readouterr().out.splitlines()
    assert {len(line) for line in lines if line[:1] in "_= "} == {65 - 29 + 48}
    text = "\n".join(lines)
    assert f" {'a' * 40} (GRU) (None, 5)  " in text and " dropout" in text
    assert "Total params: 183\nTrainable params: 165\nNon-trainable params: 18\n" in text

    collected = []
    model.summary(line_length=90, print_fn=collected.append)
    assert collected[1] == "_" * 90 and f" {'a' * 37}… (None, 5) " in "".join(collected)


def test_summary_before_the_model_is_built(capsys):
    make_model().summary()
    out = capsys.readouterr().out
    assert out.count("?") == 8 and "Total params: 0" in out


def test_get_layer():
    model = make_model(input_length=6)
    assert model.get_layer(index=1) is model.layers[1]
    assert model.get_layer(index=-1) is model.layers[3]
    assert model.get_layer(model.layers[2].name) is model.layers[2]
    name = model.layers[2].name
    for call, message in [
        (lambda: model.get_layer(name[:-1] + "x"), "did you mean"),
        (lambda: model.get_layer("lstm"), "the model has no layer 'lstm'"),
        (lambda: model.get_layer(index=4), "the model has 4 layers, got index 4"),
        (lambda: model.get_layer(), "expected a name or an index"),
        (lambda: model.get_layer("gru", 1), "expected a name or an index"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()
    with pytest.raises(TypeError, match="index: expected an integer, got 'gru'"):
        model.get_layer(index="gru")


def test_names_are_numbered():
    fastgru.backend.clear_session()
    assert [Sequential().name, Sequential(name="mine").name, Sequential().name] == [
        "sequential", "mine", "sequential_1",
    ]  # fmt: skip
    assert repr(Sequential(name="mine")) == "<Sequential name=mine built=False>"


@pytest.mark.parametrize("way", [*WAYS, "unbuilt", "built by data"])
def test_configuration_makes_an_equal_model(operations, way):
    model = WAYS[way]() if way in WAYS else make_model(dtype="float64")
    if way == "built by data":
        model(IDS)
    config = json.loads(json.dumps(model.get_config()))
    again = Sequential.from_config(config)
    assert again.get_config() == model.get_config() and again.built == model.built
    if model.built:
        again.set_weights(model.get_weights())
        np.testing.assert_array_equal(again.predict(IDS), model.predict(IDS))
        assert again.summary(print_fn=list) == model.summary(print_fn=list)


# ---------------------------------------------------------------- weights


def test_set_weights_writes_all_or_nothing():
    model = make_model(input_length=6)
    before = model.get_weights()
    new = [w + 1 for w in before]
    for values, message in [
        (new[:-1], r"has 9 weights \(embedding.*/embeddings \(9, 4\).*got 8"),
        ([*new[:-1], np.ones(2)], r"dense.*/bias: expected shape \(1,\), got \(2,\)"),
    ]:
        with pytest.raises(ValueError, match=message):
            model.set_weights(values)
        for a, b in zip(model.get_weights(), before, strict=True):
            np.testing.assert_array_equal(a, b)
    model.set_weights(new)
    for a, b in zip(model.get_weights(), new, strict=True):
        np.testing.assert_array_equal(a, b)
    assert len(model.trainable_weights) == 9 and model.non_trainable_weights == []


@pytest.mark.parametrize(
    "use",
    [
        lambda m: m.get_weights(),
        lambda m: m.set_weights([]),
        lambda m: m.count_params(),
        lambda m: m.predict(IDS),
        lambda m: m.predict_on_batch(IDS),
        lambda m: m.save_weights("weights.npz"),
        lambda m: m.load_weights("weights.npz"),
        lambda m: m.input_shape,
        lambda m: m.output_shape,
    ],
)
def test_an_unbuilt_model_has_no_weights(use):
    model = make_model()
    with pytest.raises(ValueError, match="is not built yet, so it has no weights"):
        use(model)
    assert not model.built


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("use", "name"),
    [
        (lambda m: m.summary(80, [0.5, 0.8, 1]), "summary: the argument positions"),
        (lambda m: m.summary(show_trainable=True), "show_trainable=True"),
        (lambda m: m.summary(expand_nested=True), "expand_nested=True"),
        (lambda m: m.summary(layer_range=["a", "b"]), "layer_range"),
        (lambda m: m.save_weights("a.npz", max_shard_size=1), "max_shard_size=1"),
        (lambda m: Dense(1, autocast=False), "autocast"),
    ],
)
def test_what_is_not_served_is_refused_by_name(use, name):
    with pytest.raises(NotImplementedError, match=name):
        use(make_model(input_length=6))


@pytest.mark.parametrize(
    ("layers", "error", "message"),
    [
        ([GRU], TypeError, "expected layers, got .*GRU.*a class; call it to make one"),
        (["gru"], TypeError, "layers: expected layers, got 'gru'"),
        (GRU(3), TypeError, "layers: expected a list of layers, got <GRU"),
        ([GRU(3, name="a"), GRU(3, name="a")], ValueError, "two have the name 'a'"),
        ([GRU(3, return_state=True)], ValueError, "return_state=True"),
        ([Input((3,)), Input((3,))], ValueError, "an Input is expected at the beginning"),
        ([Dense(3), Input((3,))], ValueError, "an Input is expected at the beginning"),
        (
            [Input((6,)), Embedding(9, 4), GRU(3), GRU(4)],
            ValueError,
            r"^gru.*: expected 3 dimensions .*\(None, 3\); .* needs return_sequences=True",
        ),
        ([Input((6, 2)), GRU(3, dtype="float64"), Dense(1, dtype="float32")], ValueError, "dtype"),
        ([Input((6, 2)), GRU(3), Dense(1, dtype="float64")], ValueError, "'.*' has float64 after"),
    ],
)
def test_layers_that_do_not_fit(layers, error, message):
    with pytest.raises(error, match=message):
        Sequential(layers)


@pytest.mark.parametrize("built", [False, True])
def test_layers_that_share_weights_are_refused(built):
    dense = Dense(3, name="again")
    if built:
        dense.build((None, 3))
    with pytest.raises(ValueError, match="'again' has weights that occur in the model already"):
        Sequential([Input((6, 3)), TimeDistributed(dense), GRU(3), dense])


@pytest.mark.parametrize(
    ("shape", "error", "message"),
    [
        (7, TypeError, r"input_shape: expected a tuple of sizes such as \(10, 8\), got 7"),
        ((None, "a", 3), TypeError, "input_shape: expected a positive integer, got 'a'"),
        ((None, 2.5, 3), TypeError, "input_shape: expected a positive integer, got 2.5"),
        ((None, 0, 3), ValueError, "input_shape: expected a positive integer, got 0"),
        ((None, None, None), ValueError, "expected features on the last axis"),
    ],
)
def test_shapes_to_build_for(shape, error, message):
    model = Sequential([GRU(2)])
    with pytest.raises(error, match=message):
        model.build(shape)
    assert not model.built and not model.layers[0].built


def test_a_layer_that_does_not_fit_is_not_added():
    model = make_model(input_length=6)
    before = model.get_weights()
    for layer, error in [
        (GRU(3), ValueError),
        ("gru", TypeError),
        (Dense(2, dtype="float64"), ValueError),
    ]:
        with pytest.raises(error):
            model.add(layer)
        assert len(model.layers) == 4 and model.built and model.output_shape == (None, 1)
    for a, b in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (IDS[:, :5], ValueError, "^x: embedding.*: expected input_length=6 time steps"),
        (IDS[0], ValueError, "^x: embedding.*: expected 2 dimensions"),
        (IDS[..., None], ValueError, "^x: embedding.*: expected 2 dimensions"),
        (np.ma.masked_less(IDS, 3), TypeError, "x: expected an array without a mask"),
        (IDS + 0.5, ValueError, "x: expected whole numbers"),
        (IDS + 9, ValueError, r"x: expected ids in \[0, 9\)"),
        (IDS - 9, ValueError, r"x: expected ids in \[0, 9\)"),
        (IDS.astype(str), TypeError, "x: expected real numbers"),
        ([[1, 2, 3, 4, 5, 6], []], ValueError, "x: expected at least one time step, but sample 1"),
        (IDS[:, :0], ValueError, "x: expected at least one time step"),
        (None, TypeError, "x: expected samples, got None"),
        (3, ValueError, "x: embedding.*: expected 2 dimensions"),
    ],
)
def test_inputs_that_do_not_fit(operations, x, error, message):
    model = make_model(input_length=6)
    for use in (model.predict, model.predict_on_batch):
        with pytest.raises(error, match=message):
            use(x)


def test_an_input_states_the_shape(operations):
    model = Sequential([Input(batch_shape=(2, None, 3)), GRU(4)])
    for samples in (1, 2, 3):  # the batch size is for stateful layers
        assert model.predict(np.ones((samples, 9, 3))).shape == (samples, 4)
    for shape in [(2, 9, 4), (2, 3)]:
        with pytest.raises(ValueError, match=r"expected shape \(2, None, 3\), got"):
            model.predict(np.ones(shape))


def test_an_empty_batch_is_valid_in_predict(operations):
    model = make_model(input_length=6)
    assert model.predict(IDS[:0]).shape == (0, 1)
    assert model(IDS[:0]).shape == (0, 1)


def test_a_model_without_layers():
    for use in (lambda m: m(IDS), lambda m: m.build((None, 3)), lambda m: m.dtype):
        with pytest.raises(ValueError, match="has no layers"):
            use(Sequential())
    with pytest.raises(ValueError, match="build: expected input_shape"):
        make_model().build()


def test_what_is_not_built_and_what_was_learnt_can_be_pickled():
    own = activations.Activation("own", activations.tanh.forward, activations.tanh.derivative)
    layer = pickle.loads(pickle.dumps(GRU(3, recurrent_activation="hard_sigmoid")))
    assert layer.recurrent_activation is activations.hard_sigmoid
    assert copy.deepcopy(Dense(3, activation=own)).activation == own
    model = Sequential([Input((3,)), Dense(1)])
    model.compile("adam", "mse")
    history = model.fit(np.ones((2, 3)), [0, 1], epochs=2, verbose=0)
    again = pickle.loads(pickle.dumps(history))
    assert again.history == history.history and again.epoch == [0, 1] and again.model is None
    assert history.model is model
