"""A loss that is not finite is reported with the layer, the step and the gate where it arose."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest

from fastgru import Sequential
from fastgru.layers import GRU, LSTM, Bidirectional, Dense, Embedding, Input, Masking, SimpleRNN
from fastgru.models import nonfinite

rng = np.random.default_rng(2)


def spiked(shape=(4, 9, 3), sample=2, step=6, value=1e38):
    """Return small numbers, but for one so large that its products are infinite in float32."""
    x = rng.normal(size=shape).astype(np.float32)
    x[sample, step] = value
    return x


def make(*layers):
    model = Sequential([Input((None, 3)), *layers])
    model.set_weights([np.full(w.shape, 5.0 if w.shape[0] == 3 else 0.1) for w in model.weights])
    return model


def explained(model, x):
    return nonfinite.explain(model, model.check_input("x", x))


@pytest.mark.parametrize(
    "layer, sentence",
    [
        (GRU(3, activation="relu"), "the candidate is infinite at time step 6 of sample 2"),
        (GRU(3, recurrent_activation="relu"), "the update gate z is infinite at time step 6 of"),
        (LSTM(3, activation="relu"), "the candidate is infinite at time step 6 of sample 2"),
        (LSTM(3, recurrent_activation="relu"), "the input gate i is infinite at time step 6 of"),
        (SimpleRNN(3, activation="relu"), "the state h is infinite at time step 6 of sample 2"),
    ],
)
def test_the_gate_and_the_step_are_named(layer, sentence):
    model = make(layer, Dense(1))
    assert explained(model, spiked()).startswith(f"{layer.name}: {sentence}")


def test_the_first_layer_is_named_not_those_that_follow():
    first = GRU(3, activation="relu", return_sequences=True, name="first")
    model = make(first, GRU(3, name="second"), Dense(1))
    assert explained(model, spiked(step=1)).startswith("first: the candidate is infinite at time s")


def test_a_layer_that_reads_backwards_begins_at_the_end():
    layer = Bidirectional(GRU(3, activation="relu"), name="both")
    model = make(layer, Dense(1))
    x = spiked(step=6)
    x[1, 7] = 1e38
    said = explained(model, x)  # forward runs first, and meets step 6 first
    assert said.startswith("both/forward_") and "time step 6 of sample 2" in said
    backward = GRU(3, activation="relu", go_backwards=True)
    assert "time step 7 of sample 1" in explained(make(backward, Dense(1)), x)


def test_masked_steps_are_no_fault():
    layer = GRU(3, activation="relu")
    model = make(Masking(1e38), layer, Dense(1))
    assert "finite without dropout" in explained(model, spiked())


def test_nans_that_are_masked_are_no_fault():
    layer = GRU(3, activation="relu", name="reader")
    model = make(Masking(np.nan), layer, Dense(1))
    x = spiked()
    x[0, 3] = np.nan
    assert explained(model, x).startswith("reader: the candidate is infinite at time step 6 of sa")


def test_inputs_and_weights_come_first():
    model = make(GRU(3, name="reader"), Dense(1))
    x = spiked(value=np.nan)
    assert explained(model, x) == "the input is NaN at time step 6 of sample 2"
    weights = model.get_weights()
    weights[1][1, 2] = -np.inf
    model.set_weights(weights)
    said = explained(model, spiked(value=0))
    assert said.startswith("reader: the recurrent_kernel is infinite since the last step")
    assert "clipnorm" in said


def test_an_infinite_input_of_the_step_before_is_told():
    model = make(GRU(3, name="reader"), Dense(1))
    model.compile("sgd", "mse")
    x = spiked(value=np.inf)  # gates saturate, so this sample's loss is finite
    with pytest.warns(RuntimeWarning) as caught:
        model.fit(x, np.ones(4), batch_size=1, shuffle=False, verbose=0)
    (said,) = map(str, (warning.message for warning in caught))
    assert said.startswith("the loss is NaN at training step 4: reader: the kernel is NaN since")
    assert said.endswith("step, in whose batch the input was infinite at time step 6 of sample 0")


def test_layers_without_states_are_named_too():
    model = make(GRU(3), Dense(4, activation="relu", name="top"), Dense(1))
    weights = model.get_weights()
    weights[3][...] = 1e38
    weights[4][...] = 3e38
    model.set_weights(weights)
    assert explained(model, spiked(value=0)).startswith("top: its output is infinite in sample")
    ids = Sequential([Embedding(9, 3, input_length=5), GRU(3), Dense(1)])
    assert "finite without dropout" in explained(ids, rng.integers(0, 9, (2, 5)))


def test_the_states_of_stateful_layers_are_kept():
    layer = GRU(3, stateful=True, activation="relu")
    model = Sequential([Input(batch_shape=(4, 9, 3)), layer, Dense(1)])
    model.predict(rng.normal(size=(4, 9, 3)), batch_size=4, verbose=0)
    before = layer.states[0].copy()
    explained(model, spiked())
    np.testing.assert_array_equal(layer.states[0], before)


def test_the_warning():
    model = make(GRU(3, activation="relu", name="reader"), Dense(1))
    x = model.check_input("x", spiked())
    with pytest.warns(RuntimeWarning, match="the loss is NaN at training step 1: reader: the cand"):
        nonfinite.warn(model, x, math.nan)
    with pytest.warns(RuntimeWarning, match="the loss is infinite at training step 1: "):
        nonfinite.warn(model, x, math.inf)


def test_fit_warns_once_and_goes_on():
    model = make(GRU(3, activation="relu", name="reader"), Dense(1))
    model.compile("sgd", "mse")
    x, y = spiked(shape=(8, 9, 3), sample=5), rng.normal(size=(8, 1))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        history = model.fit(x, y, batch_size=4, epochs=3, shuffle=False, verbose=0)
    reports = [w for w in caught if "the loss is" in str(w.message)]
    assert len(reports) == 1 and issubclass(reports[0].category, RuntimeWarning)
    assert reports[0].filename == __file__  # where fit was called
    # In its batch the sample is the second: the batch is what was computed.
    said = str(reports[0].message)
    assert (
        "at training step 2: reader: the candidate is infinite at time step 6 of sample 1" in said
    )
    assert len(history.history["loss"]) == 3 and math.isnan(history.history["loss"][-1])


def test_nothing_is_said_of_finite_losses():
    model = make(GRU(3), Dense(1))
    model.compile("sgd", "mse")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(rng.normal(size=(8, 9, 3)), rng.normal(size=(8, 1)), epochs=2, verbose=0)


def test_of_ragged_sequences_the_valid_steps_count():
    model = make(GRU(3, activation="relu", name="reader"), Dense(1))
    model.compile("sgd", "mse")
    x = [rng.normal(size=(steps, 3)).astype(np.float32) for steps in (4, 7, 5)]
    x[1][5] = 1e38
    with pytest.warns(RuntimeWarning, match="reader: the candidate is infinite at time step 5 of"):
        model.fit(x, np.ones((3, 1)), shuffle=False, verbose=0)


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (np.inf, r"the loss is infinite at training step 1: y is infinite in sample 3"),
        (
            -1e30,
            r"the loss is infinite at training step 1: y is -1e\+30 in sample 3, too large for",
        ),
    ],
)
def test_labels_are_named_where_the_layers_are_finite(value, sentence):
    model = make(GRU(3), Dense(1))
    model.compile("sgd", "mse")
    y = np.where(np.arange(8) == 3, value, 0.5)
    with (
        np.errstate(over="ignore", invalid="ignore"),
        pytest.warns(RuntimeWarning, match=sentence),
    ):
        model.train_on_batch(rng.normal(size=(8, 9, 3)), y)


def test_labels_of_one_of_several_outputs_are_named():
    model = make(GRU(3), Dense(1))
    x = np.ones((2, 9, 3), np.float32)
    y = [None, np.array([1, np.inf], np.float32)]
    assert nonfinite.explain(model, x, y=y) == "y 1 is infinite in sample 1"
    assert nonfinite.explain(model, x, y=y[:1]).startswith("all layers' outputs are finite")
