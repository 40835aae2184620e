"""Models trained here and in Keras from the same weights, on the same batches: the same curves.

In double precision, so that only a difference of method could show: every number that a step logs
agrees to 1e-8 of its size over 50 steps, and the weights at the end to 1e-6.
"""

from __future__ import annotations

import keras
import numpy as np
import pytest

import fastgru

pytestmark = [
    # Of Keras' own variables.
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.usefixtures("double_precision"),
]

RNG = np.random.default_rng(12)
STEPS, BATCH = 50, 9
N, T, V = 40, 5, 6
IDS = RNG.integers(0, 15, size=(N, T))
PADDED = np.where(np.arange(T) < RNG.integers(1, T + 1, (N, 1)), IDS + 1, 0)
FEATURES = RNG.normal(size=(N, T, 3))
LABELS = (IDS[:, :3].sum(axis=1) > 20).astype(int)
SUMS = np.cumsum(FEATURES, 1)[..., :2] / 5
CLASSES = IDS[:, 0] % 4
HOT = np.eye(4)[CLASSES]
NEXT = (IDS + np.roll(IDS, 1, axis=1)) % V
WEIGHTS = RNG.uniform(0.1, 3, N)
STEP_WEIGHTS = RNG.uniform(0.1, 3, (N, T))


# ---- models, in the words of both ----------------------------------------------------------------


def binary(k):
    return [k.layers.Embedding(16, 8), k.layers.GRU(12), k.layers.Dense(1, activation="sigmoid")]


def logits(k):
    return [k.layers.Embedding(16, 4), k.layers.GRU(9, reset_after=False), k.layers.Dense(1)]


def stacked(k):
    return [
        k.layers.Embedding(16, 5),
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


def four(k):
    return [k.layers.GRU(6), k.layers.Dense(4)]


def tagger(k, end=None):
    return [
        k.layers.Embedding(17, 5, mask_zero=True),
        k.layers.GRU(7, return_sequences=True),
        k.layers.Dense(V, activation=end),
    ]


def masked(k):
    return [
        k.layers.Embedding(17, 5, mask_zero=True),
        k.layers.GRU(7, return_sequences=True),
        k.layers.Dense(1, activation="sigmoid"),
    ]


def penalized(k):
    return [
        k.layers.GRU(
            6,
            kernel_regularizer=k.regularizers.L2(0.02),
            recurrent_regularizer=k.regularizers.L1(0.01),
            bias_constraint=k.constraints.NonNeg(),
        ),
        k.layers.Dense(
            1,
            kernel_regularizer=k.regularizers.L1L2(0.01, 0.03),
            kernel_constraint=k.constraints.MaxNorm(0.8),
            activity_regularizer=k.regularizers.L2(0.05),
        ),
    ]


class Case:
    """A model, its data, and what it is trained with; `words` go to compile, `given` to a step."""

    def __init__(self, layers, x, y, loss, optimizer=None, given=None, **words):
        self.layers, self.x, self.y, self.loss = layers, x, y, loss
        self.optimizer = optimizer or (lambda o: o.Adam(0.01))
        self.given = given or {}
        self.words = {"metrics": ["accuracy"], **words}


CASES = {
    # models
    "binary": Case(binary, IDS, LABELS, lambda s: "binary_crossentropy"),
    "logits": Case(logits, IDS, LABELS, lambda s: s.BinaryCrossentropy(from_logits=True)),
    "stacked": Case(stacked, IDS, LABELS, lambda s: "binary_crossentropy"),
    "every step": Case(every_step, FEATURES, SUMS, lambda s: "mse"),
    "softmax": Case(softmax, FEATURES, HOT, lambda s: s.MeanSquaredError()),
    "penalized": Case(penalized, FEATURES, SUMS[:, -1, :1], lambda s: "mse", metrics=["mae"]),
    # losses
    "categorical": Case(softmax, FEATURES, HOT, lambda s: "categorical_crossentropy"),
    "categorical, logits, smooth": Case(
        four, FEATURES, HOT, lambda s: s.CategoricalCrossentropy(True, 0.1)
    ),
    "sparse": Case(softmax, FEATURES, CLASSES, lambda s: "sparse_categorical_crossentropy"),
    "sparse, logits, ignoring": Case(
        four, FEATURES, CLASSES, lambda s: s.SparseCategoricalCrossentropy(True, 2)
    ),
    "binary, smooth": Case(
        binary, IDS, LABELS, lambda s: s.BinaryCrossentropy(label_smoothing=0.2)
    ),
    "mae": Case(every_step, FEATURES, SUMS, lambda s: "mae"),
    "huber": Case(every_step, FEATURES, SUMS, lambda s: s.Huber(0.2)),
    "log-cosh": Case(every_step, FEATURES, SUMS, lambda s: s.LogCosh()),
    "kl": Case(softmax, FEATURES, 0.7 * HOT + 0.075, lambda s: "kl_divergence"),
    "cosine": Case(every_step, FEATURES, SUMS, lambda s: s.CosineSimilarity()),
    "a sum": Case(
        every_step, FEATURES, SUMS, lambda s: s.MeanSquaredError("sum"), lambda o: o.SGD(1e-3)
    ),
    # optimizers
    "sgd": Case(binary, IDS, LABELS, lambda s: "bce", lambda o: o.SGD(0.3)),
    "sgd, nesterov, clipnorm": Case(
        binary, IDS, LABELS, lambda s: "bce", lambda o: o.SGD(0.3, 0.8, True, clipnorm=0.1)
    ),
    "sgd, restarts": Case(
        four, FEATURES, HOT, lambda s: "mse",
        lambda o: o.SGD(o.schedules.CosineDecayRestarts(0.3, 7), 0.8),
    ),
    "rmsprop": Case(four, FEATURES, HOT, lambda s: "mse", lambda o: "rmsprop"),
    "rmsprop, centered, global_clipnorm": Case(
        binary, IDS, LABELS, lambda s: "bce",
        lambda o: o.RMSprop(0.01, momentum=0.5, centered=True, global_clipnorm=0.2),
    ),
    "adam, clipvalue, exponential": Case(
        binary, IDS, LABELS, lambda s: "bce",
        lambda o: o.Adam(o.schedules.ExponentialDecay(0.03, 10, 0.5), clipvalue=0.01),
    ),
    "adam, other numbers, amsgrad": Case(
        four, FEATURES, HOT, lambda s: "mse", lambda o: o.Adam(0.02, 0.8, 0.95, 1e-4, True)
    ),
    "adamw, accumulation": Case(
        four, FEATURES, HOT, lambda s: "mse",
        lambda o: o.AdamW(0.02, 0.1, gradient_accumulation_steps=3),
    ),
    # weights and masks
    "sample weights": Case(
        binary, IDS, LABELS, lambda s: "bce", given={"sample_weight": WEIGHTS},
        weighted_metrics=["accuracy", "mse"],
    ),
    "class weights": Case(
        softmax, FEATURES, HOT, lambda s: "categorical_crossentropy",
        given={"class_weight": {0: 0.3, 2: 4.0}}, weighted_metrics=["accuracy"],
    ),
    "class weights, binary": Case(
        binary, IDS, LABELS[:, None], lambda s: "bce", given={"class_weight": {0: 0.3, 1: 2}}
    ),
    "step weights": Case(
        every_step, FEATURES, SUMS, lambda s: "mse", given={"sample_weight": STEP_WEIGHTS},
        metrics=["mae"], weighted_metrics=["mae"],
    ),
    "masks": Case(tagger, PADDED, NEXT, lambda s: s.SparseCategoricalCrossentropy(True)),
    "masks, softmax, step weights": Case(
        lambda k: tagger(k, "softmax"), PADDED, NEXT, lambda s: "sparse_categorical_crossentropy",
        given={"sample_weight": STEP_WEIGHTS}, weighted_metrics=["accuracy"],
    ),
    "masks, one output": Case(
        masked, PADDED, (NEXT > 2).astype(float)[..., None], lambda s: "bce",
        given={"sample_weight": STEP_WEIGHTS}, metrics=["mse"], weighted_metrics=["bce"],
    ),
    "masks, a sum": Case(
        tagger, PADDED, NEXT, lambda s: s.SparseCategoricalCrossentropy(True, reduction="sum"),
        lambda o: o.SGD(1e-3),
    ),
    "masks, mean by weights": Case(
        tagger, PADDED, NEXT,
        lambda s: s.SparseCategoricalCrossentropy(True, reduction="mean_with_sample_weight"),
        given={"sample_weight": STEP_WEIGHTS},
    ),
}  # fmt: skip


def compiled(module, model, case):
    model.compile(case.optimizer(module.optimizers), case.loss(module.losses), **case.words)
    return model


def both(case):
    """Return a model of Keras and a function that makes ours, all of the same weights."""
    theirs = keras.Sequential(case.layers(keras))
    theirs(case.x[:1])
    weights = [RNG.normal(0, 0.4, w.shape) for w in theirs.get_weights()]
    theirs.set_weights(weights)

    def make():
        layers = case.layers(fastgru)
        config = layers[0].get_config() | {"dtype": "float64"}
        ours = fastgru.Sequential([type(layers[0]).from_config(config), *layers[1:]])
        ours(case.x[:1])
        ours.set_weights(weights)
        return compiled(fastgru, ours, case)

    return compiled(keras, theirs, case), make


def curve(model, case):
    """Train for some steps; return what each logs, by name."""
    found = []
    for step in range(STEPS):
        rows = np.random.default_rng(step).permutation(N)[:BATCH]
        given = {
            name: value if isinstance(value, dict) else value[rows]
            for name, value in case.given.items()
        }
        model.reset_metrics()  # ours begin anew with each batch
        logs = model.train_on_batch(case.x[rows], case.y[rows], return_dict=True, **given)
        found.append({name: float(value) for name, value in logs.items()})
    return {name: [logs[name] for logs in found] for name in found[0]}


@pytest.mark.parametrize("name", CASES)
def test_step_by_step(name):
    case = CASES[name]
    theirs, make = both(case)
    expected = curve(theirs, case)
    assert np.ptp(expected["loss"]) > 1e-3
    for backend in ("compiled", "reference"):
        with fastgru.use_ops(backend):
            ours = make()
            got = curve(ours, case)
        assert set(got) == set(expected)
        for key, values in expected.items():
            np.testing.assert_allclose(got[key], values, rtol=1e-8, err_msg=f"{backend} {key}")
        for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", ["binary", "stacked", "every step", "sparse", "penalized"])
def test_fit_evaluate_and_predict(name):
    case = CASES[name]
    theirs, make = both(case)
    arguments = {"batch_size": 9, "epochs": 4, "shuffle": False, "verbose": 0}
    w = WEIGHTS if case.y.ndim < 3 else STEP_WEIGHTS
    arguments |= {"validation_split": 0.25, "sample_weight": w}
    expected = theirs.fit(case.x, case.y, **arguments).history
    ours = make()
    got = ours.fit(case.x, case.y, **arguments).history
    assert set(got) == set(expected)
    for key, values in expected.items():
        np.testing.assert_allclose(got[key], values, rtol=1e-7, err_msg=key)
    x, y = case.x, case.y
    np.testing.assert_allclose(
        ours.evaluate(x, y, sample_weight=w, verbose=0),
        theirs.evaluate(x, y, sample_weight=w, verbose=0),
        rtol=1e-7,
    )
    np.testing.assert_allclose(ours.predict(x), theirs.predict(x, verbose=0), rtol=1e-7)


def test_several_inputs_and_outputs():
    def make(k):
        ids, numbers = k.Input((T,), name="ids"), k.Input((3,), name="numbers")
        kinds = {} if k is keras else {"dtype": "float64"}
        h = k.layers.GRU(5, **kinds)(k.layers.Embedding(15, 4, **kinds)(ids))
        h = k.layers.Concatenate(**kinds)([h, numbers])
        sums = k.layers.Dense(2, name="sums", **kinds)(h)
        kind = k.layers.Dense(4, activation="softmax", name="kind", **kinds)(h)
        model = k.Model([ids, numbers], [sums, kind])
        model.compile(
            k.optimizers.Adam(0.02),
            {"sums": "mse", "kind": k.losses.SparseCategoricalCrossentropy()},
            loss_weights={"sums": 0.3, "kind": 2.0},
            metrics={"sums": ["mae"], "kind": ["accuracy"]},
            weighted_metrics={"sums": ["mae"], "kind": ["accuracy"]},
        )
        return model

    theirs, ours = make(keras), make(fastgru)
    weights = [RNG.normal(0, 0.4, w.shape) for w in theirs.get_weights()]
    theirs.set_weights(weights)
    ours.set_weights(weights)
    x, y = [IDS, FEATURES[:, 0]], [SUMS[:, -1], CLASSES]
    w = [WEIGHTS, 3 - WEIGHTS]
    arguments = {"batch_size": 8, "epochs": 10, "shuffle": False, "verbose": 0}
    arguments |= {"sample_weight": w, "validation_data": (x, y, w)}
    expected = theirs.fit(x, y, **arguments).history  # 50 steps
    got = ours.fit(x, y, **arguments).history
    assert set(got) == set(expected) and len(got) == 14
    for key, values in expected.items():
        np.testing.assert_allclose(got[key], values, rtol=1e-8, err_msg=key)
    numbers = theirs.evaluate(x, y, sample_weight=w, verbose=0)
    np.testing.assert_allclose(ours.evaluate(x, y, sample_weight=w, verbose=0), numbers, rtol=1e-8)


def test_batches_by_number():
    """Keras' PyDataset serves both, weights included; both walk through it in order."""

    class Data(keras.utils.PyDataset):
        def __len__(self):
            return 4

        def __getitem__(self, number):
            rows = slice(10 * number, 10 * number + 10)
            return IDS[rows], LABELS[rows, None], WEIGHTS[rows]

    theirs, make = both(CASES["binary"])
    arguments = {"epochs": 3, "shuffle": False, "verbose": 0, "validation_data": Data()}
    expected = theirs.fit(Data(), **arguments).history
    got = make().fit(Data(), **arguments).history
    assert set(got) == set(expected)
    for key, values in expected.items():
        np.testing.assert_allclose(got[key], values, rtol=1e-8, err_msg=key)


def test_summary_and_configuration_in_keras_words():
    ours, theirs = (
        k.Sequential([k.Input((10,)), *binary(k)], name="mine") for k in (fastgru, keras)
    )
    assert ours.count_params() == theirs.count_params()
    for a, b in zip(ours.layers, theirs.layers, strict=True):
        known = b.get_config()
        shared = set(a.get_config()) & set(known) - {"dtype", "name"}
        assert len(shared) >= 4
        for name in shared:
            if not isinstance(known[name], dict):
                assert a.get_config()[name] == known[name], name
        assert [w.shape for w in a.weights] == [tuple(w.shape) for w in b.weights]
        assert [w.name for w in a.weights] == [w.name for w in b.weights]
