"""Copies and pickles of layers and models: whole, independent, and small."""

from __future__ import annotations

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from fastgru import Model, Sequential, layers
from fastgru.layers import (
    GRU,
    LSTM,
    Bidirectional,
    Concatenate,
    Dense,
    Dropout,
    Embedding,
    Input,
)

rng = np.random.default_rng(5)
IDS = rng.integers(0, 9, size=(11, 6))
LABELS = rng.integers(0, 2, size=(11, 1))

COPIES = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda thing: pickle.loads(pickle.dumps(thing)),
    "protocol 2": lambda thing: pickle.loads(pickle.dumps(thing, protocol=2)),
}


@pytest.fixture(params=COPIES)
def copied(request):
    return COPIES[request.param]


def make_model(units=17, **first):
    model = Sequential(
        [
            Embedding(9, 4, input_length=6, **first),
            GRU(units, return_sequences=True),
            Dropout(0.3, seed=4),
            GRU(5),
            Dense(1, activation="sigmoid"),
        ]
    )
    draw = np.random.default_rng(units)
    model.set_weights([draw.normal(size=w.shape) * 0.5 for w in model.weights])
    return model


def train(model, epochs=2):
    return model.fit(IDS, LABELS, batch_size=4, epochs=epochs, shuffle=False, verbose=0)


def trained_model(**options):
    model = make_model(**options)
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    train(model)
    return model


def functional_model():
    """A graph with a shared layer, states as inputs, and dropout."""
    ids = Input((6,), dtype="int32")
    vectors = Embedding(9, 4, mask_zero=True)(ids)
    shared = GRU(5, return_state=True, dropout=0.2, name="shared")
    first, state = shared(vectors)
    second, _ = shared(Dense(4)(vectors))
    decoded = LSTM(5, name="decoder")(vectors, initial_state=[state, second])
    model = Model(ids, Dense(1, activation="sigmoid")(Concatenate()([first, decoded])))
    model.compile("adam", "binary_crossentropy")
    train(model)
    return model


def same(a, b):
    return all(np.array_equal(v, w) for v, w in zip(a, b, strict=True))


def assert_in_one_buffer(model):
    """Every weight is a view into one buffer of the model's own, without gaps."""
    buffers = {id(w.buffer) for w in model.weights}
    assert len(buffers) == 1
    buffer = model.weights[0].buffer
    assert buffer.values.size == buffer.gradients.size == model.count_params()
    offset = 0
    for weight in model.weights:
        assert weight.offset == offset and not weight.array.flags.writeable
        assert np.may_share_memory(weight.array, buffer.values)
        assert np.may_share_memory(weight.gradient, buffer.gradients)
        offset += weight.array.size


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_copy_of_a_trained_model_goes_on_alike_and_alone(copied, dtype):
    model = trained_model(dtype=dtype)
    again = copied(model)
    assert_in_one_buffer(again)
    assert again.dtype == dtype and again.optimizer.iterations == model.optimizer.iterations == 6
    np.testing.assert_array_equal(again.predict(IDS), model.predict(IDS))

    before = again.get_weights()
    first = train(model).history  # Dropout draws here, and must draw alike there
    assert same(again.get_weights(), before)
    assert train(again).history == first
    assert same(again.get_weights(), model.get_weights())
    assert not same(again.get_weights(), before)


def test_the_layers_hold_the_copied_weights(copied):
    again = copied(trained_model())
    layer = again.layers[1]
    assert layer.kernel is layer.weights[0]
    layer.kernel.assign(layer.kernel.numpy() * 2)
    assert np.array_equal(again.get_weights()[1], layer.kernel.numpy())
    again.set_weights([0 * w for w in again.get_weights()])
    assert not layer.kernel.numpy().any()
    np.testing.assert_array_equal(again.predict(IDS), np.full((11, 1), 0.5, np.float32))


def test_packed_kernels_are_made_anew(copied):
    model = trained_model()
    model.predict(IDS)  # packs
    again = copied(model)
    again.set_weights([w * 1.5 for w in model.get_weights()])
    model.set_weights(again.get_weights())
    np.testing.assert_array_equal(again.predict(IDS), model.predict(IDS))


def test_functional_models_with_shared_layers(copied):
    model = functional_model()
    again = copied(model)
    assert_in_one_buffer(again)
    assert any(again.get_layer("shared").kernel is weight for weight in again.weights)
    np.testing.assert_array_equal(again.predict(IDS), model.predict(IDS))
    first = train(model).history
    assert train(again).history == first
    assert same(again.get_weights(), model.get_weights())
    numbers = model.count_params() * 4
    assert len(pickle.dumps(model)) < 3 * numbers + 12_000
    assert len(pickle.dumps(model.get_layer("decoder"))) < numbers + 4000


def test_models_within_models_and_penalties(copied):
    inner = Sequential([Input((None, 4)), GRU(5, activity_regularizer="l1", dropout=0.2)])
    model = Sequential(
        [
            Embedding(9, 4, input_length=6, embeddings_regularizer="l2"),
            Bidirectional(GRU(2, return_sequences=True, kernel_constraint="max_norm")),
            inner,
            Dense(1, activity_regularizer="l2"),
        ]
    )
    model.compile("rmsprop", "mse")
    train(model)
    again = copied(model)
    assert_in_one_buffer(again)
    assert train(again).history == train(model).history
    assert same(again.get_weights(), model.get_weights())


def test_a_pickle_is_small():
    model = make_model(units=64)
    bytes_of_weights = model.weights[0].buffer.values.nbytes

    def size():
        return len(pickle.dumps(model))

    assert bytes_of_weights < size() < bytes_of_weights + 6000
    model.compile("adam", "binary_crossentropy")
    train(model)
    model.predict(IDS)
    assert size() < 3 * bytes_of_weights + 8000
    layer = model.layers[1]
    assert len(pickle.dumps(layer)) < sum(w.array.nbytes for w in layer.weights) + 2000


def test_a_layer_of_a_model_is_copied_without_the_model(copied):
    model = trained_model()
    again = copied(model.layers[1])
    assert again.name == model.layers[1].name and again.built
    assert same(again.get_weights(), model.layers[1].get_weights())
    assert again.kernel.buffer.values.size == again.count_params()
    x = rng.normal(size=(3, 5, 4)).astype(np.float32)
    np.testing.assert_array_equal(again(x), model.layers[1](x))


def test_models_that_share_a_layer_share_it_after(copied):
    shared = GRU(7)
    one = Sequential([Input((None, 3)), shared, Dense(2)])
    two = Sequential([Input((None, 3)), shared, Dense(1)])
    first, second = copied([one, two])
    assert first.layers[0] is second.layers[0]
    first.layers[0].kernel.assign(np.ones((3, 21)))
    assert second.get_weights()[0].all()
    two.compile("adam", "mse")
    second.compile("adam", "mse")
    x, y = rng.normal(size=(4, 5, 3)), rng.normal(size=(4, 1))
    second.set_weights(two.get_weights())
    assert second.train_on_batch(x, y) == two.train_on_batch(x, y)
    assert same(second.get_weights(), two.get_weights())
    assert same(first.get_weights()[:3], second.get_weights()[:3])


def test_what_is_frozen_stays_frozen(copied):
    model = make_model()
    model.layers[0].trainable = False
    model.compile("adam", "binary_crossentropy")
    train(model)
    again = copied(model)
    assert not again.layers[0].trainable and not again.weights[0].trainable
    assert train(again).history == train(model).history
    assert same(again.get_weights(), model.get_weights())


def test_what_was_learnt_before_a_layer_was_frozen_is_kept(copied):
    model = trained_model()
    model.layers[0].trainable = False
    again = copied(copied(model))
    for each in (model, again):
        train(each)
        each.layers[0].trainable = True
        train(each)
    assert same(again.get_weights(), model.get_weights())


def test_a_shallow_copy_shares_the_layers():
    model = trained_model()
    again = copy.copy(model)
    assert again.layers[0] is model.layers[0]
    assert model.weights[0].buffer is again.weights[0].buffer
    np.testing.assert_array_equal(again.predict(IDS), model.predict(IDS))


def test_models_that_are_not_built(copied):
    again = copied(Sequential([GRU(3), Dense(1)]))
    assert not again.built
    again.compile("adam", "mse")
    again.fit(np.ones((2, 4, 3)), [0, 1], verbose=0)
    assert_in_one_buffer(again)


def test_optimizers_alone(copied):
    model = trained_model()
    again = copied(model.optimizer)
    assert again.iterations == 6 and again.get_config() == model.optimizer.get_config()
    state = model.optimizer.get_state()
    for name, a in again.get_state().items():
        assert (
            np.array_equal(a, state[name]) and a.any() and not np.may_share_memory(a, state[name])
        )
    other = Sequential([Input((3,)), Dense(1)])
    other.compile(again, "mse")
    with pytest.raises(ValueError, match="restored state is that of .* but the model has 4"):
        other.fit(np.ones((2, 3)), [0, 1], verbose=0)


def test_state_of_another_optimizer_is_refused():
    optimizer = trained_model().optimizer
    for momentum in ({"momentum": np.zeros(3)}, {"momentum": np.ones((3, 1)), "velocity": [1]}):
        with pytest.raises(
            ValueError, match="adam keeps iterations and momentum, velocity, in one"
        ):
            optimizer.set_state({"iterations": 3, **momentum})
    assert optimizer.iterations == 6


def test_processes_may_be_sent_a_model():
    """What a pool of processes does with its arguments, with buffers sent apart."""
    model, buffers = trained_model(), []
    data = pickle.dumps(model, protocol=5, buffer_callback=buffers.append)
    again = pickle.loads(data, buffers=buffers)
    train(again)  # writes its own weights, not those sent
    np.testing.assert_array_equal(
        model.predict(IDS), pickle.loads(data, buffers=buffers).predict(IDS)
    )


def test_threads_may_copy_at_once():
    model = trained_model()
    expected = model.predict(IDS)
    with ThreadPoolExecutor(4) as pool:
        for again in pool.map(copy.deepcopy, [model] * 16):
            np.testing.assert_array_equal(again.predict(IDS), expected)


def test_own_layers_are_copied(copied):
    class Half(layers.Layer):
        def compute_output_shape(self, input_shape):
            return tuple(input_shape)

        def forward(self, x, *, training=False, mask=None):
            return x / 2, None

        def backward(self, dy, cache, *, accumulate=False):
            return dy / 2

    globals()["Half"], Half.__qualname__ = Half, "Half"
    model = Sequential([Input((3,)), Half(), Dense(1)])
    x = rng.normal(size=(2, 3))
    np.testing.assert_array_equal(copied(model).predict(x), model.predict(x))
    assert isinstance(copied(model).layers[0], Half)
