"""Regularizers and constraints."""

from __future__ import annotations

import json

import numpy as np
import pytest

from fastgru import constraints, regularizers

W = np.random.default_rng(41).normal(size=(5, 7))

REGULARIZERS = [
    regularizers.L1(0.3),
    regularizers.L2(0.2),
    regularizers.L1L2(0.1, 0.4),
    regularizers.OrthogonalRegularizer(0.5),
    regularizers.OrthogonalRegularizer(0.5, mode="columns"),
]


@pytest.mark.parametrize("regularizer", REGULARIZERS, ids=repr)
def test_a_gradient_is_the_slope_of_the_penalty(regularizer):
    gradient = regularizer.gradient(W)
    assert gradient.shape == W.shape and gradient.dtype == W.dtype
    for i in np.ndindex(W.shape):
        move = np.zeros_like(W)
        move[i] = 1e-6
        slope = (regularizer(W + move) - regularizer(W - move)) / 2e-6
        assert slope == pytest.approx(gradient[i], rel=1e-5, abs=1e-8)
    assert regularizer.gradient(W.astype(np.float32)).dtype == np.float32


def test_penalties():
    assert regularizers.L1(0.3)(W) == pytest.approx(0.3 * np.abs(W).sum())
    assert regularizers.L2(0.2)(W) == pytest.approx(0.2 * (W**2).sum())
    both = regularizers.L1(0.1)(W) + regularizers.L2(0.4)(W)
    assert regularizers.L1L2(0.1, 0.4)(W) == pytest.approx(both)
    assert regularizers.OrthogonalRegularizer()(np.eye(4)) == 0
    assert regularizers.OrthogonalRegularizer(0.5)(np.ones((3, 3))) == pytest.approx(0.5)
    with pytest.raises(ValueError, match=r"expected a matrix, got shape \(3,\)"):
        regularizers.OrthogonalRegularizer()(np.ones(3))


def test_regularizers_by_name():
    assert regularizers.get(None) is None
    assert regularizers.get("l1_l2").get_config() == {"l1": 0.01, "l2": 0.01}
    assert type(regularizers.get("L2")) is regularizers.L2
    for regularizer in REGULARIZERS:
        again = regularizers.deserialize(regularizers.serialize(regularizer))
        assert type(again) is type(regularizer)
        assert again.get_config() == regularizer.get_config()
    for bad, error, message in [
        ("l3", ValueError, "kernel_regularizer: unknown name 'l3'; known: l1, l1_l2, l2"),
        (abs, TypeError, "kernel_regularizer: expected a name or an instance"),
    ]:
        with pytest.raises(error, match=message):
            regularizers.get(bad, "kernel_regularizer")
    for bad, error in [(-1, ValueError), (np.inf, ValueError), ("1", TypeError)]:
        with pytest.raises(error, match="l2: expected a"):
            regularizers.L2(bad)
    with pytest.raises(ValueError, match="mode: expected 'rows' or 'columns', got 'all'"):
        regularizers.OrthogonalRegularizer(mode="all")


def test_constraints():
    norms = np.linalg.norm(W, axis=0)
    assert not (constraints.NonNeg()(W) < 0).any() and (W < 0).any()
    limit = float(np.median(norms))
    limited = np.linalg.norm(constraints.MaxNorm(limit)(W), axis=0)
    np.testing.assert_allclose(limited, np.minimum(norms, limit), rtol=1e-6)
    unit = constraints.UnitNorm(axis=1)(W)
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1, rtol=1e-6)
    low, high = np.quantile(norms, [0.3, 0.7])
    between = np.linalg.norm(constraints.MinMaxNorm(low, high)(W), axis=0)
    np.testing.assert_allclose(between, np.clip(norms, low, high), rtol=1e-6)
    half = np.linalg.norm(constraints.MinMaxNorm(low, high, rate=0.5)(W), axis=0)
    np.testing.assert_allclose(half, (np.clip(norms, low, high) + norms) / 2, rtol=1e-6)
    assert np.isfinite(constraints.UnitNorm()(np.zeros((3, 2)))).all()
    for axis, plain in ((np.int64(1), 1), ([np.int32(0), 1], [0, 1])):
        of_numpy = constraints.MaxNorm(limit, axis)
        assert json.dumps(of_numpy.get_config()) == json.dumps({"max_value": limit, "axis": plain})
        np.testing.assert_array_equal(of_numpy(W), constraints.MaxNorm(limit, plain)(W))
    assert constraints.MaxNorm(axis=[0, 1])(W.astype(np.float32)).dtype == np.float32


def test_constraints_by_name():
    assert constraints.get(None) is None
    for name, kind in [("max_norm", "MaxNorm"), ("NonNeg", "NonNeg"), ("unit_norm", "UnitNorm")]:
        assert type(constraints.get(name)).__name__ == kind
    one = constraints.MinMaxNorm(0.1, 0.9, axis=(0, 1))
    again = constraints.deserialize(constraints.serialize(one))
    assert again.get_config() == one.get_config() and again.axis == [0, 1]
    with pytest.raises(ValueError, match="bias_constraint: unknown name 'maxnrm'; did you mean"):
        constraints.get("maxnrm", "bias_constraint")
    for arguments, error, message in [
        ({"max_value": -1}, ValueError, "max_value: expected a number of at least 0"),
        ({"max_value": "2"}, TypeError, "max_value: expected a number"),
        ({"axis": 1.5}, TypeError, "axis: expected an integer or a list of integers"),
    ]:
        with pytest.raises(error, match=message):
            constraints.MaxNorm(**arguments)
    with pytest.raises(ValueError, match="min_value: expected at most 1, got 2"):
        constraints.MinMaxNorm(2, 1)


def test_a_regularizer_of_ones_own_that_lacks_its_derivative_says_so():
    class Mine(regularizers.Regularizer):
        def __call__(self, x):
            return float(np.sum(x))

    with pytest.raises(NotImplementedError, match=r"Mine\.gradient: a regularizer says"):
        Mine().gradient(np.ones(2))
