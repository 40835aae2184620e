"""Bad input to models: a clear error of the usual type, and the model is as it was."""

from __future__ import annotations

import numpy as np
import pytest

from fastgru import Input, Sequential
from fastgru.callbacks import Callback
from fastgru.layers import GRU, Dense, Embedding
from fastgru.losses import MeanSquaredError
from fastgru.metrics import BinaryAccuracy
from fastgru.optimizers import Adam

RNG = np.random.default_rng(8)
IDS = RNG.integers(0, 9, size=(8, 6))
X = RNG.normal(size=(8, 6, 3))
Y = np.array([1, 0, 1, 1, 0, 0, 1, 0])
NAN = np.where(np.arange(8) == 3, np.nan, Y)


def trained(first):
    model = Sequential([*first, GRU(5), Dense(1, "sigmoid")])
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    model.fit(IDS if isinstance(first[0], Embedding) else X, Y, epochs=2, verbose=0)
    return model


def on_ids():
    return trained([Embedding(9, 4)])


def on_features():
    return trained([Input((None, 3))])


def state(model):
    """Everything that training changes, as comparable values."""
    optimizer = model.optimizer
    moments = {name: slot.tolist() for name, slot in optimizer.get_state().items()}
    return (
        [w.tolist() for w in model.get_weights()],
        moments,
        optimizer.iterations,
        id(optimizer),
        id(model.history),
        {name: list(values) for name, values in model.history.history.items()},
        list(model.history.epoch),
        [layer.name for layer in model.layers],
        (model.input_shape, model.output_shape),
    )


DATA = [
    # model, x, y, error, message
    (on_ids, np.where(IDS == 3, -1, IDS), Y, ValueError, r"x: expected ids in \[0, 9\), got -1 at"),
    (on_ids, np.where(IDS == 3, 9, IDS), Y, ValueError, r"x: expected ids in \[0, 9\), got 9 at"),
    (on_ids, IDS + 0.25, Y, ValueError, r"x: expected whole numbers, got \d.25 at \(0, 0\)"),
    (on_ids, IDS * np.nan, Y, ValueError, "x: expected whole numbers, got nan"),
    (on_ids, IDS[:, :, None], Y, ValueError, "gru.*: expected 3 dimensions .*got shape"),
    (on_ids, IDS[:, 0], Y, ValueError, "gru.*: expected 3 dimensions .*got shape"),
    (on_ids, IDS[:, :0], Y, ValueError, r"x: expected at least one time step, got shape \(8, 0\)"),
    (on_ids, IDS.astype(str), Y, TypeError, "x: expected real numbers, got an array of"),
    (on_ids, IDS.astype(complex), Y, TypeError, "x: expected real numbers, got .*complex128"),
    (on_ids, IDS[:0], Y[:0], ValueError, r"x: expected at least one sample, got shape \(0, 6\)"),
    (
        on_ids,
        [[1, 2], []],
        [0, 1],
        ValueError,
        "x: .*at least one time step, but sample 1 is empty",
    ),
    (on_ids, [[1, 2], [9]], [0, 1], ValueError, r"x: expected ids in \[0, 9\), got 9"),
    (on_features, [X[0], X[1, :2, :2]], [0, 1], ValueError, r"x: expected steps of one shape"),
    (
        on_ids,
        [[1, 2], [3]],
        [[0, 1], [1]],
        ValueError,
        r"y: expected shape \(2, 1\), got labels of",
    ),
    (on_ids, None, Y, TypeError, "x: expected samples, got None"),
    (on_ids, IDS, None, TypeError, "y: expected labels, got None"),
    (on_ids, {"a": IDS}, Y, ValueError, "x: sequential.* has one input, no dict; got a"),
    (on_features, X[:, :, :2], Y, ValueError, r"expected shape \(None, None, 3\), got \(8, 6, 2\)"),
    (on_features, X[:, 0], Y, ValueError, r"expected shape \(None, None, 3\), got \(8, 3\)"),
    (on_features, X[:, :0], Y, ValueError, "x: expected at least one time step"),
    (on_features, X.astype(object), Y, TypeError, "x: expected real numbers, got .*object"),
    (on_features, X, NAN, ValueError, r"y: expected numbers, got nan at \(3, 0\)"),
    (on_features, X, Y * 2, ValueError, r"y: expected labels in \[0, 1\] .*got 2.0 at \(0, 0\)"),
    (on_features, X, Y - 0.5, ValueError, r"y: expected labels in \[0, 1\] .*got -0.5"),
    (on_features, X, Y[:7], ValueError, "as many labels as samples, got 8 samples and 7 labels"),
    (on_features, X[:7], Y, ValueError, "as many labels as samples, got 7 samples and 8 labels"),
    (on_features, X, np.eye(8), ValueError, r"y: expected shape \(8, 1\) .*got \(8, 8\)"),
    (on_features, X, Y.astype(str), TypeError, "y: expected real numbers"),
    (on_features, X, 3, TypeError, "y: expected an array of labels, got 3"),
]


@pytest.mark.parametrize(("make", "x", "y", "error", "message"), DATA)
@pytest.mark.parametrize("way", ["fit", "validation", "evaluate", "train_on_batch"])
def test_bad_data(way, make, x, y, error, message):
    model = make()
    good = IDS if make is on_ids else X
    before = state(model)
    use = {
        "fit": lambda: model.fit(x, y, verbose=0),
        "validation": lambda: model.fit(good, Y, validation_data=(x, y), verbose=0),
        "evaluate": lambda: model.evaluate(x, y, verbose=0),
        "train_on_batch": lambda: model.train_on_batch(x, y),
    }
    with pytest.raises(error, match=message) as caught:
        use[way]()
    if way == "validation" and message.startswith(("x: ", "y: ", "as many")):
        assert str(caught.value).startswith("validation_data: ")
    assert state(model) == before


@pytest.mark.parametrize(("make", "x", "y", "error", "message"), DATA)
def test_bad_data_leave_an_unbuilt_model_unbuilt(make, x, y, error, message):
    if isinstance(x, np.ndarray) and x.shape == (8, 6, 2):
        x = X[..., :0]  # any number of features fits a model that is not built, but none
    layers = [Embedding(9, 4), GRU(5)] if make is on_ids else [GRU(5)]
    model = Sequential([*layers, Dense(1, "sigmoid")])
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    with pytest.raises(error):
        model.fit(x, y, verbose=0)
    assert not model.built and not any(layer.built for layer in model.layers)
    assert model.history is None and model.optimizer.iterations == 0


def test_streams_and_labels_beside_them():
    model = on_ids()
    for use in (model.fit, model.evaluate):
        with pytest.raises(ValueError, match="y: expected None where x gives batches .list_iter"):
            use(iter([IDS]), Y, verbose=0)
    with pytest.raises(ValueError, match="batch_size: expected None where x gives batches"):
        model.fit(iter([(IDS, Y)]), batch_size=3, verbose=0)
    for use in (model.train_on_batch, model.test_on_batch, model.predict_on_batch):
        with pytest.raises(TypeError, match="x: expected arrays, got list_iterator"):
            use(iter([IDS]))
    with pytest.raises(ValueError, match="x: expected batches, but there are none"):
        model.fit(iter([]), verbose=0)
    with pytest.raises(ValueError, match=r"batches \(x, y\) or .*got 4 things"):
        model.fit(iter([(IDS, Y, Y, Y)]), verbose=0)
    with pytest.raises(TypeError, match="y: expected labels, got None"):
        model.fit(iter([IDS]), verbose=0)
    with pytest.raises(ValueError, match="validation_split: expected arrays in memory"):
        model.fit(iter([(IDS, Y)]), validation_split=0.5, verbose=0)


def test_ragged_features_that_do_not_fit():
    model = on_features()
    with pytest.raises(ValueError, match=r"x: .*expected shape \(None, None, 3\)"):
        model.fit([X[0, :, :2], X[1, :2, :2]], [0, 1], verbose=0)
    flat = Sequential([Input((3,)), Dense(1)])
    flat.compile("adam", "mse")
    with pytest.raises(ValueError, match="x: rows have different lengths; pad them"):
        flat.fit([[1, 2], [1, 2, 3]], [0, 1], verbose=0)
    steps = Sequential([Input((None, 3)), GRU(2, return_sequences=True)])
    steps.compile("adam", "mse")
    with pytest.raises(ValueError, match="y: expected as many labels as steps in each sample"):
        steps.fit([X[0, :2], X[1]], [X[0, :, :2], X[1, :2, :2]], verbose=0)


ARGUMENTS = [
    ({"batch_size": 0}, ValueError, "batch_size: expected at least 1, got 0"),
    ({"batch_size": 2.5}, TypeError, "batch_size: expected an integer, got 2.5"),
    ({"epochs": -1}, ValueError, "epochs: expected at least 0, got -1"),
    ({"epochs": "3"}, TypeError, "epochs: expected an integer, got '3'"),
    ({"initial_epoch": -1}, ValueError, "initial_epoch: expected at least 0, got -1"),
    ({"validation_freq": 0}, ValueError, "validation_freq: expected at least 1, got 0"),
    ({"validation_batch_size": 0}, ValueError, "validation_batch_size: expected at least 1"),
    ({"validation_split": 1.0}, ValueError, "validation_split: expected a number between 0 and 1"),
    ({"validation_split": -0.1}, ValueError, "validation_split: expected a number between"),
    ({"validation_split": 0.95}, ValueError, "leaves 0 to train on and 8 to hold out"),
    ({"validation_split": "a"}, TypeError, "validation_split: expected a number"),
    ({"validation_data": X}, TypeError, r"validation_data: expected a tuple \(x, y\).*got ndarray"),
    ({"validation_data": (X,)}, TypeError, r"validation_data: expected a tuple \(x, y\)"),
    (
        {"validation_data": (X, Y, Y - 1)},
        ValueError,
        "validation_data: sample_weight: .*at least 0",
    ),
    ({"shuffle": "batch"}, TypeError, "shuffle: expected True or False, got 'batch'"),
    ({"verbose": 3}, ValueError, "verbose: expected 0, 1, 2 or 'auto', got 3"),
    ({"callbacks": [Callback]}, TypeError, "callbacks: expected instances of Callback"),
    ({"callbacks": 3}, TypeError, "callbacks: expected instances of Callback"),
    ({"class_weight": [1, 2]}, TypeError, r"class_weight: expected a dict .*got \[1, 2\]"),
    ({"class_weight": {0: "a"}}, TypeError, "class_weight: expected numbers, got 'a' for class 0"),
    ({"class_weight": {1: -1}}, ValueError, "class_weight: .*at least 0, got -1 for class 1"),
    ({"class_weight": {"1": 2}}, TypeError, "class_weight: expected classes .*, got '1'"),
    ({"class_weight": {0.5: 2}}, TypeError, "class_weight: expected classes .*, got 0.5"),
    ({"sample_weight": {"a": Y}}, ValueError, "sample_weight: .* no output 'a'; its output is"),
    ({"class_weight": {1: 1}, "sample_weight": Y}, ValueError, "class_weight: .*got both"),
    ({"sample_weight": Y[:7]}, ValueError, r"sample_weight: expected shape \(8,\), .*got \(7,\)"),
    ({"sample_weight": X}, ValueError, r"sample_weight: expected shape \(8,\)"),
    ({"sample_weight": NAN}, ValueError, "sample_weight: .*got nan at"),
    ({"sample_weight": Y.astype(str)}, TypeError, "sample_weight: expected real numbers"),
    ({"steps_per_epoch": 0.5}, TypeError, "steps_per_epoch: expected an integer, got 0.5"),
    ({"validation_steps": -2}, ValueError, "validation_steps: expected at least 1, got -2"),
    ({"batchsize": 2}, TypeError, "batchsize"),
]


@pytest.mark.parametrize(("arguments", "error", "message"), ARGUMENTS)
def test_bad_arguments_of_fit(arguments, error, message):
    model = on_features()
    before = state(model)
    with pytest.raises(error, match=message):
        model.fit(X, Y, **{"verbose": 0, **arguments})
    assert state(model) == before


def test_labels_of_an_output_that_there_is_not():
    model = on_features()
    with pytest.raises(ValueError, match="y: the model has no output 'a'; its output is"):
        model.fit(X, {"a": Y}, verbose=0)
    (name,) = model.output_names
    assert model.fit(X, {name: Y}, sample_weight={name: Y + 1}, verbose=0).epoch == [0]


COMPILE = [
    ({"optimizer": "adm"}, ValueError, "optimizer: unknown name 'adm'; did you mean 'adam'"),
    ({"optimizer": "lion"}, NotImplementedError, "optimizer 'lion' is not served yet; served: ad"),
    ({"optimizer": 0.1}, TypeError, "optimizer: expected a name or an instance of Optimizer"),
    ({"loss": "binary_crossentrop"}, ValueError, "loss: unknown.*'binary_crossentropy'"),
    ({"loss": "hinge"}, NotImplementedError, "loss 'hinge' is not served yet"),
    ({"loss": ["mse", "mae"]}, ValueError, "loss: the model has one output, got 2 for it"),
    ({"loss": MeanSquaredError("none")}, ValueError, "loss: mean_squared_error has no reduction"),
    ({"loss": 3}, TypeError, "loss: expected a name or an instance of Loss, got 3"),
    (
        {"loss": np.mean},
        TypeError,
        "loss: .* got mean, .* subclass of fastgru.losses.Loss",
    ),
    ({"metrics": ["acuracy"]}, ValueError, "metric: unknown name 'acuracy'.*'accuracy'"),
    ({"metrics": ["hinge"]}, NotImplementedError, "metric 'hinge' is not served yet"),
    ({"metrics": [3]}, TypeError, "metric: expected a name or an instance of Metric"),
    ({"metrics": ["acc", "acc"]}, ValueError, "metrics: expected names that differ"),
    ({"metrics": [BinaryAccuracy(name="loss")]}, ValueError, "none 'loss'"),
    ({"loss_weights": ["a"]}, TypeError, "loss_weights: expected numbers, got 'a'"),
    ({"loss_weights": [1, 2]}, ValueError, "loss_weights: the model has one output, got 2"),
    ({"loss": {"a": "mse"}}, ValueError, "loss: the model has no output 'a'; its output is dense"),
    ({"metrics": {"a": "mse"}}, ValueError, "metrics: the model has no output 'a'"),
    ({"weighted_metrics": {"a": "mse"}}, ValueError, "weighted_metrics: the model has no output"),
    ({"loss_weights": {"a": 2.0}}, ValueError, "loss_weights: the model has no output 'a'"),
    ({"weighted_metrics": ["acuracy"]}, ValueError, "metric: unknown name 'acuracy'"),
]


@pytest.mark.parametrize(("arguments", "error", "message"), COMPILE)
def test_bad_arguments_of_compile(arguments, error, message):
    model = on_features()
    before = state(model)
    with pytest.raises(error, match=message):
        model.compile(**{"optimizer": "adam", "loss": "mse", **arguments})
    assert state(model) == before and model.loss.name == "binary_crossentropy"


def test_the_default_optimizer_is_that_of_keras():
    model = Sequential([Dense(1)])
    model.compile(loss="mse")
    assert model.optimizer.name == "rmsprop"


@pytest.mark.parametrize(
    ("use", "name"),
    [
        (lambda m: m.fit(X, Y), "fit"),
        (lambda m: m.evaluate(X, Y), "evaluate"),
        (lambda m: m.train_on_batch(X, Y), "train_on_batch"),
        (lambda m: m.test_on_batch(X, Y), "test_on_batch"),
    ],
)
def test_use_before_compile(use, name):
    model = Sequential([Input((None, 3)), GRU(4), Dense(1)])
    with pytest.raises(ValueError, match=f"{name}: the model '.*' is not compiled; call compile"):
        use(model)
    model.compile("adam")
    with pytest.raises(ValueError, match=f"{name}: the model '.*' was compiled without a loss"):
        use(model)


@pytest.mark.parametrize(
    ("use", "name"),
    [
        (lambda m: m.predict(X), "predict"),
        (lambda m: m.evaluate(X, Y), "evaluate"),
        (lambda m: m.test_on_batch(X, Y), "test_on_batch"),
    ],
)
def test_use_before_build(use, name):
    model = Sequential([GRU(4), Dense(1)])
    model.compile("adam", "mse")
    with pytest.raises(ValueError, match=f"{name}: the model '.*' is not built yet"):
        use(model)
    assert not model.built


def test_metrics_that_do_not_fit_the_outputs():
    model = Sequential([Input((None, 3)), GRU(4, return_sequences=True)])
    model.compile("adam", "mse", metrics=["sparse_categorical_accuracy"])
    before = model.get_weights()
    with pytest.raises(ValueError, match="sparse_categorical_accuracy: expected labels of shape"):
        model.fit(X, RNG.normal(size=(8, 6, 4)), verbose=0)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_an_optimizer_of_another_model_is_refused():
    optimizer = Adam()
    first, second = (Sequential([Input((3,)), Dense(1)]) for _ in range(2))
    for model in (first, second):
        model.compile(optimizer, "mse")
    first.fit(X[:, 0], Y, verbose=0)
    before = second.get_weights()
    with pytest.raises(ValueError, match="optimizer: adam has trained another model"):
        second.fit(X[:, 0], Y, verbose=0)
    for a, b in zip(before, second.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    first.compile(optimizer, "mse")
    first.fit(X[:, 0], Y, verbose=0)
    assert optimizer.iterations == 2


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"batch_size": 0}, ValueError, "batch_size: expected at least 1"),
        ({"steps": -3}, ValueError, "steps: expected at least 1, got -3"),
        ({"verbose": 7}, ValueError, "verbose: expected"),
        ({"callbacks": ["a"]}, TypeError, "callbacks: expected instances of Callback"),
    ],
)
def test_bad_arguments_of_evaluate_and_predict(arguments, error, message):
    model = on_features()
    for use in (lambda **k: model.predict(X, **k), lambda **k: model.evaluate(X, Y, **k)):
        with pytest.raises(error, match=message):
            use(**arguments)
