"""Whole models drawn at random, in Keras and in fastgru: outputs, masks, penalties, gradients.

Runs 200 models, or as many as FASTGRU_RANDOM_CASES says; a number names a model. All is computed in
float64; results may differ by 1e-9 times the largest number of the array that is compared.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import pytest
import random_models
import torch
from keras.src import backend

import fastgru
from fastgru.layers import Dropout

CASES = int(os.environ.get("FASTGRU_RANDOM_CASES", "200"))


@pytest.fixture(autouse=True)
def _in_double(double_precision: None) -> Iterator[None]:
    """Let Keras and fastgru compute all in float64."""
    fastgru.backend.set_floatx("float64")
    yield
    fastgru.backend.set_floatx("float32")


def assert_close(found: Any, expected: Any, what: str) -> None:
    """Compare arrays by the largest number of the expected one."""
    assert (found is None) == (expected is None), what
    if found is not None:
        scale = max(1e-300, np.abs(expected).max(initial=0))
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9 * scale, err_msg=what)


def as_list(value: Any) -> list[Any]:
    """Return one thing, or several, as a list."""
    return list(value) if isinstance(value, list | tuple) else [value]


def shapes_of(model: Any) -> list[Any]:
    """Return the shapes of the outputs."""
    found = model.output_shape
    return found if isinstance(found, list) else [found]


def run_keras(model: Any, x: list[np.ndarray], dys: Any) -> dict[str, list[Any]]:
    """Return outputs, masks, penalties, gradients of inputs and weights."""
    tensors = [torch.from_numpy(a) for a in x]
    for tensor in tensors:
        tensor.requires_grad_(tensor.is_floating_point())
    outputs = as_list(model(tensors if len(x) > 1 else tensors[0], training=False))
    masks = [backend.get_keras_mask(y) for y in outputs]
    dy = dys([tuple(y.shape) for y in outputs])
    added = sum(model.losses) if model.losses else torch.zeros(())
    loss = added + sum((y * torch.from_numpy(d)).sum() for y, d in zip(outputs, dy, strict=True))
    wanted = [w.value for layer in model.layers for w in layer.weights]
    sources = [t for t in tensors if t.is_floating_point()]
    found = torch.autograd.grad(loss, [*wanted, *sources], allow_unused=True)
    found = [
        np.zeros(tuple(v.shape)) if g is None else g.numpy()
        for v, g in zip([*wanted, *sources], found, strict=True)
    ]
    return {
        "output": [y.detach().numpy() for y in outputs],
        "mask": [None if m is None else m.numpy() for m in masks],
        "added": [added.item()],
        "weight": found[: len(wanted)],
        "input": found[len(wanted) :],
    }


def run_fastgru(
    model: fastgru.Model, x: list[np.ndarray], dys: Any, names: list[str]
) -> dict[str, list[Any]]:
    """Return the same; `names` is the order of the layers."""
    inputs = model.check_input("x", x if len(x) > 1 else x[0])
    y, run = model.forward(inputs, training=True)
    outputs = as_list(y)
    dy = dys([y.shape for y in outputs])
    dx = model.backward(dy if isinstance(y, list) else dy[0], run)
    sources = [
        np.zeros(a.shape) if d is None else d
        for a, d in zip(x, as_list(dx), strict=True)
        if a.dtype.kind == "f"
    ]
    return {
        "output": outputs,
        "mask": run.masks,
        "added": [run.added_loss],
        "weight": [w.gradient for name in names for w in model.get_layer(name).weights],
        "input": sources,
    }


def without_dropout(model: fastgru.Model) -> None:
    """Let dropout drop nothing, so that the model can be run forward and backward for certain."""
    for layer in model.layers:
        if isinstance(layer, Dropout):
            layer.seed_generator = None
        if isinstance(layer, fastgru.Model):
            without_dropout(layer)


@pytest.mark.parametrize("number", range(CASES))
def test_a_model_is_keras(number: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a mask ends, in both
        theirs, x, masks = random_models.draw(keras, number)
        ours, same, _ = random_models.draw(fastgru, number)
        for a, b in zip(x, same, strict=True):
            np.testing.assert_array_equal(a, b)
        names = [layer.name for layer in theirs.layers]
        if masks:  # Keras orders layers by what makes their masks, too
            assert {layer.name for layer in ours.layers} == set(names)
        else:
            assert [layer.name for layer in ours.layers] == names
        for a, b in zip(shapes_of(ours), shapes_of(theirs), strict=True):
            assert len(a) == len(b) and all(m == n for m, n in zip(a, b, strict=True) if n)
        random = np.random.default_rng((6, number))
        for name in names:
            layers = [model.get_layer(name) for model in (ours, theirs)]
            values = [random.normal(0, 0.5, w.shape) for w in layers[0].weights]
            for layer in layers:
                layer.set_weights(values)
        without_dropout(ours)

        def dys(shapes: Any) -> list[np.ndarray]:
            random = np.random.default_rng((7, number))
            return [random.normal(size=shape) for shape in shapes]

        expected, found = run_keras(theirs, x, dys), run_fastgru(ours, x, dys, names)
        again = type(ours).from_config(ours.get_config())
        again.set_weights(ours.get_weights())
        for a, b in zip(as_list(again(x if len(x) > 1 else x[0])), found["output"], strict=True):
            np.testing.assert_array_equal(a, b)
    for what, arrays in expected.items():
        assert len(found[what]) == len(arrays), what
        for i, array in enumerate(arrays):
            assert_close(found[what][i], array, f"{what} {i}")
