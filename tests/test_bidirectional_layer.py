"""Bidirectional: merging, masks, states, pairs of layers, both directions at once."""

from __future__ import annotations

import os
import threading
import time

import numpy as np
import pytest
from cases import make_mask

import fastgru
from fastgru import Dense, Input, Model, Sequential, layers
from fastgru._threads import at_once, shared_threads
from fastgru.layers import GRU, LSTM, Bidirectional, SimpleRNN

B, T, I, H = 4, 6, 5, 7
X = np.random.default_rng(19).normal(size=(B, T, I))
MODES = ["concat", "sum", "mul", "ave", None]
KINDS = [GRU, LSTM, SimpleRNN]


def make(kind=GRU, merge_mode="concat", shape=(B, T, I), **arguments):
    """Return a built layer in double precision, with weights without symmetry."""
    layer = Bidirectional(kind(H, dtype="float64", **arguments), merge_mode=merge_mode)
    layer.build(shape)
    rng = np.random.default_rng(23)
    layer.set_weights([rng.normal(0, 0.5, w.shape) for w in layer.weights])
    return layer


def draw_states(layer):
    rng = np.random.default_rng(29)
    count = 2 * layer.forward_layer.cell.state_count
    return [rng.normal(size=(B, H)) for _ in range(count)]


def as_list(value):
    return list(value) if isinstance(value, list) else [value]


def merged(mode, a, b):
    if mode == "concat":
        return [np.concatenate([a, b], axis=-1)]
    return {"sum": [a + b], "mul": [a * b], "ave": [(a + b) / 2], None: [a, b]}[mode]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("return_sequences", [True, False])
@pytest.mark.parametrize("mask_name", [None, "left", "interior", "rows", "none"])
def test_it_is_two_layers(operations, kind, mode, return_sequences, mask_name):
    layer = make(kind, mode, return_sequences=return_sequences, return_state=True)
    mask = mask_name and make_mask(mask_name, B, T, np.random.default_rng(31))
    states = draw_states(layer)
    half = len(states) // 2
    found = layer(X, initial_state=states, mask=mask)
    weights = layer.get_weights()
    ours, theirs = [], []
    for result, backwards, own, first in (
        (ours, False, weights[:3], states[:half]),
        (theirs, True, weights[3:], states[half:]),
    ):
        one = kind(
            H, dtype="float64", return_sequences=return_sequences, return_state=True,
            go_backwards=backwards, zero_output_for_mask=return_sequences,
        )  # fmt: skip
        one.build((B, T, I))
        one.set_weights(own)
        result.extend(one(X, initial_state=first, mask=mask))
    if return_sequences:
        theirs[0] = theirs[0][:, ::-1]
    expected = [*merged(mode, ours[0], theirs[0]), *ours[1:], *theirs[1:]]
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)
    shapes = layer.compute_output_shape([X.shape, *(s.shape for s in states)])
    assert [a.shape for a in found] == shapes


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("return_sequences", [True, False])
def test_gradients_are_the_slopes_of_the_output(operations, kind, mode, return_sequences):
    layer = make(kind, mode, return_sequences=return_sequences, return_state=True)
    mask = make_mask("interior", B, T, np.random.default_rng(31))
    inputs = [X, *draw_states(layer)]
    rng = np.random.default_rng(37)
    y, cache = layer.forward(inputs, training=True, mask=mask)
    dy = [rng.normal(size=a.shape) for a in y]

    def loss(arrays):
        return sum(
            float((a * d).sum())
            for a, d in zip(layer.forward(arrays, mask=mask)[0], dy, strict=True)
        )

    step = 1e-5
    for place, gradient in enumerate(layer.backward(dy, cache)):
        move = [np.zeros_like(a) for a in inputs]
        move[place] = rng.normal(size=gradient.shape)
        move[place] /= np.linalg.norm(move[place])
        above, below = (
            loss([a + sign * step * m for a, m in zip(inputs, move, strict=True)])
            for sign in (1, -1)
        )
        slope = (above - below) / (2 * step)
        assert slope == pytest.approx((gradient * move[place]).sum(), rel=1e-6, abs=1e-8)
    assert all(w.gradient.any() for w in layer.weights)


def test_its_mask_is_that_of_its_outputs():
    mask = make_mask("right", B, T, np.random.default_rng(31))
    assert Bidirectional(GRU(3)).compute_mask(X, mask) is None
    assert Bidirectional(GRU(3, return_sequences=True)).compute_mask(X, mask) is mask
    both = Bidirectional(LSTM(3, return_sequences=True, return_state=True), merge_mode=None)
    assert both.compute_mask([X], [mask]) == [mask, mask, None, None, None, None]


def test_a_backward_layer_of_its_own():
    backward = LSTM(3, go_backwards=True, return_sequences=True, dtype="float64")
    layer = Bidirectional(GRU(H, return_sequences=True, dtype="float64"), backward_layer=backward)
    assert layer(X).shape == (B, T, H + 3) and layer.backward_layer is backward
    states = [np.ones((B, H)), np.ones((B, 3)), np.ones((B, 3))]
    assert not np.array_equal(layer(X, initial_state=states), layer(X))
    y, cache = layer.forward([X, *states], training=True)
    assert [g.shape for g in layer.backward(y, cache)] == [X.shape, (B, H), (B, 3), (B, 3)]
    again = layers.deserialize(layers.serialize(layer))
    assert again.get_config() == layer.get_config()
    again.build(X.shape)
    again.set_weights(layer.get_weights())
    np.testing.assert_array_equal(again(X), layer(X))


def test_a_backward_layer_of_its_own_keeps_its_dtype():
    backward = GRU(4, go_backwards=True, dtype="float64", name="mine")
    before = backward(X)
    message = "backward_layer: expected a layer of dtype float32, .*, got 'mine' of float64"
    with pytest.raises(ValueError, match=message):
        Bidirectional(GRU(3), backward_layer=backward)
    with pytest.raises(ValueError, match="expected a layer of dtype float32, .* of float64"):
        Bidirectional(GRU(3, dtype="float64"), dtype="float32")
    both = Bidirectional(GRU(3, dtype="float64"), backward_layer=backward)
    assert both(X).dtype == "float64"
    single = GRU(4, go_backwards=True, dtype="float32")
    both = Bidirectional(GRU(3), backward_layer=single)
    with pytest.raises(ValueError, match="share one dtype"):
        Sequential([Input(X.shape[1:]), Dense(3, dtype="float64"), both])
    assert single.dtype == "float32"
    np.testing.assert_array_equal(backward(X), before)


@pytest.mark.parametrize("kind", KINDS)
def test_the_layer_it_is_made_of_stays_as_it_is(kind):
    one = kind(3, zero_output_for_mask=True, name="mine")
    layer = Bidirectional(one)
    layer(X)
    assert not one.built and one.zero_output_for_mask
    assert layer.forward_layer.name == "forward_mine" and not layer.forward_layer.go_backwards
    assert layer.backward_layer.name == "backward_mine" and layer.backward_layer.go_backwards
    assert not layer.forward_layer.zero_output_for_mask  # it returns the last output
    assert [w.path.split("/")[:2] for w in layer.weights[::3]] == [
        [layer.name, "forward_mine"],
        [layer.name, "backward_mine"],
    ]
    assert layer.count_params() == sum(w.size for w in layer.get_weights())


def test_initial_weights():
    weights = make().get_weights()
    layer = Bidirectional(GRU(H, dtype="float64"), weights=weights)
    np.testing.assert_array_equal(layer(X), make()(X))
    with pytest.raises(ValueError, match="weights"):
        Bidirectional(GRU(H), weights=weights[:5])(X)


def test_frozen_directions():
    assert not any(w.trainable for w in built(GRU(H, trainable=False)).weights)
    frozen = GRU(H, go_backwards=True, trainable=False)
    layer = built(GRU(H), backward_layer=frozen)
    assert [w.trainable for w in layer.weights] == [True] * 3 + [False] * 3
    y, cache = layer.forward(X.astype(np.float32), training=True)
    layer.backward(np.ones_like(y), cache)
    assert [bool(w.gradient.any()) for w in layer.weights] == [True] * 3 + [False] * 3
    layer.trainable = False
    assert not layer.trainable_weights


def built(*arguments, **named):
    layer = Bidirectional(*arguments, **named)
    layer.build(X.shape)
    return layer


def test_stateful_directions_go_on_where_they_stopped():
    layer = make(return_state=True, stateful=True)
    plain = make(return_state=True)
    first = layer(X)
    for a, b in zip(layer.states, first[1:], strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(layer(X), plain(X, initial_state=first[1:]), strict=True):
        np.testing.assert_array_equal(a, b)
    layer.reset_states()
    np.testing.assert_array_equal(layer(X)[0], first[0])
    with pytest.raises(ValueError, match="built for batches of 4, got a batch of 3"):
        layer(X[:3])


def test_dropout_of_both_directions_can_be_repeated():
    layer = make(dropout=0.5, recurrent_dropout=0.5, seed=3)
    places = [g.state.copy() for g in layer.seed_generators]
    once = layer(X, training=True)
    assert len(places) == 2 and not np.array_equal(layer(X, training=True), once)
    for generator, place in zip(layer.seed_generators, places, strict=True):
        generator.state = place
    np.testing.assert_array_equal(layer(X, training=True), once)


def test_lists_of_sequences(operations):
    layer = make(return_sequences=True)
    mask = np.arange(T) < np.array([3, 6, 1, 2])[:, None]
    found = layer([row[: m.sum()] for row, m in zip(X, mask, strict=True)])
    np.testing.assert_array_equal(found, layer(X, mask=mask))
    assert not found[~mask].any()


def test_in_models(operations):
    fastgru.set_random_seed(2)
    x = np.random.default_rng(2).normal(size=(32, 5, 3))
    y = (x[:, 0, 0] > 0).astype(float)
    model = Sequential(
        [Bidirectional(GRU(6, return_sequences=True)), Bidirectional(LSTM(6)), Dense(1, "sigmoid")]
    )
    model.compile(fastgru.Adam(0.02), "binary_crossentropy")
    losses = model.fit(x, y, epochs=30, verbose=0).history["loss"]
    assert losses[-1] < 0.5 * losses[0]
    inputs, state = Input((5, 3)), Input((6,))
    outputs = Bidirectional(GRU(6))(inputs, initial_state=[state, state])
    model = Model([inputs, state], outputs)
    assert model([x, np.ones((32, 6))]).shape == (32, 12)


# ---------------------------------------------------------------- what is refused

SAME = GRU(3)
REFUSED = [
    ({"layer": Dense(3)}, TypeError, "layer: expected a GRU, LSTM or SimpleRNN, got <Dense"),
    ({"layer": None}, TypeError, "layer: expected a GRU, LSTM or SimpleRNN"),
    ({"layer": GRU(3), "backward_layer": "GRU"}, TypeError, "backward_layer: expected a GRU"),
    ({"layer": GRU(3), "merge_mode": "add"}, ValueError, "merge_mode: expected 'concat', 'sum'"),
    ({"layer": SAME, "backward_layer": SAME}, ValueError, "expected another layer than 'gru"),
    ({"layer": GRU(3), "backward_layer": GRU(3)}, ValueError, "another go_backwards .* got False"),
    ({"layer": GRU(3, go_backwards=True)}, ValueError, "another go_backwards .* got True"),
    (
        {"layer": GRU(3), "backward_layer": GRU(3, go_backwards=True, return_state=True)},
        ValueError,
        "expected return_state=False, as the forward layer has, got True",
    ),
    (
        {"layer": GRU(3), "merge_mode": "sum", "backward_layer": GRU(4, go_backwards=True)},
        ValueError,
        "merge_mode='sum' needs layers of equal units, got 3 and 4",
    ),
]


@pytest.mark.parametrize(("arguments", "error", "message"), REFUSED)
def test_bad_arguments_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        Bidirectional(**arguments)


CALLS = [
    ({"mask": np.ones((B, T))}, TypeError, "mask: expected bool"),
    ({"mask": np.ones((B, 3), bool)}, ValueError, r"mask: expected shape \(4, 6\), got \(4, 3\)"),
    ({"initial_state": [np.ones((B, H))]}, ValueError, "expected 2 states, 1 of the forward layer"),
    (
        {"initial_state": [np.ones((B, 3))] * 2},
        ValueError,
        r"expected shape \(4, 7\), got \(4, 3\)",
    ),
]


@pytest.mark.parametrize(("arguments", "error", "message"), CALLS)
def test_bad_calls_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        make()(X, **arguments)


# ---------------------------------------------------------------- at once


@pytest.fixture
def two_threads():
    before = fastgru.get_num_threads()
    fastgru.set_num_threads(2)
    yield
    fastgru.set_num_threads(before)


@pytest.mark.parametrize("kind", KINDS)
def test_both_directions_at_once_have_the_same_bits(kind, two_threads, monkeypatch):
    x = np.random.default_rng(1).normal(size=(8, 50, 64)).astype(np.float32)
    layer = Bidirectional(kind(64 if kind is not SimpleRNN else 128, return_sequences=True))
    layer.build(x.shape)
    y, cache = layer.forward(x, training=True)
    started = []
    start = threading.Thread.start
    monkeypatch.setattr(threading.Thread, "start", lambda self: (started.append(self), start(self)))
    results = {}
    for threads in (2, 1):
        fastgru.set_num_threads(threads)
        dx = layer.backward(np.ones_like(y), cache)
        results[threads] = [dx.copy(), *(w.gradient.copy() for w in layer.weights)]
        assert len(started) == 1  # the first time alone
    for a, b in zip(results[1], results[2], strict=True):
        np.testing.assert_array_equal(a, b)


def test_small_work_and_the_reference_run_on_one_thread(two_threads):
    layer = make()
    assert not layer._pays_at_once(X.shape)
    assert layer._pays_at_once((64, 1000, I))
    with fastgru.use_ops("reference"):
        assert not layer._pays_at_once((64, 1000, I))
    fastgru.set_num_threads(1)
    assert not layer._pays_at_once((64, 1000, I))


def test_the_other_thread_has_the_same_operations():
    with fastgru.use_ops("reference") as module:
        found = at_once(lambda i: (i, fastgru.current_ops()))
    assert found == ((0, module), (1, module))


@pytest.mark.parametrize("bad", [0, 1])
def test_an_error_in_a_direction_is_raised(bad, two_threads):
    finished = []

    def run(i):
        time.sleep(0.01 * (i != bad))
        if i == bad:
            raise ValueError(f"direction {i}")
        finished.append(i)

    with pytest.raises(ValueError, match=f"direction {bad}"):
        at_once(run)
    assert finished == [1 - bad]
    assert fastgru.get_num_threads() == fastgru._core.threads() == 2


def test_callers_that_run_at_once_share_the_threads():
    before = fastgru.get_num_threads()
    try:
        fastgru.set_num_threads(5)
        with shared_threads(2):
            assert fastgru._core.threads() == 2 and fastgru.get_num_threads() == 5
            with shared_threads(2):
                fastgru.set_num_threads(4)
            assert fastgru._core.threads() == 2 and fastgru.get_num_threads() == 4
        assert fastgru._core.threads() == 4
    finally:
        fastgru.set_num_threads(before)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_knows_nothing_of_its_parents_callers(two_threads):
    with shared_threads(2):
        child = os.fork()
        if not child:
            os._exit(fastgru._core.threads() != 2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
