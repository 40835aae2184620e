"""The GRU and its kin against Keras, on the backend that KERAS_BACKEND names (torch by default)."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType

import keras
import numpy as np
import pytest
import torch
from cases import ACTIVATIONS, GRUCase, Results, assert_close, run_gru

from fastgru import activations, reference

# On every backend but TensorFlow Keras computes products of float64 in float32.
TOLERANCE = 5e-6

SERVED = [
    GRUCase(
        *shape, dtype="float32", reset_after=after, bias=bias, go_backwards=backwards, h0=h0,
        dy=dy, dh_n=dh_n,
    )
    for shape in ((3, 4, 5, 6), (1, 7, 9, 8), (9, 5, 17, 33))
    for after in (True, False)
    for bias, backwards, h0, dy, dh_n in (
        (True, False, True, True, True),
        (False, True, False, True, False),
        (True, True, True, False, True),
    )
]  # fmt: skip

SMALL = GRUCase(5, 4, 3, 7, dtype="float32")
MASKED = [
    replace(SMALL, mask=mask, masked_output=output, reset_after=after, go_backwards=backwards)
    for mask in ("right", "left", "interior", "rows", "none", "all")
    for output in ("repeat", "zero")
    for after in (True, False)
    for backwards in (False, True)
]
DROPPED = [
    replace(SMALL, reset_after=after, input_dropout=i, recurrent_dropout=r, mask=mask)
    for after in (True, False)
    for i, r in ((1, 0), (3, 3), (0, 3))
    for mask in (None, "interior")
]


def run_keras(case: GRUCase) -> Results:
    """Run a case on Keras' layer, differentiated by torch; return what `run_gru` returns."""
    a = {k: torch.from_numpy(v) for k, v in case.arrays().items()}
    layer = make_layer(case)
    layer.build((case.B, case.T, case.I))
    names = ["kernel", "recurrent_kernel", *(["bias"] if case.bias else [])]
    for name in names:
        getattr(layer.cell, name).assign(a[name])
    for name in ("input_dropout", "recurrent_dropout"):
        if name in a:
            masks = a[name] if a[name].ndim == 2 else list(a[name])
            which = "dropout" if name == "input_dropout" else name
            setattr(layer.cell, f"get_{which}_mask", lambda _, masks=masks: masks)

    given = [a["x"], *(getattr(layer.cell, name).value for name in names)]
    h0 = a.get("h0", torch.zeros(case.B, case.H, dtype=a["x"].dtype))
    given.append(h0)
    for tensor in given:
        tensor.requires_grad_()
    y, h_n = layer(a["x"], initial_state=h0, mask=a.get("mask"), training=True)
    dy, dh_n = (None if d is None else torch.from_numpy(d) for d in case.gradients())
    loss = sum((v * d).sum() for v, d in ((y, dy), (h_n, dh_n)) if d is not None)
    found = torch.autograd.grad(loss, given, allow_unused=True)
    gradients = [torch.zeros_like(v) if g is None else g for v, g in zip(given, found, strict=True)]
    results = {"y": y, "h_n": h_n} | dict(
        zip(("dx", *(f"d{name}" for name in names), "dh0"), gradients, strict=True)
    )
    arrays: Results = {k: v.detach().numpy() for k, v in results.items()}
    arrays.setdefault("dbias", None)
    if not case.h0:
        arrays["dh0"] = None
    return arrays


def make_layer(case: GRUCase) -> keras.layers.GRU:
    """Make Keras' layer for a case. A positive dropout rate has it ask for a mask."""
    return keras.layers.GRU(
        case.H,
        activation=case.activation,
        recurrent_activation=case.recurrent_activation,
        use_bias=case.bias,
        dropout=0.5 if case.input_dropout else 0.0,
        recurrent_dropout=0.5 if case.recurrent_dropout else 0.0,
        reset_after=case.reset_after,
        return_sequences=True,
        return_state=True,
        go_backwards=case.go_backwards,
        zero_output_for_mask=case.masked_output == "zero",
        dtype=case.dtype,
    )


@pytest.mark.parametrize("case", SERVED, ids=str)
def test_gru(case: GRUCase, operations: ModuleType):
    assert_close(run_gru(operations, case), run_keras(case), TOLERANCE)


@pytest.mark.parametrize("case", [*MASKED, *DROPPED], ids=str)
def test_masks_and_dropout(case: GRUCase):
    assert_close(run_gru(reference, case), run_keras(case), TOLERANCE)


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
def test_activation_in_a_gru(name: str, argument: str):
    case = replace(SMALL, T=2, **{argument: name})
    assert_close(run_gru(reference, case), run_keras(case), TOLERANCE)


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
