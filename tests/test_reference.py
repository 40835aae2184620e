"""The reference operations, against plain loops, central differences and worked numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from bad_input import BAD, Bad, good
from cases import (
    ACTIVATIONS,
    DENSE,
    EMBEDDING,
    GRU_BEYOND,
    GRU_GRADIENTS,
    DenseCase,
    EmbeddingCase,
    GRUCase,
    run_dense,
    run_gru,
    stride,
)
from oracles import central_differences, naive_gru

from fastgru import activations, reference

Array = np.ndarray

SMALL = GRUCase(4, 3, 2, 3)
MODES = [
    replace(SMALL, reset_after=after, update_gate=gate)
    for after in (True, False)
    for gate in ("keep", "replace")
]
# Central differences of the fourth order with step 1e-4: truncation 1e-16, rounding 1e-12, times
# the function's own derivatives and size.
DIFFERENCES = 1e-10
# Near a kink they are wrong. A smaller step has fewer such places, and more rounding.
KINKED = {"relu", "relu6", "leaky_relu", "elu", "selu", "hard_sigmoid", "hard_tanh", "hard_silu"}
EXACT = 1e-14


def close(a: Array, b: Array, tolerance: float = EXACT) -> bool:
    """Whether two arrays differ by at most tolerance times the larger of 1 and b's largest."""
    scale = max(1.0, float(np.abs(b).max(initial=0)))
    return a.shape == b.shape and bool(np.abs(a - b).max(initial=0) <= tolerance * scale)


def gradient_is(got: Array, loss: Callable[[], float], given: Array, *activations: str) -> bool:
    """Whether `got` is the gradient of a loss with respect to what it reads from `given`."""
    if KINKED.isdisjoint(activations):
        return close(got, central_differences(loss, given), DIFFERENCES)
    return close(got, central_differences(loss, given, 1e-6), 100 * DIFFERENCES)


def forward(case: GRUCase, **changed: Any) -> tuple[Array, Array]:
    """Return y and h_n of a case, with some arguments changed."""
    y, h_n, cache = reference.gru_forward(**(case.arrays() | case.options() | changed))
    assert y is not None and cache is None
    return y, h_n


# ---- the GRU's values ----------------------------------------------------------------------------


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


NAIVE = [c for c in GRU_BEYOND if (c.activation, c.recurrent_activation) == ("tanh", "sigmoid")]


@pytest.mark.parametrize("case", [*MODES, *NAIVE], ids=str)
def test_plain_loops(case: GRUCase):
    options = case.options()
    del options["activation"], options["recurrent_activation"]
    y, h_n = naive_gru(**case.arrays(), **options)
    got_y, got_h = forward(case)
    assert close(got_y, y)
    assert close(got_h, h_n)


@pytest.mark.parametrize("case", MODES, ids=str)
@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("argument", ["activation", "recurrent_activation"])
def test_activations_are_applied_gate_by_gate(case: GRUCase, name: str, argument: str):
    case = replace(case, T=1, h0=True, **{argument: name})
    a, H = case.arrays(), case.H
    gate = activations.get(case.recurrent_activation)
    act = activations.get(case.activation)
    bias = a["bias"] if case.reset_after else np.stack([a["bias"], np.zeros(3 * H)])
    given = a["x"][:, 0] @ a["kernel"] + bias[0]
    state = a["h0"] @ a["recurrent_kernel"] + bias[1]
    z, r = (gate(given[:, k : k + H] + state[:, k : k + H]) for k in (0, H))
    if case.reset_after:
        n = act(given[:, 2 * H :] + r * state[:, 2 * H :])
    else:
        n = act(given[:, 2 * H :] + (r * a["h0"]) @ a["recurrent_kernel"][:, 2 * H :])
    keep = z if case.update_gate == "keep" else 1 - z
    assert close(forward(case)[1], keep * a["h0"] + (1 - keep) * n)


@pytest.mark.parametrize("reset_after", [True, False])
def test_update_gates_are_one_model_with_the_gate_negated(reset_after: bool):
    case = replace(SMALL, reset_after=reset_after)
    negated = {k: a.copy() for k, a in case.arrays().items()}
    for name in ("kernel", "recurrent_kernel", "bias"):
        negated[name][..., : case.H] *= -1
    assert close(forward(case, **negated, update_gate="replace")[0], forward(case)[0])


@pytest.mark.parametrize("case", MODES, ids=str)
def test_go_backwards_is_the_reversed_input(case: GRUCase):
    arrays = replace(case, mask="interior").arrays()
    reverse = {k: arrays[k][:, ::-1] for k in ("x", "mask")}
    y, h_n = forward(case, **arrays, go_backwards=True)
    expected_y, expected_h = forward(case, **arrays | reverse)
    assert close(y, expected_y) and close(h_n, expected_h)
    assert not close(y, forward(case, **arrays)[0], 1e-2)


def test_return_sequences():
    y, h_n = forward(SMALL)
    none, same, _ = reference.gru_forward(
        **SMALL.arrays(), **SMALL.options(), return_sequences=False
    )
    assert none is None
    np.testing.assert_array_equal(same, h_n)
    np.testing.assert_array_equal(y[:, -1], h_n)


def test_mask_repeats_the_previous_output_not_the_state():
    case = replace(SMALL, B=1, T=5)
    mask = np.array([[False, True, False, True, False]])
    y, h_n = forward(case, mask=mask)
    valid, _ = forward(case, x=case.arrays()["x"][mask][None])
    assert np.all(y[0, 0] == 0)  # although there is an initial state
    assert close(y[0, [1, 3]], valid[0])
    np.testing.assert_array_equal(y[0, [2, 4]], y[0, [1, 3]])
    np.testing.assert_array_equal(h_n[0], y[0, 3])
    zeroed, state = forward(case, mask=mask, masked_output="zero")
    np.testing.assert_array_equal(zeroed, np.where(mask[:, :, None], y, 0))
    np.testing.assert_array_equal(state, h_n)


def test_a_wholly_masked_row_returns_zeros_and_its_initial_state():
    case = replace(SMALL, mask="none")
    y, h_n = forward(case)
    assert not y.any()
    np.testing.assert_array_equal(h_n, case.arrays()["h0"])


@pytest.mark.parametrize("case", MODES, ids=str)
def test_a_full_mask_changes_nothing(case: GRUCase):
    expected = run_gru(reference, case)
    masked = replace(case, mask="all")
    y, h_n, cache = reference.gru_forward(
        **case.arrays(), **case.options(), mask=masked.arrays()["mask"], training=True
    )
    dy, dh_n = case.gradients()
    gradients = reference.gru_backward(dy, cache, dh_n)
    got = {"y": y, "h_n": h_n} | dict(zip(GRU_GRADIENTS, gradients, strict=True))
    for name, right in expected.items():
        np.testing.assert_array_equal(got[name], right)


def test_what_is_masked_is_never_looked_at():
    case = replace(SMALL, mask="interior")
    arrays = case.arrays()
    hidden = np.where(arrays["mask"][:, :, None], arrays["x"], np.nan)
    dy, dh_n = case.gradients()
    results = []
    for x in (arrays["x"], hidden):
        y, h_n, cache = reference.gru_forward(**arrays | {"x": x}, training=True)
        results.append((y, h_n, *reference.gru_backward(dy, cache, dh_n)))
    for right, got in zip(*results, strict=True):
        np.testing.assert_array_equal(got, right)


@pytest.mark.parametrize("case", MODES, ids=str)
def test_one_dropout_mask_is_three_equal_ones(case: GRUCase):
    case = replace(case, input_dropout=1, recurrent_dropout=1)
    arrays = case.arrays()
    three = {k: np.stack([arrays[k]] * 3) for k in ("input_dropout", "recurrent_dropout")}
    dy, dh_n = case.gradients()
    results = []
    for drops in ({}, three):
        y, h_n, cache = reference.gru_forward(**arrays | drops, **case.options(), training=True)
        results.append((y, h_n, *reference.gru_backward(dy, cache, dh_n)))
    for right, got in zip(*results, strict=True):
        assert close(got, right)


@pytest.mark.parametrize("case", MODES, ids=str)
def test_packed(case: GRUCase):
    results = run_gru(reference, replace(case, packed=True))
    for name, right in run_gru(reference, case).items():
        np.testing.assert_array_equal(results[name], right)


def test_changes_do_not_reach_what_was_packed():
    arrays, (expected, _) = SMALL.arrays(), forward(SMALL)
    kernels = arrays.pop("kernel"), arrays.pop("recurrent_kernel")
    packed = reference.pack_gru(*kernels)
    for kernel in kernels:
        kernel[...] = 0
    y, _, _ = reference.gru_forward(kernel=packed, recurrent_kernel=None, **arrays)
    np.testing.assert_array_equal(y, expected)


# ---- the GRU's gradients -------------------------------------------------------------------------

NO_INCOMING = [replace(c, **{k: False}) for c in MODES for k in ("dy", "dh_n", "bias", "h0")]


@pytest.mark.parametrize("case", [*MODES, *NO_INCOMING, *GRU_BEYOND], ids=str)
def test_gru_gradients(case: GRUCase):
    arrays, (dy, dh_n) = case.arrays(), case.gradients()
    options = case.options()

    def loss() -> float:
        y, h_n, _ = reference.gru_forward(**arrays, **options)
        terms = [(y, dy), (h_n, dh_n)]
        return sum(float((value * d).sum()) for value, d in terms if d is not None)

    _, _, cache = reference.gru_forward(**arrays, **options, training=True)
    assert cache is not None
    gradients = dict(zip(GRU_GRADIENTS, reference.gru_backward(dy, cache, dh_n), strict=True))
    for name, got in gradients.items():
        given = arrays.get(name.removeprefix("d"))
        assert (got is None) == (given is None), name
        if got is not None:
            names = case.activation, case.recurrent_activation
            assert gradient_is(got, loss, given, *names), name


def test_a_cache_serves_twice():
    y, h_n, cache = reference.gru_forward(**SMALL.arrays(), training=True)
    dy, dh_n = SMALL.gradients()
    first = reference.gru_backward(dy, cache, dh_n)
    y[...] = h_n[...] = 0  # the results are the caller's
    for a, b in zip(first, reference.gru_backward(dy, cache, dh_n), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("case", MODES, ids=str)
def test_float32(case: GRUCase):
    """The dtype is kept, and rounding is all that differs."""
    single = replace(case, dtype="float32", input_dropout=3, recurrent_dropout=3, mask="left")
    expected = run_gru(reference, single, "float64")
    for name, got in run_gru(reference, single).items():
        right = expected[name]
        assert got is not None and right is not None and got.dtype == np.float32
        assert close(got, right, 1e-6), name


# ---- arrays of any kind --------------------------------------------------------------------------

STRIDED = [replace(c, mask="interior", input_dropout=3, recurrent_dropout=1) for c in MODES]


@pytest.mark.parametrize("case", STRIDED, ids=str)
def test_any_strides_and_nothing_is_modified(case: GRUCase):
    def run(arrays: dict[str, Array], dy: Array, dh_n: Array) -> list[Array]:
        before = {k: a.copy() for k, a in arrays.items()}, dy.copy(), dh_n.copy()
        y, h_n, cache = reference.gru_forward(**arrays, **case.options(), training=True)
        results = [y, h_n, *reference.gru_backward(dy, cache, dh_n)]
        for k, a in arrays.items():
            np.testing.assert_array_equal(a, before[0][k])
        np.testing.assert_array_equal(dy, before[1])
        np.testing.assert_array_equal(dh_n, before[2])
        return results

    dy, dh_n = case.gradients()
    arrays = case.arrays()
    strided = {k: stride(a) for k, a in arrays.items()}
    for a, b in zip(run(arrays, dy, dh_n), run(strided, stride(dy), stride(dh_n)), strict=True):
        assert a.flags.c_contiguous and b.flags.c_contiguous
        assert close(b, a)


@pytest.mark.parametrize("case", [*MODES, *STRIDED], ids=str)
def test_an_empty_batch(case: GRUCase):
    case = replace(case, B=0)
    results = run_gru(reference, case)
    assert results["y"].shape == (0, case.T, case.H)
    assert results["h_n"].shape == results["dh0"].shape == (0, case.H)
    assert results["dx"].shape == (0, case.T, case.I)
    for name in ("dkernel", "drecurrent_kernel", "dbias"):
        assert results[name].shape == case.arrays()[name.removeprefix("d")].shape
        assert not results[name].any()


def test_memory_maps_are_arrays(tmp_path):
    arrays = SMALL.arrays()
    mapped = np.memmap(tmp_path / "x", arrays["x"].dtype, "w+", shape=arrays["x"].shape)
    mapped[...] = arrays["x"]
    np.testing.assert_array_equal(forward(SMALL, x=mapped)[0], forward(SMALL)[0])


# ---- dense ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", DENSE, ids=str)
def test_dense(case: DenseCase):
    arrays = case.arrays()
    dy = arrays.pop("dy")
    results = run_dense(reference, case)
    pre = np.tensordot(arrays["x"], arrays["kernel"], 1) + arrays.get("bias", 0)
    np.testing.assert_allclose(results["y"], activations.get(case.activation)(pre), 1e-13, 1e-14)

    if arrays["x"].size * case.O > 500:
        return  # central differences of the large ones would take long, and show nothing new

    def loss() -> float:
        return float((reference.dense_forward(**arrays, activation=case.activation)[0] * dy).sum())

    assert (results["dbias"] is None) == (not case.bias)
    for name, a in arrays.items():
        assert gradient_is(results[f"d{name}"], loss, a, case.activation), name


def test_dense_of_an_empty_batch():
    results = run_dense(reference, DenseCase((0, 3)))
    assert results["y"].shape == (0, 3, 4) and results["dx"].shape == (0, 3, 5)
    assert not results["dkernel"].any() and not results["dbias"].any()


# ---- embedding -----------------------------------------------------------------------------------


@pytest.mark.parametrize("case", EMBEDDING, ids=str)
def test_embedding(case: EmbeddingCase):
    a = case.arrays()
    y = reference.embedding_forward(a["ids"], a["table"])
    dtable = reference.embedding_backward(a["dy"], a["ids"], case.V)
    expected = np.zeros((case.V, case.D))
    for i in np.ndindex(case.shape):
        np.testing.assert_array_equal(y[i], a["table"][a["ids"][i]])
        expected[a["ids"][i]] += a["dy"][i]
    assert y.shape == (*case.shape, case.D)
    assert close(dtable, expected)


# ---- binary cross-entropy ------------------------------------------------------------------------


@pytest.mark.parametrize("from_logits", [True, False])
def test_binary_crossentropy(from_logits: bool):
    random = np.random.default_rng(0)
    y_true = random.random((4, 3))
    y_true[0] = [0, 1, 0.5]
    y_pred = random.normal(0, 3, (4, 3)) if from_logits else random.uniform(0.05, 0.95, (4, 3))
    losses, gradients = reference.binary_crossentropy(y_true, y_pred, from_logits=from_logits)
    p = 1 / (1 + np.exp(-y_pred)) if from_logits else y_pred
    assert close(losses, -(y_true * np.log(p) + (1 - y_true) * np.log(1 - p)))

    def loss() -> float:
        losses, _ = reference.binary_crossentropy(y_true, y_pred, from_logits=from_logits)
        return float(losses.sum())

    assert gradient_is(gradients, loss, y_pred)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_binary_crossentropy_of_sure_predictions(dtype: str):
    zero, one = np.zeros(4, dtype), np.ones(4, dtype)
    p = np.array([0, 1e-8, 1 - 1e-8, 1], dtype)
    low, high = np.array([1e-7, 1 - 1e-7], dtype).astype("float64")
    for labels, wrong in ((zero, -math.log1p(-high)), (one, -math.log(low))):
        losses, gradients = reference.binary_crossentropy(labels, p)
        right = -math.log1p(-low) if labels is zero else -math.log(high)
        expected = [right, right, wrong, wrong] if labels is zero else [wrong, wrong, right, right]
        np.testing.assert_allclose(losses, expected, 1e-6)
        assert not gradients.any()

    logits = np.array([-1000, -30, 30, 1000], dtype)
    losses, gradients = reference.binary_crossentropy(zero, logits, from_logits=True)
    np.testing.assert_allclose(losses, [0, math.exp(-30), 30, 1000], 1e-6)
    np.testing.assert_allclose(gradients, [0, math.exp(-30), 1, 1], 1e-6)


def test_binary_crossentropy_passes_nan_predictions_on():
    for from_logits in (True, False):
        for result in reference.binary_crossentropy(
            np.array([0.0, 1.0]), np.array([np.nan, 0.5]), from_logits=from_logits
        ):
            assert np.isnan(result[0]) and np.isfinite(result[1])


# ---- Adam ----------------------------------------------------------------------------------------


def test_adam_update():
    random = np.random.default_rng(0)
    p, m, v = np.array([0.5, -1.5, 2.0]), np.zeros(3), np.zeros(3)
    q, mean, square = p.tolist(), [0.0] * 3, [0.0] * 3
    rate, b1, b2, eps = 0.01, 0.8, 0.95, 1e-3
    for t in range(1, 6):
        g = random.normal(size=3)
        reference.adam_update(
            p, g, m, v, step=t, learning_rate=rate, beta_1=b1, beta_2=b2, epsilon=eps
        )
        for i in range(3):
            mean[i] = b1 * mean[i] + (1 - b1) * g[i]
            square[i] = b2 * square[i] + (1 - b2) * g[i] ** 2
            alpha = rate * math.sqrt(1 - b2**t) / (1 - b1**t)
            q[i] -= alpha * mean[i] / (math.sqrt(square[i]) + eps)
        np.testing.assert_allclose([p, m, v], [q, mean, square], 1e-13)


def test_adam_moves_what_has_no_gradient_any_more():
    p, m, v = np.ones(1), np.zeros(1), np.zeros(1)
    reference.adam_update(p, np.ones(1), m, v, step=1)
    np.testing.assert_allclose(p, 1 - 1e-3, 1e-8)
    before = p.copy()
    reference.adam_update(p, np.zeros(1), m, v, step=2)
    assert p < before


# ---- elementwise ---------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["exp", "sigmoid", "tanh"])
def test_elementwise(name: str, dtype: str):
    function = getattr(reference, name)
    oracle = {"exp": math.exp, "sigmoid": lambda v: 1 / (1 + math.exp(-v)), "tanh": math.tanh}
    x = np.linspace(-20, 20, 101, dtype=dtype).reshape(1, 101)
    y = function(x)
    assert y.dtype == x.dtype and y.shape == x.shape
    expected = [[oracle[name](v) for v in x[0].tolist()]]
    np.testing.assert_allclose(y, expected, 4 * np.finfo(dtype).eps)

    edges = np.array([-np.inf, -1e4, 0, 1e4, np.inf, np.nan], dtype)
    ends = {
        "exp": [0, 0, 1, np.inf, np.inf],
        "sigmoid": [0, 0, 0.5, 1, 1],
        "tanh": [-1, -1, 0, 1, 1],
    }
    np.testing.assert_array_equal(function(edges), [*ends[name], np.nan])
    assert np.signbit(reference.tanh(np.array([-0.0], dtype)))
    assert function(np.array(0.5, dtype)).shape == ()
    assert function(np.zeros((0, 3), dtype)).shape == (0, 3)
    np.testing.assert_allclose(function(x[:, ::-2]), y[:, ::-2], 2 * np.finfo(dtype).eps)


# ---- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", BAD, ids=str)
def test_refuses(bad: Bad):
    operation = getattr(reference, bad.operation)
    operation(**good(bad.operation, reference))  # all is well without the change
    with pytest.raises(bad.error) as raised:
        operation(**bad.arguments(reference))
    assert str(raised.value).startswith(bad.message)


@pytest.mark.parametrize("bad", [b for b in BAD if b.operation == "adam_update"], ids=str)
def test_adam_refuses_before_it_changes_anything(bad: Bad):
    arguments = bad.arguments(reference)
    arrays = {k: a for k, a in arguments.items() if isinstance(a, np.ndarray)}
    before = {k: a.copy() for k, a in arrays.items()}
    with pytest.raises(bad.error):
        reference.adam_update(**arguments)
    for k, a in arrays.items():
        np.testing.assert_array_equal(a, before[k])
