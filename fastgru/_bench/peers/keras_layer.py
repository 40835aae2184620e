"""Keras' layers on TensorFlow, in a tf.function."""

# mypy: disable-error-code="import-not-found,import-untyped,no-any-return,untyped-decorator"

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

Arrays = dict[str, np.ndarray]
Job = tuple[Callable[[], Any], Callable[[Any], Arrays]]

LAYERS = {
    "gru": keras.layers.GRU,
    "lstm": keras.layers.LSTM,
    "simple_rnn": keras.layers.SimpleRNN,
}


def version() -> str:
    """Return the libraries' versions."""
    return f"{keras.__version__} on tensorflow {tf.__version__}"


def infer(cell: str, arrays: Arrays, threads: int) -> Job:
    """Run forward."""
    layer, x = _layer(cell, arrays), tf.constant(arrays["x"])

    @tf.function
    def forward(x: Any) -> Any:
        return layer(x, training=False)

    return lambda: forward(x), lambda y: {"y": y.numpy()}


def train(cell: str, arrays: Arrays, threads: int) -> Job:
    """Run forward and backward."""
    layer, x, dy = _layer(cell, arrays), tf.constant(arrays["x"]), tf.constant(arrays["dy"])
    weights = [w.value for w in layer.trainable_weights]  # kernel, recurrent kernel, bias

    @tf.function
    def step(x: Any, dy: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, training=True)
        return y, *tape.gradient(y, [x, *weights], output_gradients=dy)

    names = ("y", "dx", "dkernel", "drecurrent_kernel", "dbias")
    return lambda: step(x, dy), lambda results: {
        name: tf.convert_to_tensor(a).numpy() for name, a in zip(names, results, strict=True)
    }


def step(cell: str, arrays: Arrays, threads: int) -> Job:
    """Take a training step of a whole model."""
    T, H = arrays["ids"].shape[1], len(arrays["recurrent_kernel"])
    model = keras.Sequential(
        [
            keras.layers.Input((T,), dtype="int32"),
            keras.layers.Embedding(*arrays["table"].shape),
            LAYERS[cell](H),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    weights = ("table", "kernel", "recurrent_kernel", "bias", "dense_kernel", "dense_bias")
    model.set_weights([arrays[name] for name in weights])
    adam = keras.optimizers.Adam()
    adam.build(model.trainable_variables)
    ids, labels = tf.constant(arrays["ids"]), tf.constant(arrays["labels"])

    @tf.function
    def run(ids: Any, labels: Any) -> Any:
        with tf.GradientTape() as tape:
            losses = keras.losses.binary_crossentropy(labels, model(ids, training=True))
            loss = tf.reduce_mean(losses)
        variables = model.trainable_variables
        adam.apply(tape.gradient(loss, [v.value for v in variables]), variables)
        return loss

    return lambda: run(ids, labels), lambda loss: {"loss": loss.numpy()}


def _layer(cell: str, arrays: Arrays) -> Any:
    layer = LAYERS[cell](len(arrays["recurrent_kernel"]), return_sequences=True)
    layer.build(arrays["x"].shape)
    layer.set_weights([arrays[name] for name in ("kernel", "recurrent_kernel", "bias")])
    return layer
