"""The compiled operations, on every instruction set; test_ops_recurrent.py has the cells."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import replace
from decimal import Context, Decimal, localcontext
from functools import cache
from typing import Any

import numpy as np
import pytest
from bad_input import BAD, Bad, good
from cases import (
    DENSE,
    DTYPES,
    EMBEDDING,
    SIZES,
    TOLERANCE,
    DenseCase,
    EmbeddingCase,
    GRUCase,
    assert_close,
    run_dense,
    run_embedding,
    same_results,
)
from layouts import LAYOUTS, subclass, unaligned

from fastgru import _core, ops, reference
from fastgru.activations import Activation

Array = np.ndarray


def test_signatures_are_the_references():
    assert ops.__all__ == reference.__all__ == sorted(ops.__all__)
    for name in ops.__all__:
        compiled, plain = getattr(ops, name), getattr(reference, name)
        assert compiled.__doc__ == plain.__doc__ and plain.__doc__
        a, b = inspect.signature(compiled).parameters, inspect.signature(plain).parameters
        assert list(a) == list(b), name
        for p, q in zip(a.values(), b.values(), strict=True):
            assert (p.name, p.kind, p.default) == (q.name, q.kind, q.default), name


def test_instruction_sets():
    assert _core.isa() == _core.available_isas()[-1]
    for name in ("mmx", "", "AVX2"):
        with pytest.raises(ValueError, match="expected one of baseline"):
            _core.set_isa(name)
    assert _core.isa() == _core.available_isas()[-1]


# ---- arrays of any kind --------------------------------------------------------------------------


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda f: f.__name__)
def test_others_take_any_layout(layout: Any, isa: str):
    for dtype in DTYPES:
        dense, embedding = DenseCase((3, 4), 9, 17, dtype), EmbeddingCase((5, 3), dtype=dtype)
        a, expected = dense.arrays(), run_dense(ops, replace(dense, activation="tanh"))
        dy = layout(a.pop("dy"))
        y, cache = ops.dense_forward(
            **{k: layout(v) for k, v in a.items()}, activation="tanh", training=True
        )
        results = (y, *ops.dense_backward(dy, cache))
        same_results(dict(zip(expected, results, strict=True)), expected)

        a, expected = embedding.arrays(), run_embedding(ops, embedding)
        ids, table, dy = (layout(a[k]) for k in ("ids", "table", "dy"))
        dtable = ops.embedding_backward(dy, ids, embedding.V)
        same_results({"y": ops.embedding_forward(ids, table), "dtable": dtable}, expected)

        x = np.linspace(0.01, 0.99, 60).astype(dtype).reshape(5, 12)
        t = (x > 0.3).astype(dtype)
        for function in (ops.exp, ops.sigmoid, ops.tanh):
            np.testing.assert_array_equal(function(layout(x)), function(x), strict=True)
        for from_logits in (True, False):
            got = ops.binary_crossentropy(layout(t), layout(x), from_logits=from_logits)
            right = ops.binary_crossentropy(t, x, from_logits=from_logits)
            np.testing.assert_array_equal(got, right, strict=True)


@pytest.mark.parametrize("operation", [n for n in ops.__all__ if n != "adam_update"])
def test_inputs_are_only_read(operation: str, isa: str):
    """Read-only inputs are taken, and hold what they held."""
    arguments = good(operation, ops)
    arrays = {k: a for k, a in arguments.items() if isinstance(a, np.ndarray)}
    before = {k: a.copy() for k, a in arrays.items()}
    for a in arrays.values():
        a.flags.writeable = False
    results = getattr(ops, operation)(**arguments)
    for k, a in arrays.items():
        np.testing.assert_array_equal(a, before[k])
    for result in results if isinstance(results, tuple) else (results,):
        if isinstance(result, np.ndarray):
            assert result.flags.c_contiguous and result.flags.writeable
            assert not any(np.shares_memory(result, a) for a in arrays.values())


# ---- what is no number ---------------------------------------------------------------------------


def test_bad_numbers_pass_through_the_others(isa: str):
    for dtype in DTYPES:
        x = DenseCase((9,), 7, 5, dtype).arrays()["x"]
        a = DenseCase((9,), 7, 5, dtype).arrays()
        a.pop("dy")
        for activation in ("linear", "relu", "sigmoid", "tanh", "softmax", "gelu"):
            x_nan = x.copy()
            x_nan[4, 3] = np.nan
            y, _ = ops.dense_forward(**a, activation=activation)
            y_nan, _ = ops.dense_forward(**a | {"x": x_nan}, activation=activation)
            others = np.arange(9) != 4
            np.testing.assert_array_equal(y_nan[others], y[others])
            assert np.isnan(y_nan[4]).all(), activation

        p = np.array([0.5, np.nan, 0.25], dtype)
        for from_logits in (True, False):
            for result in ops.binary_crossentropy(
                np.array([0, 1, 0], dtype), p, from_logits=from_logits
            ):
                np.testing.assert_array_equal(np.isnan(result), [False, True, False])


# ---- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", BAD, ids=str)
def test_refuses(bad: Bad):
    operation = getattr(ops, bad.operation)
    operation(**good(bad.operation, ops))  # all is well without the change
    arguments = bad.arguments(ops)
    arrays = {k: a for k, a in arguments.items() if isinstance(a, np.ndarray)}
    before = {k: a.copy() for k, a in arrays.items()}
    with pytest.raises(bad.error) as raised:
        operation(**arguments)
    assert str(raised.value).startswith(bad.message)
    for k, a in arrays.items():
        np.testing.assert_array_equal(a, before[k])


# ---- dense, embedding ----------------------------------------------------------------------------


@pytest.mark.parametrize("case", DENSE, ids=str)
def test_dense(case: DenseCase, isa: str):
    for dtype in DTYPES:
        single = replace(case, dtype=dtype)
        results = run_dense(ops, single)
        assert all(a is None or a.dtype == dtype for a in results.values())
        assert_close(results, run_dense(reference, single, "float64"), TOLERANCE[dtype])


def test_dense_of_an_empty_batch(isa: str):
    for activation in ("linear", "sigmoid", "softmax"):
        case = DenseCase((0, 3), activation=activation)
        same_results(run_dense(ops, case), run_dense(reference, case))


def test_a_users_own_activation():
    square = Activation(
        "square", lambda x, out=None: np.multiply(x, x, out=out), lambda x, y: 2 * x
    )
    case = DenseCase(activation=square)
    assert_close(run_dense(ops, case), run_dense(reference, case), TOLERANCE["float64"])


@pytest.mark.parametrize("name", ["relu", "tanh", "swish", "linear"])
def test_an_activation_of_ones_own_has_a_name_of_its_own(name: str):
    with pytest.raises(ValueError, match=f"^name: '{name}' is an activation of fastgru's; choose"):
        Activation(name, lambda x, out=None: np.multiply(x, x, out=out), lambda x, y: 2 * x)


@pytest.mark.parametrize("O", [1, 3, 8, 17])
@pytest.mark.parametrize("activation", ["linear", "sigmoid", "softmax"])
def test_a_row_of_dense_has_the_same_bits_in_any_batch(O: int, activation: str, isa: str):
    for dtype in DTYPES:
        a = DenseCase((37,), 33, O, dtype).arrays()
        x, kernel, bias = a["x"], a["kernel"], a["bias"]
        y, _ = ops.dense_forward(x, kernel, bias, activation=activation)
        parts = [slice(i, i + 1) for i in range(37)] + [slice(5, 5 + n) for n in range(2, 18)]
        for part in parts:
            some, _ = ops.dense_forward(x[part], kernel, bias, activation=activation)
            np.testing.assert_array_equal(some, y[part])


@pytest.mark.parametrize("case", EMBEDDING, ids=str)
def test_embedding(case: EmbeddingCase, isa: str):
    for dtype in DTYPES:
        single = replace(case, dtype=dtype)
        results = run_embedding(ops, single)
        assert all(a.dtype == dtype for a in results.values() if a is not None)
        assert_close(results, run_embedding(reference, single, "float64"), TOLERANCE[dtype])


def test_gradients_go_into_given_arrays(isa: str):
    for dtype in DTYPES:
        case = DenseCase((5,), 7, 9, dtype)
        expected = run_dense(ops, case)
        a = case.arrays()
        dy = a.pop("dy")
        _, cache = ops.dense_forward(**a, training=True)
        out = np.full((7, 9), np.nan, dtype), np.full(9, np.nan, dtype)
        _, dkernel, dbias = ops.dense_backward(dy, cache, out=out)
        assert dkernel is out[0] and dbias is out[1]
        _, cache = ops.dense_forward(a["x"], a["kernel"], training=True)
        none = ops.dense_backward(dy, cache, out=(np.empty_like(dkernel), None))[2]
        assert none is None
        same_results(
            {"dkernel": dkernel, "dbias": dbias}, {k: expected[k] for k in ("dkernel", "dbias")}
        )

        lookup = EmbeddingCase(dtype=dtype)
        a = lookup.arrays()
        out = np.full((lookup.V, lookup.D), np.nan, dtype)
        assert ops.embedding_backward(a["dy"], a["ids"], lookup.V, out=out) is out
        np.testing.assert_array_equal(out, run_embedding(ops, lookup)["dtable"])


# ---- loss and optimizer --------------------------------------------------------------------------


@pytest.mark.parametrize("from_logits", [True, False])
@pytest.mark.parametrize("n", SIZES)
def test_binary_crossentropy(n: int, from_logits: bool, isa: str):
    random = np.random.default_rng(n)
    for dtype in DTYPES:
        for shape in ((n,), (3, n), (2, n, 1)):
            t = random.choice([0, 0.25, 1], shape).astype(dtype)
            p = random.normal(0, 30, shape) if from_logits else random.random(shape) ** 8
            p = p.astype(dtype)
            got = ops.binary_crossentropy(t, p, from_logits=from_logits)
            right = reference.binary_crossentropy(
                t.astype(float), p.astype(float), from_logits=from_logits
            )
            for a, b in zip(got, right, strict=True):
                assert a.dtype == dtype and a.shape == shape
                # A gradient sigmoid(x) - t, near zero, has the rounding of its larger terms.
                eps = np.finfo(dtype).eps
                np.testing.assert_allclose(a, b, 4 * eps, 2 * eps if from_logits else 0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_binary_crossentropy_of_sure_predictions(dtype: str, isa: str):
    edges = [0.0, 1e-30, 9e-8, 1e-7, 2e-7, 1 - 2e-7, 1 - 1e-7, 1 - 5e-8, 1.0, -0.5, 1.5]
    p, eps = np.array(edges, dtype), 4 * np.finfo(dtype).eps
    x = np.array([-np.finfo(dtype).max, -1e4, -104, -88.5, -0.0, 88.5, 104, 1e4], dtype)
    for label in (0, 0.5, 1):
        for y_pred, from_logits in ((p, False), (x, True)):
            t = np.full(y_pred.shape, label, dtype)
            got = ops.binary_crossentropy(t, y_pred, from_logits=from_logits)
            right = reference.binary_crossentropy(t, y_pred, from_logits=from_logits)
            np.testing.assert_allclose(got, right, eps, np.finfo(dtype).tiny)


@pytest.mark.parametrize("n", [0, *SIZES, 1000])
def test_adam_update(n: int, isa: str):
    for dtype in DTYPES:
        random = np.random.default_rng(n)
        p, m, v = random.normal(size=n).astype(dtype), np.zeros(n, dtype), np.zeros(n, dtype)
        q, mean, square = (a.astype(float) for a in (p, m, v))
        settings = {"learning_rate": 0.01, "beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-3}
        for step in range(1, 6):
            g = random.normal(size=n).astype(dtype)
            kept, options = g.copy(), settings if step % 2 else {}
            ops.adam_update(p, g, m, v, step=step, **options)
            reference.adam_update(q, g.astype(float), mean, square, step=step, **options)
            np.testing.assert_array_equal(g, kept)
        for got, right in ((p, q), (m, mean), (v, square)):
            assert_close({"": got}, {"": right}, 4 * float(np.finfo(dtype).eps))


# ---- exp, sigmoid, tanh --------------------------------------------------------------------------

FUNCTIONS = ["exp", "sigmoid", "tanh"]


@cache
def float32_sample() -> Array:
    """Every 521st float32 of both signs, NaN and inf included; then two dense intervals."""
    bits = np.arange(0, 2**32, 521, dtype=np.uint32)
    return np.concatenate([
        bits.view(np.float32),
        np.linspace(-110, 110, 1_000_003, dtype=np.float32),
        np.linspace(-1, 1, 500_001, dtype=np.float32),
    ])  # fmt: skip


@cache
def float32_oracle(name: str) -> tuple[Array, Array]:
    """The results in float64, and the size of a unit in the last place of a float32 there."""
    with np.errstate(all="ignore"):
        x = float32_sample().astype(np.float64)
        y = {"exp": np.exp, "sigmoid": lambda x: 1 / (1 + np.exp(-x)), "tanh": np.tanh}[name](x)
        exponent = np.frexp(y)[1]
    return y, np.ldexp(1.0, np.maximum(exponent - 24, -149))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_float32_accuracy(name: str, isa: str):
    """Nine million numbers: two units in the last place, and nothing else below normal size."""
    x, (right, unit) = float32_sample(), float32_oracle(name)
    y = getattr(ops, name)(x)
    assert y.dtype == np.float32 and y.shape == x.shape
    nan = np.isnan(x)
    np.testing.assert_array_equal(np.isnan(y), nan)
    tiny = float(np.finfo(np.float32).tiny)
    infinite = ~nan & (right > float(np.finfo(np.float32).max))
    assert np.isposinf(y[infinite]).all() and np.isfinite(y[~infinite & ~nan]).all()

    normal = ~nan & ~infinite & (np.abs(right) >= tiny)
    errors = np.abs(y[normal] - right[normal]) / unit[normal]
    worst = int(errors.argmax())
    assert errors[worst] <= 2, f"{errors[worst]:.2f} units at {x[normal][worst]!r}"

    below = ~nan & (np.abs(right) < tiny)
    assert (np.abs(y[below]) <= tiny).all()
    np.testing.assert_array_equal(np.signbit(y[below]), np.signbit(right[below]))


def float64_sample() -> Iterator[float]:
    random = np.random.default_rng(0)
    yield from random.uniform(-740, 720, 2000).tolist()
    yield from random.uniform(-746, -700, 1000).tolist()  # where results leave normal size
    yield from random.uniform(-40, 40, 2000).tolist()
    yield from random.uniform(-1, 1, 1000).tolist()
    yield from (random.choice([-1, 1], 1000) * 10.0 ** random.uniform(-300, 0, 1000)).tolist()


@cache
def float64_oracle(name: str) -> tuple[Array, Array]:
    """Numbers, and the results with 60 digits, rounded once."""
    x = list(float64_sample())
    with localcontext(Context(prec=60, Emax=10**6, Emin=-(10**6))):
        if name == "exp":
            y = [Decimal(v).exp() for v in x]
        elif name == "sigmoid":
            y = [1 / (1 + Decimal(-v).exp()) for v in x]
        else:
            y = [_tanh(Decimal(v)) for v in x]
        return np.array(x), np.array([float(v) for v in y])


def _tanh(x: Decimal) -> Decimal:
    if abs(x) < Decimal("1e-15"):
        return x - x**3 / 3
    e = (2 * x).exp()
    return (e - 1) / (e + 1)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_float64_accuracy(name: str, isa: str):
    x, right = float64_oracle(name)
    y = getattr(ops, name)(x)
    tiny = np.finfo(np.float64).tiny
    infinite, below = np.isinf(right), np.abs(right) < tiny
    assert np.isposinf(y[infinite]).all()
    assert (np.abs(y[below]) <= tiny).all()
    normal = ~infinite & ~below
    errors = np.abs(y[normal] - right[normal]) / np.spacing(np.abs(right[normal]))
    assert errors.max() <= 2, f"{errors.max():.2f} units at {x[normal][errors.argmax()]!r}"


@pytest.mark.parametrize("dtype", DTYPES)
def test_special_values(dtype: str, isa: str):
    limits = np.finfo(dtype)
    tiny, least, huge = limits.tiny, limits.smallest_subnormal, limits.max
    x = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, -np.nan, huge, -huge], dtype)
    results = {
        "exp": [1, 1, np.inf, 0, np.nan, np.nan, np.inf, 0],
        "sigmoid": [0.5, 0.5, 1, 0, np.nan, np.nan, 1, 0],
        "tanh": [0, -0.0, 1, -1, np.nan, np.nan, 1, -1],
    }
    small = np.array([least, -least, tiny, -tiny], dtype)
    for name, right in results.items():
        function = getattr(ops, name)
        for copies in (1, 2, 5):  # whole vectors and remainders
            y = function(np.tile(x, copies))
            np.testing.assert_array_equal(y, np.tile(np.array(right, dtype), copies), strict=True)
            if name == "tanh":
                np.testing.assert_array_equal(np.signbit(y[:2]), [False, True])
            else:
                assert not np.signbit(y[~np.isnan(y)]).any()
        y = function(small)
        if name == "tanh":
            assert (np.abs(y) <= np.abs(small)).all()
            np.testing.assert_array_equal(np.signbit(y), np.signbit(small))
            np.testing.assert_array_equal(y[2:], small[2:])
        else:
            np.testing.assert_array_equal(y, np.full(4, 1 if name == "exp" else 0.5, dtype))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_shapes_of_elementwise(name: str, isa: str):
    function = getattr(ops, name)
    for dtype in DTYPES:
        x = np.linspace(-5, 5, 130, dtype=dtype)
        y = function(x)
        for n in (0, *SIZES):  # the same bits, whatever the position in a vector
            np.testing.assert_array_equal(function(x[:n]), y[:n])
            np.testing.assert_array_equal(function(x[-n:]) if n else y[:0], y[-n:] if n else y[:0])
        np.testing.assert_array_equal(function(x.reshape(2, 5, 13)), y.reshape(2, 5, 13))
        assert function(x[7:8].reshape(())).shape == () and function(x[7:8].reshape(())) == y[7]


# ---- what is written -----------------------------------------------------------------------------


def test_other_arrays_are_written_into_alike():
    """Parameters at odd addresses, arrays of another class, numbers that are no Python floats."""
    random = np.random.default_rng(4)
    for dtype in DTYPES:
        buffers = [random.random(33).astype(dtype) for _ in range(4)]
        for layout in unaligned, subclass:
            others = [layout(a.copy()) for a in buffers]
            ops.adam_update(*others, step=np.int64(3), learning_rate=np.float32(0.5), beta_1=0)
            expected = [a.copy() for a in buffers]
            ops.adam_update(*expected, step=3, learning_rate=0.5, beta_1=0.0)
            for other, array in zip(others, expected, strict=True):
                np.testing.assert_array_equal(other, array)
    case = good("embedding_backward", ops)
    out = subclass(np.empty((5, 2)))
    assert ops.embedding_backward(**case, out=out) is out
    np.testing.assert_array_equal(out, ops.embedding_backward(**case))
    case = good("dense_backward", ops)
    gradients = [subclass(np.empty((5, 4))), subclass(np.empty(4))]
    found = ops.dense_backward(**case, out=gradients)
    assert found[1] is gradients[0] and found[2] is gradients[1]
    for array, expected in zip(found, ops.dense_backward(**case), strict=True):
        np.testing.assert_array_equal(array, expected)


# ---- numbers below normal size -------------------------------------------------------------------


def test_the_floating_point_mode_is_the_callers_again(isa: str):
    """A pass counts numbers below normal size as zero; what follows it does not."""
    tiny = np.full(64, 1e-39, np.float32)
    x = np.full((3, 4, 5), 1e-39, np.float32)
    kernel, recurrent_kernel = np.ones((5, 27), np.float32), np.ones((9, 27), np.float32)
    y, _, cache = ops.gru_forward(x, kernel, recurrent_kernel, training=True)
    ops.gru_backward(np.ones_like(y), cache)
    assert (tiny * np.float32(0.5) > 0).all()


# ---- memory --------------------------------------------------------------------------------------


class Liar(np.ndarray):
    """An array that claims a hundred times the time steps that it has."""

    @property
    def shape(self):
        """The claim."""
        batch, time, features = super().shape
        return batch, 100 * time, features


def test_the_core_believes_no_claim_about_memory():
    gru = GRUCase(3, 4, 5, 6).arrays()
    with pytest.raises(ValueError, match="buffer: expected 400 on axis 1, got 4"):
        ops.gru_forward(**gru | {"x": gru["x"].view(Liar)})
    with pytest.raises(ValueError, match="buffer: expected 18 on axis 1, got 15"):
        _core.PackedGRU(gru["kernel"][:, :15], gru["recurrent_kernel"], True)
    labels, outputs = np.zeros((2, 400, 3)), np.full((2, 4, 3), 0.5)
    with pytest.raises(ValueError, match="buffer: an array has not the shape"):
        ops.binary_crossentropy(labels, outputs.view(Liar))
