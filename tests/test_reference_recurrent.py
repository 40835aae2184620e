"""The reference's recurrent cells, against plain loops, central differences and worked numbers."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from cases import (
    ACTIVATIONS,
    CELLS,
    RECURRENT_BEYOND,
    GRUCase,
    LSTMCase,
    RecurrentCase,
    Results,
    SimpleRNNCase,
    backward,
    forward,
    run_recurrent,
)
from layouts import stride
from oracles import close, gradient_is, naive

from fastgru import activations, reference

Array = np.ndarray


def outputs(case: RecurrentCase, **changed: Any) -> list[Array]:
    """Return y, h_n (and c_n) of a case, with some arguments changed."""
    *results, cache = forward(reference, case)(**(case.arrays() | case.options() | changed))
    assert cache is None
    return results


def results(case: RecurrentCase, **changed: Any) -> list[Array | None]:
    """Return all outputs and gradients of a case, with some arguments changed."""
    arguments = case.arrays() | case.options() | changed
    *out, cache = forward(reference, case)(**arguments, training=True)
    dy, *dstates = case.gradients()
    return [*out, *backward(reference, case)(dy, cache, *dstates)]


def same(a: list[Array | None], b: list[Array | None]) -> None:
    """Require the same bits."""
    for left, right in zip(a, b, strict=True):
        np.testing.assert_array_equal(left, right)


# ---- worked numbers ------------------------------------------------------------------------------


def test_worked_example():
    """x = 0.8, h = 0.2, all weights 1: the numbers of the introductory text, and unrounded ones."""
    ones, x, h = np.ones((1, 3)), np.array([[[0.8]]]), np.array([[0.2]])
    y, h_n, cache = reference.gru_forward(
        x, ones, ones, h0=h, reset_after=False, update_gate="replace", training=True
    )
    assert cache is not None
    gates = cache.gates.ravel()
    np.testing.assert_array_equal(np.round([*gates, h_n[0, 0]], 2), [0.73, 0.73, 0.74, 0.59])
    z = r = 1 / (1 + math.exp(-1.0))
    n = math.tanh(0.8 + r * 0.2)
    assert close(gates, np.array([z, r, n]))
    assert close(h_n, np.array([[(1 - z) * 0.2 + z * n]]))
    assert y is not None and y[0, 0, 0] == h_n[0, 0]


def test_worked_exercise():
    """x = 1, h = 0.5, all weights 0.5: h' = 0.5576."""
    halves, x, h = np.full((1, 3), 0.5), np.array([[[1.0]]]), np.array([[0.5]])
    _, h_n, cache = reference.gru_forward(
        x, halves, halves, h0=h, reset_after=False, update_gate="replace", training=True
    )
    assert cache is not None
    got = [*cache.gates.ravel(), h_n[0, 0]]
    np.testing.assert_array_equal(np.round(got, 4), [0.6792, 0.6792, 0.5848, 0.5576])
    z = 1 / (1 + math.exp(-0.75))
    n = math.tanh(0.5 + 0.5 * z * 0.5)
    assert close(h_n, np.array([[(1 - z) * 0.5 + z * n]]))


# ---- values --------------------------------------------------------------------------------------


def usual(case: RecurrentCase) -> bool:
    """Whether a case has the activations that the plain loops have."""
    return case.activation == "tanh" and getattr(case, "recurrent_activation", "sigmoid") == (
        "sigmoid"
    )


@pytest.mark.parametrize("case", [*CELLS, *filter(usual, RECURRENT_BEYOND)], ids=str)
def test_plain_loops(case: RecurrentCase):
    for got, right in zip(outputs(case), naive(case).values(), strict=True):
        assert close(got, right)


def step_of(case: RecurrentCase) -> list[Array]:
    """One step by hand: the states after it."""
    a, H = case.arrays(), case.H
    act = activations.get(case.activation)
    bias = a["bias"] if a["bias"].ndim == 2 else np.stack([a["bias"], np.zeros(case.gates * H)])
    given = np.split(a["x"][:, 0] @ a["kernel"] + bias[0], case.gates, axis=1)
    state = np.split(a["h0"] @ a["recurrent_kernel"] + bias[1], case.gates, axis=1)
    if isinstance(case, SimpleRNNCase):
        return [act(given[0] + state[0])]
    assert isinstance(case, LSTMCase | GRUCase)
    gate = activations.get(case.recurrent_activation)
    if isinstance(case, LSTMCase):
        i, f, o = (gate(given[k] + state[k]) for k in (0, 1, 3))
        c = f * a["c0"] + i * act(given[2] + state[2])
        return [o * act(c), c]
    z, r = (gate(given[k] + state[k]) for k in (0, 1))
    if case.reset_after:
        n = act(given[2] + r * state[2])
    else:
        n = act(given[2] + (r * a["h0"]) @ a["recurrent_kernel"][:, 2 * H :])
    keep = z if case.update_gate == "keep" else 1 - z
    return [keep * a["h0"] + (1 - keep) * n]


@pytest.mark.parametrize("case", CELLS, ids=str)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_are_applied_gate_by_gate(case: RecurrentCase, name: str):
    arguments = ["activation", *(k for k in case.choices if k == "recurrent_activation")]
    for argument in arguments:
        changed = replace(case, T=1, **{argument: name})
        for got, right in zip(outputs(changed)[1:], step_of(changed), strict=True):
            assert close(got, right)


@pytest.mark.parametrize("reset_after", [True, False])
def test_update_gates_are_one_model_with_the_gate_negated(reset_after: bool):
    case = GRUCase(4, 3, 2, 3, reset_after=reset_after)
    negated = {k: a.copy() for k, a in case.arrays().items()}
    for name in ("kernel", "recurrent_kernel", "bias"):
        negated[name][..., : case.H] *= -1
    assert close(outputs(case, **negated, update_gate="replace")[0], outputs(case)[0])


@pytest.mark.parametrize("reset_after", [True, False])
def test_the_order_of_gates_is_that_of_weights_and_gradients(reset_after: bool):
    case = GRUCase(4, 3, 2, 3, reset_after=reset_after)

    def exchanged(a: Array) -> Array:
        z, r, n = np.split(a, 3, axis=-1)
        return np.concatenate([r, z, n], axis=-1)

    names = ("kernel", "recurrent_kernel", "bias")
    arrays = {k: exchanged(a) if k in names else a for k, a in case.arrays().items()}
    run, back = forward(reference, case), backward(reference, case)
    options = {"reset_after": reset_after, "training": True}
    *expected, cache = run(**case.arrays(), **options)
    *found, other = run(**arrays, **options, gate_order="rzn")
    same(found, expected)
    dx, *gradients, dh0 = back(case.gradients()[0], cache)
    dx_2, *gradients_2, dh0_2 = back(case.gradients()[0], other)
    same([dx_2, *gradients_2, dh0_2], [dx, *map(exchanged, gradients), dh0])


@pytest.mark.parametrize("case", CELLS, ids=str)
def test_go_backwards_is_the_reversed_input(case: RecurrentCase):
    arrays = replace(case, mask="interior").arrays()
    reverse = {k: arrays[k][:, ::-1] for k in ("x", "mask")}
    got = outputs(case, **arrays, go_backwards=True)
    for a, b in zip(got, outputs(case, **arrays | reverse), strict=True):
        assert close(a, b)
    assert not close(got[0], outputs(case, **arrays)[0], 1e-2)


@pytest.mark.parametrize("case", CELLS, ids=str)
def test_return_sequences(case: RecurrentCase):
    for changed in (case, replace(case, ragged=True)):
        y, *states = outputs(changed)
        none, *same_states = outputs(changed, return_sequences=False)
        assert none is None
        same(same_states, states)
    y, h_n, *_ = outputs(case)
    np.testing.assert_array_equal(y[:, -1], h_n)


# ---- masks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CELLS, ids=str)
def test_mask_repeats_the_previous_output_not_the_state(case: RecurrentCase):
    case = replace(case, B=1, T=5)
    mask = np.array([[False, True, False, True, False]])
    y, h_n, *rest = outputs(case, mask=mask)
    valid, *states = outputs(case, x=case.arrays()["x"][mask][None])
    assert np.all(y[0, 0] == 0)  # although there is an initial state
    assert close(y[0, [1, 3]], valid[0])
    np.testing.assert_array_equal(y[0, [2, 4]], y[0, [1, 3]])
    np.testing.assert_array_equal(h_n[0], y[0, 3])
    for got, right in zip((h_n, *rest), states, strict=True):
        assert close(got, right)
    zeroed, *states = outputs(case, mask=mask, masked_output="zero")
    np.testing.assert_array_equal(zeroed, np.where(mask[:, :, None], y, 0))
    same(states, [h_n, *rest])


@pytest.mark.parametrize("case", CELLS, ids=str)
def test_a_wholly_masked_row_returns_zeros_and_its_initial_state(case: RecurrentCase):
    case = replace(case, mask="none")
    y, *states = outputs(case)
    assert not y.any()
    same(states, [case.arrays()[name] for name in case.states])
    gradients = dict(zip(case.gradient_names(), results(case)[1 + len(states) :], strict=True))
    for name, incoming in zip(case.states, case.gradients()[1:], strict=True):
        np.testing.assert_array_equal(gradients.pop(f"d{name}"), incoming)
    assert not any(np.any(a) for a in gradients.values())


@pytest.mark.parametrize("case", CELLS, ids=str)
def test_a_full_mask_changes_nothing(case: RecurrentCase):
    mask = replace(case, mask="all").arrays()["mask"]
    for output in ("repeat", "zero"):
        same(results(case, mask=mask, masked_output=output), results(case))


@pytest.mark.parametrize("case", CELLS, ids=str)
def test_what_is_masked_is_never_looked_at(case: RecurrentCase):
    for mask in ("interior", "left", "rows", "none"):
        case = replace(case, mask=mask, input_dropout=1)
        a = case.arrays()
        hidden = np.where(a["mask"][:, :, None], a["x"], np.nan)
        got = results(case, x=hidden)
        same(got, results(case))
        assert all(np.isfinite(v).all() for v in got)


@pytest.mark.parametrize("go_backwards", [False, True])
@pytest.mark.parametrize("case", CELLS, ids=str)
def test_a_mask_is_the_valid_steps_alone(case: RecurrentCase, go_backwards: bool):
    """Gradients too: those of weights are the sums over the rows."""
    case = replace(case, B=6, T=7, mask="interior", masked_output="zero", dh_n=True)
    case = replace(case, go_backwards=go_backwards)
    a, gradients = case.arrays(), case.gradients()
    together = run_recurrent(reference, case)
    sums: dict[str, Any] = dict.fromkeys(("dkernel", "drecurrent_kernel", "dbias"), 0)
    for row in range(1, case.B):  # row 0 has no valid step
        which, valid = slice(row, row + 1), a["mask"][row]
        seen = valid[::-1] if go_backwards else valid  # the order of y
        alone = {k: v for k, v in a.items() if k != "mask"} | {"x": a["x"][which, valid]}
        alone |= {name: a[name][which] for name in case.states}
        *out, cache = forward(reference, case)(**alone, **case.options(), training=True)
        dy, *dstates = gradients
        found = backward(reference, case)(dy[which, seen], cache, *(d[which] for d in dstates))
        named = dict(
            zip((*case.output_names(), *case.gradient_names()), (*out, *found), strict=True)
        )
        assert close(together["y"][which, seen], named.pop("y"))
        assert close(together["dx"][which, valid], named.pop("dx"))
        for name in sums:
            sums[name] = sums[name] + named.pop(name)
        for name, right in named.items():
            assert close(together[name][which], right), name
    for name, right in sums.items():
        assert close(together[name], right), name


# ---- ragged rows ---------------------------------------------------------------------------------


def of_row(case: RecurrentCase, rows: Array, row: int) -> Array:
    """Return one sequence out of ragged rows (N, ...), as a batch of one."""
    starts = np.cumsum([0, *case.arrays()["batch_sizes"]])
    return rows[[starts[t] + row for t in range(case.lengths()[row])]][None]


@pytest.mark.parametrize("dropout", [0, 1])
@pytest.mark.parametrize("case", CELLS, ids=str)
@pytest.mark.parametrize("B", [1, 2, 6])
def test_ragged_rows_are_each_sequence_alone(case: RecurrentCase, B: int, dropout: int):
    stack = case.gates if dropout and case.gates > 1 else dropout
    case = replace(case, B=B, T=5, ragged=True, input_dropout=dropout, recurrent_dropout=stack)
    a, (dy, *dstates) = case.arrays(), case.gradients()
    together = run_recurrent(reference, case)
    sums: dict[str, Any] = dict.fromkeys(("dkernel", "drecurrent_kernel", "dbias"), 0)
    for row in range(B):
        which = slice(row, row + 1)
        alone = {k: v for k, v in a.items() if k != "batch_sizes"} | {
            "x": of_row(case, a["x"], row)
        }
        alone |= {k: a[k][..., which, :] for k in a if k in case.states or "dropout" in k}
        *out, cache = forward(reference, case)(**alone, **case.options(), training=True)
        d_alone = [of_row(case, dy, row), *(d[which] for d in dstates)]
        found = backward(reference, case)(d_alone[0], cache, *d_alone[1:])
        named = dict(
            zip((*case.output_names(), *case.gradient_names()), (*out, *found), strict=True)
        )
        for name in ("y", "dx"):
            assert close(of_row(case, together[name], row), named.pop(name)), name
        for name in sums:
            sums[name] = sums[name] + named.pop(name)
        for name, right in named.items():
            assert close(together[name][which], right), name
    for name, right in sums.items():
        assert close(together[name], right), name


@pytest.mark.parametrize("case", CELLS, ids=str)
def test_equal_lengths_are_a_padded_batch(case: RecurrentCase):
    def rows(a: Array) -> Array:
        return np.concatenate(list(a.swapaxes(0, 1)))

    a, (dy, *dstates) = case.arrays() | case.options(), case.gradients()
    a |= {"x": rows(a["x"]), "batch_sizes": np.full(case.T, case.B)}
    *out, cache = forward(reference, case)(**a, training=True)
    found = backward(reference, case)(rows(dy), cache, *dstates)
    expected = results(case)
    expected[0], expected[len(out)] = rows(expected[0]), rows(expected[len(out)])
    same([*out, *found], expected)


# ---- dropout, packed kernels ---------------------------------------------------------------------


@pytest.mark.parametrize("case", [c for c in CELLS if c.gates > 1], ids=str)
def test_one_dropout_mask_is_as_many_equal_ones_as_gates(case: RecurrentCase):
    for more in ({}, {"ragged": True}):
        case = replace(case, input_dropout=1, recurrent_dropout=1, **more)
        a = case.arrays()
        stacks = {k: np.stack([a[k]] * case.gates) for k in ("input_dropout", "recurrent_dropout")}
        for got, right in zip(results(case, **stacks), results(case), strict=True):
            assert close(got, right)


@pytest.mark.parametrize("case", CELLS, ids=str)
def test_what_is_accepted_changes_no_bits(case: RecurrentCase):
    """Packed kernels, recomputed gates, arrays for the gradients."""
    expected = list(run_recurrent(reference, case).values())
    for option in ("packed", "recompute", "out"):
        same(list(run_recurrent(reference, replace(case, **{option: True})).values()), expected)
    for bias in (True, False):
        given = replace(case, out=True, bias=bias, ragged=True)
        same(
            list(run_recurrent(reference, given).values()),
            list(run_recurrent(reference, replace(given, out=False)).values()),
        )


@pytest.mark.parametrize("case", [CELLS[0], *CELLS[4:]], ids=str)
def test_changes_do_not_reach_what_was_packed(case: RecurrentCase):
    arrays, expected = case.arrays(), outputs(case)
    kernels = arrays.pop("kernel"), arrays.pop("recurrent_kernel")
    packed = getattr(reference, f"pack_{case.cell}")(*kernels)
    for kernel in kernels:
        kernel[...] = 0
    *got, _ = forward(reference, case)(kernel=packed, recurrent_kernel=None, **arrays)
    same(got, expected)


# ---- gradients -----------------------------------------------------------------------------------

LESS = [
    replace(cell, **{name: False})
    for cell in CELLS
    for name in ("dy", "bias", *cell.states, *(f"d{state[0]}_n" for state in cell.states))
]
LESS += [LSTMCase(4, 3, 2, 3, dy=dy, dh_n=not dy, dc_n=False) for dy in (True, False)]
LESS += [LSTMCase(4, 3, 2, 3, dy=False, dh_n=False, h0=h0, c0=False) for h0 in (True, False)]


@pytest.mark.parametrize("case", [*CELLS, *LESS, *RECURRENT_BEYOND], ids=str)
def test_gradients(case: RecurrentCase):
    arrays, options, incoming = case.arrays(), case.options(), case.gradients()
    run = forward(reference, case)

    def loss() -> float:
        *out, _ = run(**arrays, **options)
        pairs = zip(out, incoming, strict=True)
        return sum(float((value * d).sum()) for value, d in pairs if d is not None)

    *_, cache = run(**arrays, **options, training=True)
    dy, *dstates = incoming
    found = backward(reference, case)(dy, cache, *dstates)
    names = case.activation, getattr(case, "recurrent_activation", "")
    for name, got in zip(case.gradient_names(), found, strict=True):
        given = arrays.get(name.removeprefix("d"))
        assert (got is None) == (given is None), name
        if got is not None:
            assert gradient_is(got, loss, given, *names), name


@pytest.mark.parametrize("case", CELLS, ids=str)
def test_a_cache_serves_twice(case: RecurrentCase):
    *out, cache = forward(reference, case)(**case.arrays(), **case.options(), training=True)
    dy, *dstates = case.gradients()
    first = backward(reference, case)(dy, cache, *dstates)
    for a in out:  # the results are the caller's
        a[...] = 0
    same(first, backward(reference, case)(dy, cache, *dstates))


@pytest.mark.parametrize("more", [{"mask": "left"}, {"ragged": True}], ids=str)
@pytest.mark.parametrize("case", CELLS, ids=str)
def test_float32(case: RecurrentCase, more: dict[str, Any]):
    """The dtype is kept, and rounding is all that differs."""
    case = replace(case, dtype="float32", **more)
    case = replace(case, input_dropout=case.gates, recurrent_dropout=case.gates)
    expected = run_recurrent(reference, case, "float64")
    for name, got in run_recurrent(reference, case).items():
        right = expected[name]
        assert got is not None and right is not None and got.dtype == np.float32
        assert close(got, right, 1e-6), name


# ---- arrays of any kind --------------------------------------------------------------------------

MIXED = [
    replace(cell, input_dropout=cell.gates, recurrent_dropout=1, **more)
    for cell in CELLS
    for more in ({"mask": "interior"}, {"ragged": True})
]


@pytest.mark.parametrize("case", MIXED, ids=str)
def test_any_strides_and_nothing_is_modified(case: RecurrentCase):
    def run(arrays: dict[str, Array], gradients: list[Array]) -> list[Array]:
        before = [a.copy() for a in (*arrays.values(), *gradients)]
        *out, cache = forward(reference, case)(**arrays, **case.options(), training=True)
        found = backward(reference, case)(gradients[0], cache, *gradients[1:])
        same([*arrays.values(), *gradients], before)
        return [*out, *found]

    arrays, gradients = case.arrays(), case.gradients()
    strided = {k: stride(a) for k, a in arrays.items()}
    for a, b in zip(
        run(arrays, gradients), run(strided, [stride(d) for d in gradients]), strict=True
    ):
        assert a.flags.c_contiguous and b.flags.c_contiguous
        assert close(b, a)
        assert not any(np.shares_memory(a, v) for v in (*arrays.values(), *gradients))


@pytest.mark.parametrize("case", [*CELLS, *MIXED[::2]], ids=str)
def test_an_empty_batch(case: RecurrentCase):
    case = replace(case, B=0)
    got: Results = run_recurrent(reference, case)
    assert got["y"].shape == (0, case.T, case.H)
    for name in case.states:
        assert got[f"{name[0]}_n"].shape == got[f"d{name}"].shape == (0, case.H)
    assert got["dx"].shape == (0, case.T, case.I)
    for name in ("dkernel", "drecurrent_kernel", "dbias"):
        assert got[name].shape == case.arrays()[name.removeprefix("d")].shape
        assert not got[name].any()


def test_memory_maps_are_arrays(tmp_path):
    case = GRUCase(4, 3, 2, 3)
    arrays = case.arrays()
    mapped = np.memmap(tmp_path / "x", arrays["x"].dtype, "w+", shape=arrays["x"].shape)
    mapped[...] = arrays["x"]
    same(outputs(case, x=mapped), outputs(case))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_in_place_at_any_stride(name: str, dtype: str):
    """As a cell of one unit applies them: its gates stand side by side."""
    x = np.random.default_rng(0).normal(size=(9, 2, 1)).astype(dtype)
    activation = activations.get(name)
    expected = activation.forward(x.copy())
    for width in range(2, 17):
        wide = np.ones((9, width, 1), dtype)
        wide[:, :2] = x
        activation.forward(wide[:, :2], out=wide[:, :2])
        np.testing.assert_allclose(wide[:, :2], expected, 4 * np.finfo(dtype).eps)
        assert (wide[:, 2:] == 1).all()
