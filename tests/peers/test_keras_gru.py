"""The GRU and its kin against Keras, on the backend that KERAS_BACKEND names (torch by default)."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType

import keras
import numpy as np
import pytest
import torch
from cases import ACTIVATIONS, GRUCase, assert_close, run_recurrent
from keras_cells import (
    TOLERANCE,
    dropped_cases,
    masked_cases,
    plain_cases,
    run_keras,
)

from fastgru import activations

SMALL = GRUCase(5, 4, 3, 7, dtype="float32")
MODES = [replace(SMALL, reset_after=after) for after in (True, False)]
CASES = [
    case
    for mode in MODES
    for case in (*plain_cases(mode), *masked_cases(mode), *dropped_cases(mode))
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_gru(case: GRUCase, operations: ModuleType):
    assert_close(run_recurrent(operations, case), run_keras(case), TOLERANCE)


# ---- activations ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation(name: str):
    x = np.random.default_rng(0).normal(0, 3, (40, 7))
    tensor = torch.from_numpy(x).requires_grad_()
    y = keras.activations.get(name)(tensor)
    dy = np.random.default_rng(1).normal(size=x.shape)
    (dx,) = torch.autograd.grad((y * torch.from_numpy(dy)).sum(), tensor)

    ours = activations.get(name)
    values = ours.forward(x)
    given = None if ours.from_output else x
    # torch's hardsigmoid multiplies by a float32 sixth.
    tolerance = 1e-7 if name == "hard_sigmoid" else 1e-11
    np.testing.assert_allclose(values, y.detach().numpy(), tolerance, 1e-14)
    np.testing.assert_allclose(ours.backward(dy, given, values), dx.numpy(), tolerance, 1e-13)


@pytest.mark.parametrize("argument", ["activation", "recurrent_activation"])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_in_a_gru(name: str, argument: str, operations: ModuleType):
    case = replace(SMALL, T=2, **{argument: name})
    assert_close(run_recurrent(operations, case), run_keras(case), TOLERANCE)


# ---- dense, loss, optimizer ----------------------------------------------------------------------


@pytest.mark.parametrize("activation", ["linear", "relu", "sigmoid", "tanh", "softmax", "gelu"])
def test_dense(activation: str, operations: ModuleType):
    random = np.random.default_rng(0)
    x, kernel, bias = (random.normal(size=s) for s in ((3, 4, 5), (5, 7), (7,)))
    layer = keras.layers.Dense(7, activation=activation)
    layer.build(x.shape)
    layer.set_weights([kernel, bias])
    y, _ = operations.dense_forward(x, kernel, bias, activation=activation)
    assert_close({"y": y}, {"y": layer(x).detach().numpy()}, TOLERANCE)


@pytest.mark.parametrize("from_logits", [True, False])
def test_binary_crossentropy(from_logits: bool, operations: ModuleType):
    random = np.random.default_rng(0)
    t = random.choice([0, 0.25, 1], (40, 3))
    p = random.normal(0, 5, t.shape) if from_logits else random.random(t.shape) ** 4
    if not from_logits:
        p[0], p[1] = [0, 1, 1e-9], [1e-7, 1 - 1e-9, 1 - 1e-6]
    tensor = torch.from_numpy(p).requires_grad_()
    right = keras.ops.binary_crossentropy(torch.from_numpy(t), tensor, from_logits=from_logits)
    (gradient,) = torch.autograd.grad(right.sum(), tensor)
    losses, gradients = operations.binary_crossentropy(t, p, from_logits=from_logits)
    np.testing.assert_allclose(losses, right.detach().numpy(), 1e-8, 1e-14)
    np.testing.assert_allclose(gradients, gradient.numpy(), 1e-8, 1e-14)


def test_adam(operations: ModuleType):
    random = np.random.default_rng(0)
    p, m, v = random.normal(size=20), np.zeros(20), np.zeros(20)
    variable = keras.Variable(p)
    optimizer = keras.optimizers.Adam(0.01, beta_1=0.8, beta_2=0.95, epsilon=1e-3)
    for step in range(1, 10):
        g = random.normal(size=20)
        optimizer.apply([torch.from_numpy(g.astype("float32"))], [variable])
        operations.adam_update(
            p, g, m, v, step=step, learning_rate=0.01, beta_1=0.8, beta_2=0.95, epsilon=1e-3
        )
    np.testing.assert_allclose(p, variable.value.detach().numpy(), 1e-5)
