"""fit, evaluate, predict: what they compute, report and keep."""

from __future__ import annotations

import numpy as np
import pytest

import fastgru
from fastgru import Sequential, reference
from fastgru.callbacks import Callback, LambdaCallback
from fastgru.layers import (
    GRU,
    Activation,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    Input,
)
from fastgru.losses import BinaryCrossentropy, MeanSquaredError
from fastgru.optimizers import Adam

RNG = np.random.default_rng(8)
IDS = RNG.integers(0, 9, size=(23, 6))
Y = (IDS.sum(axis=1) > 24).astype(int)


def make_model(dtype=None, compile=True, **arguments):
    model = Sequential(
        [Embedding(9, 4, input_length=6, dtype=dtype), GRU(7, **arguments), Dense(1, "sigmoid")]
    )
    if compile:
        model.compile(Adam(0.01), "binary_crossentropy", metrics=["accuracy"])
    return model


def same(a, b):
    return all(np.array_equal(v, w) for v, w in zip(a, b, strict=True))


# ---------------------------------------------------------------- training


def train_by_hand(weights, batches, epochs, rate):
    """Train embedding, GRU and sigmoid with the reference operations alone; float64."""
    table, kernel, recurrent_kernel, bias, w, b = weights = [v.copy() for v in weights]
    moments = [(np.zeros(v.size), np.zeros(v.size)) for v in weights]
    epoch_losses, step = [], 0
    for _ in range(epochs):
        total = count = 0
        for x, y in batches:
            e = reference.embedding_forward(x, table)
            _, h, cache = reference.gru_forward(
                e, kernel, recurrent_kernel, bias, return_sequences=False, training=True
            )
            logits, top = reference.dense_forward(h, w, b, training=True)
            losses, d = reference.binary_crossentropy(y, logits, from_logits=True)
            dh, dw, db = reference.dense_backward(d / d.size, top)
            de, *middle, _ = reference.gru_backward(None, cache, dh)
            gradients = [reference.embedding_backward(de, x, len(table)), *middle, dw, db]
            step += 1
            for value, gradient, (m, v) in zip(weights, gradients, moments, strict=True):
                reference.adam_update(
                    value.reshape(-1), gradient.reshape(-1), m, v, step=step, learning_rate=rate
                )
            total, count = total + losses.sum(), count + len(y)
        epoch_losses.append(total / count)
    return weights, epoch_losses


def test_fit_is_what_one_would_write_by_hand(operations):
    model = make_model("float64")
    batches = [(IDS[i : i + 8], Y[i : i + 8, None].astype(float)) for i in (0, 8, 16)]
    weights, losses = train_by_hand(model.get_weights(), batches, 6, 0.01)
    history = model.fit(IDS, Y, batch_size=8, epochs=6, shuffle=False, verbose=0)
    np.testing.assert_allclose(history.history["loss"], losses, rtol=1e-10)
    for got, expected in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-8, atol=1e-10)
    assert model.optimizer.iterations == 18


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_model_learns(operations, dtype):
    fastgru.utils.set_random_seed(1)
    model = make_model(dtype)
    before = model.evaluate(IDS, Y, verbose=0)
    history = model.fit(IDS, Y, batch_size=8, epochs=60, verbose=0)
    loss, accuracy = model.evaluate(IDS, Y, verbose=0)
    assert accuracy == 1 and loss < 0.1 < before[0]
    assert history.history["loss"][-1] == pytest.approx(loss, rel=0.2)


def test_the_same_seed_gives_the_same_bits(operations):
    runs = []
    for seed in (4, 4, 5):
        fastgru.utils.set_random_seed(seed)
        model = Sequential(
            [Embedding(9, 4), Dropout(0.3), GRU(7), Dropout(0.3), Dense(1, "sigmoid")]
        )
        model.compile("adam", "binary_crossentropy")
        history = model.fit(IDS, Y, batch_size=5, epochs=3, verbose=0)
        runs.append([*model.get_weights(), np.array(history.history["loss"])])
    assert same(runs[0], runs[1])
    assert not any(np.array_equal(a, b) for a, b in zip(runs[0], runs[2], strict=True) if a.any())


def test_shuffle_draws_an_order_for_each_epoch():
    model = make_model()
    seen = []
    forward = model.forward
    model.forward = lambda x, **k: (seen.append(x.copy()), forward(x, **k))[1]
    x = np.arange(12)[:, None] % 9 * np.ones((1, 6), int)
    x[9:, 0] = [8, 7, 6]
    y = np.zeros(12)
    model.fit(x, y, batch_size=5, epochs=2, verbose=0)
    first, second = np.concatenate(seen[:3]), np.concatenate(seen[3:])
    assert [len(batch) for batch in seen] == [5, 5, 2] * 2
    assert not np.array_equal(first, x) and not np.array_equal(first, second)
    for order in (first, second):
        np.testing.assert_array_equal(sorted(map(tuple, order)), sorted(map(tuple, x)))
    seen.clear()
    model.fit(x, y, batch_size=5, shuffle=False, verbose=0)
    np.testing.assert_array_equal(np.concatenate(seen), x)


def test_labels_travel_with_their_samples(operations):
    # One sample is unlike all others: the model can only learn it if labels follow the shuffle.
    x = np.tile(np.arange(3), 10)[:, None] * np.ones((1, 6), int)
    y = (x[:, 0] == 1).astype(int)
    model = make_model()
    model.fit(x, y, batch_size=7, epochs=60, verbose=0)
    np.testing.assert_allclose(model.predict(x)[:, 0], y, atol=0.2)


def test_the_last_batch_counts_by_its_size(operations):
    model = make_model("float64")
    expected = BinaryCrossentropy()(Y, model.predict(IDS))
    model.optimizer.learning_rate = 0
    for size in (1, 7, 23, 100):
        history = model.fit(IDS, Y, batch_size=size, verbose=0)
        assert history.history["loss"] == [pytest.approx(expected, rel=1e-10)]


@pytest.mark.parametrize(
    "y", [Y, Y.tolist(), Y[:, None], Y.astype(bool), Y.astype(np.float64), Y.astype(np.uint8)]
)
@pytest.mark.parametrize("x", [IDS, IDS.tolist(), IDS.astype(np.float64), IDS.astype(np.int8)])
def test_what_fit_accepts(x, y):
    weights = []
    for samples, labels in ((IDS, Y), (x, y)):
        fastgru.utils.set_random_seed(2)
        model = make_model()
        model.fit(samples, labels, verbose=0)
        weights.append(model.get_weights())
    assert same(*weights)


def test_layers_in_other_orders(operations):
    x = RNG.normal(size=(9, 4, 3))
    for layers, y in [
        ([GRU(4, return_sequences=True), Dense(1)], x.sum(-1, keepdims=True)),
        ([GRU(4, return_sequences=True), Dense(1)], x.sum(-1)),
        ([GRU(2)], x[:, 0, :2]),
        ([Dense(3, "relu"), GRU(4, go_backwards=True), Dense(2, "softmax")], x[:, 0, :2]),
        ([GRU(4), Dense(1), Activation("sigmoid")], x[:, 0, 0] > 0),
    ]:
        model = Sequential(layers)
        model.compile("adam", "mse")
        history = model.fit(x, y, epochs=20, verbose=0).history["loss"]
        assert history[-1] < history[0]


# ---------------------------------------------------------------- the sigmoid at the end


@pytest.mark.parametrize(
    "end",
    [lambda: [Dense(1, "sigmoid")], lambda: [Dense(1), Activation("sigmoid")]],
    ids=["in Dense", "a layer of its own"],
)
def test_a_sigmoid_is_trained_from_its_logits(operations, end):
    model = Sequential([Dense(2, input_shape=(1,), dtype="float64"), *end()])
    model.layers[0].set_weights([[[100.0, 0.0]], [0, 0]])
    model.layers[1].set_weights([[[0.3], [0.7]], [0]])
    model.compile(Adam(0.01), "binary_crossentropy", metrics=["accuracy"])
    x = np.array([[1.0]])
    assert model.evaluate(x, [0], verbose=0) == [pytest.approx(30, rel=1e-9), 0]
    assert model.predict(x)[0, 0] == pytest.approx(1, abs=1e-12)
    before = model.get_weights()
    assert model.train_on_batch(x, [0]) == [pytest.approx(30, rel=1e-9), 0]
    assert not np.array_equal(model.get_weights()[2], before[2])


def test_metrics_see_probabilities(operations):
    model = make_model("float64")
    p = model.predict(IDS)
    loss, accuracy = model.evaluate(IDS, Y, verbose=0)
    assert accuracy == pytest.approx(((p > 0.5)[:, 0] == Y).mean(), abs=1e-12)
    assert loss == pytest.approx(BinaryCrossentropy()(Y, p), rel=1e-10)


def test_logits_as_outputs(operations):
    model = Sequential([Dense(1, input_shape=(3,), dtype="float64")])
    model.compile("adam", BinaryCrossentropy(from_logits=True))
    x, y = RNG.normal(size=(5, 3)), [0, 1, 1, 0, 1]
    expected = BinaryCrossentropy(from_logits=True)(y, model.predict(x))
    assert model.evaluate(x, y, verbose=0) == pytest.approx(expected, rel=1e-12)


# ---------------------------------------------------------------- validation, evaluate, predict


def test_validation_split_takes_the_last_before_shuffling(operations):
    fastgru.utils.set_random_seed(3)
    model = make_model()
    split = model.fit(IDS, Y, validation_split=0.3, epochs=3, verbose=0).history
    fastgru.utils.set_random_seed(3)
    other = make_model()
    given = other.fit(IDS[:16], Y[:16], validation_data=(IDS[16:], Y[16:]), epochs=3, verbose=0)
    assert split == given.history
    assert list(split) == ["loss", "accuracy", "val_loss", "val_accuracy"]
    assert same(model.get_weights(), other.get_weights())
    after = model.evaluate(IDS[16:], Y[16:], verbose=0)
    assert [split["val_loss"][-1], split["val_accuracy"][-1]] == pytest.approx(after)


def test_validation_now_and_then():
    model = make_model()
    held_out = IDS[:5], Y[:5]
    history = model.fit(IDS, Y, epochs=5, validation_data=held_out, validation_freq=2, verbose=0)
    assert len(history.history["loss"]) == 5 and len(history.history["val_loss"]) == 2


def test_validation_does_not_train(operations):
    weights = []
    for held_out in (None, (IDS[:5], 1 - Y[:5])):
        fastgru.utils.set_random_seed(3)
        model = make_model()
        model.fit(IDS, Y, epochs=2, validation_data=held_out, verbose=0)
        weights.append(model.get_weights())
    assert same(*weights)


def test_evaluate_in_batches_and_as_a_dict(operations):
    model = make_model("float64")
    whole = model.evaluate(IDS, Y, batch_size=100, verbose=0)
    assert model.evaluate(IDS, Y, batch_size=4, verbose=0) == pytest.approx(whole, rel=1e-12)
    assert model.evaluate(IDS, Y, verbose=0, return_dict=True) == pytest.approx(
        {"loss": whole[0], "accuracy": whole[1]}
    )
    model.compile("adam", "mse")
    alone = model.evaluate(IDS, Y, verbose=0)
    assert alone == pytest.approx(MeanSquaredError()(Y, model.predict(IDS)), rel=1e-12)


@pytest.mark.parametrize("size", [1, 5, 22, 23, 24])
def test_predict_gives_the_same_bits_in_any_batches(size):
    model = make_model()
    np.testing.assert_array_equal(model.predict(IDS, batch_size=size), model.predict(IDS, 1000))
    np.testing.assert_array_equal(model.predict_on_batch(IDS), model.predict(IDS))


def test_predict_gives_new_memory():
    x = np.ones((3, 4), np.float32)
    model = Sequential([Dropout(0.5, input_shape=(4,))])
    y = model.predict(x)
    y[:] = 7
    assert (x == 1).all()


def test_one_batch_at_a_time(operations):
    fastgru.utils.set_random_seed(3)
    model = make_model()
    model.fit(IDS[:5], Y[:5], shuffle=False, epochs=3, verbose=0)
    fastgru.utils.set_random_seed(3)
    other = make_model()
    for _ in range(3):
        logs = other.train_on_batch(IDS[:5], Y[:5], return_dict=True)
    assert same(model.get_weights(), other.get_weights())
    assert logs == {"loss": model.history.history["loss"][-1],
                    "accuracy": model.history.history["accuracy"][-1]}  # fmt: skip
    assert other.test_on_batch(IDS, Y) == pytest.approx(other.evaluate(IDS, Y, verbose=0))


# ---------------------------------------------------------------- going on, stopping, freezing


def test_fit_goes_on_where_it_stopped(operations):
    fastgru.utils.set_random_seed(3)
    model = make_model()
    model.fit(IDS, Y, epochs=4, shuffle=False, verbose=0)
    fastgru.utils.set_random_seed(3)
    other = make_model()
    other.fit(IDS, Y, epochs=2, shuffle=False, verbose=0)
    history = other.fit(IDS, Y, epochs=4, initial_epoch=2, shuffle=False, verbose=0)
    assert history.epoch == [2, 3] and other.history is history
    assert same(model.get_weights(), other.get_weights())
    assert other.fit(IDS, Y, epochs=2, initial_epoch=2, verbose=0).history == {}


def test_frozen_layers_stay(operations):
    model = make_model()
    model.layers[1].trainable = False
    before = model.get_weights()
    model.fit(IDS, Y, epochs=2, verbose=0)
    changed = [not np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True)]
    assert changed == [True, False, False, False, True, True]
    model.layers[0].trainable = False
    model.layers[1].trainable = True
    before = model.get_weights()
    model.fit(IDS, Y, epochs=2, verbose=0)
    changed = [not np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True)]
    assert changed == [False, True, True, True, True, True]


def test_nothing_trains_where_all_is_frozen():
    model = make_model()
    for layer in model.layers:
        layer.trainable = False
    before = model.get_weights()
    model.fit(IDS, Y, verbose=0)
    assert same(before, model.get_weights())


class Interrupt(Callback):
    """Raises in the second epoch, after two of its batches."""

    def __init__(self, error):
        super().__init__()
        self.error = error
        self.epoch = 0

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self.epoch, batch) == (1, 1):
            raise self.error


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("stop")])
def test_an_interrupted_fit_leaves_a_usable_model(operations, error):
    model = make_model()
    before = model.predict(IDS)
    with pytest.raises(type(error)):
        model.fit(IDS, Y, batch_size=8, epochs=3, verbose=0, callbacks=[Interrupt(error)])
    assert model.history.epoch == [0] and len(model.history.history["loss"]) == 1
    assert model.optimizer.iterations == 5
    after = model.predict(IDS)
    assert not np.array_equal(after, before)
    kept = make_model()
    kept.set_weights(model.get_weights())
    np.testing.assert_array_equal(kept.predict(IDS), after)
    model.fit(IDS, Y, verbose=0)
    assert model.history.epoch == [0]


def test_predict_follows_every_step(operations):
    # A packed form of the weights must never outlive them.
    model, seen = make_model(), []

    class Look(Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(self.model.predict(IDS[:2]).tobytes())

    model.fit(IDS, Y, batch_size=8, epochs=2, verbose=0, callbacks=[Look()])
    assert len(set(seen)) == 6


def test_a_model_on_the_reference_operations_from_end_to_end():
    histories = []
    for name in ("compiled", "reference"):
        with fastgru.use_ops(name):
            fastgru.utils.set_random_seed(6)
            model = make_model("float64")
            histories.append(model.fit(IDS, Y, batch_size=8, epochs=5, verbose=0).history["loss"])
    np.testing.assert_allclose(histories[0], histories[1], rtol=1e-9)


def test_stateful_layers_refuse_a_batch_of_another_size_before_anything_is_changed():
    model = Sequential([GRU(3, stateful=True, batch_input_shape=(4, 5, 2))])
    model.compile("sgd", "mse")
    x, y = np.ones((7, 5, 2), np.float32), np.ones((7, 3), np.float32)
    weights, states = model.get_weights(), model.layers[0].states
    for use, where in [
        (lambda: model.fit(x, y, batch_size=4, verbose=0), "x: "),
        (lambda: model.evaluate(x, y, batch_size=4, verbose=0), "x: "),
        (lambda: model.predict(x, batch_size=4, verbose=0), "x: "),
        (
            lambda: model.fit(x[:4], y[:4], validation_data=(x, y), batch_size=4, verbose=0),
            "validation_data: x: ",
        ),
    ]:
        with pytest.raises(ValueError, match=f"{where}gru.*: stateful, built for batches of 4, "):
            use()
        for old, new in zip(weights, model.get_weights(), strict=True):
            np.testing.assert_array_equal(old, new)
        assert model.layers[0].states is states
    model.fit(x, y, batch_size=4, steps_per_epoch=1, verbose=0)


@pytest.mark.parametrize("metric", ["accuracy", "mae"])
def test_evaluating_while_a_model_trains_leaves_the_training_metrics(metric):
    def history(callback):
        fastgru.set_random_seed(3)
        model = Sequential([Dense(1, "sigmoid", input_shape=(3,))])
        model.compile("adam", "binary_crossentropy", metrics=[metric])
        x = np.random.default_rng(0).normal(size=(12, 3))
        y = x[:, :1] > 0
        between = LambdaCallback(on_train_batch_end=lambda *_: callback(model, x[:5], y[:5]))
        return model.fit(x, y, 4, epochs=2, verbose=0, callbacks=[between]).history

    expected = history(lambda model, x, y: None)
    assert history(lambda model, x, y: model.evaluate(x, y, verbose=0)) == expected
    assert history(lambda model, x, y: model.test_on_batch(x, y)) == expected


def test_classes_weigh_in_training_alone(operations):
    histories = []
    for how in ({}, {"class_weight": {0: 5.0, 1: 0.1}}):
        fastgru.utils.set_random_seed(3)
        model = make_model(compile=False)
        model.compile(Adam(0.0), "binary_crossentropy", weighted_metrics=["accuracy"])
        fit = model.fit(IDS, Y, validation_split=0.3, verbose=0, **how)
        histories.append(fit.history)
    plain, weighted = histories
    for name in ("val_loss", "val_accuracy"):
        assert plain[name] == weighted[name]
    assert plain["loss"] != pytest.approx(weighted["loss"])


@pytest.mark.parametrize(
    ("layers", "x", "other", "trained"),
    [
        ([GRU(3)], (8, 4, 3), (8, 4, 2), False),
        ([Dense(3)], (8, 4), (8, 5), False),
        ([Flatten(), Dense(3)], (8, 4, 3), (8, 5, 3), True),
    ],
)
def test_validation_data_that_a_model_yet_to_be_built_will_not_take(layers, x, other, trained):
    model = Sequential([type(layer).from_config(layer.get_config()) for layer in layers])
    model.compile("sgd", "mse")
    held_out = np.ones(other), np.ones((8, 3))
    with pytest.raises(ValueError, match="^validation_data: "):
        model.fit(np.ones(x), np.ones((8, 3)), validation_data=held_out, verbose=0)
    assert model.built == trained and model.optimizer.iterations == 0 and model.history is None


def test_validation_data_of_another_length_in_time(operations):
    held_out = IDS[:5, :4], Y[:5]
    model = Sequential([Embedding(9, 4), GRU(7), Dense(1, "sigmoid")])
    model.compile("sgd", "binary_crossentropy")
    model.fit(IDS, Y, validation_data=held_out, verbose=0)
    assert model.history.history["val_loss"]


# ---- states in models within models --------------------------------------------------------------


def nested_stateful(batch=2, **arguments):
    inner = Sequential([Input(batch_shape=(batch, None, 3)), GRU(2, stateful=True, **arguments)])
    return Sequential([Input(batch_shape=(batch, None, 3)), inner]), inner.layers[0]


def test_states_within_a_model_within_keep_to_their_samples(operations):
    model, gru = nested_stateful()
    samples = [RNG.normal(size=(n, 3)) for n in (4, 1, 3, 2)]
    found = model.predict(samples, batch_size=2)
    gru.reset_states()
    first = model.predict(samples[:2], batch_size=2)
    second = model.predict(samples[2:], batch_size=2)
    np.testing.assert_array_equal(found, np.concatenate([first, second]))
    model.compile("sgd", "mse")
    gru.reset_states()
    y = RNG.normal(size=(4, 2))
    expected = np.mean((found - y) ** 2)
    assert model.evaluate(samples, y, batch_size=2, verbose=0) == pytest.approx(expected, rel=1e-5)


def test_states_within_a_model_within_need_even_batches():
    model, gru = nested_stateful()
    with pytest.raises(ValueError, match="x: gru.*: stateful, built for batches of 2, got 3 sampl"):
        model.predict(np.ones((3, 4, 3)), batch_size=2)
    assert not gru.states[0].any()


# ---- what a model tells of its metrics -----------------------------------------------------------


def test_the_names_and_results_of_the_last_pass(operations):
    model = make_model()
    assert model.metrics_names == model.metrics == [] and model.get_metrics_result() == {}
    seen = []
    look = LambdaCallback(on_train_batch_end=lambda *_: seen.append(model.get_metrics_result()))
    history = model.fit(IDS, Y, batch_size=8, callbacks=[look], verbose=0).history
    assert seen[-1] == {name: values[0] for name, values in history.items()}
    values = model.evaluate(IDS, Y, verbose=0)
    assert dict(zip(model.metrics_names, values, strict=True)) == model.get_metrics_result()
    assert model.metrics_names == ["loss", "accuracy"]
    assert [metric.name for metric in model.metrics] == ["accuracy"]
    assert model.metrics[0].result() == values[1]
    model.get_metrics_result()["loss"] = None
    assert model.get_metrics_result()["loss"] == values[0]
    model.train_on_batch(IDS, 1 - Y)
    assert model.get_metrics_result()["accuracy"] == pytest.approx(1 - values[1])
