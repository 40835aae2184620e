"""Where batches come from: ragged lists, generators, numbered batches, files; weights of all."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

import fastgru
from fastgru import Input, Model, Sequential
from fastgru.layers import (
    GRU,
    LSTM,
    Add,
    Bidirectional,
    Concatenate,
    Dense,
    Embedding,
    Flatten,
    GlobalAveragePooling1D,
    GlobalMaxPooling1D,
    Masking,
    Permute,
    Reshape,
    TimeDistributed,
)
from fastgru.layers.padding import with_own
from fastgru.models.preparation import prepare
from fastgru.models.ragged import Ragged, to_ragged
from fastgru.optimizers import SGD

RNG = np.random.default_rng(6)
LENGTHS = [3, 1, 5, 2, 5, 4, 7, 1, 3, 6, 2]
IDS = [RNG.integers(0, 9, n).tolist() for n in LENGTHS]
FEATURES = [RNG.normal(size=(n, 3)) for n in LENGTHS]
Y = (np.arange(11) % 3 == 0).astype(int)
STEPS = [RNG.normal(size=(n, 2)) for n in LENGTHS]


def ids_model(loss="binary_crossentropy", **compiled):
    fastgru.utils.set_random_seed(1)
    model = Sequential([Embedding(9, 4, dtype="float64"), GRU(5), Dense(1, "sigmoid")])
    model.compile(SGD(0.1), loss, metrics=["accuracy"], **compiled)
    model.build((None, None))
    return model


def steps_model(**compiled):
    fastgru.utils.set_random_seed(1)
    model = Sequential([GRU(5, return_sequences=True, dtype="float64"), Dense(2)])
    model.compile(SGD(0.1), "mse", metrics=["mae"], **compiled)
    model.build((None, None, 3))
    return model


def same(a, b):
    return all(np.array_equal(v, w) for v, w in zip(a, b, strict=True))


def padded(sequences):
    """Return sequences padded with what must not count, and the mask."""
    longest = max(map(len, sequences))
    shape = (len(sequences), longest, *np.shape(sequences[0])[1:])
    whole, mask = np.full(shape, 5, np.asarray(sequences[0]).dtype), np.zeros(shape[:2], bool)
    for row, valid, sequence in zip(whole, mask, sequences, strict=True):
        row[: len(sequence)], valid[: len(sequence)] = sequence, True
    return whole, mask


# ---- sequences of different lengths --------------------------------------------------------------


def test_ragged_samples_are_taken_one_by_one_or_together():
    ragged = to_ragged("x", FEATURES)
    assert len(ragged) == 11 and ragged.shape == (11, 7, 3)
    whole, mask = padded(FEATURES)
    rows = np.array([6, 1, 4])
    got, valid = ragged.take(rows)
    np.testing.assert_array_equal(got[valid], whole[rows][mask[rows]])
    np.testing.assert_array_equal(valid, mask[rows])
    assert not got[~valid].any()
    part = ragged.part(slice(4, None))
    np.testing.assert_array_equal(part.take(slice(2, 3))[0], FEATURES[6][None])
    assert isinstance(part, Ragged) and part.shape == (7, 7, 3)


@pytest.mark.parametrize("make", [lambda s: s, tuple, lambda s: np.array(s, object)])
def test_predictions_of_ragged_samples_are_those_of_each_alone(operations, make):
    model = ids_model()
    expected = np.concatenate([model.predict(np.array([s]), verbose=0) for s in IDS])
    for size in (1, 4, 32):
        got = model.predict(make(IDS), batch_size=size, verbose=0)
        np.testing.assert_allclose(got, expected, rtol=1e-12)
    arrays = [np.array(s, np.int32) for s in IDS]
    np.testing.assert_array_equal(model.predict(arrays, verbose=0), got)


def test_steps_of_ragged_samples_come_out_one_by_one(operations):
    model = steps_model()
    for size in (2, 32):
        got = model.predict(FEATURES, batch_size=size, verbose=0)
        assert isinstance(got, list) and [len(y) for y in got] == LENGTHS
        for y, sample in zip(got, FEATURES, strict=True):
            np.testing.assert_allclose(y, model.predict(sample[None])[0], rtol=1e-12)
    alike = model.predict([FEATURES[2], FEATURES[4]], verbose=0)
    assert alike.shape == (2, 5, 2)


def test_a_loss_counts_the_steps_that_are_there(operations):
    model = steps_model()
    outputs = model.predict(FEATURES, verbose=0)
    squares = np.concatenate([(a - b) ** 2 for a, b in zip(outputs, STEPS, strict=True)])
    absolute = np.concatenate([np.abs(a - b) for a, b in zip(outputs, STEPS, strict=True)])
    loss, mae = model.evaluate(FEATURES, STEPS, verbose=0)
    assert loss == pytest.approx(squares.mean(), rel=1e-12)
    assert mae == pytest.approx(absolute.mean(), rel=1e-12)
    assert model.test_on_batch(FEATURES, STEPS) == pytest.approx([loss, mae], rel=1e-12)
    whole, _ = padded(STEPS)  # labels may be padded already
    assert model.evaluate(FEATURES, whole, verbose=0) == pytest.approx([loss, mae], rel=1e-12)


def test_training_on_ragged_samples_is_training_under_a_mask(operations):
    ragged, masked = steps_model(), steps_model()
    x, mask = padded(FEATURES)
    y, _ = padded(STEPS)
    for _ in range(3):
        logs = ragged.train_on_batch(FEATURES, STEPS, return_dict=True)
        run = masked.forward(x, training=True, mask=mask)
        loss, gradient = masked.loss.measure(y, run[0], False, None, mask)
        masked.backward(gradient, run[1])
        masked.apply_gradients()
        assert logs["loss"] == pytest.approx(loss, rel=1e-12)
    for a, b in zip(ragged.get_weights(), masked.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10)


def test_in_order_unless_shuffled_and_then_by_length():
    model = ids_model()
    data = prepare(model, IDS, Y, batch_size=4)
    in_order = [batch.x.shape for batch in data.batches()]
    assert in_order == [(4, 5), (4, 7), (3, 6)]
    by_length = list(data.batches(by_length=True))
    assert [batch.x.shape for batch in by_length] == [(4, 2), (4, 5), (3, 7)]
    seen, orders = [], set()
    for _ in range(20):
        batches = list(data.batches(shuffle=True))
        orders.add(tuple(batch.x.shape[1] for batch in batches))
        rows = [
            (tuple(x[:n]), y)
            for b in batches
            for x, y, n in zip(
                b.x.tolist(),
                b.y[:, 0].tolist(),
                b.mask.sum(1) if b.mask is not None else [b.x.shape[1]] * b.size,
                strict=True,
            )
        ]
        assert sorted(rows) == sorted(zip(map(tuple, IDS), Y.tolist(), strict=True))
        seen.append(rows)
    assert len(orders) > 1 and seen[0] != seen[1]


def test_fit_on_ragged_samples(operations):
    for model, x, y in ((ids_model(), IDS, Y), (steps_model(), FEATURES, STEPS)):
        history = model.fit(x, y, batch_size=4, epochs=5, validation_split=0.3, verbose=0).history
        assert history["loss"][-1] < history["loss"][0]
        last = model.evaluate(x[7:], y[7:], batch_size=4, verbose=0)
        assert [history["val_loss"][-1]] == pytest.approx(last[:1], rel=1e-12)


def test_id_0_of_a_ragged_sample_counts(operations):
    model = ids_model()
    zeros = [[0, 0, 0], [0], [3, 0]]
    expected = [model.predict(np.array([s]))[0] for s in zeros]
    np.testing.assert_allclose(model.predict(zeros), expected, rtol=1e-12)
    assert expected[0] != expected[1]


def test_weights_of_ragged_steps(operations):
    model = steps_model(weighted_metrics=["mse"])
    weights = [RNG.uniform(0.2, 2, n) for n in LENGTHS]
    logs = model.test_on_batch(FEATURES, STEPS, weights, return_dict=True)
    outputs = model.predict(FEATURES)
    squares = [((a - b) ** 2).mean(1) for a, b in zip(outputs, STEPS, strict=True)]
    flat, w = np.concatenate(squares), np.concatenate(weights)
    assert logs["loss"] == pytest.approx((flat * w).sum() / len(w), rel=1e-12)
    assert logs["mse"] == pytest.approx(np.average(flat, weights=w), rel=1e-12)


# ---- weights -------------------------------------------------------------------------------------


def test_class_weights_are_weights_of_samples(operations):
    weights = np.where(Y == 1, 3.0, 0.5)
    x = np.array([(s * 7)[:7] for s in IDS])
    models = [ids_model(weighted_metrics=["binary_crossentropy"]) for _ in range(2)]
    first = models[0].fit(
        x, Y, 4, epochs=3, class_weight={0: 0.5, 1: 3.0}, shuffle=False, verbose=0
    )
    second = models[1].fit(x, Y, 4, epochs=3, sample_weight=weights, shuffle=False, verbose=0)
    assert first.history == second.history and same(*(m.get_weights() for m in models))
    losses = ids_model("binary_crossentropy").loss.values(
        Y[:, None].astype(float), models[0].predict(x)
    )[0]
    got = models[0].evaluate(x, Y, sample_weight=weights, verbose=0, return_dict=True)
    assert got["loss"] == pytest.approx((losses * weights).mean(), rel=1e-9)
    expected = np.average(losses, weights=weights)
    assert got["binary_crossentropy"] == pytest.approx(expected, rel=1e-9)
    only = ids_model().train_on_batch(x, Y, class_weight={1: 3.0})
    assert only == ids_model().train_on_batch(x, Y, np.where(Y == 1, 3.0, 1.0))


@pytest.mark.parametrize("one_hot", [True, False])
def test_class_weights_of_many_classes_and_of_steps(operations, one_hot):
    fastgru.utils.set_random_seed(1)
    model = Sequential([GRU(4, return_sequences=True, dtype="float64"), Dense(3, "softmax")])
    kind = "categorical_crossentropy"
    model.compile("sgd", kind if one_hot else f"sparse_{kind}", weighted_metrics=["accuracy"])
    x, classes = RNG.normal(size=(5, 6, 2)), RNG.integers(0, 3, (5, 6))
    model.build(x.shape)
    y = np.eye(3)[classes] if one_hot else classes
    by_class = {0: 2.0, 2: 0.25}
    weights = np.array([2.0, 1.0, 0.25])[classes]
    before = model.get_weights()
    got = model.train_on_batch(x, y, class_weight=by_class)
    after = model.get_weights()
    model.set_weights(before)
    assert model.train_on_batch(x, y, weights) == got and same(model.get_weights(), after)


def test_weights_of_validation_data():
    x, w = RNG.normal(size=(11, 4, 3)), RNG.uniform(0, 2, 11)
    y = x[..., :2]
    model = steps_model(weighted_metrics=["mse"])
    history = model.fit(x, y, validation_data=(x, y, w), verbose=0).history
    got = model.evaluate(x, y, sample_weight=w, verbose=0, return_dict=True)
    assert {f"val_{name}": [value] for name, value in got.items()} == {
        name: values for name, values in history.items() if name.startswith("val_")
    }
    assert got["mse"] != got["loss"]


# ---- several inputs and outputs ------------------------------------------------------------------


def two_by_two(**compiled):
    fastgru.utils.set_random_seed(2)
    a, b = Input((None,), name="a"), Input((4,), name="b")
    h = GRU(5, name="gru")(Embedding(9, 3)(a))
    h = Concatenate()([h, b])
    model = Model([a, b], [Dense(2, name="far")(h), Dense(3, "softmax", name="kind")(h)])
    compiled.setdefault("loss", {"far": "mse", "kind": "sparse_categorical_crossentropy"})
    model.compile(SGD(0.1), **compiled)
    return model


A, B = RNG.integers(0, 9, (11, 5)), RNG.normal(size=(11, 4))
FAR, KIND = RNG.normal(size=(11, 2)), RNG.integers(0, 3, 11)


def test_lists_and_dicts_of_inputs_and_outputs(operations):
    runs = []
    for x in ([A, B], (A, B), {"b": B, "a": A}):
        for y in ([FAR, KIND], {"kind": KIND, "far": FAR}):
            model = two_by_two(metrics={"kind": ["accuracy"]}, loss_weights={"kind": 0.5})
            history = model.fit(x, y, 4, epochs=2, shuffle=False, verbose=0).history
            assert list(history) == ["loss", "far_loss", "kind_loss", "kind_accuracy"]
            runs.append((history, [w.tolist() for w in model.get_weights()]))
            for outputs in (model.predict(x), model.predict_on_batch(x)):
                assert [o.shape for o in outputs] == [(11, 2), (11, 3)]
    assert all(run == runs[0] for run in runs)
    history = runs[0][0]
    for total, far, kind, _ in zip(*history.values(), strict=True):
        assert total == pytest.approx(far + 0.5 * kind, rel=1e-6)


def test_weights_for_each_output(operations):
    w, v = RNG.uniform(0, 2, 11), RNG.uniform(0, 2, 11)
    model = two_by_two(weighted_metrics=[["mse"], None], metrics=[["mse"], ["accuracy"]])
    one = model.test_on_batch([A, B], [FAR, KIND], w, return_dict=True)
    assert list(one) == [
        "loss", "far_loss", "kind_loss", "far_mse", "far_weighted_mse", "kind_accuracy",
    ]  # fmt: skip
    each = model.test_on_batch([A, B], [FAR, KIND], [w, w], return_dict=True)
    assert one == each
    other = model.test_on_batch([A, B], [FAR, KIND], {"far": w, "kind": v}, return_dict=True)
    assert other["far_loss"] == one["far_loss"] and other["kind_loss"] != one["kind_loss"]
    far = ((model.predict([A, B])[0] - FAR) ** 2).mean(1)
    assert one["far_loss"] == pytest.approx((far * w).mean(), rel=1e-5)
    assert one["far_weighted_mse"] == pytest.approx(np.average(far, weights=w), rel=1e-5)
    assert one["far_mse"] == pytest.approx(far.mean(), rel=1e-5)


def test_an_output_without_a_loss(operations):
    model = two_by_two(loss=["mse", None])
    before = model.get_weights()
    logs = model.train_on_batch([A, B], [FAR, None], return_dict=True)
    assert list(logs) == ["loss"]
    moved = [not np.array_equal(a, b) for a, b in zip(model.get_weights(), before, strict=True)]
    assert moved == [True] * 6 + [False] * 2


def test_ragged_inputs_beside_others(operations):
    model = two_by_two()
    outputs = model.predict([IDS, B], batch_size=4)
    for i in (0, 6, 10):
        for got, alone in zip(outputs, model.predict([[IDS[i]], B[i : i + 1]]), strict=True):
            np.testing.assert_allclose(got[i], alone[0], rtol=1e-5)
    history = model.fit([IDS, B], [FAR, KIND], batch_size=4, epochs=3, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.fit(A, [FAR, KIND], verbose=0), r"x: .* has 2 inputs .*got ndarray"),
        (lambda m: m.fit([A], [FAR, KIND], verbose=0), "x: .* has 2 inputs .*got 1 of them"),
        (lambda m: m.fit({"a": A}, [FAR, KIND], verbose=0), "x: .* has .*; got a"),
        (lambda m: m.fit([A, B[:3]], [FAR, KIND], verbose=0), "x: expected as many samples in ev"),
        (lambda m: m.fit([A, B], FAR, verbose=0), r"y: .*of the 2 outputs \(far, kind\), got nda"),
        (lambda m: m.fit([A, B], {"nah": FAR}, verbose=0), "y: the model has no output 'nah'"),
        (lambda m: m.fit([A, B], [KIND, FAR], verbose=0), r"y\['far'\]: expected shape \(11, 2\)"),
        (
            lambda m: m.fit([A, B], [FAR, KIND], 4, class_weight={0: 1}),
            "class_weight: .*one output",
        ),
        (lambda m: m.compile("sgd", ["mse"]), "loss: expected a list with an entry for each of th"),
        (lambda m: m.compile("sgd", "mse", metrics=["mae"]), "metrics: expected a list with an en"),
        (lambda m: m.compile("sgd", {"nah": "mse"}), "loss: the model has no output 'nah'"),
    ],
)
def test_what_does_not_fit_several_outputs(call, message):
    model = two_by_two()
    before = model.get_weights()
    with pytest.raises(ValueError, match=message):
        call(model)
    assert same(before, model.get_weights())


# ---- batches one by one --------------------------------------------------------------------------

X3 = RNG.normal(size=(12, 4, 3))
Y3 = np.cumsum(X3, 1)[..., :2]


def batches(*more, times=1, size=5):
    for _ in range(times):
        for i in range(0, 12, size):
            yield tuple(a[i : i + size] for a in (X3, Y3, *more))


class Numbered:
    """Batches by number; counts the ends of epochs."""

    def __init__(self):
        self.ends = 0
        self.asked = []

    def __len__(self):
        return 3

    def __getitem__(self, number):
        if not 0 <= number < 3:
            raise IndexError(number)
        self.asked.append(number)
        return X3[5 * number : 5 * number + 5], Y3[5 * number : 5 * number + 5]

    def on_epoch_end(self):
        self.ends += 1


def test_a_generator_is_the_arrays_that_it_gives(operations):
    models = [steps_model() for _ in range(4)]
    expected = models[0].fit(X3, Y3, batch_size=5, epochs=3, shuffle=False, verbose=0).history
    numbered = Numbered()
    for model, x, steps in (
        (models[1], batches(times=3), 3),
        (models[2], list_like([list(batch) for batch in batches()]), None),
        (models[3], numbered, None),
    ):
        got = model.fit(x, epochs=3, steps_per_epoch=steps, shuffle=False, verbose=0).history
        assert got == expected and same(model.get_weights(), models[0].get_weights())
    assert numbered.ends == 3
    weights = RNG.uniform(0, 2, 12)
    for model, x in ((models[0], batches(weights)), (models[1], None)):
        arguments = (x,) if x is not None else (X3, Y3, 5)
        extra = {} if x is not None else {"sample_weight": weights}
        model.fit(*arguments, shuffle=False, verbose=0, **extra)
    assert same(models[0].get_weights(), models[1].get_weights())


def list_like(items):
    """Return what can be walked through again and again, and no more."""

    class Walk:
        def __iter__(self):
            return iter(items)

    return Walk()


def test_evaluate_and_predict_on_batches(operations):
    model = steps_model()
    expected = model.evaluate(X3, Y3, batch_size=5, verbose=0)
    assert model.evaluate(batches(), verbose=0) == pytest.approx(expected, rel=1e-12)
    assert model.evaluate(Numbered(), verbose=0) == pytest.approx(expected, rel=1e-12)
    part = model.evaluate(X3[:10], Y3[:10], batch_size=5, verbose=0)
    assert model.evaluate(batches(times=9), steps=2, verbose=0) == pytest.approx(part, rel=1e-12)
    assert model.evaluate(X3, Y3, batch_size=5, steps=2, verbose=0) == pytest.approx(part)
    whole = model.predict(X3)
    np.testing.assert_allclose(model.predict(x for x, _ in batches()), whole, rtol=1e-12)
    np.testing.assert_allclose(model.predict(Numbered()), whole, rtol=1e-12)
    np.testing.assert_allclose(model.predict(batches(times=9), steps=2), whole[:10], rtol=1e-12)
    history = model.fit(
        batches(times=4), steps_per_epoch=3, validation_data=Numbered(), epochs=2, verbose=0
    )
    assert history.history["val_loss"][-1] == pytest.approx(
        model.evaluate(X3, Y3, batch_size=5, verbose=0)[0], rel=1e-12
    )


def test_numbered_batches_are_shuffled_by_number():
    numbered = Numbered()
    fastgru.utils.set_random_seed(3)
    model = steps_model()
    model.fit(numbered, epochs=8, verbose=0)
    epochs = [tuple(numbered.asked[i : i + 3]) for i in range(1, 25, 3)]  # 0: for the shapes
    assert all(sorted(epoch) == [0, 1, 2] for epoch in epochs) and len(set(epochs)) > 2


def test_a_generator_that_ends_early_warns():
    model = steps_model()
    with pytest.warns(UserWarning, match="the generator ran out of batches"):
        history = model.fit(batches(times=2), steps_per_epoch=4, epochs=3, verbose=0)
    assert history.epoch == [0, 1] and model.optimizer.iterations == 6
    with pytest.warns(UserWarning, match="the generator ran out"):
        history = model.fit(batches(), epochs=3, verbose=0)
    assert history.epoch == [0]


def test_epochs_of_some_steps_go_on_through_the_data():
    model = steps_model()
    sizes = []
    forward = model.forward
    model.forward = lambda x, **k: (sizes.append(len(x)), forward(x, **k))[1]
    model.fit(X3, Y3, batch_size=5, steps_per_epoch=2, epochs=3, shuffle=False, verbose=0)
    assert sizes == [5, 5, 2, 5, 5, 2]


def test_an_unbuilt_model_learns_its_shape_from_the_first_batch():
    model = Sequential([GRU(5, return_sequences=True), Dense(2)])
    model.compile("rmsprop", "mse")
    model.fit(batches(times=2), steps_per_epoch=3, epochs=2, verbose=0)
    assert model.built and model.optimizer.iterations == 6
    model = Sequential([GRU(5), Dense(1)])
    model.compile("rmsprop", "mse")
    model.fit(FEATURES, Y, verbose=0)
    assert model.input_shape == (None, None, 3)


# ---- arrays on a disk ----------------------------------------------------------------------------


def test_only_batches_of_a_file_are_read(tmp_path):
    """Training on a file takes the memory of a batch, not that of the file."""
    count, steps = 3000, 40
    shape = (count, steps, 8)
    on_disk = np.memmap(tmp_path / "x", np.float64, "w+", shape=shape)
    for i in range(0, count, 500):
        on_disk[i : i + 500] = RNG.normal(size=(500, *shape[1:]))
    on_disk.flush()
    y = np.asarray(on_disk[:, 0, 0] > 0)
    x = np.memmap(tmp_path / "x", np.float64, "r", shape=shape)
    model = Sequential([Input((steps, 8)), GRU(4), Dense(1, "sigmoid")])
    model.compile("adam", "binary_crossentropy")
    model.train_on_batch(x[:32], y[:32])  # what stays in memory afterwards
    tracemalloc.start()
    model.fit(x, y, epochs=2, verbose=0)
    model.fit(x, y, shuffle=False, validation_data=(x[:64], y[:64]), verbose=0)
    model.evaluate(x, y, verbose=0)
    model.predict(x, verbose=0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert x.nbytes == 7_680_000 and peak < 0.15 * x.nbytes


def test_a_file_trains_as_the_array_in_memory_does(tmp_path, operations):
    x = np.memmap(tmp_path / "x", np.float64, "w+", shape=X3.shape)
    x[:] = X3
    in_memory, on_disk = steps_model(), steps_model()
    w = RNG.uniform(0, 2, 12)
    arguments = {"sample_weight": w, "shuffle": False, "epochs": 2, "verbose": 0}
    expected = in_memory.fit(X3, Y3, 5, **arguments).history
    assert on_disk.fit(x, Y3, 5, **arguments).history == expected
    assert on_disk.evaluate(x, Y3, verbose=0) == in_memory.evaluate(X3, Y3, verbose=0)
    np.testing.assert_array_equal(on_disk.predict(x, 5), in_memory.predict(X3))
    with pytest.raises(ValueError, match="as many labels as samples, got 12 samples and 11 labels"):
        on_disk.fit(x, Y3[:11], verbose=0)
    with pytest.raises(ValueError, match="x: .*built for 3 features, got 2"):
        on_disk.fit(x[..., :2], Y3, verbose=0)


class Labelled:
    """A column of a table: its square brackets take labels of rows, not places."""

    def __init__(self, values, labels):
        self.values, self.labels = np.asarray(values), list(labels)
        self.dtype, self.ndim, self.shape = self.values.dtype, 1, self.values.shape

    def __len__(self):
        return len(self.values)

    def __iter__(self):
        return iter(self.values)

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype)

    def __getitem__(self, key):
        if isinstance(key, slice):
            return self.values[key]
        return self.values[[self.labels.index(label) for label in np.asarray(key)]]


@pytest.fixture
def file(tmp_path):
    """Return arrays as files."""
    numbers = iter(range(99))

    def write(array):
        array = np.asarray(array)
        shape = array.shape
        found = np.memmap(tmp_path / str(next(numbers)), array.dtype, "w+", shape=shape)
        found[:] = array
        return found

    return write


def one_label_model(**compiled):
    fastgru.utils.set_random_seed(1)
    model = Sequential([Input((4, 3), dtype="float64"), GRU(5, dtype="float64"), Dense(1)])
    model.compile(SGD(0.1), "mse", **compiled)
    return model


Y1 = X3[:, 0, 0]


@pytest.mark.parametrize(
    "make",
    [
        lambda a: Labelled(a, range(len(a))[::-1]),
        lambda a: Labelled(a, range(100, 100 + len(a))),
        list,
        lambda a: a.tolist(),
        lambda a: [a],
        lambda a: {"out": a},
    ],
)
def test_rows_beside_a_file_are_taken_by_their_places(file, make):
    x, w = file(X3), np.arange(12) / 4
    histories = []
    for y, weights in ((Y1, w), (make(Y1), make(w))):
        fastgru.utils.set_random_seed(1)
        model = Sequential([Input((4, 3)), GRU(5, dtype="float64"), Dense(1, name="out")])
        model.compile(SGD(0.1), "mse")
        fit = model.fit(x, y, batch_size=5, epochs=2, sample_weight=weights, verbose=0)
        histories.append(fit.history)
    assert histories[0] == histories[1]


def test_a_list_of_rows_of_a_file_is_a_list_of_samples(file):
    model = one_label_model()
    rows = list(file(X3))
    np.testing.assert_array_equal(model.predict(rows), model.predict(X3))


@pytest.mark.parametrize(
    ("y", "options", "message"),
    [
        (Y1, {"sample_weight": np.ones(11)}, "x and sample_weight: .*12 samples and 11 weights"),
        (Y1, {"sample_weight": 2.0}, "sample_weight: expected an array with a row for each sample"),
        (list(Y1[:11]), {}, "x and y: expected as many labels as samples, got 12 samples and 11"),
        ({"out": Y1[:11]}, {}, "x and y: expected as many labels as samples, got 12 samples and"),
        ([[1], [2, 3]] * 6, {}, "y: rows have different lengths"),
    ],
)
def test_what_does_not_fit_a_file_is_refused_before_anything(file, y, options, message):
    fastgru.utils.set_random_seed(1)
    model = Sequential([Input((4, 3)), GRU(5), Dense(1, name="out")])
    model.compile(SGD(0.1), "mse")
    before = model.get_weights()
    with pytest.raises(ValueError, match=message):
        model.fit(file(X3), y, batch_size=5, verbose=0, **options)
    assert same(before, model.get_weights()) and model.optimizer.iterations == 0


def test_files_beside_several_outputs(file, operations):
    expected = two_by_two().fit([A, B], [FAR, KIND], 4, shuffle=False, verbose=0).history
    for y in ([FAR, file(KIND)], {"kind": KIND.tolist(), "far": file(FAR)}):
        model = two_by_two()
        found = model.fit({"a": file(A), "b": B}, y, 4, shuffle=False, verbose=0).history
        assert found == expected
    with pytest.raises(ValueError, match="x and y: expected as many labels as samples, got 11 sa"):
        model.fit([file(A), B], [FAR, KIND[:10]], 4, verbose=0)
    with pytest.raises(ValueError, match="x: expected samples, as many in every input"):
        model.fit([file(A), B[:10]], [FAR, KIND], 4, verbose=0)


def test_stateful_layers_refuse_a_file_of_uneven_size_before_anything(file):
    layers = [Input(batch_shape=(5, 4, 3)), GRU(2, stateful=True), Dense(1)]
    model = Sequential(layers)
    model.compile(SGD(0.1), "mse")
    for run in (lambda x: model.fit(x, Y1, 5, shuffle=False, verbose=0), model.predict):
        with pytest.raises(ValueError, match="x: gru.*: stateful, built for batches of 5, got 12"):
            run(file(X3))
    assert model.optimizer.iterations == 0 and not model.layers[0].states[0].any()


# ---- each sample is as it is alone ---------------------------------------------------------------

HOLES = [
    np.where(np.arange(n)[:, None] == n // 2, 0, f) for n, f in zip(LENGTHS, FEATURES, strict=True)
]
BACKWARD = {"return_sequences": True, "go_backwards": True}
AS_ALONE = [
    [Masking(), GRU(2, return_sequences=True)],
    [Masking(-1.0), GRU(2, return_sequences=True)],
    [GRU(2, **BACKWARD), Dense(3), GRU(3, return_sequences=True)],
    [Masking(), GRU(2, **BACKWARD), TimeDistributed(Dense(2)), LSTM(2, **BACKWARD)],
    [
        Masking(),
        Bidirectional(GRU(2, **BACKWARD), backward_layer=LSTM(2, return_sequences=True)),
        Bidirectional(GRU(2, return_sequences=True)),
    ],
]


@pytest.mark.parametrize("layers", AS_ALONE)
def test_each_step_of_ragged_samples_comes_out_as_of_the_sample_alone(layers, operations):
    layers = [type(layer).from_config(layer.get_config()) for layer in layers]
    model = Sequential([Input((None, 3), dtype="float64"), *layers])
    alone = [model.predict(sample[None])[0] for sample in HOLES]
    for size in (2, 32):
        got = model.predict(HOLES, batch_size=size)
        for y, expected in zip(got, alone, strict=True):
            np.testing.assert_allclose(y, expected, rtol=1e-10, atol=1e-12)


ONE_FOR_EACH = [
    [GlobalMaxPooling1D()],
    [GRU(2, **BACKWARD), GlobalMaxPooling1D(keepdims=True)],
    [Bidirectional(GRU(2, return_sequences=True)), GlobalMaxPooling1D()],
    [Bidirectional(GRU(2, return_sequences=True)), GlobalAveragePooling1D()],
    [GRU(2, zero_output_for_mask=True)],
    [LSTM(2, zero_output_for_mask=True, go_backwards=True)],
]


def at_work(layers):
    """A model of float64 with layers like some, and weights that leave most states below zero."""
    layers = [type(layer).from_config(layer.get_config()) for layer in layers]
    fastgru.utils.set_random_seed(3)
    model = Sequential([Dense(3, dtype="float64"), *layers, Dense(1)])
    model.build((None, None, 3))
    rng = np.random.default_rng(4)
    model.set_weights([rng.normal(size=w.shape) - 0.3 for w in model.get_weights()])
    model.compile(SGD(0.1), "mse")
    return model


@pytest.mark.parametrize("layers", ONE_FOR_EACH)
def test_one_output_of_a_ragged_sample_is_that_of_the_sample_alone(layers, operations):
    model = at_work(layers)
    y = RNG.normal(size=model.predict(FEATURES).shape)
    alone, losses, total = [], [], 0
    for sample, label in zip(FEATURES, y, strict=True):
        alone.append(model.predict(sample[None])[0])
        losses.append(model.grads_on_batch(sample[None], label[None])["loss"])
        total = total + model.gradients
    np.testing.assert_allclose(model.predict(FEATURES), alone, rtol=1e-10, atol=1e-12)
    assert model.grads_on_batch(FEATURES, y)["loss"] == pytest.approx(np.mean(losses), rel=1e-10)
    np.testing.assert_allclose(model.gradients, total / len(y), rtol=1e-9, atol=1e-12)


def test_the_greatest_of_the_vectors_of_ragged_ids():
    model = Sequential([Input((None,)), Embedding(9, 3), GlobalMaxPooling1D()])
    model.set_weights([1 + np.arange(27.0).reshape(9, 3)[::-1]])  # id 0 has the greatest
    np.testing.assert_array_equal(model.predict([[1, 5, 3], [7]]), [[22, 23, 24], [4, 5, 6]])


def test_penalties_on_outputs_count_the_steps_of_ragged_samples(operations):
    layer = GRU(2, return_sequences=True, activity_regularizer="l1", name="penalized")
    model, plain = at_work([layer]), at_work([GRU(2, return_sequences=True)])
    labels = [s[:, :1] for s in STEPS]
    each = [m.test_on_batch(FEATURES, labels, return_dict=True)["loss"] for m in (model, plain)]
    inside = Sequential([Input((None, 3)), *plain.layers[:-1]])
    expected = 0.01 * sum(np.abs(y).sum() for y in inside.predict(FEATURES)) / len(FEATURES)
    assert each[0] - each[1] == pytest.approx(expected, rel=1e-9)


def test_ragged_samples_summed_with_one_step_for_all():
    a, b = Input((None, 3)), Input((1, 3))
    model = Model([a, b], GRU(2)(Add()([a, b])))
    steps = RNG.normal(size=(11, 1, 3))
    found = model.predict([FEATURES, steps])
    for i, x in enumerate(FEATURES):
        alone = model.predict([x[None], steps[i : i + 1]])[0]
        np.testing.assert_allclose(found[i], alone, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("layer", [Flatten(), Reshape((-1, 1)), Permute((2, 1))])
def test_layers_that_move_steps_refuse_ragged_samples(layer):
    model = Sequential([Input((None, 3)), layer])
    kind = type(layer).__name__
    message = rf"{layer.name} \({kind}\): expected samples of one length.*lengths from 1 to 7; pad"
    with pytest.raises(ValueError, match=message):
        model.predict(FEATURES)


def test_steps_of_ids_that_are_masked_come_out_too(operations):
    layers = [Embedding(9, 3, mask_zero=True), GRU(2, return_sequences=True)]
    model = Sequential([Input((None,)), *layers])
    first, second = model.predict([[1, 0, 3], [4]])
    assert len(first) == 3 and len(second) == 1
    np.testing.assert_array_equal(first[1], first[0])  # a masked step repeats the one before
    np.testing.assert_allclose(first, model.predict(np.array([[1, 0, 3]]))[0], rtol=1e-6)


def test_ragged_inputs_joined_in_time(operations):
    a, b = Input((None, 3)), Input((None, 3))
    joined = Concatenate(axis=1)([GRU(2, return_sequences=True)(a), Dense(2)(b)])
    model = Model([a, b], [joined, GRU(2, **BACKWARD)(joined)])
    others = FEATURES[::-1]
    found = model.predict([FEATURES, others], batch_size=4)
    for i, (x, y) in enumerate(zip(FEATURES, others, strict=True)):
        for got, alone in zip(found, model.predict([x[None], y[None]]), strict=True):
            np.testing.assert_allclose(got[i], alone[0], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "layer",
    [
        GRU(2, dtype="float64", **BACKWARD),
        Bidirectional(
            GRU(2, dtype="float64", **BACKWARD),
            merge_mode="sum",
            backward_layer=GRU(2, dtype="float64", return_sequences=True),
        ),
    ],
)
def test_training_backwards_on_ragged_samples_is_training_on_each_alone(layer, operations):
    layer = type(layer).from_config(layer.get_config())
    fastgru.utils.set_random_seed(1)
    model = Sequential([GRU(5, return_sequences=True, dtype="float64"), layer])
    model.compile(SGD(0.1), "mse")
    model.build((None, None, 3))
    losses, total = [], 0
    for x, y in zip(FEATURES, STEPS, strict=True):
        losses.append(model.grads_on_batch(x[None], y[None])["loss"])
        total = total + len(x) * model.gradients
    together = model.grads_on_batch(FEATURES, STEPS)
    assert together["loss"] == pytest.approx(np.average(losses, weights=LENGTHS), rel=1e-10)
    np.testing.assert_allclose(model.gradients, total / sum(LENGTHS), rtol=1e-9, atol=1e-12)


def test_a_layer_called_on_a_list_of_sequences_goes_backwards_in_each(operations):
    layer = GRU(2, dtype="float64", **BACKWARD)
    found = layer(FEATURES)
    for y, x in zip(found, FEATURES, strict=True):
        np.testing.assert_allclose(y[: len(x)], layer(x[None])[0], rtol=1e-12)


def test_predictions_of_batches_of_different_lengths(operations):
    model = steps_model()
    expected = [model.predict(f[None])[0] for f in FEATURES]
    parts = [slice(0, 3), slice(3, 4), slice(4, 11)]
    ragged = ((FEATURES[part],) for part in parts)
    one_length = (f[None] for f in FEATURES)
    for given in (ragged, one_length):
        found = model.predict(given)
        for y, alone in zip(found, expected, strict=True):
            np.testing.assert_allclose(y, alone, rtol=1e-12)


def test_what_averages_leaves_no_mask_in_its_output():
    layer = GlobalAveragePooling1D()
    model = Sequential([Input((None, 3)), layer])
    assert type(model.predict(FEATURES)) is np.ndarray
    own = np.ones((1, 2), bool)
    mask = with_own(own, own)
    assert type(layer.forward(np.ones((1, 2, 3)), mask=mask)[0]) is np.ndarray


@pytest.mark.parametrize("make", [lambda s: s, lambda s: Labelled(column(s), range(11))])
def test_weights_of_ragged_steps_may_be_padded_or_a_column(make):
    model = steps_model()
    weights = [RNG.uniform(0.2, 2, n) for n in LENGTHS]
    expected = model.evaluate(FEATURES, STEPS, sample_weight=weights, batch_size=4, verbose=0)
    for given in (make(weights), padded(weights)[0]):
        x, y = make(FEATURES), make(STEPS)
        found = model.evaluate(x, y, sample_weight=given, batch_size=4, verbose=0)
        assert found == pytest.approx(expected, rel=1e-12)


def column(sequences):
    found = np.empty(len(sequences), object)
    found[:] = sequences
    return found


def test_a_column_of_sequences_of_one_length():
    model = ids_model()
    rows = [[1, 2, 3], [4, 5, 6]]
    np.testing.assert_array_equal(model.predict(column(rows)), model.predict(np.array(rows)))


@pytest.mark.parametrize(
    ("x", "y", "weights", "message"),
    [
        (FEATURES, STEPS, [np.ones(n) for n in LENGTHS[::-1]], "^sample_weight: expected as many"),
        (FEATURES, STEPS, [np.ones(n) for n in LENGTHS[1:]], "^sample_weight: expected as many"),
        (X3[:11], STEPS, None, "^y: expected 4 labels for each sample"),
        (X3[:11], Y3[:11], [np.ones(n) for n in LENGTHS], "^sample_weight: expected 4 weights"),
    ],
)
def test_labels_and_weights_of_other_lengths_than_the_samples(x, y, weights, message):
    model = steps_model()
    before = model.get_weights()
    with pytest.raises(ValueError, match=message):
        model.fit(x, y, sample_weight=weights, verbose=0)
    assert same(before, model.get_weights())


def test_weights_of_other_lengths_where_there_is_one_output_for_each_sample():
    with pytest.raises(ValueError, match=r"^sample_weight: expected shape \(11, 1\), got weights"):
        ids_model().fit(IDS, Y, sample_weight=[np.ones(n) for n in LENGTHS], verbose=0)


# ---- where something wrong is --------------------------------------------------------------------


def tags_model():
    model = Sequential([Embedding(9, 4), GRU(5, return_sequences=True), Dense(3, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


@pytest.mark.parametrize(
    ("x", "y", "weights", "message"),
    [
        ([[1, 2, 3], [99], [1, 2]], [[0, 0, 0], [1], [2, 2]], None, "^x: .*got 99 at sample 1, st"),
        ([[1, 2, 3], [4], [1, 9]], [[0, 0, 0], [1], [2, 2]], None, "at sample 2, step 1$"),
        (
            [[1, 2, 3], [4], [1, 0]],
            [[0, 0, 7], [1], [2, 2]],
            None,
            "^y: .*got 7 at sample 0, step 2",
        ),
        (
            [[1, 2, 3], [4], [1, 0]],
            [[0, 0, 0], [1], [2, 2]],
            [[1, 1, 1], [-1], [1, 1]],
            "^sample_weight: .*got -1.0 at sample 1, step 0$",
        ),
    ],
)
def test_the_place_in_ragged_data_is_a_sample_and_a_step(x, y, weights, message):
    with pytest.raises(ValueError, match=message):
        tags_model().fit(x, y, sample_weight=weights, verbose=0)


def test_the_place_in_a_file_is_that_in_the_file(file):
    x = RNG.integers(0, 9, (12, 4))
    y = RNG.integers(0, 3, (12, 4))
    x[9, 2] = 99
    for shuffle in (True, False):
        with pytest.raises(ValueError, match=r"^x: .*got 99 at \(9, 2\)$"):
            tags_model().fit(file(x), y, batch_size=4, shuffle=shuffle, verbose=0)
    x[9, 2], y[10, 3] = 0, 7
    with pytest.raises(ValueError, match=r"^validation_data: y: .*got 7 at \(10, 3\)$"):
        model = tags_model()
        model.fit(x[:4], y[:4], validation_data=(file(x), y), batch_size=4, verbose=0)


def test_the_place_in_one_of_several_inputs():
    ragged = [[1], *IDS[1:]]
    ragged[4] = [1, 2, 10]
    with pytest.raises(ValueError, match=r"^x\[0\]: expected ids.*got 10 at sample 4, step 2$"):
        two_by_two().predict([ragged, B])
    with pytest.raises(ValueError, match=r"^y\['kind'\]: .*got 9 at \(3,\)$"):
        two_by_two().evaluate([A, B], [FAR, np.where(np.arange(11) == 3, 9, KIND)], verbose=0)
