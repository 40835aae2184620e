"""GRU, LSTM and SimpleRNN as layers: masks, states, lists of inputs, dropout, what is refused."""

from __future__ import annotations

import inspect
import re
import threading

import numpy as np
import pytest
from cases import make_mask

import fastgru
from fastgru import Input, Model, Sequential, activations, layers
from fastgru.layers import (
    GRU,
    LSTM,
    RNN,
    Bidirectional,
    Dense,
    GRUCell,
    LSTMCell,
    SimpleRNN,
    SimpleRNNCell,
)

B, T, I, H = 4, 6, 5, 9
X = np.random.default_rng(17).normal(size=(B, T, I))
KINDS = [GRU, LSTM, SimpleRNN]
MASKS = ["right", "left", "interior", "rows", "none", "all"]

every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)


def make(kind, **arguments):
    """Return a built layer in double precision, with weights without symmetry."""
    layer = kind(H, dtype="float64", **arguments)
    layer.build((B, T, I))
    rng = np.random.default_rng(23)
    layer.set_weights([rng.normal(0, 0.5, w.shape) for w in layer.weights])
    return layer


def draw_states(layer):
    rng = np.random.default_rng(29)
    return [rng.normal(size=(B, H)) for _ in range(layer.cell.state_count)]


def draw_mask(name):
    return make_mask(name, B, T, np.random.default_rng(31))


def as_list(value):
    return list(value) if isinstance(value, list) else [value]


# ---------------------------------------------------------------- against central differences

OPTIONS = [
    {},
    {"return_sequences": True},
    {"return_sequences": True, "return_state": True, "go_backwards": True},
    {"return_state": True, "zero_output_for_mask": True},
    {"return_sequences": True, "zero_output_for_mask": True, "use_bias": False},
    {"dropout": 0.4, "return_sequences": True},
    {"dropout": 0.4, "recurrent_dropout": 0.3, "return_state": True},
    {"recurrent_dropout": 0.3, "go_backwards": True},
    {"activation": "gelu"},
]


@every_kind
@pytest.mark.parametrize("mask_name", [None, *MASKS])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_gradients_are_the_slopes_of_the_output(operations, kind, options, mask_name):
    layer = make(kind, **options)
    if layer.seed_generators:
        layer.seed_generators[0].state = [1, 2, 3, 5, 0, 0]
        factors = layer.cell.draw_factors(B, I)
        layer.cell.draw_factors = lambda *sizes: factors
    mask = None if mask_name is None else draw_mask(mask_name)
    inputs = [X, *draw_states(layer)]
    rng = np.random.default_rng(37)
    dy = [
        rng.normal(size=s) for s in as_shapes(layer.compute_output_shape([a.shape for a in inputs]))
    ]

    def loss(arrays):
        y, _ = layer.forward(list(arrays), training=True, mask=mask)
        return sum(float((a * d).sum()) for a, d in zip(as_list(y), dy, strict=True))

    y, cache = layer.forward(inputs, training=True, mask=mask)
    gradients = layer.backward(dy if isinstance(y, list) else dy[0], cache)
    assert all(np.isfinite(a).all() for a in as_list(y))
    for place, gradient in enumerate(gradients):
        direction = draw_direction(rng, gradient.shape)

        def moved(a, place=place):
            return loss([*inputs[:place], a, *inputs[place + 1 :]])

        slope = along(moved, inputs[place], direction)
        assert slope == pytest.approx((gradient * direction).sum(), rel=1e-6, abs=1e-8)
    weights = [w.numpy() for w in layer.weights]
    for place, weight in enumerate(layer.weights):
        gradient, direction = weight.gradient.copy(), draw_direction(rng, weight.shape)

        def at(values, weight=weight):
            weight.assign(values)
            return loss(inputs)

        slope = along(at, weights[place], direction)
        weight.assign(weights[place])
        assert slope == pytest.approx((gradient * direction).sum(), rel=1e-6, abs=1e-8)


def as_shapes(shape):
    return shape if isinstance(shape, list) else [shape]


def draw_direction(rng, shape):
    """Return a direction of length 1, so that third derivatives along it stay small."""
    direction = rng.normal(size=shape)
    return direction / np.linalg.norm(direction)


def along(function, at, direction, step=1e-5):
    """Return the slope of a function in a direction, by central differences."""
    return (function(at + step * direction) - function(at - step * direction)) / (2 * step)


# ---------------------------------------------------------------- masks


@every_kind
@pytest.mark.parametrize("return_sequences", [True, False])
def test_a_mask_that_is_all_true_gives_the_bits_of_none(operations, kind, return_sequences):
    layer = make(kind, return_sequences=return_sequences, return_state=True)
    mask = np.ones((B, T), bool)
    for given, expected in zip(layer(X, mask=mask), layer(X), strict=True):
        np.testing.assert_array_equal(given, expected)


@every_kind
def test_masked_steps_repeat_the_output_and_keep_the_state(operations, kind):
    mask = draw_mask("interior")
    mask[0], mask[1, 0] = False, False
    layer = make(kind, return_sequences=True, return_state=True)
    states = draw_states(layer)
    y, h, *rest = layer(X, initial_state=states, mask=mask)
    for row in range(B):
        alone = [s[row : row + 1] for s in states]
        shown = np.zeros(H)
        for t in range(T):
            if mask[row, t]:
                _, *alone = layer(X[row : row + 1, t : t + 1], initial_state=alone)
                shown = alone[0][0]
            np.testing.assert_allclose(y[row, t], shown, rtol=1e-12, atol=1e-14)
        for found, expected in zip([h, *rest], alone, strict=True):
            np.testing.assert_allclose(found[row], expected[0], rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal(h[0], states[0][0])
    zeroed = make(kind, return_sequences=True, zero_output_for_mask=True)
    np.testing.assert_array_equal(
        zeroed(X, initial_state=states, mask=mask), np.where(mask[:, :, None], y, 0)
    )


@every_kind
@pytest.mark.parametrize("backwards", [True, False])
@pytest.mark.parametrize("zero", [True, False])
def test_the_last_output_is_that_of_the_last_step(operations, kind, zero, backwards):
    options = {"zero_output_for_mask": zero, "go_backwards": backwards}
    for name in MASKS:
        given = {"initial_state": draw_states(make(kind)), "mask": draw_mask(name)}
        steps = make(kind, return_sequences=True, **options)(X, **given)
        np.testing.assert_array_equal(make(kind, **options)(X, **given), steps[:, -1])


@every_kind
def test_what_a_mask_hides_is_never_looked_at(operations, kind):
    mask = draw_mask("interior")
    hidden = np.where(mask[:, :, None], X, np.nan)
    layer = make(kind, return_sequences=True)
    np.testing.assert_array_equal(layer(hidden, mask=mask), layer(X, mask=mask))
    y, cache = layer.forward(hidden, training=True, mask=mask)
    dx = layer.backward(np.ones_like(y), cache)
    assert np.isfinite(dx).all() and not dx[~mask].any()
    assert all(np.isfinite(w.gradient).all() for w in layer.weights)


@every_kind
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["right", "interior"])
def test_a_row_has_the_same_bits_alone_and_padded(kind, dtype, name):
    x = np.random.default_rng(1).normal(size=(13, 9, I)).astype(dtype)
    mask = make_mask(name, 13, 9, np.random.default_rng(2))
    layer = kind(33, dtype=dtype, return_sequences=True, return_state=True)
    found = layer(x, mask=mask)
    longer = np.concatenate([x, x], axis=1), np.concatenate([mask, np.zeros_like(mask)], axis=1)
    padded = layer(longer[0], mask=longer[1])
    np.testing.assert_array_equal(padded[0][:, :9], found[0])
    for a, b in zip(padded[1:], found[1:], strict=True):
        np.testing.assert_array_equal(a, b)
    for row in range(13):
        for a, b in zip(layer(x[[row]], mask=mask[[row]]), found, strict=True):
            np.testing.assert_array_equal(a[0], b[row])
        if mask[row].any():  # without the steps that are masked
            y, *states = layer(x[[row]][:, mask[row]])
            np.testing.assert_array_equal(y[0], found[0][row, mask[row]])
            np.testing.assert_array_equal(states[-1][0], found[-1][row])


@every_kind
def test_compute_mask(kind):
    mask = draw_mask("right")
    assert kind(3).compute_mask(X, mask) is None
    assert kind(3, return_sequences=True).compute_mask(X, mask) is mask
    both = kind(3, return_sequences=True, return_state=True)
    found = both.compute_mask([X, X], [mask, None])
    assert found[0] is mask and found[1:] == [None] * both.cell.state_count


@every_kind
def test_lists_of_sequences_are_padded_and_masked(operations, kind):
    layer = make(kind, return_state=True)
    lengths = [3, 6, 1, 0]
    found = layer([row[:n] for row, n in zip(X, lengths, strict=True)])
    padded = layer(X, mask=np.arange(T) < np.array(lengths)[:, None])
    for a, b in zip(found, padded, strict=True):
        np.testing.assert_array_equal(a, b)
    nested = layer(
        [row[:n].tolist() or np.empty((0, I)) for row, n in zip(X, lengths, strict=True)]
    )
    np.testing.assert_array_equal(nested[0], found[0])
    np.testing.assert_array_equal(layer(list(X))[0], layer(X)[0])
    np.testing.assert_array_equal(layer(X.tolist())[0], layer(X)[0])
    with pytest.raises(ValueError, match="mask: expected None beside sequences of different"):
        layer([X[0], X[1, :2]], mask=np.ones((2, T), bool))
    with pytest.raises(ValueError, match=r"inputs\[1\]: expected shape \(time, 5\).*got \(2, 4\)"):
        layer([X[0], X[1, :2, :4]])


# ---------------------------------------------------------------- states


@every_kind
def test_states_come_by_name_or_with_the_inputs(operations, kind):
    layer = make(kind, return_state=True)
    states = draw_states(layer)
    by_name = layer(X, initial_state=states)
    for given in (layer([X, *states]), layer((X, *states)), layer(X, [s.tolist() for s in states])):
        for a, b in zip(given, by_name, strict=True):
            np.testing.assert_array_equal(a, b)
    assert not np.array_equal(by_name[0], layer(X)[0])
    with pytest.raises(ValueError, match="initial_state: given twice"):
        layer([X, *states], initial_state=states)


@every_kind
def test_a_sequence_in_two_parts_has_the_bits_of_the_whole(kind):
    layer = make(kind, return_sequences=True, return_state=True)
    whole = layer(X)
    first, *states = layer(X[:, :4])
    second, *states = layer(X[:, 4:], initial_state=states)
    np.testing.assert_array_equal(np.concatenate([first, second], axis=1), whole[0])
    for a, b in zip(states, whole[1:], strict=True):
        np.testing.assert_array_equal(a, b)


@every_kind
def test_a_stateful_layer_goes_on_where_it_stopped(operations, kind):
    plain = make(kind, return_sequences=True, return_state=True)
    layer = make(kind, return_sequences=True, stateful=True)
    whole, *states = plain(X)
    np.testing.assert_array_equal(layer(X[:, :4]), whole[:, :4])
    np.testing.assert_array_equal(layer(X[:, 4:]), whole[:, 4:])
    for kept, state in zip(layer.states, states, strict=True):
        np.testing.assert_array_equal(kept, state)
    layer.reset_states()
    np.testing.assert_array_equal(layer(X), whole)
    layer.reset_state(states=states)
    np.testing.assert_array_equal(layer(X), plain(X, initial_state=states)[0])
    layer(X, initial_state=draw_states(layer))
    np.testing.assert_array_equal(layer.states[0], plain(X, initial_state=draw_states(layer))[1])


@every_kind
def test_states_may_be_set(operations, kind):
    layer, plain = kind(H, stateful=True), kind(H)
    x = X.astype(np.float32)
    layer(x)
    plain.build(x.shape)
    plain.set_weights(layer.get_weights())
    states = draw_states(plain)  # in float64
    layer.states = states
    np.testing.assert_array_equal(layer(x), plain(x, initial_state=states))
    before = layer.states
    for wrong, error, message in [
        ([np.ones((3, H))] * len(states), ValueError, r"states: expected shape \(4, 9\), got \(3"),
        ([], ValueError, "states: expected .*shape"),
        ([np.full((B, H), "a")] * len(states), TypeError, "states: expected real numbers"),
    ]:
        with pytest.raises(error, match=f"{layer.name}: {message}"):
            layer.states = wrong
        assert layer.states is before
    with pytest.raises(ValueError, match="states: the layer is not stateful"):
        plain.states = states


def test_a_stateful_layer_has_one_batch_size():
    layer = make(GRU, stateful=True)
    with pytest.raises(
        ValueError, match=f"{layer.name}: stateful, built for batches of 4, got .* 3"
    ):
        layer(X[:3])
    with pytest.raises(ValueError, match=r"states: expected shape \(4, 9\), got \(3, 9\)"):
        layer.reset_states(np.ones((3, H)))
    with pytest.raises(ValueError, match="stateful=True needs a fixed batch size.*batch_shape"):
        GRU(3, stateful=True).build((None, T, I))
    with pytest.raises(ValueError, match="needs a fixed batch size"):
        Sequential([GRU(3, stateful=True, input_shape=(T, I))])
    with pytest.raises(ValueError, match="the layer is not stateful"):
        make(GRU).reset_states(np.ones((B, H)))
    model = Sequential([Input(batch_shape=(B, T, I)), GRU(3, stateful=True)])
    assert model.layers[0].states[0].shape == (B, 3)
    first = model(X)
    assert not np.array_equal(model(X), first)
    model.layers[0].reset_states()
    np.testing.assert_array_equal(model(X), first)


def test_a_stateful_model_is_fitted_batch_by_batch(operations):
    model = Sequential([Input(batch_shape=(2, T, I)), GRU(3, stateful=True), Dense(1)])
    model.compile("sgd", "mse")
    y = np.ones((B, 1))
    model.fit(X, y, batch_size=2, shuffle=False, verbose=0)
    model.reset_states()
    found = model.predict(X, batch_size=2, verbose=0)
    model.reset_states()
    np.testing.assert_array_equal(found[:2], model(X[:2]))
    np.testing.assert_array_equal(found[2:], model(X[2:]))
    with pytest.raises(ValueError, match="stateful, built for batches of 2, got 4 samples"):
        model.predict(X, batch_size=4, verbose=0)


def test_states_of_a_stateful_layer_are_its_own():
    layer = make(GRU, stateful=True, return_state=True)
    _, state = layer(X)
    before = layer.states[0].copy()
    state += 1
    np.testing.assert_array_equal(layer.states[0], before)


def test_a_functional_model_takes_states(operations):
    x, h = Input((T, I)), Input((H,))
    layer = GRU(H, return_state=True, dtype="float64")
    model = Model([x, h], layer(x, initial_state=h))
    state = draw_states(layer)[0]
    for a, b in zip(model([X, state]), layer(X, state), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


# ---------------------------------------------------------------- dropout


@every_kind
def test_dropout_draws_one_set_of_factors_for_a_sequence(operations, kind):
    gates = {GRU: (3,), LSTM: (4,), SimpleRNN: ()}[kind]
    plain, dropped, both = (
        make(kind, **options, seed=5)
        for options in ({}, {"dropout": 0.25}, {"dropout": 0.25, "recurrent_dropout": 0.5})
    )
    assert plain.seed_generators == []
    factors = dropped.cell.draw_factors(B, I)
    assert list(factors) == ["input_dropout"] and factors["input_dropout"].shape == (B, I)
    assert set(np.unique(factors["input_dropout"])) <= {0, 1 / 0.75}
    factors = both.cell.draw_factors(B, I)
    assert factors["input_dropout"].shape == (*gates, B, I)
    assert factors["recurrent_dropout"].shape == (*gates, B, H)
    assert set(np.unique(factors["recurrent_dropout"])) == {0, 2}
    np.testing.assert_array_equal(both(X), plain(X))
    assert not np.array_equal(both(X, training=True), both(X, training=True))


@every_kind
def test_a_seed_and_a_saved_place_repeat_the_factors(kind):
    first, second = (make(kind, dropout=0.5, recurrent_dropout=0.2, seed=7) for _ in range(2))
    np.testing.assert_array_equal(first(X, training=True), second(X, training=True))
    (generator,) = first.seed_generators
    place = generator.state.copy()
    assert place.dtype.kind == "u" and place.ndim == 1
    once = first(X, training=True)
    assert not np.array_equal(first(X, training=True), once)
    generator.state = place
    np.testing.assert_array_equal(first(X, training=True), once)
    with pytest.raises(ValueError, match="state: expected 6 numbers, got 2"):
        generator.state = [1, 2]


def test_all_is_dropped_at_a_rate_of_one():
    layer = make(GRU, dropout=1.0)
    np.testing.assert_array_equal(layer(X, training=True), layer(np.zeros_like(X)))


def test_the_process_seed_repeats_the_factors():
    outputs = []
    for _ in range(2):
        fastgru.set_random_seed(11)
        outputs.append(GRU(H, dropout=0.5)(X, training=True))
    np.testing.assert_array_equal(*outputs)


# ---------------------------------------------------------------- weights


def test_shapes_and_first_values_of_weights():
    assert [w.shape for w in make(LSTM).weights] == [(5, 36), (9, 36), (36,)]
    assert [w.shape for w in make(SimpleRNN).weights] == [(5, 9), (9, 9), (9,)]
    biases = {}
    for forget in (True, False):
        layer = LSTM(2, unit_forget_bias=forget)
        layer(X)
        biases[forget] = layer.bias.numpy().tolist()
    assert biases[True] == [0, 0, 1, 1, 0, 0, 0, 0] and not any(biases[False])


@every_kind
def test_frozen_weights_get_no_gradient_and_others_add_up(operations, kind):
    layer = make(kind)
    y, cache = layer.forward(X, training=True)
    layer.backward(np.ones_like(y), cache)
    once = [w.gradient.copy() for w in layer.weights]
    assert all(g.any() for g in once)
    layer.backward(np.ones_like(y), cache, accumulate=True)
    for w, g in zip(layer.weights, once, strict=True):
        np.testing.assert_allclose(w.gradient, 2 * g, rtol=1e-12)
    layer.trainable = False
    layer.backward(3 * np.ones_like(y), cache)
    for w, g in zip(layer.weights, once, strict=True):
        np.testing.assert_allclose(w.gradient, 2 * g, rtol=1e-12)
    layer.kernel.trainable = True
    layer.backward(np.ones_like(y), cache)
    np.testing.assert_allclose(layer.kernel.gradient, once[0], rtol=1e-12)
    np.testing.assert_allclose(layer.recurrent_kernel.gradient, 2 * once[1], rtol=1e-12)


@every_kind
def test_gradients_that_nothing_depends_on_are_zero(operations, kind):
    layer = make(kind, return_sequences=True, return_state=True)
    y, cache = layer.forward([X, *draw_states(layer)], training=True)
    dx, *dstates = layer.backward([None] * len(y), cache)
    assert not dx.any() and not any(d.any() for d in dstates)
    only_last = [None] * (len(y) - 1) + [np.ones((B, H))]
    assert layer.backward(only_last, cache)[0].any()


def test_regularizers_and_constraints_stand_with_the_weights():
    layer = make(
        LSTM, kernel_regularizer="l2", recurrent_regularizer={"class_name": "L1", "config": {}},
        bias_regularizer=fastgru.regularizers.L1L2(0.1), kernel_constraint="max_norm",
        recurrent_constraint="unit_norm", bias_constraint="non_neg", activity_regularizer="l1",
    )  # fmt: skip
    kinds = [(type(w.regularizer).__name__, type(w.constraint).__name__) for w in layer.weights]
    assert kinds == [("L2", "MaxNorm"), ("L1", "UnitNorm"), ("L1L2", "NonNeg")]
    again = layers.deserialize(layers.serialize(layer))
    assert again.get_config() == layer.get_config()
    assert type(again.activity_regularizer).__name__ == "L1"


# ---------------------------------------------------------------- cells

CELLS = {GRU: GRUCell, LSTM: LSTMCell, SimpleRNN: SimpleRNNCell}


@every_kind
def test_a_cell_takes_a_step(operations, kind):
    layer = make(kind, return_sequences=True)
    cell = CELLS[kind](H, dtype="float64")
    cell.build((B, I))
    cell.set_weights(layer.get_weights())
    assert cell.state_size == ([H, H] if kind is LSTM else H) and cell.output_size == H
    whole = layer(X)
    for one in (cell, layer.cell):
        states = one.get_initial_state(B)
        for t in range(T):
            output, states = one(X[:, t], states)
            np.testing.assert_allclose(output, whole[:, t], rtol=1e-12, atol=1e-15)
    if kind is not LSTM:
        output, state = cell(X[:, 0], cell.get_initial_state(B)[0])
        assert state is not None and state.shape == (B, H)


@every_kind
def test_the_gradients_of_a_step(operations, kind):
    cell = CELLS[kind](H, dtype="float64")
    cell.build((B, I))
    rng = np.random.default_rng(3)
    inputs = [X[:, 0], *(rng.normal(size=(B, H)) for _ in range(cell.state_count))]
    dy = [rng.normal(size=(B, H)) for _ in range(1 + cell.state_count)]
    _, cache = cell.forward(inputs, training=True)
    for place, gradient in enumerate(cell.backward(dy, cache)):
        direction = draw_direction(rng, gradient.shape)

        def loss(a, place=place):
            y, _ = cell.forward([*inputs[:place], a, *inputs[place + 1 :]])
            return sum(float((v * d).sum()) for v, d in zip(y, dy, strict=True))

        slope = along(loss, inputs[place], direction)
        assert slope == pytest.approx((gradient * direction).sum(), rel=1e-6, abs=1e-8)


@every_kind
def test_a_layer_made_of_a_cell_shares_its_weights(operations, kind):
    cell = CELLS[kind](H, dtype="float64", dropout=0.5, seed=3)
    layer = RNN(cell, return_sequences=True, go_backwards=True)
    assert type(layer) is kind and layer.cell is cell and layer.dropout == 0.5
    assert layer(X).shape == (B, T, H) and layer.dtype == "float64"
    assert [a is b for a, b in zip(layer.weights, cell.weights, strict=True)] == [True] * 3
    before = layer(X)
    cell.set_weights([2 * w for w in cell.get_weights()])
    assert not np.array_equal(layer(X), before)
    again = layers.deserialize(layers.serialize(layer))
    again.build((B, T, I))
    again.set_weights(layer.get_weights())
    np.testing.assert_array_equal(again(X), layer(X))


def test_a_cell_keeps_its_dtype():
    cell = GRUCell(3, dtype="float64", name="mine")
    cell.build((None, X.shape[-1]))
    with pytest.raises(ValueError, match="cell: expected a layer of dtype float32, .* of float64"):
        RNN(cell, dtype="float32")
    assert RNN(cell)(X).dtype == "float64"
    open_cell = GRUCell(3)
    double, single = RNN(open_cell), RNN(open_cell)
    Sequential([Input(X.shape[1:]), Dense(3, dtype="float64"), double])
    with pytest.raises(ValueError, match="cell: expected a layer of dtype float32, .* of float64"):
        single(X[..., :3])
    assert not single.built


def test_the_factors_of_a_cell_stay_until_they_are_reset():
    cell = GRUCell(H, dropout=0.5, recurrent_dropout=0.5, seed=1)
    states = [np.full((B, H), 0.5)]
    first, _ = cell(X[:, 0], states, training=True)
    np.testing.assert_array_equal(cell(X[:, 0], states, training=True)[0], first)
    cell.reset_dropout_mask()
    assert not np.array_equal(cell(X[:, 0], states, training=True)[0], first)


# ---------------------------------------------------------------- what is refused


def own(name="own", forward=np.tanh, derivative=lambda x, y: 1 - y * y):
    return activations.Activation(name, forward, derivative, from_output=True)


REFUSED = [
    (GRU, {"units": 0}, ValueError, "units: expected a positive integer, got 0"),
    (LSTM, {"units": "3"}, TypeError, "units: expected a positive integer, got '3'"),
    (LSTM, {"units": 3, "dropout": 1.5}, ValueError, "dropout: expected a number from 0 to 1"),
    (
        GRU,
        {"units": 3, "recurrent_dropout": "0.1"},
        TypeError,
        "recurrent_dropout: expected a numb",
    ),
    (SimpleRNN, {"units": 3, "activation": "tanhh"}, ValueError, "activation: .*'tanhh'.*'tanh'"),
    (SimpleRNN, {"units": 3, "recurrent_activation": "tanh"}, TypeError, "recurrent_activation"),
    (GRU, {"units": 3, "activation": np.tanh}, TypeError, "activation: .*plain function"),
    (LSTM, {"units": 3, "recurrent_activation": max}, TypeError, "recurrent_activation: .*plain"),
    (GRU, {"units": 3, "update_gate": "forget"}, ValueError, "update_gate: expected 'keep' or"),
    (GRU, {"units": 3, "use_cudnn": "yes"}, ValueError, "use_cudnn: expected 'auto', True or"),
    (GRU, {"units": 3, "seed": -1}, ValueError, "seed: expected an integer of at least 0"),
    (GRU, {"units": 3, "return_sequence": True}, TypeError, "return_sequence.*return_sequences"),
    (LSTM, {"units": 3, "kernel_regularizer": "l3"}, ValueError, "kernel_regularizer: .*'l3'"),
    (LSTM, {"units": 3, "bias_constraint": "norm"}, ValueError, "bias_constraint: .*'norm'"),
    (LSTM, {"units": 3, "bias_constraint": abs}, TypeError, "bias_constraint: expected a name"),
    (LSTM, {"units": 3, "time_major": True}, NotImplementedError, "time_major"),
    (RNN, {"cell": 3}, TypeError, "cell: expected a GRUCell, an LSTMCell or a SimpleRNNCell"),
    (RNN, {"cell": [GRUCell(3)]}, TypeError, "stack layers instead"),
]


@pytest.mark.parametrize(("kind", "arguments", "error", "message"), REFUSED)
def test_bad_arguments_are_refused_at_construction(kind, arguments, error, message):
    with pytest.raises(error, match=message):
        kind(**arguments)


@pytest.mark.parametrize("argument", ["activation", "recurrent_activation"])
def test_an_activation_that_can_not_be_run_is_refused_at_construction(argument):
    bad = [
        own(forward=lambda x: np.tanh(x)),  # takes no out
        own(forward=lambda x, out=None: np.tanh(x)),  # does not write into it
        own(forward=lambda x, out=None: np.tanh(x)[:1]),
        own(derivative=lambda x, y: np.ones(4)),
        own(derivative=lambda y: y),
    ]
    for activation in bad:
        with pytest.raises(ValueError, match=f"{argument}: 'own': expected"):
            GRU(3, **{argument: activation})
    layer = make(GRU, **{argument: own()})
    plain = make(GRU, **{argument: "tanh"})
    np.testing.assert_allclose(layer(X), plain(X), rtol=1e-12)


CALLS = [
    ({"mask": np.ones((B, T))}, TypeError, "mask: expected bool.*got float64"),
    ({"mask": np.ones((B, T), int)}, TypeError, "mask: expected bool.*got int64"),
    ({"mask": "yes"}, TypeError, "mask: expected bool"),
    (
        {"mask": np.ones((B, T + 1), bool)},
        ValueError,
        r"mask: expected shape \(4, 6\), got \(4, 7\)",
    ),
    ({"mask": np.ones(B, bool)}, ValueError, r"mask: expected shape \(4, 6\), got \(4,\)"),
    ({"mask": np.ones((B, T, I), bool)}, ValueError, r"mask: expected shape \(4, 6\), got .*6, 5"),
    ({"initial_state": np.ones((3, H))}, ValueError, r"expected shape \(4, 9\), got \(3, 9\)"),
    ({"initial_state": [np.ones((B, 8))]}, ValueError, r"expected shape \(4, 9\), got \(4, 8\)"),
    ({"initial_state": [np.ones((B, H))] * 3}, ValueError, "expected 1 state of shape .*, got 3"),
    ({"initial_state": [["a"]]}, TypeError, "initial_state: expected real numbers"),
]


@pytest.mark.parametrize(("arguments", "error", "message"), CALLS)
def test_bad_calls_are_refused(operations, arguments, error, message):
    layer = make(GRU)
    with pytest.raises(error, match=message):
        layer(X, **arguments)
    if error is ValueError:
        with pytest.raises(error, match=f"{layer.name}: "):
            layer(X, **arguments)


def test_an_lstm_has_two_states():
    layer = make(LSTM)
    for given in (np.ones((B, H)), [np.ones((B, H))]):
        with pytest.raises(ValueError, match=f"{layer.name}: initial_state: expected 2 states of"):
            layer(X, initial_state=given)
    cell = LSTMCell(H)
    with pytest.raises(ValueError, match=f"{cell.name}: states: expected 2 states of shape"):
        cell(X[:, 0], [np.ones((B, H))])
    with pytest.raises(ValueError, match="a cell takes one step"):
        cell(X, [np.ones((B, H))] * 2)


# ---------------------------------------------------------------- in models


@every_kind
@pytest.mark.parametrize("options", [{}, {"dropout": 0.2, "recurrent_dropout": 0.1}], ids=str)
def test_layers_learn_in_a_model(operations, kind, options):
    fastgru.set_random_seed(1)
    x = np.random.default_rng(2).normal(size=(32, 5, 3))
    y = (x.sum(axis=(1, 2)) > 0).astype(float)
    model = Sequential(
        [kind(8, return_sequences=True, **options), kind(8, **options), Dense(1, "sigmoid")]
    )
    model.compile(fastgru.Adam(0.02), "binary_crossentropy")
    losses = model.fit(x, y, epochs=40, verbose=0).history["loss"]
    assert losses[-1] < 0.7 * losses[0]


@every_kind
def test_threads_may_predict_with_one_layer(kind):
    layer = make(kind, return_sequences=True)
    expected, found = layer(X), []
    threads = [threading.Thread(target=lambda: found.append(layer(X))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    for y in found:
        np.testing.assert_array_equal(y, expected)


@every_kind
def test_the_number_of_features_builds_a_model(kind):
    model = Sequential([kind(3, input_dim=5)])
    assert model.input_shape == (None, None, 5) and model.output_shape == (None, 3)
    given = kind(3, input_dim=5, input_shape=(6, 5))
    assert given.first_shape == (None, 6, 5)
    again = kind.from_config(given.get_config())
    assert again.first_shape == given.first_shape
    assert Sequential([Bidirectional(kind(3, input_dim=5))]).input_shape == (None, None, 5)


def test_messages_of_unknown_arguments_are_short():
    with pytest.raises(TypeError, match=re.escape("did you mean 'unit_forget_bias'?")):
        LSTM(3, unit_forget_biass=True)


def test_rnn_tells_which_arguments_are_its_own():
    with pytest.raises(TypeError, match="^RNN: unknown argument 'units'; known: cell, return_seq"):
        RNN(GRUCell(3), units=3)
    with pytest.raises(TypeError, match="^RNN: unknown argument 'statefull'; .* 'stateful'"):
        RNN(GRUCell(3), statefull=True)
    with pytest.raises(TypeError, match="^GRU: unknown argument 'units'; (?!did you mean 'units')"):
        GRU.from_cell(GRUCell(3), units=3)


def test_a_stateful_layer_is_not_built_for_no_samples():
    layer = GRU(3, stateful=True, name="mine")
    with pytest.raises(ValueError, match="^mine: stateful=True needs a batch of at least one"):
        layer(X[:0])
    assert not layer.built and layer.states is None
    assert layer(X).shape == (B, 3)


def test_no_sequences_at_all_are_refused_by_shape():
    with pytest.raises(ValueError, match=r"expected 3 dimensions .*, got shape \(0,\)"):
        GRU(3)([])


# ---- arguments -----------------------------------------------------------------------------------

OTHERS = {
    "activation": "relu",
    "recurrent_activation": "hard_sigmoid",
    "kernel_initializer": "he_normal",
    "recurrent_initializer": "glorot_normal",
    "bias_initializer": "ones",
    "kernel_regularizer": "l1",
    "recurrent_regularizer": "l2",
    "bias_regularizer": "l1_l2",
    "activity_regularizer": "l2",
    "kernel_constraint": "non_neg",
    "recurrent_constraint": "unit_norm",
    "bias_constraint": "max_norm",
    "dropout": 0.25,
    "recurrent_dropout": 0.5,
    "seed": 7,
    "update_gate": "replace",
    "implementation": 2,
    "use_cudnn": False,
}


@pytest.mark.parametrize("kind", [*KINDS, GRUCell, LSTMCell, SimpleRNNCell])
def test_every_argument_arrives_where_it_belongs(kind):
    default = kind(H).get_config()
    parameters = list(inspect.signature(kind).parameters.values())[1:]
    for parameter in parameters:
        if parameter.kind is parameter.VAR_KEYWORD or parameter.name == "time_major":
            continue
        name = parameter.name
        value = OTHERS.get(name, not parameter.default)
        config = kind(H, **{name: value}).get_config()
        changed = {key for key in config if config[key] != default.get(key) and key != "name"}
        assert changed == {name}
        given = [p.default for p in parameters[: parameters.index(parameter)]]
        if parameter.kind is parameter.POSITIONAL_OR_KEYWORD:
            positional = kind(H, *given, value).get_config()
            assert positional | {"name": ""} == config | {"name": ""}
