"""Whole models in files: they come back as they were, resume to the bit, and fail whole."""

from __future__ import annotations

import io
import json
import os
import pickletools
import subprocess
import sys
import zipfile

import numpy as np
import pytest

import fastgru
from fastgru import (
    Model,
    Sequential,
    activations,
    initializers,
    layers,
    losses,
    metrics,
    models,
    optimizers,
    saving,
)
from fastgru import _archive as archive
from fastgru.layers import (
    GRU,
    LSTM,
    RNN,
    Activation,
    Bidirectional,
    Concatenate,
    Dense,
    Dropout,
    Embedding,
    GRUCell,
    Input,
    SimpleRNN,
    TimeDistributed,
)

rng = np.random.default_rng(5)
IDS = rng.integers(0, 9, size=(13, 6))
LABELS = rng.integers(0, 2, size=(13, 1))


def make_model(units=7, **first):
    return Sequential(
        [
            Embedding(9, 4, input_length=6, **first),
            Dropout(0.2),
            GRU(units, return_sequences=True, reset_after=False, update_gate="replace"),
            Dropout(0.4, seed=3),
            GRU(5, recurrent_activation="hard_sigmoid"),
            Dense(1, activation="sigmoid"),
        ]
    )


def compiled_model(optimizer="adam", **options):
    model = make_model(**options)
    model.compile(optimizer, "binary_crossentropy", metrics=["accuracy", metrics.AUC()])
    return model


def fit(model, epochs, **options):
    arguments = {"batch_size": 4, "shuffle": False, "verbose": 0} | options
    return model.fit(IDS, LABELS, epochs=epochs, **arguments).history


def same(a, b):
    return len(a) == len(b) and all(np.array_equal(v, w) for v, w in zip(a, b, strict=True))


# ---- the whole comes back ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: optimizers.Adam(0.01, amsgrad=True, clipnorm=0.5),
        lambda: optimizers.SGD(0.1, momentum=0.9, nesterov=True),
        lambda: optimizers.RMSprop(0.01, centered=True, momentum=0.5),
        lambda: optimizers.AdamW(0.01, gradient_accumulation_steps=3),
        lambda: optimizers.Adam(optimizers.schedules.ExponentialDecay(0.02, 5, 0.7)),
    ],
)
def test_resumed_training_equals_uninterrupted_to_the_bit(tmp_path, optimizer):
    through, halves = compiled_model(optimizer()), compiled_model(optimizer())
    halves.set_weights(through.get_weights())
    for one, other in zip(through.seed_generators, halves.seed_generators, strict=True):
        other.state = one.state
    expected = fit(through, 6)
    first = fit(halves, 3)
    halves.save(tmp_path / "model.npz")
    resumed = models.load_model(tmp_path / "model.npz")
    second = fit(resumed, 3)
    assert {name: first[name] + second[name] for name in first} == expected
    assert same(resumed.get_weights(), through.get_weights())
    assert resumed.optimizer.iterations == through.optimizer.iterations
    learnt, known = resumed.optimizer.get_state(), through.optimizer.get_state()
    assert learnt.keys() == known.keys() and all(np.array_equal(learnt[k], known[k]) for k in known)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_everything_comes_back(tmp_path, dtype):
    model = compiled_model(dtype=dtype)
    model.layers[2].trainable = False
    fit(model, 2)
    model.save(tmp_path / "model.npz")
    again = fastgru.load_model(tmp_path / "model.npz")
    assert type(again) is Sequential and again.name == model.name and again.dtype == dtype
    assert again.get_config() == model.get_config()
    assert same(again.get_weights(), model.get_weights())
    assert [layer.trainable for layer in again.layers] == [True, True, False, True, True, True]
    assert again.loss.get_config() == model.loss.get_config()
    assert again.evaluate(IDS, LABELS, verbose=0, return_dict=True) == model.evaluate(
        IDS, LABELS, verbose=0, return_dict=True
    )
    assert os.listdir(tmp_path) == ["model.npz"]


def functional_model():
    """A graph with a shared layer, two directions, states as inputs, and dropout."""
    ids = Input((6,), dtype="int32", name="ids")
    vectors = Embedding(9, 4, mask_zero=True)(ids)
    shared = GRU(5, return_state=True, dropout=0.2, recurrent_dropout=0.3, name="shared")
    first, state = shared(vectors)
    second, _ = shared(Dense(4)(vectors))
    decoded = LSTM(5, return_sequences=True)(vectors, initial_state=[state, second])
    both = Bidirectional(SimpleRNN(3, dropout=0.1))(TimeDistributed(Dense(2))(decoded))
    return Model(ids, Dense(1, activation="sigmoid")(Concatenate()([first, both])))


def test_functional_models_resume_to_the_bit(tmp_path):
    model = functional_model()
    model.compile("rmsprop", "binary_crossentropy")
    fit(model, 2)
    model.save(tmp_path / "model.npz")
    again = models.load_model(tmp_path / "model.npz")
    assert type(again) is type(model) and again.get_config() == model.get_config()
    assert fit(again, 2) == fit(model, 2)
    assert same(again.get_weights(), model.get_weights())
    assert len(set(archive.read(tmp_path / "model.npz").arrays)) > len(model.weights)
    other = functional_model()
    other.load_weights(tmp_path / "model.npz")
    assert not same(other.get_weights(), model.get_weights())  # saved before the last epochs
    model.save_weights(tmp_path / "weights.npz")
    other.load_weights(tmp_path / "weights.npz")
    assert same(other.get_weights(), model.get_weights())
    clone = models.clone_model(model)
    assert clone.get_config() == model.get_config()
    assert not any(a is b for a, b in zip(clone.layers, model.layers, strict=True))


def a_cell_in_two_layers(x):
    cell = GRUCell(3)
    return Dense(1)(RNN(cell, name="b")(RNN(cell, return_sequences=True, name="a")(x)))


def a_layer_for_steps_and_directly(x):
    dense = Dense(3, name="b")
    return Dense(1)(dense(GRU(3)(TimeDistributed(dense, name="a")(x))))


def a_direction_and_directly(x):
    gru = GRU(3, go_backwards=True, name="b")
    both = Bidirectional(GRU(3), backward_layer=gru, name="a")(x)
    return Dense(1)(Concatenate()([both, gru(x)]))


@pytest.mark.parametrize(
    "make", [a_cell_in_two_layers, a_layer_for_steps_and_directly, a_direction_and_directly]
)
def test_weights_that_layers_hold_within_them_are_shared(make, tmp_path):
    x = Input((6, 3))
    model = Model(x, make(x), name="m")
    model.compile("adam", "mse")
    before = model.get_weights()
    model.set_weights([w + 1 for w in before])
    assert same(model.get_weights(), [w + 1 for w in before])
    features, labels = rng.normal(size=(8, 6, 3)), np.zeros((8, 1))
    stop = fastgru.callbacks.EarlyStopping("loss", restore_best_weights=True)
    model.fit(features, labels, epochs=2, verbose=0, callbacks=[stop])
    kept = model.get_weights()
    model.save_weights(tmp_path / "weights.npz")
    model.set_weights(before)
    model.load_weights(tmp_path / "weights.npz")
    assert same(model.get_weights(), kept)
    y = Input((6, 3))
    with pytest.raises(ValueError, match="'a' and 'b' of 'm' share the weight .* use save_weights"):
        model.save(tmp_path / "model.npz")
    with pytest.raises(ValueError, match="'a' and 'b' of 'm' share the weight"):
        Model(y, model(y), name="outer").save(tmp_path / "model.npz")
    assert os.listdir(tmp_path) == ["weights.npz"]


def test_several_outputs_with_settings_of_their_own(tmp_path):
    left, right = Input((None, 3), name="left"), Input((None, 3), name="right")
    read = GRU(
        4, kernel_regularizer="l2", recurrent_constraint="max_norm", activity_regularizer="l1"
    )
    one = Dense(1, activation="sigmoid", name="one")(read(left))
    steps = LSTM(5, return_sequences=True, dropout=0.2)(right)
    two = TimeDistributed(Dense(3, activation="softmax"), name="two")(steps)
    model = Model({"left": left, "right": right}, {"one": one, "two": two})
    model.compile(
        optimizers.SGD(0.1, momentum=0.9),
        loss={"one": "binary_crossentropy", "two": losses.SparseCategoricalCrossentropy()},
        loss_weights={"one": 1.0, "two": 0.25},
        metrics={"one": ["accuracy", metrics.AUC()], "two": "accuracy"},
        weighted_metrics={"one": ["mse"]},
    )
    x = {"left": rng.normal(size=(9, 5, 3)), "right": rng.normal(size=(9, 6, 3))}
    y = {"one": rng.integers(0, 2, (9, 1)), "two": rng.integers(0, 3, (9, 6, 1))}
    options = {"batch_size": 4, "epochs": 2, "shuffle": False, "verbose": 0}
    model.fit(x, y, **options)
    model.save(tmp_path / "model.npz")
    again = models.load_model(tmp_path / "model.npz")
    expected = model.fit(x, y, **options).history
    assert again.fit(x, y, **options).history == expected and len(expected) == 7
    assert same(again.get_weights(), model.get_weights())


def test_names_in_files_tell_layers_within_layers(tmp_path):
    functional_model().save_weights(tmp_path / "weights.npz")
    with np.load(tmp_path / "weights.npz") as file:
        assert sorted(name for name in file.files if "/kernel" in name) == [
            "bidirectional/backward_layer/kernel", "bidirectional/forward_layer/kernel",
            "dense/kernel", "dense_1/kernel", "gru/kernel", "lstm/kernel",
            "time_distributed/layer/kernel",
        ]  # fmt: skip


def test_another_process_reads_it_and_goes_on_alike(tmp_path):
    model = compiled_model()
    fit(model, 2)
    model.save(tmp_path / "model.npz")
    np.savez(tmp_path / "data.npz", x=IDS, y=LABELS)
    expected = fit(model, 2)["loss"]
    script = (
        "import sys, numpy as np, fastgru\n"
        "data = np.load(sys.argv[2])\n"
        "model = fastgru.load_model(sys.argv[1])\n"
        "options = dict(batch_size=4, epochs=2, shuffle=False, verbose=0)\n"
        "print(model.fit(data['x'], data['y'], **options).history['loss'])\n"
    )
    files = [str(tmp_path / name) for name in ("model.npz", "data.npz")]
    run = [sys.executable, "-c", script, *files]
    assert json.loads(subprocess.run(run, check=True, capture_output=True).stdout) == expected


def test_a_learning_rate_that_was_changed_is_kept(tmp_path):
    model = compiled_model()
    fit(model, 1)
    model.optimizer.learning_rate = 0.0301
    model.save(tmp_path / "model.npz")
    assert models.load_model(tmp_path / "model.npz").optimizer.learning_rate == 0.0301


def test_loading_costs_no_random_numbers(tmp_path):
    make_model().save(tmp_path / "model.npz")
    fastgru.set_random_seed(4)
    expected = make_model().get_weights()
    fastgru.set_random_seed(4)
    models.load_model(tmp_path / "model.npz")
    assert same(make_model().get_weights(), expected)


def test_without_the_compile_settings(tmp_path):
    model = compiled_model()
    fit(model, 1)
    model.save(tmp_path / "model.npz")
    bare = models.load_model(tmp_path / "model.npz", compile=False)
    assert bare.optimizer is None
    np.testing.assert_array_equal(bare.predict(IDS), model.predict(IDS))


def test_models_that_are_not_compiled_or_not_built(tmp_path):
    make_model().save(tmp_path / "model.npz")
    assert models.load_model(tmp_path / "model.npz").optimizer is None
    Sequential([GRU(3), Dense(1)]).save(tmp_path / "model.npz")
    again = models.load_model(tmp_path / "model.npz")
    assert not again.built and again(np.ones((2, 4, 3))).shape == (2, 1)
    assert any(w.any() for w in again.get_weights())  # drawn now, since the file has none
    model = Sequential([GRU(3, dropout=0.5), Dense(1)])
    model.save(tmp_path / "model.npz")
    again = models.load_model(tmp_path / "model.npz")
    for ours, theirs in zip(again.seed_generators, model.seed_generators, strict=True):
        assert np.array_equal(ours.state, theirs.state)


def test_loading_draws_no_initial_values(tmp_path, monkeypatch):
    make_model().save(tmp_path / "model.npz")

    def draw(self, shape):
        raise AssertionError(f"{self} was asked for {shape}")

    monkeypatch.setattr(initializers.Orthogonal, "draw", draw)
    monkeypatch.setattr(initializers.GlorotUniform, "draw", draw)
    models.load_model(tmp_path / "model.npz")
    with pytest.raises(AssertionError, match="was asked"):
        make_model()


def test_settings_with_objects(tmp_path):
    model = make_model()
    model.compile(
        optimizers.Adam(0.25),
        losses.BinaryCrossentropy(label_smoothing=0.125),
        metrics=[metrics.BinaryAccuracy(name="right", threshold=0.375)],
    )
    model.save(tmp_path / "model.npz")
    again = models.load_model(tmp_path / "model.npz")
    assert again.loss.label_smoothing == 0.125 and again.optimizer.learning_rate == 0.25
    before = model.evaluate(IDS, LABELS, verbose=0, return_dict=True)
    assert again.evaluate(IDS, LABELS, verbose=0, return_dict=True) == before
    assert "right" in before


def test_the_file_holds_json_and_arrays_and_no_pickle(tmp_path):
    model = compiled_model()
    fit(model, 1)
    model.save(tmp_path / "model.npz")
    with zipfile.ZipFile(tmp_path / "model.npz") as file:
        names = file.namelist()
        header = json.loads(file.read("config.json"))
        for name in names:
            with pytest.raises(ValueError):
                pickletools.dis(file.read(name), out=io.StringIO())
    assert header["class_name"] == "Sequential" and header["format_version"] == 1
    assert header["compile"]["optimizer"]["class_name"] == "Adam"
    with np.load(tmp_path / "model.npz", allow_pickle=False) as file:
        kept = {name: file[name] for name in file.files if name != "config.json"}
    assert {"gru/kernel", "gru_1/bias", "optimizer.iterations", "seeds.dropout/0"} <= kept.keys()
    numbers = model.count_params()
    total = sum(array.nbytes for array in kept.values())
    assert 12 * numbers <= total < 12 * numbers + 200
    assert (tmp_path / "model.npz").stat().st_size < total + 10_000


def test_weights_are_read_from_a_whole_model_too(tmp_path):
    model = compiled_model()
    fit(model, 1)
    model.save(tmp_path / "model.npz")
    other = make_model()
    other.load_weights(tmp_path / "model.npz")
    assert same(other.get_weights(), model.get_weights())


# ---- whole or not at all -------------------------------------------------------------------------


def test_overwrite(tmp_path):
    path = tmp_path / "model.npz"
    make_model().save(path)
    content = path.read_bytes()
    with pytest.raises(FileExistsError, match=r"model\.npz: exists"):
        make_model().save(path, overwrite=False)
    assert path.read_bytes() == content


@pytest.mark.parametrize("failure", [OSError("no space left"), KeyboardInterrupt()])
@pytest.mark.parametrize("where", ["savez", "replace", "writestr"])
def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch, failure, where):
    path = tmp_path / "model.npz"
    make_model().save(path)
    content = path.read_bytes()

    def fail(*arguments, **named):
        raise failure

    owner = {"savez": np, "replace": os, "writestr": zipfile.ZipFile}[where]
    monkeypatch.setattr(owner, where, fail)
    with pytest.raises(type(failure)):
        make_model(8).save(path)
    assert path.read_bytes() == content and os.listdir(tmp_path) == ["model.npz"]
    monkeypatch.undo()
    assert models.load_model(path).layers[2].units == 7


def test_a_configuration_that_is_no_json_leaves_the_old_file(tmp_path):
    class Odd(layers.Layer):
        def compute_output_shape(self, input_shape):
            return tuple(input_shape)

        def __init__(self, **common):
            super().__init__(**common)

        def get_config(self):
            return super().get_config() | {"odd": 3j}

    path = tmp_path / "model.npz"
    make_model().save(path)
    content = path.read_bytes()
    with pytest.raises(TypeError, match=r"save: the configuration of .* not JSON serializable"):
        Sequential([Input((3,)), Odd()]).save(path)
    assert path.read_bytes() == content


# ---- files that are none -------------------------------------------------------------------------


def changed(path, **header):
    """Write a file again with other entries in its header."""
    found = archive.read(path)
    text = json.dumps(json.loads(found.text) | header)
    archive.write(path, found._replace(text=text))


def test_a_newer_format_is_named(tmp_path):
    path = tmp_path / "model.npz"
    make_model().save(path)
    changed(path, format_version=2, fastgru_version="9.1")
    with pytest.raises(ValueError, match=r"model\.npz: written by fastgru 9\.1 in format 2.*upgr"):
        models.load_model(path)


def test_files_of_another_kind(tmp_path):
    path = tmp_path / "model.npz"
    make_model().save_weights(path)
    with pytest.raises(ValueError, match=r"holds no model, only arrays .*load_weights"):
        models.load_model(path)
    make_model().save(path)
    changed(path, format="another")
    with pytest.raises(ValueError, match="expected the JSON of a model of fastgru"):
        models.load_model(path)
    for content in (b"", b"text", (b"PK\x03\x04" + bytes(40))):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"model\.npz: not a whole file(?!.*allow_pickle)"):
            models.load_model(path)
    with pytest.raises(FileNotFoundError):
        models.load_model(tmp_path / "nowhere.npz")
    for name, more in (("model.keras", "reads Keras'$"), ("model.h5", "Keras'$"), ("model", "$")):
        message = r"ends in \.npz or \.safetensors, such as '.*model\.npz', got '.*" + name
        for use in (models.load_model, make_model().save, make_model().save_weights):
            with pytest.raises(ValueError, match=f"{message}'.*{more}"):
                use(tmp_path / name)


def test_a_damaged_file_is_refused_wherever_the_damage_is(tmp_path):
    path = tmp_path / "model.npz"
    model = compiled_model()
    fit(model, 1)
    model.save(path)
    content = path.read_bytes()
    for cut in (1, 100, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:cut])
        with pytest.raises(ValueError, match=r"model\.npz: not a whole file"):
            models.load_model(path)
    refused = 0
    for place in range(60, len(content) - 60, 997):
        flipped = bytearray(content)
        flipped[place] ^= 16
        path.write_bytes(flipped)
        try:
            again = models.load_model(path)
        except ValueError as error:
            assert "model.npz" in str(error)
            refused += 1
        else:  # the names and times that a zip archive keeps twice may be hit without harm
            assert same(again.get_weights(), model.get_weights())
    assert refused > 5


def test_missing_parts_are_named(tmp_path):
    path = tmp_path / "model.npz"
    model = compiled_model()
    fit(model, 1)
    model.save(path)
    found = archive.read(path)
    for name, message in {
        "gru/kernel": "expected .*gru/kernel.*; got",
        "seeds.dropout_1/0": "the generator dropout_1/0 is missing",
        "optimizer.iterations": "can't be compiled as it was .*compile=False",
    }.items():
        arrays = {key: array for key, array in found.arrays.items() if key != name}
        archive.write(path, found._replace(arrays=arrays))
        with pytest.raises(ValueError, match=r"model\.npz: .*" + message):
            models.load_model(path)


# ---- classes of one's own ------------------------------------------------------------------------


class Scale(layers.Layer):
    """Multiplies by a number."""

    def __init__(self, factor=1.0, **common):
        super().__init__(**common)
        self.factor = factor

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)

    def forward(self, x, *, training=False, mask=None):
        return x * self.factor, None

    def backward(self, dy, cache, *, accumulate=False):
        return dy * self.factor


@saving.register_keras_serializable(package="tests")
class Shift(Scale):
    """Adds a number."""

    def forward(self, x, *, training=False, mask=None):
        return x + self.factor, None


def test_unknown_classes_are_named_and_may_be_given(tmp_path):
    path, x = tmp_path / "model.npz", rng.normal(size=(2, 3))
    model = Sequential([Input((3,)), Scale(0.5), Dense(2)])
    model.save(path)
    with pytest.raises(ValueError, match=r"model\.npz: .*unknown name 'Scale'.*custom_objects"):
        models.load_model(path)
    again = models.load_model(path, custom_objects={"Scale": Scale})
    np.testing.assert_array_equal(again.predict(x), model.predict(x))
    with saving.custom_object_scope({"Scale": Scale}):
        assert models.load_model(path).layers[0].factor == 0.5
    with pytest.raises(ValueError, match="unknown name 'Scale'"):
        models.load_model(path)


def test_registered_classes_need_not_be_given(tmp_path):
    path, x = tmp_path / "model.npz", rng.normal(size=(2, 3))
    model = Sequential([Input((3,)), Shift(0.5), Dense(2)])
    model.save(path)
    assert saving.get_registered_name(Shift) == "tests>Shift"
    assert saving.get_registered_object("tests>Shift") is Shift
    np.testing.assert_array_equal(models.load_model(path).predict(x), model.predict(x))
    header = json.loads(archive.read(path).text)
    header["config"]["layers"][1]["class_name"] = "elsewhere>Shifted"
    changed(path, config=header["config"])
    with pytest.raises(ValueError, match=r"'elsewhere>Shifted' is not registered.*custom_objects"):
        models.load_model(path)


def test_a_name_is_registered_once():
    with pytest.raises(ValueError, match="'tests>Shift' is registered"):
        saving.register_keras_serializable("tests", "Shift")(Scale)
    with pytest.raises(TypeError, match="has no name; give one"):
        saving.register_keras_serializable()(3)
    with pytest.raises(TypeError, match="custom_objects: expected a dict"):
        models.load_model("model.npz", custom_objects=[Shift])


def test_activations_losses_and_models_of_ones_own(tmp_path):
    class Doubled(losses.MeanSquaredError):
        def measure(self, *arguments, **named):
            loss, gradient, *rest = super().measure(*arguments, **named)
            return 2 * loss, 2 * gradient, *rest

    class Mine(Sequential):
        pass

    own = activations.Activation("own", activations.tanh.forward, activations.tanh.derivative)
    model = Mine([Input((3,)), Dense(4), Activation(own), Dense(1)])
    model.compile("adam", Doubled())
    model.save(tmp_path / "model.npz")
    given = {"own": own, "Doubled": Doubled, "Mine": Mine}
    again = models.load_model(tmp_path / "model.npz", custom_objects=given)
    assert type(again) is Mine and type(again.loss) is Doubled
    assert again.layers[1].activation is own
    for missing, message in {
        "own": "unknown activation 'own'|'own'",
        "Doubled": "can't be compiled as it was .*'Doubled'.*compile=False",
        "Mine": "unknown name 'Mine'.*custom_objects={name: …}",
    }.items():
        others = {name: value for name, value in given.items() if name != missing}
        with pytest.raises(ValueError, match=message):
            models.load_model(tmp_path / "model.npz", custom_objects=others)


def distance(y_true, y_pred, power=1):
    return np.abs(y_true - y_pred).mean(-1) ** power


def test_functions_as_metrics(tmp_path):
    model = Sequential([Input((3,)), Dense(2)])
    far = metrics.MeanMetricWrapper(distance, "far", power=2)
    model.compile("adam", "mse", metrics=[distance, far])
    x, y = rng.normal(size=(4, 3)), rng.normal(size=(4, 2))
    expected = model.evaluate(x, y, verbose=0, return_dict=True)
    model.save(tmp_path / "model.npz")
    with pytest.raises(ValueError, match="function 'distance' is not known.*custom_objects"):
        models.load_model(tmp_path / "model.npz")
    again = models.load_model(tmp_path / "model.npz", custom_objects={"distance": distance})
    assert again.evaluate(x, y, verbose=0, return_dict=True) == expected
    assert expected.keys() == {"loss", "distance", "far"}


# ---- the architecture alone ----------------------------------------------------------------------


def test_architecture_as_json():
    model = compiled_model()
    text = model.to_json(indent=2)
    again = models.model_from_json(text)
    assert again.get_config() == model.get_config() and again.built
    assert not same(again.get_weights(), model.get_weights())
    for bad in ("{", "[]", '{"class_name": "Sequential"}', 3):
        with pytest.raises(ValueError, match="json_string: expected the JSON of a model"):
            models.model_from_json(bad)


def test_clones():
    model = compiled_model()
    clone = models.clone_model(model)
    assert clone.get_config() == model.get_config() and clone.optimizer is None
    assert not same(clone.get_weights(), model.get_weights())
    assert not any(a is b for a, b in zip(clone.layers, model.layers, strict=True))

    def without_dropout(layer):
        config = layer.get_config()
        return type(layer).from_config(config | {"rate": 0.0} if "rate" in config else config)

    clone = models.clone_model(model, clone_function=without_dropout)
    assert [getattr(layer, "rate", None) for layer in clone.layers[:4]] == [None, 0.0, None, 0.0]
    with pytest.raises(NotImplementedError, match="input_tensors"):
        models.clone_model(model, input_tensors=IDS)


# ---- weights that fit in part --------------------------------------------------------------------


def test_what_does_not_fit_may_be_skipped(tmp_path):
    model = make_model()
    model.save_weights(tmp_path / "model.npz")
    wider = Sequential([*make_model().layers[:-1], Dense(3), Dense(2)])
    before = wider.get_weights()
    with pytest.warns(UserWarning, match="keep their values") as caught:
        wider.load_weights(tmp_path / "model.npz", skip_mismatch=True)
    (warning,) = caught
    assert os.path.basename(warning.filename) == "test_model_files.py"
    for name in (
        "dense/kernel of shape (5, 3) (of shape (5, 1))",
        "dense_1/bias of shape (2,) (not",
    ):
        assert name in str(warning.message)
    assert "gru" not in str(warning.message)
    after = wider.get_weights()
    assert same(after[:-4], model.get_weights()[:-2]) and same(after[-4:], before[-4:])
    with pytest.raises(ValueError, match="holds the weights of another model"):
        wider.load_weights(tmp_path / "model.npz")


@pytest.mark.parametrize("thing", [5, None, Dense(3), Sequential])
def test_what_is_no_model_is_refused(tmp_path, thing):
    message = f"model: expected a model, got {type(thing).__name__}"
    with pytest.raises(TypeError, match=message):
        models.save_model(thing, tmp_path / "model.npz")
    with pytest.raises(TypeError, match=message):
        models.clone_model(thing)
    assert not os.listdir(tmp_path)
