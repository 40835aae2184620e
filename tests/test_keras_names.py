"""`import fastgru as keras`, the version, what importing costs."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import fastgru as keras

FACES = [keras.callbacks, keras.initializers, keras.layers, keras.losses, keras.metrics]
FACES += [keras.models, keras.optimizers, keras.utils]

NAMES = [
    "Sequential",
    "Model",
    "Input",
    "InputLayer",
    "Layer",
    "activations.relu",
    "activations.get",
    "backend.clear_session",
    "backend.floatx",
    "callbacks.Callback",
    "callbacks.History",
    "callbacks.CallbackList",
    "initializers.GlorotUniform",
    "initializers.Orthogonal",
    "initializers.Zeros",
    "initializers.get",
    "layers.Input",
    "layers.InputLayer",
    "layers.Layer",
    "layers.Embedding",
    "layers.GRU",
    "constraints.max_norm",
    "constraints.MaxNorm",
    "regularizers.l1_l2",
    "regularizers.L2",
    "layers.Bidirectional",
    "layers.SimpleRNNCell",
    "layers.LSTMCell",
    "layers.GRUCell",
    "layers.RNN",
    "layers.SimpleRNN",
    "layers.LSTM",
    "layers.Dense",
    "layers.Dropout",
    "layers.Activation",
    "losses.BinaryCrossentropy",
    "losses.MeanSquaredError",
    "losses.get",
    "metrics.BinaryAccuracy",
    "metrics.Mean",
    "metrics.get",
    "models.Sequential",
    "models.Model",
    "optimizers.Adam",
    "optimizers.get",
    "preprocessing.sequence.pad_sequences",
    "utils.set_random_seed",
    "utils.to_categorical",
    "utils.pad_sequences",
    "utils.clear_session",
]


@pytest.mark.parametrize("name", NAMES)
def test_keras_finds(name):
    found = keras
    for part in name.split("."):
        found = getattr(found, part)
    assert found is not None


def test_all_names_what_is_there():
    for module in [*FACES, keras.activations, keras.preprocessing.sequence]:
        assert sorted(set(module.__all__)) == sorted(module.__all__)
        assert all(hasattr(module, name) for name in module.__all__)


@pytest.mark.parametrize("module", FACES, ids=lambda module: module.__name__)
def test_everything_is_also_at_the_top(module):
    names = [n for n in module.__all__ if n not in ("get", "serialize", "deserialize")]
    if module is keras.metrics:  # some are losses, too: those are at the top
        names = [name for name in names if name not in keras.losses.__all__]
    if module is keras.models:  # Keras has its functions there only
        names = [name for name in names if name[0].isupper()]
    assert names
    for name in names:
        assert getattr(keras, name) is getattr(module, name) and name in keras.__all__


def test_a_script_in_keras_words(capsys):
    keras.utils.set_random_seed(0)
    model = keras.models.Sequential()
    model.add(keras.Input(shape=(4, 2)))
    model.add(keras.layers.GRU(8, return_sequences=True))
    model.add(keras.layers.Dropout(0.1))
    model.add(keras.layers.GRU(8))
    model.add(keras.layers.Dense(1))
    model.compile(
        loss=keras.losses.MeanSquaredError(), optimizer=keras.optimizers.Adam(learning_rate=0.01)
    )
    x = np.random.rand(16, 4, 2)
    history = model.fit(x, x.sum((1, 2)), epochs=30, batch_size=4, verbose=0)
    assert history.history["loss"][-1] < 0.2 * history.history["loss"][0]
    assert capsys.readouterr().out == ""


def test_the_operations_are_at_hand_and_nothing_else_is_made_up():
    code = """
import sys, fastgru
assert "fastgru.ops" not in sys.modules
assert fastgru.ops.__name__ == "fastgru.ops" and fastgru.reference.__name__ == "fastgru.reference"
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    with pytest.raises(AttributeError, match="module 'fastgru' has no attribute 'LSTN'"):
        keras.LSTN  # noqa: B018
    with pytest.raises(TypeError, match="inputs: expected tensors that come from an Input, got 1"):
        keras.Model(inputs=1, outputs=2)


def test_running_without_progress_needs_no_tqdm():
    code = """
import sys
sys.modules["tqdm"] = None
import fastgru, numpy
model = fastgru.Sequential([fastgru.layers.Dense(1, "sigmoid", input_shape=(3,))])
model.compile("adam", "binary_crossentropy")
model.fit(numpy.ones((4, 3)), [0, 1, 1, 0], verbose=0)
model.predict(numpy.ones((40, 3)))
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
