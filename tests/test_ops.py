"""The compiled operations, on every instruction set that the machine has."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Context, Decimal, localcontext
from functools import cache
from typing import Any

import numpy as np
import pytest
from bad_input import BAD, Bad, good
from cases import (
    DENSE,
    EMBEDDING,
    GRU_BEYOND,
    GRU_GRADIENTS,
    GRU_OPTIONS,
    GRU_SIZES,
    SIZES,
    DenseCase,
    EmbeddingCase,
    GRUCase,
    Results,
    assert_close,
    run_dense,
    run_embedding,
    run_gru,
    stride,
)

from fastgru import _core, ops, reference
from fastgru.activations import Activation

Array = np.ndarray

# Largest errors, relative to the largest number of the array or 1. The oracle computes in float64,
# from the same numbers: for float32 only the operation's own rounding remains.
TOLERANCE = {"float32": 2e-6, "float64": 1e-14}
DTYPES = list(TOLERANCE)
MODES = [
    GRUCase(9, 5, 7, 17, reset_after=after, update_gate=gate)
    for after in (True, False)
    for gate in ("keep", "replace")
]


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


# ---- the GRU against the reference ---------------------------------------------------------------


@cache
def gru_oracle(case: GRUCase) -> Results:
    """The reference's results in float64 for a case."""
    return run_gru(reference, case, "float64")


def same_results(a: Results, b: Results) -> None:
    """Require the same bits."""
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name, strict=True)


@pytest.mark.parametrize("case", GRU_SIZES + GRU_OPTIONS, ids=str)
def test_gru(case: GRUCase, isa: str):
    for dtype in DTYPES:
        single = replace(case, dtype=dtype)
        results = run_gru(ops, single)
        assert all(a is None or a.dtype == dtype for a in results.values())
        oracle = gru_oracle(replace(single, packed=False, strided=False))
        assert_close(results, oracle, TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", MODES, ids=str)
def test_long_sequences(case: GRUCase, dtype: str, isa: str):
    """Errors do not grow with T where the state forgets; nothing depends on how T is divided."""
    case = replace(case, B=3, T=700, dtype=dtype)
    assert_close(run_gru(ops, case), gru_oracle(case), 10 * TOLERANCE[dtype])


@pytest.mark.parametrize("case", [GRUCase(2, 3, 300, 5), GRUCase(2, 3, 5, 520)], ids=str)
@pytest.mark.parametrize("reset_after", [True, False])
def test_long_sums(case: GRUCase, reset_after: bool, isa: str):
    for dtype in DTYPES:
        wide = replace(case, dtype=dtype, reset_after=reset_after)
        assert_close(run_gru(ops, wide), gru_oracle(wide), 2 * TOLERANCE[dtype])


@pytest.mark.parametrize("case", MODES, ids=str)
def test_return_sequences(case: GRUCase, isa: str):
    y, h_n, _ = ops.gru_forward(**case.arrays(), **case.options())
    none, same, cache = ops.gru_forward(**case.arrays(), **case.options(), return_sequences=False)
    assert none is None and cache is None
    np.testing.assert_array_equal(same, h_n)
    np.testing.assert_array_equal(y[:, -1], h_n)


@pytest.mark.parametrize("case", MODES, ids=str)
def test_gradient_of_the_last_state_alone(case: GRUCase, isa: str):
    """As a layer without return_sequences calls it."""
    case = replace(case, dy=False)
    _, _, cache = ops.gru_forward(
        **case.arrays(), **case.options(), return_sequences=False, training=True
    )
    oracle = gru_oracle(case)
    gradients = ops.gru_backward(None, cache, case.gradients()[1])
    for got, name in zip(gradients, GRU_GRADIENTS, strict=True):
        assert_close({name: got}, {name: oracle[name]}, TOLERANCE["float64"])


@pytest.mark.parametrize("case", MODES, ids=str)
def test_an_empty_batch(case: GRUCase, isa: str):
    for packed in (True, False):
        empty = replace(case, B=0, packed=packed)
        same_results(run_gru(ops, empty), run_gru(reference, empty))


# ---- the same bits -------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("reset_after", [True, False])
@pytest.mark.parametrize("H", [5, 8, 17, 33, 48])
def test_a_row_has_the_same_bits_in_any_batch(H: int, reset_after: bool, dtype: str, isa: str):
    case = GRUCase(37, 4, 9, H, dtype, reset_after)
    a = case.arrays()
    y, h_n, _ = ops.gru_forward(**a, reset_after=reset_after)

    def rows(which: Any, **options: Any) -> None:
        some = a | {"x": a["x"][which], "h0": a["h0"][which]}
        y_some, h_some, _ = ops.gru_forward(**some, reset_after=reset_after, **options)
        np.testing.assert_array_equal(y_some, y[which])
        np.testing.assert_array_equal(h_some, h_n[which])

    for row in range(case.B):
        rows([row])
        rows([row], training=True)
    for count in (2, 3, 4, 5, 6, 7, 8, 9, 16, 31):
        rows(slice(3, 3 + count))
        rows(slice(20, 20 + count), training=True)
    rows(slice(None, None, -1))
    rows(np.random.default_rng(0).permutation(37))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("reset_after", [True, False])
@pytest.mark.parametrize(("B", "H"), [(1, 8), (1, 33), (5, 17)])
def test_steps_have_the_bits_of_the_sequence(
    B: int, H: int, reset_after: bool, dtype: str, isa: str
):
    case = GRUCase(B, 40, 9, H, dtype, reset_after)
    a = case.arrays()
    y, h_n, _ = ops.gru_forward(**a, reset_after=reset_after)
    for chunk in (1, 3, 39):
        h, parts = a["h0"], []
        for t in range(0, case.T, chunk):
            part = a | {"x": a["x"][:, t : t + chunk], "h0": h}
            y_part, h, _ = ops.gru_forward(**part, reset_after=reset_after)
            parts.append(y_part)
        np.testing.assert_array_equal(np.concatenate(parts, axis=1), y)
        np.testing.assert_array_equal(h, h_n)


@pytest.mark.parametrize("case", MODES, ids=str)
def test_bits_depend_on_numbers_only(case: GRUCase, isa: str):
    """Not on the layout of arrays, packing, earlier calls or what memory held before."""
    for dtype in DTYPES:
        case = replace(case, dtype=dtype)
        expected = run_gru(ops, case)
        poisoned = {k: np.full_like(a, np.nan) for k, a in case.arrays().items()}
        _, _, cache = ops.gru_forward(**poisoned, **case.options(), training=True)
        ops.gru_backward(np.full((case.B, case.T, case.H), np.nan, dtype), cache)
        for variant in ({}, {"strided": True}, {"packed": True}, {"packed": True, "strided": True}):
            same_results(run_gru(ops, replace(case, **variant)), expected)


@pytest.mark.parametrize("case", MODES, ids=str)
def test_threads(case: GRUCase, isa: str):
    """The interpreter lock is released: calls run side by side, each on its own memory."""
    cases = [replace(case, B=B, H=H) for B in (1, 8, 33) for H in (7, 32)] * 6
    expected = [run_gru(ops, c) for c in cases]
    with ThreadPoolExecutor(4) as pool:
        for got, right in zip(pool.map(lambda c: run_gru(ops, c), cases), expected, strict=True):
            same_results(got, right)


@pytest.mark.parametrize("case", MODES, ids=str)
def test_packed_kernels_and_caches_outlive_a_change_of_isa(case: GRUCase, isa: str):
    a = case.arrays()
    kernels = a.pop("kernel"), a.pop("recurrent_kernel")
    packed = ops.pack_gru(*kernels, reset_after=case.reset_after)
    for kernel in kernels:
        kernel[...] = 0  # changes do not reach what was packed
    oracle = gru_oracle(case)
    for other in _core.available_isas():
        _core.set_isa(isa)
        y, h_n, cache = ops.gru_forward(
            kernel=packed, recurrent_kernel=None, **a, **case.options(), training=True
        )
        _core.set_isa(other)
        gradients = ops.gru_backward(case.gradients()[0], cache, case.gradients()[1])
        got = dict(zip(oracle, (y, h_n, *gradients), strict=True))
        assert_close(got, oracle, TOLERANCE["float64"])


# ---- arrays of any kind --------------------------------------------------------------------------


def unaligned(a: Array) -> Array:
    """Return an equal array that starts at an odd address."""
    memory = np.empty(a.nbytes + 1, np.uint8)
    view = memory[1:].view(a.dtype).reshape(a.shape)
    view[...] = a
    return view


def field(a: Array) -> Array:
    """Return an equal array that is a field of packed records: its strides are odd."""
    last = a.shape[-1]
    records = np.zeros(a.shape[:-1], [("tag", "i1"), ("values", a.dtype, (last,))])
    records["values"] = a
    return records["values"]


def column(a: Array) -> Array:
    """Return an equal array that has one scalar in each packed record: all strides are odd."""
    records = np.zeros(a.shape, [("tag", "i1"), ("value", a.dtype)])
    records["value"] = a
    return records["value"]


def fortran(a: Array) -> Array:
    """Return an equal array in Fortran's order."""
    return np.asfortranarray(a)


def broadcast(a: Array) -> Array:
    """Return an equal array that is read-only and has a broadcast axis if it can."""
    same = bool((a == a[:1]).all())
    view = np.broadcast_to(a[:1], a.shape) if same else a.view()
    view.flags.writeable = False
    return view


LAYOUTS = [stride, fortran, unaligned, field, column, broadcast]


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("case", MODES, ids=str)
def test_gru_takes_any_layout(case: GRUCase, packed: bool, layout: Any, isa: str):
    for dtype in DTYPES:
        case = replace(case, dtype=dtype)
        expected, (dy, dh_n) = run_gru(ops, case), case.gradients()
        a = {k: layout(v) for k, v in case.arrays().items()}
        if packed:
            kernels = a["kernel"], a["recurrent_kernel"]
            a["kernel"] = ops.pack_gru(*kernels, reset_after=case.reset_after)
            a["recurrent_kernel"] = None
        y, h_n, cache = ops.gru_forward(**a, **case.options(), training=True)
        gradients = ops.gru_backward(layout(dy), cache, layout(dh_n))
        same_results(dict(zip(expected, (y, h_n, *gradients), strict=True)), expected)


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


def test_results_are_the_callers(isa: str):
    case = MODES[0]
    y, h_n, cache = ops.gru_forward(**case.arrays(), training=True)
    dy, dh_n = case.gradients()
    first = ops.gru_backward(dy, cache, dh_n)
    y[...] = h_n[...] = np.nan
    for a, b in zip(first, ops.gru_backward(dy, cache, dh_n), strict=True):
        np.testing.assert_array_equal(a, b)  # and a cache serves twice


# ---- what is no number ---------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", MODES, ids=str)
def test_nan_stays_in_its_row(case: GRUCase, dtype: str, isa: str):
    case = replace(case, B=11, dtype=dtype)
    a, (dy, dh_n) = case.arrays(), case.gradients()
    y, h_n, cache = ops.gru_forward(**a, **case.options(), training=True)
    dx = ops.gru_backward(dy, cache, dh_n)[0]
    row, step = 6, 2
    a["x"][row, step, 3] = np.nan
    y_nan, h_nan, cache = ops.gru_forward(**a, **case.options(), training=True)
    dx_nan, dkernel, drecurrent, dbias, dh0 = ops.gru_backward(dy, cache, dh_n)
    others = np.arange(case.B) != row
    np.testing.assert_array_equal(y_nan[others], y[others])
    np.testing.assert_array_equal(h_nan[others], h_n[others])
    np.testing.assert_array_equal(dx_nan[others], dx[others])
    np.testing.assert_array_equal(y_nan[row, :step], y[row, :step])
    for poisoned in (y_nan[row, step:], h_nan[row], dx_nan[row], dh0[row], dbias, drecurrent):
        assert np.isnan(poisoned).all()
    assert np.isnan(dkernel).all()

    a = case.arrays()
    a["h0"][row, 1] = np.nan
    y_nan, h_nan, _ = ops.gru_forward(**a, **case.options())
    np.testing.assert_array_equal(y_nan[others], y[others])
    assert np.isnan(y_nan[row, 1:]).all() and np.isnan(h_nan[row]).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", MODES, ids=str)
@pytest.mark.parametrize("size", [np.inf, 1e30])
def test_the_infinite_saturates(size: float, case: GRUCase, dtype: str, isa: str):
    """One feature, so that infinities do not meet: gates are 0 or 1, candidates -1 or 1."""
    case = replace(case, I=1, dtype=dtype)
    a, (dy, dh_n) = case.arrays(), case.gradients()
    a["x"] = np.copysign(size, a["x"]).astype(dtype)
    results = []
    for module in (ops, reference):
        y, h_n, cache = module.gru_forward(**a, **case.options(), training=True)
        with np.errstate(invalid="ignore"):  # the gradient of the kernel is 0 times infinity
            results.append((y, h_n, module.gru_backward(dy, cache, dh_n)[4]))
    for got, right in zip(*results, strict=True):
        assert np.isfinite(got).all()
        np.testing.assert_allclose(got, right, TOLERANCE[dtype], TOLERANCE[dtype])


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


# ---- options that are not served -----------------------------------------------------------------

UNSERVED = ("mask", "input_dropout", "recurrent_dropout", "activation", "recurrent_activation")


@pytest.mark.parametrize("case", GRU_BEYOND, ids=str)
def test_unserved_options_are_refused_by_name(case: GRUCase):
    options = case.options()
    default = GRUCase()
    asked = [k for k in UNSERVED if getattr(case, k) != getattr(default, k)]
    if not asked:
        assert_close(run_gru(ops, case), gru_oracle(case), TOLERANCE["float64"])
        return
    with pytest.raises(NotImplementedError) as raised:
        ops.gru_forward(**case.arrays(), **options)
    for name in UNSERVED:
        mentioned = f" {name}" in f" {raised.value}".replace("=", " ")
        assert mentioned == (name in asked), str(raised.value)


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


def test_caches_and_packed_kernels_of_the_reference_are_refused():
    a = MODES[0].arrays()
    _, _, cache = reference.gru_forward(**a, training=True)
    with pytest.raises(TypeError, match="cache: expected the cache of gru_forward, got"):
        ops.gru_backward(MODES[0].gradients()[0], cache)
    packed = reference.pack_gru(a.pop("kernel"), a.pop("recurrent_kernel"))
    with pytest.raises(TypeError):
        ops.gru_forward(kernel=packed, recurrent_kernel=None, **a)


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


def test_an_activation_is_known_by_itself_not_by_its_name():
    square = Activation("relu", lambda x, out=None: np.multiply(x, x, out=out), lambda x, y: 2 * x)
    case = DenseCase(activation=square)
    assert_close(run_dense(ops, case), run_dense(reference, case), TOLERANCE["float64"])


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
