"""What `fastgru.trace` shows: right numbers, under the right names, in the order of the input."""

from __future__ import annotations

import math

import numpy as np
import pytest

import fastgru
from fastgru import Model, Sequential
from fastgru.layers import (
    GRU,
    LSTM,
    Bidirectional,
    Concatenate,
    Dense,
    Dropout,
    Embedding,
    Input,
    SimpleRNN,
)

rng = np.random.default_rng(11)


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def randomized(model, scale=0.7):
    draw = np.random.default_rng(3)
    model.set_weights([draw.normal(size=w.shape) * scale for w in model.weights])
    return model


def alone(layer, features=3):
    return randomized(Sequential([Input((None, features)), layer]))


def gru_by_hand(x, weights, h, reset_after, update_gate, mask):
    """Yield z, r, candidate and h of each step of one sample, number by number."""
    W, U, b = weights
    H = len(h)
    for t in range(len(x)):
        a = [
            [sum(x[t][k] * W[k][g * H + j] for k in range(len(x[t]))) for j in range(H)]
            for g in range(3)
        ]
        u = [[sum(h[k] * U[k][g * H + j] for k in range(H)) for j in range(H)] for g in range(3)]
        b_x = b[0] if reset_after else b
        b_h = b[1] if reset_after else [0.0] * 3 * H
        z = [sigmoid(a[0][j] + u[0][j] + b_x[j] + b_h[j]) for j in range(H)]
        r = [sigmoid(a[1][j] + u[1][j] + b_x[H + j] + b_h[H + j]) for j in range(H)]
        n = []
        for j in range(H):
            if reset_after:
                part = r[j] * (u[2][j] + b_h[2 * H + j])
            else:
                part = sum(r[k] * h[k] * U[k][2 * H + j] for k in range(H))
            n.append(math.tanh(a[2][j] + b_x[2 * H + j] + part))
        if mask is None or mask[t]:
            old = z if update_gate == "keep" else [1 - v for v in z]
            h = [old[j] * h[j] + (1 - old[j]) * n[j] for j in range(H)]
            yield z, r, n, h
        else:
            yield [np.nan] * H, [np.nan] * H, [np.nan] * H, h


@pytest.mark.parametrize("reset_after", [True, False])
@pytest.mark.parametrize("update_gate", ["keep", "replace"])
@pytest.mark.parametrize("masked", [False, True])
def test_gru_by_hand(reset_after, update_gate, masked):
    layer = GRU(5, return_sequences=True, reset_after=reset_after, update_gate=update_gate)
    model = alone(layer)
    x = rng.normal(size=(3, 7, 3))
    mask = rng.random((3, 7)) > 0.4 if masked else None
    found = fastgru.trace(layer, x, mask)[layer.name]
    weights = [w.astype(float) for w in model.get_weights()]
    for b in range(3):
        rows = list(
            gru_by_hand(
                x[b],
                weights,
                [0.0] * 5,
                reset_after,
                update_gate,
                None if mask is None else mask[b],
            )
        )
        for i, name in enumerate(("z", "r", "candidate", "h")):
            expected = np.array([row[i] for row in rows])
            np.testing.assert_allclose(
                getattr(found, name)[b], expected, rtol=1e-4, atol=1e-5, err_msg=name
            )
    assert found.steps == 7 and found.units == 5 and not found.go_backwards
    np.testing.assert_array_equal(found.kept, found.z if update_gate == "keep" else 1 - found.z)


def test_the_seeds_numbers():
    """The worked example: x = 0.8, h = 0.2, all weights 1."""
    layer = GRU(1, use_bias=False, reset_after=False, update_gate="replace", dtype="float64")
    layer.build((None, None, 1))
    layer.set_weights([np.ones((1, 3)), np.ones((1, 3))])

    class WithState:
        name, layers, states = "outer", [layer], None

        def __call__(self, x):
            return layer(x, initial_state=[np.array([[0.2]])])

    found = fastgru.trace(WithState(), np.array([[[0.8]]]))[layer.name]
    shown = {name: round(array.item(), 2) for name, array in found.arrays().items()}
    assert shown == {"z": 0.73, "r": 0.73, "candidate": 0.74, "h": 0.59}
    assert found.h0.item() == found.h_before.item() == 0.2


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("go_backwards", [False, True])
def test_the_equations_hold_at_every_step(masked, go_backwards):
    """h follows from the gates and from the state before, for every cell; x is read in order."""
    x = rng.normal(size=(2, 9, 3))
    mask = rng.random((2, 9)) > 0.3 if masked else None
    valid = np.ones((2, 9), bool) if mask is None else mask
    options = {"return_sequences": True, "go_backwards": go_backwards, "dtype": "float64"}

    gru = GRU(8, **options)
    alone(gru)
    found = fastgru.trace(gru, x, mask)[gru.name]
    W, U, (b_x, b_h) = gru.get_weights()
    z = sigmoid(x @ W[:, :8] + found.h_before @ U[:, :8] + b_x[:8] + b_h[:8])
    np.testing.assert_allclose(found.z[valid], z[valid], rtol=1e-12)
    h = found.z * found.h_before + (1 - found.z) * found.candidate
    np.testing.assert_allclose(found.h[valid], h[valid], rtol=1e-12)

    lstm = LSTM(8, **options)
    alone(lstm)
    found = fastgru.trace(lstm, x, mask)[lstm.name]
    W, U, b = lstm.get_weights()
    a = x @ W + found.h_before @ U + b
    for k, (name, function) in enumerate(
        [("i", sigmoid), ("f", sigmoid), ("candidate", np.tanh), ("o", sigmoid)]
    ):
        expected = function(a[..., 8 * k : 8 * k + 8])
        np.testing.assert_allclose(getattr(found, name)[valid], expected[valid], rtol=1e-12)
    c = found.f * found.c_before + found.i * found.g
    np.testing.assert_allclose(found.c[valid], c[valid], rtol=1e-12)
    np.testing.assert_allclose(found.h[valid], (found.o * np.tanh(c))[valid], rtol=1e-12)

    simple = SimpleRNN(8, **options)
    alone(simple)
    found = fastgru.trace(simple, x, mask)[simple.name]
    W, U, b = simple.get_weights()
    h = np.tanh(x @ W + found.h_before @ U + b)
    np.testing.assert_allclose(found.h[valid], h[valid], rtol=1e-12)
    assert found.kept is None and list(found.arrays()) == ["h"]
    if masked:
        np.testing.assert_array_equal(found.h[~valid], found.h_before[~valid])
        assert np.array_equal(found.mask, mask)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_deep_masked_model_gives_its_own_outputs(dtype):
    model = randomized(
        Sequential(
            [
                Embedding(20, 4, mask_zero=True, input_length=12, dtype=dtype),
                Dropout(0.5),
                GRU(9, return_sequences=True),
                Bidirectional(LSTM(8, return_sequences=True)),
                SimpleRNN(7, return_sequences=True),
                Bidirectional(GRU(5), merge_mode="sum"),
                Dense(1, activation="sigmoid"),
            ]
        )
    )
    ids = rng.integers(1, 20, size=(6, 12))
    ids[2:, 7:] = 0
    ids[4] = 0
    found = fastgru.trace(model, ids)
    close = {"rtol": 1e-5, "atol": 1e-6} if dtype == "float32" else {"rtol": 1e-12}
    np.testing.assert_allclose(found.output, model.predict(ids, verbose=0), **close)
    names = [name.rpartition("/")[2] for name in found]
    assert [type(t).__name__ for t in found.values()] == [
        "GRUTrace", "LSTMTrace", "LSTMTrace", "SimpleRNNTrace", "GRUTrace", "GRUTrace",
    ]  # fmt: skip
    assert names[0] == model.layers[2].name
    assert [t.go_backwards for t in found.values()] == [False, False, True, False, False, True]
    for layer in found.values():
        np.testing.assert_array_equal(layer.mask, ids != 0)
        assert all(array.dtype == dtype for array in layer.arrays().values())
        assert np.isnan(layer.arrays()[layer.gates[0]][2, 7:]).all() if layer.gates else True
        assert np.isfinite(layer.h).all() and not layer.h[4].any()
    # Each layer read what the one before it wrote.
    first, forward, backward, simple = list(found.values())[:4]
    np.testing.assert_array_equal(forward.x[0], first.h[0])
    np.testing.assert_array_equal(simple.x[0], np.concatenate([forward.h[0], backward.h[0]], -1))


def test_functional_models_and_shared_layers():
    left, right = Input((None, 3)), Input((None, 3))
    shared = GRU(4, return_state=True, name="shared")
    y_1, state = shared(left)
    y_2, _ = shared(right)
    decoded = LSTM(4, return_sequences=True, name="decoder")(right, initial_state=[state, y_2])
    nested = Model(inner := Input((None, 4)), SimpleRNN(2, name="deep")(inner), name="nested")
    model = randomized(Model([left, right], [Dense(1)(Concatenate()([y_1, y_2])), nested(decoded)]))
    x = [rng.normal(size=(3, steps, 3)).astype(np.float32) for steps in (5, 8)]
    found = fastgru.trace(model, x)
    assert list(found) == ["shared", "shared:2", "decoder", "nested/deep"]
    for ours, theirs in zip(found.output, model(x), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    assert found["shared"].steps == 5 and found["shared:2"].steps == 8
    np.testing.assert_array_equal(found["decoder"].h0, found["shared"].h[:, -1])
    np.testing.assert_array_equal(found["decoder"].c0, found["shared:2"].h[:, -1])
    np.testing.assert_array_equal(found["nested/deep"].x, found["decoder"].h)
    np.testing.assert_array_equal(found["deep"].h[:, -1], found.output[1])


def test_outputs_are_those_of_the_compiled_layer():
    for layer in (GRU(17, return_sequences=True), LSTM(17, return_sequences=True)):
        model = alone(layer)
        x = rng.normal(size=(2, 33, 3)).astype(np.float32)
        found = fastgru.trace(model, x)[layer.name]
        np.testing.assert_allclose(found.h, model.predict(x, verbose=0), rtol=1e-4, atol=2e-6)


def test_tracing_changes_nothing():
    layer = GRU(4, stateful=True)
    model = randomized(Sequential([Input(batch_shape=(2, 5, 3)), layer]))
    x = rng.normal(size=(2, 5, 3)).astype(np.float32)
    first = model.predict(x, batch_size=2, verbose=0)
    states = [s.copy() for s in layer.states]
    found = fastgru.trace(model, x)[layer.name]
    np.testing.assert_array_equal(found.h0, states[0])
    assert all(np.array_equal(a, b) for a, b in zip(layer.states, states, strict=True))
    layer.reset_states()
    np.testing.assert_array_equal(model.predict(x, batch_size=2, verbose=0), first)


def test_names():
    model = Sequential([Input((None, 3)), GRU(2, name="reader"), Dense(1)])
    found = fastgru.trace(model, np.zeros((1, 4, 3)))
    assert list(found) == ["reader"] and len(found) == 1 and "reader" in found
    assert "reader: z, r, candidate, h of shape (1, 4, 2)" in repr(found)
    with pytest.raises(KeyError, match="no recurrent layer 'raeder'; did you mean 'reader'"):
        found["raeder"]
    with pytest.raises(KeyError, match="no recurrent layer 'dense'; there are: reader"):
        found["dense"]
    twice = Sequential([Input((None, 3)), Bidirectional(GRU(2, name="reader"), name="both")])
    found = fastgru.trace(twice, np.zeros((1, 4, 3)))
    assert list(found) == ["both/forward_reader", "both/backward_reader"]
    assert found["backward_reader"].go_backwards
    none = fastgru.trace(Sequential([Input((3,)), Dense(1)]), np.zeros((1, 3)))
    assert not none and none.output.shape == (1, 1)
    with pytest.raises(KeyError, match="no recurrent layer 'gru'; there are: none"):
        none["gru"]


def test_a_model_that_does_not_fit_its_data_is_refused():
    model = alone(GRU(3))
    with pytest.raises(ValueError, match="expected|built"):
        fastgru.trace(model, np.zeros((2, 4, 5)))
    with pytest.raises(TypeError):
        fastgru.trace(model, "text")
    for other in (5, GRU):
        with pytest.raises(TypeError, match="model: expected a model or a layer, got (5|<class)"):
            fastgru.trace(other, np.zeros((2, 4, 3)))
    assert fastgru.current_ops() is fastgru.ops


@pytest.mark.parametrize("layer", [GRU(2), LSTM(2, go_backwards=True), SimpleRNN(2)])
def test_no_samples_at_all(layer):
    made = fastgru.trace(layer, np.zeros((0, 3, 4), np.float32))
    assert made.output.shape == (0, 2)
    assert {array.shape for array in made[layer.name].arrays().values()} == {(0, 3, 2)}
