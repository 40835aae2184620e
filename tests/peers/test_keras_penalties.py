"""Regularizers and constraints against Keras."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import torch

import fastgru

W = np.random.default_rng(43).normal(size=(6, 9)).astype(np.float32)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("L1", {"l1": 0.3}),
        ("L2", {"l2": 0.2}),
        ("L1L2", {"l1": 0.1, "l2": 0.4}),
        ("OrthogonalRegularizer", {"factor": 0.5}),
        ("OrthogonalRegularizer", {"factor": 0.5, "mode": "columns"}),
    ],
)
def test_regularizer(name: str, arguments: dict[str, Any]):
    tensor = torch.from_numpy(W.copy()).requires_grad_()
    penalty = getattr(keras.regularizers, name)(**arguments)(tensor)
    (gradient,) = torch.autograd.grad(penalty, tensor)
    ours = getattr(fastgru.regularizers, name)(**arguments)
    assert ours(W) == pytest.approx(float(penalty.detach()), rel=1e-6)
    np.testing.assert_allclose(ours.gradient(W), gradient.numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("MaxNorm", {"max_value": 2.0}),
        ("MaxNorm", {"max_value": 2.5, "axis": 1}),
        ("MaxNorm", {"max_value": 2.5, "axis": [0, 1]}),
        ("NonNeg", {}),
        ("UnitNorm", {}),
        ("UnitNorm", {"axis": 1}),
        ("MinMaxNorm", {"min_value": 2.0, "max_value": 2.5, "rate": 0.7}),
    ],
)
def test_constraint(name: str, arguments: dict[str, Any]):
    right = getattr(keras.constraints, name)(**arguments)(torch.from_numpy(W)).numpy()
    ours = getattr(fastgru.constraints, name)(**arguments)(W)
    assert ours.dtype == W.dtype
    np.testing.assert_allclose(ours, right, rtol=1e-6, atol=1e-7)
