"""The compiled cells, on every instruction set: their numbers, and what bits depend on."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from cases import (
    CELLS,
    DTYPES,
    RECURRENT_COMPILED,
    RECURRENT_OPTIONS,
    RECURRENT_SIZES,
    TOLERANCE,
    GRUCase,
    LSTMCase,
    RecurrentCase,
    Results,
    assert_close,
    backward,
    forward,
    run_recurrent,
    same_results,
)
from layouts import LAYOUTS

import fastgru
from fastgru import _core, ops, reference
from fastgru.activations import Activation

Array = np.ndarray

# Every cell at a size of whole vectors and remainders; one that shares its rows among the threads,
# one that shares its units, and one that two threads share by rows, four by units.
MEDIUM = [replace(cell, B=9, T=5, I=7, H=17) for cell in CELLS]
KINDS = [cell for cell in CELLS if not isinstance(cell, GRUCase) or cell.update_gate == "keep"]
SHARED = [
    replace(cell, B=B, T=T, I=I, H=H, dtype="float32")
    for cell in KINDS
    for B, T, I, H in ((23, 20, 17, 41), (2, 40, 50, 300), (12, 13, 9, 140))
]


@cache
def oracle(case: RecurrentCase) -> Results:
    """The reference's results in float64 for a case."""
    return run_recurrent(reference, case, "float64")


def outputs(case: RecurrentCase, **changed: Any) -> list[Array]:
    """Return y, h_n (and c_n) of a case, with some arguments changed."""
    *results, cache = forward(ops, case)(**(case.arrays() | case.options() | changed))
    assert cache is None or changed.get("training")
    return results


def same(a: list[Array], b: list[Array]) -> None:
    """Require the same bits."""
    for left, right in zip(a, b, strict=True):
        np.testing.assert_array_equal(left, right, strict=True)


# ---- against the reference -----------------------------------------------------------------------


@pytest.mark.parametrize("case", RECURRENT_SIZES + RECURRENT_OPTIONS + RECURRENT_COMPILED, ids=str)
def test_numbers(case: RecurrentCase, isa: str):
    for dtype in DTYPES:
        single = replace(case, dtype=dtype)
        results = run_recurrent(ops, single)
        assert all(a is None or a.dtype == dtype for a in results.values())
        plain = replace(single, packed=False, strided=False, recompute=False, out=False)
        # A fixed point keeps as many digits behind it for small numbers as for large ones.
        fixed = "amx" in isa and dtype == "float32"
        assert_close(results, oracle(plain), (1.5 if fixed else 1) * TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", MEDIUM, ids=str)
def test_long_sequences(case: RecurrentCase, dtype: str, isa: str):
    """Errors do not grow with T where the state forgets; nothing depends on how T is divided."""
    for more in ({}, {"mask": "interior"}, {"ragged": True, "recompute": True}):
        long = replace(case, B=3, T=700, dtype=dtype, **more)
        right = oracle(replace(long, recompute=False))
        assert_close(run_recurrent(ops, long), right, 10 * TOLERANCE[dtype])


DEEP = [
    # A chunk of 256 rows and one of a single row; and a second member that has a single row.
    LSTMCase(B=1, T=257, I=3, H=512, dtype="float32"),
    GRUCase(B=33, T=1, I=3, H=600, dtype="float32"),
    # Reset before, a product of two gates wants more room than that of three.
    GRUCase(B=256, T=3, I=3, H=420, reset_after=False, dtype="float32"),
    GRUCase(B=40, T=3, I=3, H=512, reset_after=False, recompute=True, dtype="float32"),
]


@pytest.mark.parametrize("case", DEEP, ids=str)
@pytest.mark.usefixtures("threads")
def test_many_units(case: RecurrentCase, isa: str):
    fastgru.set_num_threads(1)
    right, alone = oracle(replace(case, recompute=False)), run_recurrent(ops, case)
    assert_close(alone, right, 10 * TOLERANCE["float32"])
    fastgru.set_num_threads(2)
    same_results(run_recurrent(ops, case), alone)


@pytest.mark.parametrize("shape", [(2, 3, 300, 5), (2, 3, 5, 520)], ids=str)
@pytest.mark.parametrize("case", KINDS, ids=str)
def test_long_sums(case: RecurrentCase, shape: tuple[int, ...], isa: str):
    B, T, I, H = shape
    for dtype in DTYPES:
        wide = replace(case, B=B, T=T, I=I, H=H, dtype=dtype)
        assert_close(run_recurrent(ops, wide), oracle(wide), 2 * TOLERANCE[dtype])


@pytest.mark.parametrize("case", MEDIUM, ids=str)
def test_return_sequences(case: RecurrentCase, isa: str):
    for more in ({}, {"mask": "interior"}, {"ragged": True}):
        some = replace(case, **more)
        y, *states = outputs(some)
        none, *same_states = outputs(some, return_sequences=False)
        assert none is None
        same(same_states, states)
        if not more:
            np.testing.assert_array_equal(y[:, -1], states[0])


@pytest.mark.parametrize("more", [{}, {"mask": "left"}, {"ragged": True}], ids=str)
@pytest.mark.parametrize("case", MEDIUM, ids=str)
def test_gradient_of_the_last_state_alone(case: RecurrentCase, more: dict[str, Any], isa: str):
    """As a layer without return_sequences calls it."""
    case = replace(case, dy=False, **more)
    arguments = case.arrays() | case.options()
    *_, cache = forward(ops, case)(**arguments, return_sequences=False, training=True)
    gradients = backward(ops, case)(None, cache, *case.gradients()[1:])
    expected = {name: oracle(case)[name] for name in case.gradient_names()}
    assert_close(dict(zip(expected, gradients, strict=True)), expected, TOLERANCE["float64"])


@pytest.mark.parametrize("more", [{}, {"mask": "left"}, {"ragged": True}], ids=str)
@pytest.mark.parametrize("case", MEDIUM, ids=str)
def test_without_the_inputs_gradient(case: RecurrentCase, more: dict[str, Any], isa: str):
    for some in replace(case, **more), replace(case, input_dropout=case.gates, recompute=True):
        for each in ops, reference:
            *_, cache = forward(each, some)(**some.arrays(), **some.options(), training=True)
            run, (dy, *dstates) = backward(each, some), some.gradients()
            dx, *expected = run(dy, cache, *dstates)
            none, *found = run(dy, cache, *dstates, input_gradient=False)
            assert dx is not None and none is None
            same(found, expected)


@pytest.mark.parametrize("case", MEDIUM, ids=str)
def test_an_empty_batch(case: RecurrentCase, isa: str):
    for more in ({}, {"packed": True}, {"mask": "all", "out": True}, {"input_dropout": 1}):
        empty = replace(case, B=0, **more)
        same_results(run_recurrent(ops, empty), run_recurrent(reference, empty))


def test_a_users_own_activation(isa: str):
    square = Activation(
        "square", lambda x, out=None: np.multiply(x, x, out=out), lambda x, y: 2 * x
    )
    for case in MEDIUM:
        case = replace(case, activation=square, T=2)
        for more in ({}, {"mask": "interior"}, {"packed": True}, {"ragged": True, "out": True}):
            own = replace(case, **more)
            assert_close(run_recurrent(ops, own), run_recurrent(reference, own), 1e-13)


# ---- masks and ragged rows -----------------------------------------------------------------------


@pytest.mark.parametrize("case", MEDIUM + SHARED, ids=str)
def test_a_full_mask_is_none(case: RecurrentCase, isa: str):
    for dtype in DTYPES:
        case = replace(case, dtype=dtype)
        expected = run_recurrent(ops, case)
        for output in ("repeat", "zero"):
            full = replace(case, mask="all", masked_output=output)
            same_results(run_recurrent(ops, full), expected)


@pytest.mark.parametrize("case", MEDIUM, ids=str)
def test_what_is_masked_is_never_looked_at(case: RecurrentCase, isa: str):
    for mask in ("interior", "right", "rows", "none"):
        case = replace(case, mask=mask)
        a, expected = case.arrays(), run_recurrent(ops, case)
        a["x"] = np.where(a["mask"][:, :, None], a["x"], np.nan)
        *out, cache = forward(ops, case)(**a, **case.options(), training=True)
        dy, *dstates = case.gradients()
        gradients = backward(ops, case)(dy, cache, *dstates)
        same_results(dict(zip(expected, (*out, *gradients), strict=True)), expected)
        dx = expected["dx"]
        assert dx is not None and not dx[~a["mask"]].any()


@pytest.mark.parametrize("case", MEDIUM, ids=str)
def test_a_wholly_masked_row_returns_zeros_and_its_initial_state(case: RecurrentCase, isa: str):
    for mask, rows in (("none", slice(None)), ("interior", slice(0, 1))):
        case = replace(case, mask=mask)
        y, *states = outputs(case)
        assert not y[rows].any()
        for got, name in zip(states, case.states, strict=True):
            np.testing.assert_array_equal(got[rows], case.arrays()[name][rows])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", MEDIUM, ids=str)
def test_a_masked_row_has_the_bits_of_its_valid_steps_alone(
    case: RecurrentCase, dtype: str, isa: str
):
    case = replace(case, B=13, T=9, dtype=dtype)
    for mask in ("interior", "right", "left"):
        for backwards in (False, True):
            masked = replace(case, mask=mask, masked_output="zero", go_backwards=backwards)
            a = masked.arrays()
            y, *states = outputs(masked)
            same(outputs(masked, training=True), [y, *states])
            for row in range(1, case.B):
                which, valid = slice(row, row + 1), a["mask"][row]
                if not valid.any():
                    continue
                alone = {"x": a["x"][which, valid], "mask": None}
                alone |= {name: a[name][which] for name in case.states}
                y_alone, *alone_states = outputs(masked, **alone)
                seen = valid[::-1] if backwards else valid
                np.testing.assert_array_equal(y[which, seen], y_alone)
                same([s[which] for s in states], alone_states)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", MEDIUM, ids=str)
def test_ragged_rows_have_the_bits_of_each_alone(case: RecurrentCase, dtype: str, isa: str):
    for B, T in ((1, 4), (5, 3), (33, 7)):
        ragged = replace(case, B=B, T=T, dtype=dtype, ragged=True)
        a, lengths = ragged.arrays(), ragged.lengths()
        y, *states = outputs(ragged)
        same(outputs(ragged, training=True), [y, *states])
        starts = np.cumsum([0, *a["batch_sizes"]])
        for row in range(B):
            which, rows = slice(row, row + 1), [starts[t] + row for t in range(lengths[row])]
            alone = {"x": a["x"][rows][None], "batch_sizes": None}
            alone |= {name: a[name][which] for name in case.states}
            y_alone, *alone_states = outputs(ragged, **alone)
            np.testing.assert_array_equal(y[rows], y_alone[0])
            same([s[which] for s in states], alone_states)


# ---- the same bits -------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", KINDS, ids=str)
@pytest.mark.parametrize("H", [5, 8, 17, 33, 48])
def test_a_row_has_the_same_bits_in_any_batch(case: RecurrentCase, H: int, dtype: str, isa: str):
    case = replace(case, B=37, T=4, I=9, H=H, dtype=dtype)
    a, expected = case.arrays(), outputs(case)

    def rows(which: Any, **options: Any) -> None:
        some = {name: a[name][which] for name in ("x", *case.states)}
        same(outputs(case, **some, **options), [v[which] for v in expected])

    for row in range(case.B):
        rows([row])
        rows([row], training=True)
    for count in (2, 3, 4, 5, 6, 7, 8, 9, 16, 31):
        rows(slice(3, 3 + count))
        rows(slice(20, 20 + count), training=True)
    rows(slice(None, None, -1))
    rows(np.random.default_rng(0).permutation(37))


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("case", KINDS, ids=str)
def test_a_large_input_kernel(case: RecurrentCase, isa: str):
    """Of over 512 KB: its products go through matrix tiles where the CPU has them, in any batch."""
    case = replace(case, B=35, T=3, I=300, H=1600 // (3 * case.gates), dtype="float32")
    for more in ({}, {"input_dropout": case.gates, "mask": "interior"}):
        some = replace(case, **more)
        assert_close(run_recurrent(ops, some), oracle(some), 2 * TOLERANCE["float32"])
    a, expected = case.arrays(), outputs(case)
    for rows in ([0], [17], slice(5, 21), slice(3, 30)):
        batch = {name: a[name][rows] for name in ("x", *case.states)}
        same(outputs(case, **batch), [v[rows] for v in expected])
    fastgru.set_num_threads(2)
    same(outputs(case), expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", KINDS, ids=str)
@pytest.mark.parametrize(("B", "H"), [(1, 8), (1, 33), (5, 17)])
def test_steps_have_the_bits_of_the_sequence(
    case: RecurrentCase, B: int, H: int, dtype: str, isa: str
):
    case = replace(case, B=B, T=40, I=9, H=H, dtype=dtype, input_dropout=1)
    x, (y, *last) = case.arrays()["x"], outputs(case)
    for chunk in (1, 3, 39):
        states = [case.arrays()[name] for name in case.states]
        parts = []
        for t in range(0, case.T, chunk):
            given = dict(zip(case.states, states, strict=True))
            part, *states = outputs(case, x=x[:, t : t + chunk], **given)
            parts.append(part)
        same([np.concatenate(parts, axis=1), *states], [y, *last])


def variants(case: RecurrentCase) -> Iterator[RecurrentCase]:
    """A case as it is, masked, ragged, with dropout and with other activations."""
    yield case
    yield replace(case, mask="interior")
    yield replace(case, ragged=True)
    yield replace(case, input_dropout=1, recurrent_dropout=1)
    yield replace(case, mask="right", input_dropout=case.gates, recurrent_dropout=case.gates)
    yield replace(case, activation="gelu", go_backwards=True)


@pytest.mark.parametrize("case", MEDIUM, ids=str)
def test_bits_depend_on_numbers_only(case: RecurrentCase, isa: str):
    """Not on the layout of arrays, packing, recomputing, earlier calls or what memory held."""
    for dtype in DTYPES:
        for variant in variants(replace(case, dtype=dtype)):
            expected = run_recurrent(ops, variant)
            poison(variant)
            for option in ("strided", "packed", "recompute", "out"):
                same_results(run_recurrent(ops, replace(variant, **{option: True})), expected)


def poison(case: RecurrentCase) -> None:
    """Leave NaN in whatever memory a call of this size uses."""
    nan = {
        k: np.full_like(a, np.nan) if a.dtype.kind == "f" else a for k, a in case.arrays().items()
    }
    *out, cache = forward(ops, case)(**nan, **case.options(), training=True)
    backward(ops, case)(np.full_like(out[0], np.nan), cache)


@pytest.fixture
def threads() -> Iterator[None]:
    """Set the number of threads back afterwards."""
    before = fastgru.get_num_threads()
    yield
    fastgru.set_num_threads(before)


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("case", SHARED, ids=str)
def test_any_number_of_threads_gives_the_same_bits(case: RecurrentCase, isa: str):
    for variant in variants(case):
        fastgru.set_num_threads(1)
        alone, inferred = run_recurrent(ops, variant), outputs(variant)
        for count, recompute in ((2, False), (3, True), (4, False)):
            fastgru.set_num_threads(count)
            same_results(run_recurrent(ops, replace(variant, recompute=recompute)), alone)
            same(outputs(variant), inferred)


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("more", [{"ragged": True}, {"mask": "right"}, {}], ids=str)
@pytest.mark.parametrize("case", KINDS, ids=str)
def test_threads_may_drift_apart(case: RecurrentCase, more: dict[str, Any], isa: str):
    """In several chunks of steps: none may overtake another's numbers."""
    case = replace(case, B=48, T=12, I=20, H=130, input_dropout=1, **more)
    fastgru.set_num_threads(1)
    alone = run_recurrent(ops, case)
    fastgru.set_num_threads(3)
    for _ in range(3):
        same_results(run_recurrent(ops, case), alone)


@pytest.mark.parametrize("case", MEDIUM, ids=str)
def test_calls_run_side_by_side(case: RecurrentCase, isa: str):
    """The interpreter lock is released: each call has its own memory."""
    cases = [replace(case, B=B, H=H) for B in (1, 8, 33) for H in (7, 32)] * 4
    cases = [replace(c, mask="interior") if i % 3 == 0 else c for i, c in enumerate(cases)]
    expected = [run_recurrent(ops, c) for c in cases]
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(lambda c: run_recurrent(ops, c), cases)
        for got, right in zip(found, expected, strict=True):
            same_results(got, right)


def pack(case: RecurrentCase, module: Any, *kernels: Array) -> Any:
    """Pack a case's kernels."""
    mode = {"reset_after": case.reset_after} if isinstance(case, GRUCase) else {}
    return getattr(module, f"pack_{case.cell}")(*kernels, **mode)


@pytest.mark.parametrize("case", MEDIUM, ids=str)
def test_packed_kernels_and_caches_outlive_a_change_of_isa(case: RecurrentCase, isa: str):
    for more in ({}, {"recompute": True}):
        case = replace(case, **more)
        a, (dy, *dstates) = case.arrays(), case.gradients()
        kernels = a.pop("kernel"), a.pop("recurrent_kernel")
        packed = pack(case, ops, *kernels)
        for kernel in kernels:
            kernel[...] = 0  # changes do not reach what was packed
        expected = oracle(replace(case, recompute=False))
        for other in _core.available_isas():
            _core.set_isa(isa)
            a |= {"kernel": packed, "recurrent_kernel": None}
            *out, cache = forward(ops, case)(**a, **case.options(), training=True)
            _core.set_isa(other)
            gradients = backward(ops, case)(dy, cache, *dstates)
            got = dict(zip(expected, (*out, *gradients), strict=True))
            assert_close(got, expected, TOLERANCE["float64"])


# ---- numbers of any kind -------------------------------------------------------------------------


def long_sums(rows: int) -> list[Array]:
    """Return x, kernel, recurrent kernel and bias, deep enough for products through integers."""
    rng = np.random.default_rng(rows)
    shapes = (rows, 6, 70), (70, 3 * 67), (67, 3 * 67), (2, 3 * 67)
    x, *weights = (rng.normal(size=shape) for shape in shapes)
    return [a.astype("f") for a in (x, *(w / 8 for w in weights))]


@pytest.mark.parametrize("rows", [1, 2, 3, 17, 40])
def test_features_and_weights_of_any_size(rows: int, isa: str):
    x, kernel, recurrent_kernel, bias = long_sums(rows)
    sizes = (10.0 ** np.linspace(-9, 9, 70)).astype("f")
    np.random.default_rng(0).shuffle(sizes)
    scaled = x * sizes, kernel / sizes[:, None]
    scaled[0][:, :, 3], scaled[1][5] = 0, 0
    h0 = np.random.default_rng(1).normal(size=(rows, 67)).astype("f") * np.float32(1e-4)
    h0[0] *= 1e4
    arguments = *scaled, recurrent_kernel, bias, h0
    y = ops.gru_forward(*arguments)[0]
    right = reference.gru_forward(*(a.astype("d") for a in arguments))[0]
    assert np.abs(y - right).max() < 3e-6


def backward_of(module: ModuleType, arguments: list[Array], dy: Array) -> list[Array]:
    *_, cache = module.gru_forward(*arguments, training=True)
    return [g for g in module.gru_backward(dy, cache) if g is not None]


@pytest.mark.parametrize("rows", [1, 2, 17, 40])
def test_gradients_of_any_size(rows: int, isa: str):
    """A row's dx, and a feature's weights' gradients, are as exact as they are large."""
    x, *weights = long_sums(rows)
    sizes = (10.0 ** np.linspace(-9, 9, 70)).astype("f")
    dy = np.random.default_rng(2).normal(size=(rows, 6, 67)).astype("f")
    dy *= (10.0 ** np.linspace(-6, 6, rows)).astype("f")[::-1, None, None]
    arguments = [x * sizes, weights[0] / sizes[:, None], *weights[1:]]
    got = backward_of(ops, arguments, dy)
    right = backward_of(reference, [a.astype("d") for a in arguments], dy.astype("d"))
    for gradients in (got, right):
        gradients[0] = gradients[0] * sizes
    for own, g, r in zip([(1, 2), 1, None, None], got, right, strict=True):
        assert (np.abs(g - r) <= 5e-6 * np.abs(r).max(own, keepdims=True)).all()


def test_more_rows_than_a_sum_of_digits_may_have(isa: str):
    x, *weights = long_sums(22_000)
    arguments = [x[:, :1, :2], weights[0][:2, : 3 * 64], weights[1][:64, : 3 * 64]]
    dy = np.random.default_rng(3).normal(size=(22_000, 1, 64)).astype("f")
    got = backward_of(ops, arguments, dy)
    right = backward_of(reference, [a.astype("d") for a in arguments], dy.astype("d"))
    for g, r in zip(got, right, strict=True):
        assert np.abs(g - r).max() <= 1e-5 * np.abs(r).max()


def test_a_nan_among_the_weights_stays_in_its_units(isa: str):
    x, kernel, recurrent_kernel, bias = long_sums(5)
    h0 = np.zeros((5, 67), "f")
    for weights in (kernel, recurrent_kernel):
        before = weights[4, 9]
        plain = ops.gru_forward(x[:, :1], kernel, recurrent_kernel, bias, h0)[0]
        weights[4, 9] = np.nan
        y = ops.gru_forward(x[:, :1], kernel, recurrent_kernel, bias, h0)[0]
        assert np.isnan(y[:, 0, 9]).all()
        np.testing.assert_allclose(np.delete(y, 9, 2), np.delete(plain, 9, 2), atol=1e-4)
        weights[4, 9] = before


# ---- arrays of any kind --------------------------------------------------------------------------


def same_in_any_layout(results: Results, expected: Results, isa: str) -> None:
    """Require the same bits, but of gradients that other operands' order on matrix tiles rounds."""
    rounded = [name for name in expected if name in ("dkernel", "drecurrent_kernel")]
    if "amx" in isa and rounded:
        left, right = ({name: r[name] for name in rounded} for r in (results, expected))
        assert_close(left, right, 2 * TOLERANCE[str(expected["dkernel"].dtype)])
        results, expected = (
            {name: a for name, a in r.items() if name not in rounded} for r in (results, expected)
        )
    same_results(results, expected)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("case", MEDIUM, ids=str)
def test_any_layout(case: RecurrentCase, layout: Any, isa: str):
    for dtype in DTYPES:
        for variant in variants(replace(case, dtype=dtype)):
            expected, gradients = run_recurrent(ops, variant), variant.gradients()
            a: dict[str, Any] = {k: layout(v) for k, v in variant.arrays().items()}
            if variant.mask:
                a["kernel"] = pack(case, ops, a["kernel"], a["recurrent_kernel"])
                a["recurrent_kernel"] = None
            *out, cache = forward(ops, case)(**a, **variant.options(), training=True)
            dy, *dstates = (layout(d) for d in gradients)
            found = backward(ops, case)(dy, cache, *dstates)
            same_in_any_layout(dict(zip(expected, (*out, *found), strict=True)), expected, isa)


@pytest.mark.parametrize("sizes", [(1, 1), (5, 16), (16, 33), (40, 70)], ids=str)
@pytest.mark.parametrize("case", [*CELLS, GRUCase(gate_order="rzn")], ids=str)
def test_results_are_laid_out_as_what_they_belong_to(case: Any, sizes: Any, isa: str):
    I, H = sizes
    for dtype in DTYPES:
        some = replace(case, B=9, T=5, I=I, H=H, dtype=dtype)
        arrays, (dy, *dstates) = some.arrays(), some.gradients()
        run, back = forward(ops, some), backward(ops, some)
        *out, cache = run(**arrays, **some.options(), training=True)
        names = [*run_recurrent(ops, some)]
        expected = dict(zip(names, (*out, *back(dy, cache, *dstates)), strict=True))
        arrays["x"] = arrays["x"].swapaxes(0, 1).copy().swapaxes(0, 1)
        for name in ("kernel", "recurrent_kernel"):
            arrays[name] = arrays[name].copy("F")
        *out, cache = run(**arrays, **some.options(), training=True)
        dx, dkernel, drecurrent, *others = back(dy, cache, *dstates)
        found = dict(zip(names, (*out, dx, dkernel, drecurrent, *others), strict=True))
        same_in_any_layout(found, expected, isa)
        assert all(a.swapaxes(0, 1).flags.c_contiguous for a in (out[0], dx))
        assert all(a.flags.f_contiguous for a in (dkernel, drecurrent))


@pytest.mark.parametrize("case", MEDIUM, ids=str)
def test_inputs_are_only_read_and_results_are_the_callers(case: RecurrentCase, isa: str):
    for variant in variants(case):
        a, gradients = variant.arrays(), variant.gradients()
        inputs = [*a.values(), *gradients]
        before = [v.copy() for v in inputs]
        for v in inputs:
            v.flags.writeable = False
        *out, cache = forward(ops, case)(**a, **variant.options(), training=True)
        first = backward(ops, case)(gradients[0], cache, *gradients[1:])
        for v in out:
            v[...] = np.nan
        same(first, backward(ops, case)(gradients[0], cache, *gradients[1:]))  # it serves twice
        same(inputs, before)
        for result in (*out, *first):
            assert result.flags.c_contiguous and result.flags.writeable
            assert not any(np.shares_memory(result, v) for v in inputs)


def test_caches_and_packed_kernels_of_others_are_refused():
    for case in MEDIUM:
        for other in MEDIUM:
            if other.cell == case.cell:
                continue
            a = other.arrays()
            *_, cache = forward(ops, other)(**a, **other.options(), training=True)
            with pytest.raises(TypeError, match=f"expected the cache of {case.cell}_forward, got"):
                backward(ops, case)(case.gradients()[0], cache)
            packed = pack(other, ops, a["kernel"], a["recurrent_kernel"])
            refused(case, packed)
        a = case.arrays()
        refused(case, pack(case, reference, a["kernel"], a["recurrent_kernel"]))


def refused(case: RecurrentCase, packed: Any) -> None:
    """Require a packed kernel to be refused."""
    with pytest.raises(TypeError, match="kernel: expected numpy.ndarray, got"):
        forward(ops, case)(
            **case.arrays() | {"kernel": packed, "recurrent_kernel": None}, **case.options()
        )


# ---- what is no number ---------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", MEDIUM, ids=str)
def test_nan_stays_in_its_row(case: RecurrentCase, dtype: str, isa: str):
    case = replace(case, B=11, dtype=dtype)
    row, step, others = 6, 2, np.arange(11) != 6

    def run(a: dict[str, Array]) -> Results:
        *out, cache = forward(ops, case)(**a, **case.options(), training=True)
        dy, *dstates = case.gradients()
        found = backward(ops, case)(dy, cache, *dstates)
        names = *case.output_names(), *case.gradient_names()
        return dict(zip(names, (*out, *found), strict=True))

    a, expected = case.arrays(), run(case.arrays())
    a["x"][row, step, 3] = np.nan
    got = run(a)
    rows = [*case.output_names(), "dx", *(f"d{name}" for name in case.states)]
    for name in rows:
        np.testing.assert_array_equal(got[name][others], expected[name][others])
    np.testing.assert_array_equal(got["y"][row, :step], expected["y"][row, :step])
    assert np.isnan(got["y"][row, step:]).all()
    for name in set(rows) - {"y"}:
        assert np.isnan(got[name][row]).all(), name
    for name in ("dkernel", "drecurrent_kernel", "dbias"):
        assert np.isnan(got[name]).all(), name

    a = case.arrays()
    a["h0"][row, 1] = np.nan
    got = run(a)
    np.testing.assert_array_equal(got["y"][others], expected["y"][others])
    assert np.isnan(got["y"][row, 1:]).all() and np.isnan(got["h_n"][row]).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", MEDIUM, ids=str)
@pytest.mark.parametrize("size", [np.inf, 1e30])
def test_the_infinite_saturates(size: float, case: RecurrentCase, dtype: str, isa: str):
    """One feature, so that infinities do not meet: gates are 0 or 1, candidates -1 or 1."""
    case = replace(case, I=1, dtype=dtype)
    a, (dy, *dstates) = case.arrays(), case.gradients()
    a["x"] = np.copysign(size, a["x"]).astype(dtype)
    results = []
    for module in (ops, reference):
        *out, cache = forward(module, case)(**a, **case.options(), training=True)
        with np.errstate(invalid="ignore"):  # the gradient of the kernel is 0 times infinity
            found = backward(module, case)(dy, cache, *dstates)
        results.append((*out, *found[4:]))
    for got, right in zip(*results, strict=True):
        assert np.isfinite(got).all()
        np.testing.assert_allclose(got, right, TOLERANCE[dtype], TOLERANCE[dtype])
