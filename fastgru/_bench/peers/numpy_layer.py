"""The reference operations of fastgru, in plain NumPy."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

import fastgru
from fastgru import layers, models, reference

Arrays = dict[str, np.ndarray]
Job = tuple[Callable[[], Any], Callable[[Any], Arrays]]

LAYERS = {"gru": layers.GRU, "lstm": layers.LSTM, "simple_rnn": layers.SimpleRNN}
NAMES = ("y", "dx", "dkernel", "drecurrent_kernel", "dbias")
WEIGHTS = ("table", "kernel", "recurrent_kernel", "bias", "dense_kernel", "dense_bias")


def version() -> str:
    """Return the library's version."""
    return np.__version__


def infer(cell: str, arrays: Arrays, threads: int, ops: ModuleType = reference) -> Job:
    """Run forward, on packed kernels."""
    forward = getattr(ops, f"{cell}_forward")
    packed = getattr(ops, f"pack_{cell}")(arrays["kernel"], arrays["recurrent_kernel"])
    x, bias = arrays["x"], arrays["bias"]
    return lambda: forward(x, packed, None, bias)[0], lambda y: {"y": y}


def train(
    cell: str, arrays: Arrays, threads: int, ops: ModuleType = reference, recompute: bool = False
) -> Job:
    """Run forward and backward."""
    forward, backward = (getattr(ops, f"{cell}_{way}") for way in ("forward", "backward"))
    weights = [arrays[name] for name in ("kernel", "recurrent_kernel", "bias")]
    x, dy = arrays["x"], arrays["dy"]
    # As a layer does: the compiled operations write where the gradients belong. NumPy would copy.
    out = None if ops is reference else tuple(np.empty_like(w) for w in weights)

    def run() -> Any:
        y, *_, cache = forward(x, *weights, training=True, recompute=recompute)
        return y, *backward(dy, cache, out=out)[:4]

    return run, lambda results: dict(zip(NAMES, results, strict=True))


def step(cell: str, arrays: Arrays, threads: int, ops: str = "reference") -> Job:
    """Take a training step of a whole model."""
    (_, T), (V, I) = arrays["ids"].shape, arrays["table"].shape
    model = models.Sequential(
        [
            layers.Input((T,)),
            layers.Embedding(V, I),
            LAYERS[cell](len(arrays["recurrent_kernel"])),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.set_weights([arrays[name] for name in WEIGHTS])
    model.compile(optimizer="adam", loss="binary_crossentropy")
    ids, labels = arrays["ids"], arrays["labels"]

    def run() -> Any:
        with fastgru.use_ops(ops):
            return model.train_on_batch(ids, labels)

    return run, lambda loss: {"loss": np.asarray(loss)}
