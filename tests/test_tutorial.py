"""A learner's first model, from lists of numbers to judgements, as a script would do it."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest

import fastgru
from fastgru.layers import GRU, Dense, Embedding
from fastgru.models import Sequential
from fastgru.preprocessing.sequence import pad_sequences

# Short tunes as notes; the label says whether a tune is played on the high strings.
TUNES = [[9, 8, 11, 10, 13, 12, 9], [12, 8, 10], [2, 5, 1], [4, 3, 6, 2, 5], [11, 13, 9, 12]]
IS_HIGH = np.array([1, 1, 0, 0, 1])
UNKNOWN = [[10, 13, 8, 9], [6, 1, 4, 3]]
NOTES, LENGTH = 14, 9


def make_model(units=32, stacked=False):
    layers = [Embedding(input_dim=NOTES, output_dim=8, input_length=LENGTH)]
    if stacked:
        layers.append(GRU(units=units, return_sequences=True))
    return Sequential([*layers, GRU(units=units), Dense(1, activation="sigmoid")])


@pytest.mark.parametrize(("units", "stacked"), [(32, False), (64, False), (32, True)])
def test_from_lists_to_judgements(operations, capsys, units, stacked):
    fastgru.utils.set_random_seed(5)
    x = pad_sequences(TUNES, maxlen=LENGTH, padding="post")
    model = make_model(units, stacked)
    model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
    history = model.fit(x, IS_HIGH, epochs=60)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("Epoch 1/60 ") and lines[-1].startswith("Epoch 60/60 ")
    assert all(" - loss: " in line and " - accuracy: " in line for line in lines)
    assert set(history.history) == {"loss", "accuracy"}
    assert history.history["accuracy"][-1] == 1 and history.history["loss"][-1] < 0.2

    judgements = model.predict(pad_sequences(UNKNOWN, maxlen=LENGTH, padding="post"))
    assert judgements.shape == (2, 1) and judgements.dtype == np.float32
    assert judgements[0][0] > 0.5 > judgements[1][0]


def test_summary_counts_the_parameters():
    fastgru.backend.clear_session()
    table = io.StringIO()
    with contextlib.redirect_stdout(table):
        Sequential(
            [Embedding(15, 8, input_length=10), GRU(32), Dense(1, activation="sigmoid")]
        ).summary()
    lines = [line.split() for line in table.getvalue().splitlines()]
    assert ["Model:", '"sequential"'] in lines
    assert ["Layer", "(type)", "Output", "Shape", "Param", "#"] in lines
    assert ["embedding", "(Embedding)", "(None,", "10,", "8)", "120"] in lines
    assert ["gru", "(GRU)", "(None,", "32)", "4,032"] in lines
    assert ["dense", "(Dense)", "(None,", "1)", "33"] in lines
    assert ["Total", "params:", "4,185"] in lines
    assert ["Trainable", "params:", "4,185"] in lines
    assert ["Non-trainable", "params:", "0"] in lines


@pytest.mark.parametrize(
    ("x", "h", "weight", "expected"), [(0.8, 0.2, 1.0, 0.59), (1.0, 0.5, 0.5, 0.5576)]
)
def test_one_step_by_hand(operations, x, h, weight, expected):
    cell = GRU(
        1,
        reset_after=False,
        update_gate="replace",
        use_bias=False,
        kernel_initializer=fastgru.initializers.Constant(weight),
        recurrent_initializer=fastgru.initializers.Constant(weight),
    )
    state = cell([[[x]]], initial_state=[[h]])
    digits = len(str(expected)) - 2
    assert round(float(state[0, 0]), digits) == expected
