"""scikit-learn's own checks, and its tools around fastgru's estimators."""

import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

import fastgru
from fastgru.sklearn import GRUClassifier, GRURegressor

EXPECTED_TO_FAIL = {
    "check_sample_weight_equivalence_on_dense_data": (
        "a row repeated falls into several mini-batches, one weighted into a single one: training "
        "takes other steps; the tests of sample weights below show what holds instead"
    ),
}
NEEDS_MORE = {"check_array_api_input"}  # run by scikit-learn for SCIPY_ARRAY_API=1 only


@pytest.mark.parametrize(
    "estimator",
    [
        GRUClassifier(),
        GRURegressor(),
        GRUClassifier(9, cell="lstm", class_weight="balanced"),
        GRURegressor((17, 9), cell="simple_rnn", bidirectional=True, early_stopping=True),
    ],
    ids=repr,
)
def test_checks_of_scikit_learn(estimator):
    results = check_estimator(estimator, expected_failed_checks=EXPECTED_TO_FAIL, on_skip=None)
    assert len(results) > 50
    by_status = {status: set() for status in ("passed", "xfail", "skipped")}
    for result in results:
        by_status[result["status"]].add(result["check_name"])
    assert by_status["xfail"] == set(EXPECTED_TO_FAIL)
    assert by_status["skipped"] <= NEEDS_MORE


# ---------------------------------------------------------------- data


def ragged(count=60, features=2, seed=0):
    """Return sequences of 3 to 9 steps, and whether their last step's first number is positive."""
    rng = np.random.default_rng(seed)
    x = [rng.normal(size=(n, features)) for n in rng.integers(3, 10, count)]
    return x, np.array([s[-1, 0] > 0 for s in x])


def padded(sequences, value, where="post"):
    longest = max(map(len, sequences))
    x = np.full((len(sequences), longest, *sequences[0].shape[1:]), value)
    for row, s in zip(x, sequences, strict=True):
        row[slice(None, len(s)) if where == "post" else slice(-len(s), None)] = s
    return x


QUICK = {"epochs": 5, "random_state": 0}


@pytest.fixture(scope="module")
def fitted():
    x, y = ragged()
    return GRUClassifier(9, epochs=40, learning_rate=0.02, random_state=1).fit(x, y)


def test_sequences_of_different_lengths(fitted):
    x, y = ragged(200, seed=1)
    assert fitted.score(x, y) > 0.9
    assert (fitted.n_features_in_, fitted.n_steps_in_) == (2, None)
    proba = fitted.predict_proba(x)
    assert proba.shape == (200, 2) and proba.dtype == np.float64
    scores = fitted.decision_function(x)
    assert np.count_nonzero(np.abs(scores) < 0.4) >= 3  # some are close calls
    np.testing.assert_array_equal(fitted.predict(x), scores > 0)
    np.testing.assert_allclose(proba[:, 1], 1 / (1 + np.exp(-scores)), rtol=1e-13)
    # Each alone has the bits that it has among others.
    for i in range(0, 200, 40):
        np.testing.assert_array_equal(fitted.predict_proba(x[i : i + 1])[0], proba[i])
    objects = np.empty(200, dtype=object)
    objects[:] = x
    np.testing.assert_array_equal(fitted.predict_proba(objects), proba)
    np.testing.assert_array_equal(fitted.predict_proba([s.tolist() for s in x]), proba)


@pytest.mark.parametrize("where", ["post", "pre"])
@pytest.mark.parametrize("value", [-7.0, np.nan])
def test_padding_changes_nothing(fitted, value, where):
    x, y = ragged()
    model = clone(fitted).set_params(mask_value=value).fit(padded(x, value, where), y)
    assert model.n_steps_in_ is None
    expected = fitted.decision_function(x)
    np.testing.assert_array_equal(model.decision_function(padded(x, value, where)), expected)
    np.testing.assert_array_equal(model.decision_function(x), expected)
    without = clone(fitted).set_params(mask_value=None).fit(padded(x, -7.0, where), y)
    assert np.abs(without.decision_function(padded(x, -7.0, where)) - expected).max() > 1e-3


def test_arrays_of_three_axes():
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(80, 6, 3)), rng.normal(size=80)
    model = GRURegressor(9, **QUICK).fit(x, y)
    assert (model.n_features_in_, model.n_steps_in_) == (3, None)
    assert model.predict(x[:, :4]).shape == (80,)
    np.testing.assert_array_equal(model.predict(list(x)), model.predict(x))
    with pytest.raises(ValueError, match="X has 2 features, but GRURegressor is expecting 3"):
        model.predict(x[..., :2])
    with pytest.raises(ValueError, match="X has 1 features, but GRURegressor is expecting 3"):
        model.predict(x[:, :, 0])


def test_a_table_is_sequences_of_one_feature():
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(50, 7)), rng.normal(size=50)
    table = GRURegressor(9, **QUICK).fit(x, y)
    cube = GRURegressor(9, **QUICK).fit(x[..., None], y)
    np.testing.assert_array_equal(table.predict(x), cube.predict(x[..., None]))
    assert (table.n_features_in_, table.n_steps_in_) == (7, 7)
    np.testing.assert_array_equal(table.predict([x[0], x[1, :4]])[:1], table.predict(x[:1]))
    np.testing.assert_array_equal(cube.predict(x[:, :5]), cube.predict(x[:, :5, None]))
    frame = pd.DataFrame(x, columns=list("abcdefg"))
    named = GRURegressor(9, **QUICK).fit(frame, y)
    assert list(named.feature_names_in_) == list("abcdefg")
    np.testing.assert_array_equal(named.predict(frame), table.predict(x))


def test_a_step_is_padding_only_if_all_of_it_is(fitted):
    x, y = ragged()
    for sequence in x:
        sequence[::2, 1] = -7
    model = clone(fitted).set_params(mask_value=-7, epochs=2)
    expected = clone(model).set_params(mask_value=None).fit(x, y).decision_function(x)
    np.testing.assert_array_equal(model.fit(x, y).decision_function(x), expected)


@pytest.mark.parametrize("vocabulary", [40, "auto"])
def test_ids(vocabulary):
    rng = np.random.default_rng(4)
    x = [rng.integers(10, 40, n) for n in rng.integers(4, 9, 150)]
    y = np.array([s.max() >= 37 for s in x])
    model = GRUClassifier(
        17, vocabulary=vocabulary, embedding_dim=9, epochs=30, learning_rate=0.02, random_state=2
    ).fit(x, y)
    assert model.score(x, y) > 0.9
    assert model.model_.layers[0].input_dim == (40 if vocabulary == 40 else 31)
    proba = model.predict_proba(x)
    np.testing.assert_array_equal(model.predict_proba([s[:, None] for s in x]), proba)
    np.testing.assert_array_equal(model.predict_proba(x[0][None, :, None])[0], proba[0])
    with pytest.raises(ValueError, match="expected whole numbers as ids, got 10.5"):
        model.predict([[10.5, 12], [11]])
    with pytest.raises(ValueError, match="X has 2 features"):
        model.predict([np.ones((3, 2))])
    with pytest.raises(ValueError, match="expected one id at each step, got 2 features"):
        clone(model).fit([np.ones((3, 2))] * 150, y)
    if vocabulary == "auto":
        assert list(model.vocabulary_) == list(range(10, 40))
        a, b = model.decision_function([[11, 99, 12], [11, -3, 12]])
        assert a == b  # unknown ids are alike
        assert a != model.decision_function([[11, 13, 12]])[0]
    else:
        with pytest.raises(ValueError, match="40"):
            model.predict([[11, 40]])


# ---------------------------------------------------------------- targets


def test_several_classes_by_name():
    rng = np.random.default_rng(5)
    x = rng.normal(size=(150, 5, 2))
    names = np.array(["low", "middle", "high"])
    y = names[np.digitize(x[:, -1].sum(axis=1), [-0.8, 0.8])]
    model = GRUClassifier(17, epochs=30, learning_rate=0.02, random_state=0).fit(x, y)
    assert list(model.classes_) == ["high", "low", "middle"]
    assert model.score(x, y) > 0.85
    scores, proba = model.decision_function(x), model.predict_proba(x)
    assert scores.shape == proba.shape == (150, 3)
    np.testing.assert_allclose(proba.sum(axis=1), 1, rtol=1e-14)
    np.testing.assert_allclose(
        np.log(proba), scores - np.log(np.exp(scores).sum(axis=1))[:, None], atol=1e-12
    )
    model.model_.set_weights([1e4 * weight for weight in model.model_.get_weights()])
    certain = model.predict_proba(x)
    assert np.isin(certain, [0, 1]).all() and (certain.sum(axis=1) == 1).all()


def test_several_targets_in_their_own_units():
    rng = np.random.default_rng(6)
    x = rng.normal(size=(200, 5, 2))
    y = np.stack([1e6 + 1e4 * x[:, -1, 0], -1e-3 * x[:, -1, 1]], axis=1)
    model = GRURegressor(17, epochs=40, learning_rate=0.02, random_state=0).fit(x, y)
    assert model.predict(x).shape == (200, 2)
    assert model.score(x, y) > 0.9
    constant = GRURegressor(9, **QUICK).fit(x, np.full(200, 7.0))
    np.testing.assert_allclose(constant.predict(x), 7, atol=0.5)


def test_rows_of_no_weight_are_as_if_left_out():
    x, y = ragged()
    weight = np.random.default_rng(7).integers(0, 2, len(x)) * 3.0
    kept = np.flatnonzero(weight)
    model = GRUClassifier(9, early_stopping=True, validation_fraction=0.3, **QUICK)
    weighted = clone(model).fit(x, y, sample_weight=weight)
    chosen = clone(model).fit([x[i] for i in kept], y[kept], sample_weight=weight[kept])
    np.testing.assert_array_equal(weighted.decision_function(x), chosen.decision_function(x))
    plain = clone(model).fit(x, y)
    assert np.abs(plain.decision_function(x) - weighted.decision_function(x)).max() > 1e-3


def test_a_weight_of_two_is_a_row_twice_where_batches_hold_all():
    rng = np.random.default_rng(8)
    x, y = rng.normal(size=(30, 4)), rng.normal(size=30)
    weight = rng.integers(1, 4, 30)
    model = GRURegressor(9, batch_size=1000, epochs=10, random_state=0)
    weighted = clone(model).fit(x, y, sample_weight=weight).predict(x)
    repeated = clone(model).fit(np.repeat(x, weight, axis=0), np.repeat(y, weight)).predict(x)
    plain = clone(model).fit(x, y).predict(x)
    np.testing.assert_allclose(weighted, repeated, rtol=0, atol=1e-4)
    assert np.abs(plain - repeated).max() > 1e-2


def test_class_weights():
    x, y = ragged(200)
    rare = np.flatnonzero(y)[:12].tolist() + np.flatnonzero(~y).tolist()
    x, y = [x[i] for i in rare], y[rare]
    model = GRUClassifier(9, epochs=8, random_state=0)
    plain = clone(model).fit(x, y).predict_proba(x)[:, 1].mean()
    balanced = clone(model).set_params(class_weight="balanced").fit(x, y)
    assert balanced.predict_proba(x)[:, 1].mean() > plain + 0.1
    count = np.bincount(y)
    given = clone(model).set_params(class_weight=dict(enumerate(len(y) / (2 * count)))).fit(x, y)
    np.testing.assert_array_equal(given.predict_proba(x), balanced.predict_proba(x))


# ---------------------------------------------------------------- training


def test_early_stopping_returns_to_the_best():
    rng = np.random.default_rng(9)
    x, y = rng.normal(size=(60, 5)), rng.normal(size=60)  # nothing to be learnt
    model = GRURegressor(
        33, learning_rate=0.02, epochs=100, early_stopping=True, n_iter_no_change=3, random_state=0
    ).fit(x, y)
    losses = model.history_["val_loss"]
    assert model.n_iter_ == len(losses) < 100
    assert len(losses) - 1 - int(np.argmin(losses)) == 3
    best = clone(model).set_params(epochs=len(losses) - 3, n_iter_no_change=100).fit(x, y)
    np.testing.assert_array_equal(best.predict(x), model.predict(x))


def test_a_random_state_decides_everything():
    x, y = ragged()
    model = GRUClassifier(9, dropout=0.3, early_stopping=True, epochs=4, random_state=3)
    first = clone(model).fit(x, y).decision_function(x)
    fastgru.set_random_seed(5)
    untouched = fastgru.initializers.GlorotUniform()((3, 4))
    fastgru.set_random_seed(5)
    again = clone(model).fit(x, y)
    np.testing.assert_array_equal(again.decision_function(x), first)
    np.testing.assert_array_equal(fastgru.initializers.GlorotUniform()((3, 4)), untouched)
    np.testing.assert_array_equal(again.fit(x, y).decision_function(x), first)
    other = clone(model).set_params(random_state=4).fit(x, y).decision_function(x)
    assert np.abs(other - first).max() > 1e-3
    with ThreadPoolExecutor(2) as pool:
        for fit in [pool.submit(clone(model).fit, x, y) for _ in range(4)]:
            np.testing.assert_array_equal(fit.result().decision_function(x), first)


def test_warm_start_goes_on():
    x, y = ragged()
    model = GRUClassifier(9, epochs=3, warm_start=True, random_state=0).fit(x, y)
    before = model.decision_function(x)
    network = model.model_
    model.fit(x, y)
    assert model.model_ is network and model.n_iter_ == 6
    assert model.history_["loss"][3] < model.history_["loss"][0]
    assert np.abs(model.decision_function(x) - before).max() > 0
    at_once = GRUClassifier(9, epochs=6, random_state=0).fit(x, y)
    np.testing.assert_array_equal(at_once.decision_function(x), model.decision_function(x))
    assert clone(model).set_params(warm_start=False).fit(x, y).n_iter_ == 3


def test_partial_fit():
    x, y = ragged()
    model = GRUClassifier(9, random_state=0)
    model.partial_fit(x[:1], y[:1], classes=[False, True])
    for _ in range(4):
        model.partial_fit(x, y)
    assert model.n_iter_ == 5
    with pytest.raises(ValueError, match="expected those of the first call"):
        model.partial_fit(x, y, classes=[0, 1, 2])
    whole = GRUClassifier(9, epochs=2, random_state=0).fit(x, y)
    parts = GRUClassifier(9, random_state=0).partial_fit(x, y).partial_fit(x, y)
    np.testing.assert_array_equal(parts.decision_function(x), whole.decision_function(x))
    regressor = GRURegressor(9, random_state=0).partial_fit(x, y.astype(float))
    assert regressor.partial_fit(x[:5], y[:5].astype(float)).n_iter_ == 2


# ---------------------------------------------------------------- scikit-learn's tools


def test_in_a_pipeline_and_a_grid_search():
    rng = np.random.default_rng(10)
    x = rng.normal(5, 20, size=(90, 6))
    y = np.where(x[:, -1] > 5, "up", "down")
    pipeline = make_pipeline(StandardScaler(), GRUClassifier(9, epochs=15, random_state=0))
    grid = {"gruclassifier__learning_rate": [1e-6, 0.03], "gruclassifier__units": [9, (7, 8)]}
    search = GridSearchCV(pipeline, grid, cv=3).fit(x, y)
    assert search.best_params_["gruclassifier__learning_rate"] == 0.03
    assert search.best_score_ > 0.85
    restored = pickle.loads(pickle.dumps(search))
    np.testing.assert_array_equal(restored.predict_proba(x), search.predict_proba(x))


def test_cross_validation_of_lists_in_several_processes():
    x, y = ragged(90)
    model = GRUClassifier(9, epochs=15, learning_rate=0.02, random_state=0)
    scores = cross_val_score(model, x, y, cv=3, scoring="roc_auc", n_jobs=2)
    assert scores.min() > 0.85
    np.testing.assert_array_equal(scores, cross_val_score(model, x, y, cv=3, scoring="roc_auc"))
    proba = cross_val_predict(model, x, y, cv=3, method="predict_proba")
    assert proba.shape == (90, 2)


def test_a_pickle_goes_on_training():
    x, y = ragged()
    model = GRUClassifier(9, epochs=2, warm_start=True, random_state=0).fit(x, y)
    copy = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copy.decision_function(x), model.decision_function(x))
    np.testing.assert_array_equal(
        copy.fit(x, y).decision_function(x), model.fit(x, y).decision_function(x)
    )


# ---------------------------------------------------------------- wrong input


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"cell": "gru2"}, ValueError, "cell: expected one of gru, lstm, simple_rnn, got 'gru2'"),
        ({"units": ()}, ValueError, "units: expected at least one size"),
        ({"units": 0}, ValueError, "units"),
        ({"units": "many"}, TypeError, "units"),
        ({"dropout": 1.5}, ValueError, "^dropout: expected a number from 0 to 1, got 1.5"),
        ({"optimizer": "adan"}, ValueError, "adan.*adam"),
        ({"optimizer": 3}, TypeError, "optimizer: expected a name, got 3"),
        ({"vocabulary": 5.5}, TypeError, "vocabulary: expected an integer, got 5.5"),
        ({"learning_rate": -1}, ValueError, "learning_rate"),
        ({"batch_size": 0}, ValueError, "batch_size"),
        ({"epochs": 0}, ValueError, "epochs: expected at least 1, got 0"),
        ({"epochs": 1.5}, TypeError, "epochs: expected an integer, got 1.5"),
        ({"vocabulary": "all"}, ValueError, "vocabulary: expected a number of ids, 'auto' or None"),
        ({"vocabulary": 7}, ValueError, "expected whole numbers as ids"),
        ({"mask_value": "0"}, TypeError, "mask_value: expected a number or None, got '0'"),
        ({"early_stopping": True, "n_iter_no_change": -1}, ValueError, "n_iter_no_change"),
        ({"early_stopping": True, "validation_fraction": 2.0}, ValueError, "validation_fraction"),
        ({"early_stopping": True, "validation_fraction": 2}, ValueError, "validation_fraction"),
        ({"early_stopping": True, "validation_fraction": 1.0}, ValueError, "validation_fraction"),
        ({"early_stopping": True, "validation_fraction": "a"}, TypeError, "validation_fraction"),
    ],
)
def test_wrong_parameters_are_named_by_fit(parameters, error, message):
    rng = np.random.default_rng(11)
    x, y = rng.normal(size=(20, 4)), np.arange(20) % 2
    with pytest.raises(error, match=message):
        GRUClassifier(**parameters).fit(x, y)


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        ([[1, 2], []], ValueError, "at least one step, got .0,. in sequence 1"),
        ([[1, 2], ["a"]], ValueError, "expected numbers in sequence 1"),
        ([[1, 2], [1, np.nan, 3]], ValueError, "Input X contains NaN"),
        ([np.ones((3, 2)), np.ones((4, 3))], ValueError, "steps of shape .2,. in all sequences"),
        ([np.ones((3, 2, 2)), np.ones((4, 2, 2))], ValueError, "got .3, 2, 2. in sequence 0"),
        ([np.ones(3), None], ValueError, "."),
        (np.ones((2, 0, 3)), ValueError, "at least one time step"),
        (np.ones((2, 3, 4, 5)), ValueError, "dim 4"),
        (np.ones((3, 3)), ValueError, "inconsistent numbers of samples"),
        ("text", ValueError, "."),
    ],
)
def test_wrong_sequences_are_refused(x, error, message):
    with pytest.raises(error, match=message):
        GRUClassifier(epochs=1).fit(x, [0, 1])


def test_wrong_targets_are_refused():
    x = np.random.default_rng(12).normal(size=(6, 4))
    with pytest.raises(ValueError, match="at least two classes, got one class"):
        GRUClassifier().fit(x, np.ones(6))
    with pytest.raises(ValueError, match="at least one non-zero"):
        GRUClassifier().fit(x, np.arange(6) % 2, sample_weight=np.zeros(6))
    model = GRUClassifier(epochs=1, warm_start=True).fit(x, np.arange(6) % 2)
    with pytest.raises(ValueError, match=r"expected the classes \[0 1\], got \[2\] too"):
        model.fit(x, np.arange(6) % 3)
    model = GRURegressor(epochs=1, warm_start=True).fit(x, np.arange(6))
    with pytest.raises(ValueError, match=r"expected 1 outputs, got shape \(6, 2\)"):
        model.fit(x, np.ones((6, 2)))
    with pytest.raises(NotFittedError):
        GRURegressor().predict(x)


def test_every_step_masked_is_refused():
    x = np.ones((3, 4))
    x[1] = 0
    with pytest.raises(ValueError, match="every step of sequence 1 is masked by 0"):
        GRUClassifier(mask_value=0).fit(x, [0, 1, 0])


def test_fastgru_alone_imports_no_scikit_learn():
    program = "import sys, fastgru; assert 'sklearn' not in sys.modules; print('done')"
    assert run(program) == "done"


def test_without_scikit_learn_the_extra_is_named():
    program = (
        "import sys; sys.modules['sklearn'] = None\n"
        "try:\n    import fastgru.sklearn\nexcept ImportError as e:\n    print(e)"
    )
    assert "pip install 'fastgru[sklearn]'" in run(program)


def run(program):
    package = str(Path(fastgru.__file__).parents[1])
    return subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": package},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
