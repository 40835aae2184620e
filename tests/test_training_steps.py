"""Steps of training: in two halves, with penalties, with states kept, for a thousand epochs."""

from __future__ import annotations

import gc
import tracemalloc

import numpy as np
import pytest

import fastgru
from fastgru import Input, Model, Sequential
from fastgru.layers import GRU, Dense, Dropout, Embedding
from fastgru.losses import MeanSquaredError
from fastgru.optimizers import SGD, Adam

RNG = np.random.default_rng(9)
X = RNG.normal(size=(12, 5, 3))
Y = X.sum(axis=(1, 2))[:, None]


def make_model(optimizer=None, **last):
    fastgru.utils.set_random_seed(4)
    model = Sequential(
        [Input((None, 3), dtype="float64"), GRU(6, dtype="float64"), Dense(1, **last)]
    )
    model.compile(optimizer or Adam(0.01), "mse", metrics=["mae"])
    return model


def same(a, b):
    return all(np.array_equal(v, w) for v, w in zip(a, b, strict=True))


# ---- in two halves -------------------------------------------------------------------------------


def test_gradients_and_then_a_step_are_a_step(operations):
    whole, halves = make_model(), make_model()
    for rows in (slice(0, 5), slice(5, 12), slice(0, 12)):
        weights = RNG.uniform(0, 2, 12)[rows]
        expected = whole.train_on_batch(X[rows], Y[rows], weights, return_dict=True)
        before = halves.get_weights()
        assert halves.grads_on_batch(X[rows], Y[rows], weights) == expected
        assert same(before, halves.get_weights()) and halves.gradients.any()
        halves.apply_gradients()
        assert same(whole.get_weights(), halves.get_weights())
    assert whole.optimizer.iterations == halves.optimizer.iterations == 3


def test_the_mean_of_gradients_of_parts_is_the_gradient_of_all(operations):
    """What training on several machines does: each computes a part, the sum goes back to all."""
    whole, part = make_model(), make_model()
    whole.train_on_batch(X, Y)
    total = 0
    for rows in (slice(0, 3), slice(3, 12)):
        part.grads_on_batch(X[rows], Y[rows])
        total = total + part.gradients * len(X[rows]) / 12
    part.gradients[:] = total
    part.apply_gradients()
    for a, b in zip(whole.get_weights(), part.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


def test_gradients_lie_in_one_array_in_the_order_of_the_weights():
    model = make_model()
    model.grads_on_batch(X, Y)
    flat = np.concatenate([w.gradient.ravel() for w in model.weights])
    np.testing.assert_array_equal(model.gradients, flat)
    assert model.gradients.flags.writeable
    assert all(np.shares_memory(w.gradient, model.gradients) for w in model.weights)
    with pytest.raises(ValueError, match="apply_gradients: the model .* is not compiled"):
        Sequential([Input((3,)), Dense(1)]).apply_gradients()
    with pytest.raises(ValueError, match="gradients: the model .* is not built"):
        _ = Sequential([Dense(1)]).gradients
    shared = Sequential([Input((5, 3)), model.layers[0], Dense(2)])
    with pytest.raises(ValueError, match="gradients: .* has weights in "):
        _ = shared.gradients


# ---- penalties and constraints -------------------------------------------------------------------


def test_penalties_are_in_the_loss_and_in_the_gradients(operations):
    model = make_model(
        SGD(0.1),
        kernel_regularizer="l2",
        bias_regularizer=fastgru.regularizers.L1(0.3),
        activity_regularizer=fastgru.regularizers.L2(0.2),
    )
    model.layers[-1].set_weights([*(w + 0.1 for w in model.layers[-1].get_weights())])
    weights = model.weights
    loss = model.grads_on_batch(X, Y)["loss"]
    kernel, bias = model.layers[-1].get_weights()
    outputs = model.predict(X)
    expected = MeanSquaredError()(Y, outputs) + 0.01 * (kernel**2).sum() + 0.3 * abs(bias).sum()
    expected += 0.2 * (outputs**2).sum() / 12
    assert loss == pytest.approx(expected, rel=1e-12)
    assert model.test_on_batch(X, Y)[0] == pytest.approx(expected, rel=1e-12)
    for weight in weights:
        values, gradient = weight.numpy(), weight.gradient.copy()
        step = RNG.normal(size=weight.shape)
        sides = []
        for sign in (1, -1):
            weight.assign(values + sign * 1e-6 * step)
            sides.append(model.test_on_batch(X, Y)[0])
        weight.assign(values)
        slope = (sides[0] - sides[1]) / 2e-6
        assert slope == pytest.approx((gradient * step).sum(), rel=1e-5, abs=1e-8), weight.path


def test_a_frozen_layer_pays_no_penalty():
    model = make_model(kernel_regularizer="l2")
    with_penalty = model.test_on_batch(X, Y)[0]
    model.layers[-1].trainable = False
    assert model.test_on_batch(X, Y)[0] < with_penalty


def test_constraints_hold_after_every_step(operations):
    model = make_model(SGD(0.5), kernel_constraint="max_norm", bias_constraint="non_neg")
    for _ in range(5):
        model.train_on_batch(X, Y)
        kernel, bias = model.layers[-1].get_weights()
        assert np.sqrt((kernel**2).sum()) <= 2 + 1e-6 and (bias >= 0).all()


# ---- states that are kept ------------------------------------------------------------------------


def test_truncated_back_propagation_through_a_long_sequence(operations):
    """Pieces of a sequence, one after the other, give the outputs of the whole."""

    def make(stateful):
        fastgru.utils.set_random_seed(4)
        gru = GRU(5, return_sequences=True, stateful=stateful, dtype="float64")
        model = Sequential([Input(batch_shape=(2, None, 3)), gru, Dense(1)])
        model.compile(SGD(0.01), "mse")
        return model

    x, y = RNG.normal(size=(2, 12, 3)), RNG.normal(size=(2, 12, 1))
    pieces, whole = make(True), make(False)
    got = [pieces.predict(x[:, i : i + 4], batch_size=2) for i in (0, 4, 8)]
    expected = whole.predict(x, batch_size=2)
    np.testing.assert_allclose(np.concatenate(got, axis=1), expected, rtol=1e-5)
    pieces.reset_states()
    np.testing.assert_allclose(pieces.predict(x[:, :4], batch_size=2), expected[:, :4], rtol=1e-5)

    pieces.reset_states()
    rows = np.concatenate([x[:, i : i + 4] for i in (0, 4, 8)])
    labels = np.concatenate([y[:, i : i + 4] for i in (0, 4, 8)])
    losses = []
    for _ in range(10):
        pieces.reset_states()
        fitted = pieces.fit(rows, labels, batch_size=2, shuffle=False, verbose=0)
        losses += fitted.history["loss"]
    assert losses[-1] < losses[0]
    before = pieces.predict(x[:, :4], batch_size=2)  # from the states that fit has left
    pieces.reset_states()
    assert not np.allclose(before, pieces.predict(x[:, :4], batch_size=2))


# ---- many epochs ---------------------------------------------------------------------------------


def test_memory_stays_flat_over_a_thousand_epochs():
    """Only the history grows: by a few numbers an epoch."""
    fastgru.utils.set_random_seed(1)
    model = Sequential([Embedding(9, 4), Dropout(0.2), GRU(5), Dense(1, "sigmoid")])
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    ids, y = RNG.integers(0, 9, (20, 6)), RNG.integers(0, 2, 20)
    arguments = {"batch_size": 8, "verbose": 0, "validation_data": (ids, y)}
    model.fit(ids, y, epochs=20, **arguments)
    gc.collect()
    tracemalloc.start()
    first = model.fit(ids, y, epochs=100, **arguments)
    gc.collect()
    before = tracemalloc.get_traced_memory()[0]
    history = model.fit(ids, y, epochs=1000, **arguments)
    gc.collect()
    after, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(history.epoch) == 1000 and len(first.epoch) == 100
    assert after - before < 300 * 1000  # the numbers of an epoch are five objects
    assert peak - after < 500_000


@pytest.mark.parametrize("times", [1, 3])
def test_a_step_makes_no_copy_of_the_gradients(times):
    """A big model's step allocates far less than its gradients take."""
    model = Sequential([Input((8,)), Dense(1500), Dense(1500), Dense(1)])
    model.compile("adam", "mse")
    x, y = RNG.normal(size=(4, 8)), RNG.normal(size=4)
    for _ in range(2):
        model.train_on_batch(x, y)
    tracemalloc.start()
    for _ in range(times):
        model.train_on_batch(x, y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert model.gradients.nbytes > 9_000_000 and peak < 500_000


def test_models_of_functions_train_in_the_same_way(operations):
    stacked = make_model()
    x = Input((None, 3), dtype="float64")
    model = Model(x, Dense(1, dtype="float64")(GRU(6, dtype="float64")(x)))
    model.set_weights(stacked.get_weights())
    model.compile(Adam(0.01), "mse", metrics=["mae"])
    arguments = {"batch_size": 5, "epochs": 3, "shuffle": False, "verbose": 0}
    expected = stacked.fit(X, Y, **arguments).history
    assert model.fit(X, Y, **arguments).history == expected
    weights = {"sample_weight": [np.ones(12)]}  # Keras allows the only one in a list
    for each in (model, stacked):
        assert each.fit([X], [Y], **arguments, **weights).history.keys() == expected.keys()
