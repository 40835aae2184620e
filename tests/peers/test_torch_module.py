"""fastgru.torch's modules against torch.nn's: results, gradients, states, parameters."""

from __future__ import annotations

import copy
import io
import itertools
import pickle
import random as python_random
from typing import Any

import pytest
import torch
from torch.nn.utils import parametrizations, prune
from torch.nn.utils.rnn import pack_sequence, pad_packed_sequence
from torch_pairs import (
    CELLS,
    SEQUENCES,
    assert_equal,
    assert_same_pass,
    differentiate,
    pack,
    pair,
    random,
)

import fastgru.torch
from fastgru.torch import _operators

OPTIONS = list(itertools.product(SEQUENCES, (1, 2), (False, True), (False, True)))


def states(name: str, *shape: int, dtype: torch.dtype = torch.float64) -> Any:
    h = random(*shape, dtype=dtype)
    return (h, random(*shape, dtype=dtype)) if name == "LSTM" else h


@pytest.fixture(autouse=True)
def _runs_on_fastgru(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest):
    """Fail where a test that should run on fastgru falls through to PyTorch."""
    if "falls_through" in request.fixturenames:
        yield
        return

    def fail(*args: Any) -> None:
        raise AssertionError("PyTorch's own forward method was called")

    for name in SEQUENCES:
        stub = type(name, (), {"forward": fail})
        monkeypatch.setattr(getattr(fastgru.torch, name), "pytorch", stub)
    yield


@pytest.fixture
def falls_through() -> None:
    """Allow PyTorch's own forward method."""


# ---- results and gradients -----------------------------------------------------------------------


@pytest.mark.parametrize(("name", "layers", "bidirectional", "batch_first"), OPTIONS)
@pytest.mark.parametrize("with_states", [False, True])
def test_padded(name, layers, bidirectional, batch_first, with_states):
    kwargs = {"bidirectional": bidirectional, "batch_first": batch_first, "dtype": torch.float64}
    theirs, ours = pair(name, 3, 9, layers, **kwargs)

    def arguments():
        x = random(4, 7, 3)
        batch = 4 if batch_first else 7
        hx = states(name, layers * (2 if bidirectional else 1), batch, 9)
        return (x, hx) if with_states else (x,)

    assert_same_pass(theirs, ours, arguments)


@pytest.mark.parametrize(("name", "layers", "bidirectional", "batch_first"), OPTIONS)
@pytest.mark.parametrize("enforce_sorted", [False, True])
def test_packed(name, layers, bidirectional, batch_first, enforce_sorted):
    kwargs = {"bidirectional": bidirectional, "batch_first": batch_first, "dtype": torch.float64}
    theirs, ours = pair(name, 3, 9, layers, **kwargs)
    lengths = [6, 5, 5, 2, 1] if enforce_sorted else [5, 1, 6, 2, 5]

    def arguments():
        x = random(5, 6, 3) if batch_first else random(6, 5, 3)
        packed = pack(x, lengths, batch_first=batch_first, enforce_sorted=enforce_sorted)
        hx = states(name, layers * (2 if bidirectional else 1), 5, 9)
        return (packed, hx) if batch_first else (packed,)

    assert_same_pass(theirs, ours, arguments)


@pytest.mark.parametrize("name", SEQUENCES)
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("with_states", [False, True])
def test_unbatched(name, batch_first, with_states):
    kwargs = {"batch_first": batch_first, "bidirectional": True, "dtype": torch.float64}
    theirs, ours = pair(name, 3, 8, 2, **kwargs)
    assert_same_pass(
        theirs, ours, lambda: (random(5, 3), states(name, 4, 8)) if with_states else (random(5, 3),)
    )


@pytest.mark.parametrize("name", SEQUENCES)
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("units", [1, 7, 8, 15, 16, 17, 31, 33])
def test_float32_and_sizes(name, bias, units):
    theirs, ours = pair(name, 5, units, bias=bias)
    assert_same_pass(
        theirs,
        ours,
        lambda: (
            random(6, 9, 5, dtype=torch.float32),
            states(name, 1, 9, units, dtype=torch.float32),
        ),
    )


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
@pytest.mark.parametrize("packed", [False, True])
def test_nonlinearity(nonlinearity, packed):
    theirs, ours = pair("RNN", 3, 9, 2, nonlinearity, dtype=torch.float64)
    assert ours.nonlinearity == nonlinearity
    assert ours.mode == theirs.mode

    def arguments():
        x = random(6, 3, 3)
        return (pack(x, [6, 4, 1]) if packed else x,)

    assert_same_pass(theirs, ours, arguments)


@pytest.mark.parametrize("name", SEQUENCES)
@pytest.mark.parametrize("packed", [False, True])
def test_dropout_draws_as_pytorch_does(name, packed):
    kwargs = {"dropout": 0.4, "bidirectional": True, "dtype": torch.float64}
    theirs, ours = pair(name, 3, 8, 3, **kwargs)

    def arguments():
        x = random(6, 4, 3)
        return (pack(x, [6, 6, 3, 2]) if packed else x,)

    assert_same_pass(theirs, ours, arguments)
    assert_same_pass(theirs.eval(), ours.eval(), arguments)
    theirs.train().dropout = ours.train().dropout = 0.0
    assert_same_pass(theirs, ours, arguments)
    ours.dropout = 1.0
    assert not torch.equal(ours(random(6, 4, 3))[0], theirs(random(6, 4, 3))[0])


@pytest.mark.parametrize("name", SEQUENCES)
def test_empty_batch(name):
    theirs, ours = pair(name, 3, 4, 2, bidirectional=True, dtype=torch.float64)
    assert_same_pass(theirs, ours, lambda: (random(5, 0, 3),))


@pytest.mark.parametrize("name", SEQUENCES)
def test_strided_input(name):
    theirs, ours = pair(name, 3, 4, dtype=torch.float64)
    assert_same_pass(
        theirs, ours, lambda: (random(3, 7, 5).transpose(0, 2)[::2],), allow_unused=True
    )
    x = torch.complex(*torch.randn(2, 5, 2, 3, dtype=torch.float64)).conj().imag
    assert x.is_neg()
    assert_equal(ours(x), theirs(x))
    assert_equal(ours(x[:, :1].expand(5, 4, 3)), theirs(x[:, :1].expand(5, 4, 3)))


def test_at_random():
    """Options and sizes drawn at random, all together."""
    draw = python_random.Random(7)
    for _ in range(60):
        name = draw.choice(SEQUENCES)
        B, T, I, H, layers = (draw.randint(1, n) for n in (9, 9, 9, 19, 3))
        kwargs = {
            "bias": draw.random() < 0.7,
            "batch_first": draw.random() < 0.5,
            "dropout": draw.choice([0.0, 0.3]) if layers > 1 else 0.0,
            "bidirectional": draw.random() < 0.5,
            "dtype": torch.float64,
        }
        theirs, ours = pair(name, I, H, layers, **kwargs)
        lengths = [draw.randint(1, T) for _ in range(B)]
        packed, with_states = draw.random() < 0.5, draw.random() < 0.5
        directions = 2 if kwargs["bidirectional"] else 1

        def arguments(
            name=name, shape=(B, T, I), kwargs=kwargs, lengths=lengths, packed=packed,
            with_states=with_states, states_shape=(layers * directions, B, H),
        ):  # fmt: skip
            B, T, I = shape
            first = kwargs["batch_first"]
            x = random(B, T, I) if first else random(T, B, I)
            if packed:
                x = pack(x, lengths, batch_first=first, enforce_sorted=False)
            return (x, states(name, *states_shape)) if with_states else (x,)

        assert_same_pass(theirs, ours, arguments)


def test_padding_and_packing_round_trip():
    theirs, ours = pair("GRU", 3, 4, bidirectional=True, dtype=torch.float64)
    sequences = [random(n, 3) for n in (2, 5, 1)]
    packed = pack_sequence(sequences, enforce_sorted=False)
    results = [pad_packed_sequence(module(packed)[0]) for module in (ours, theirs)]
    assert_equal(results[0][0], results[1][0])
    alone = ours(sequences[0][:, None])[0]
    torch.testing.assert_close(results[0][0][:2, :1], alone)


# ---- cells ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("batch", [(), (1,), (7,)])
@pytest.mark.parametrize("with_states", [False, True])
def test_cell(name, bias, batch, with_states, monkeypatch):
    theirs, ours = pair(name, 5, 9, bias=bias, dtype=torch.float64)

    def arguments():
        hx = states(name.removesuffix("Cell"), *batch, 9)
        return (random(*batch, 5), hx) if with_states else (random(*batch, 5),)

    count = calls(monkeypatch)
    assert_same_pass(theirs, ours, arguments)
    assert count == [1]


@pytest.mark.parametrize("name", ["GRUCell", "RNNCell"])
def test_cells_over_time_are_a_layer(name):
    _, cell = pair(name, 3, 9, dtype=torch.float64)
    layer = getattr(fastgru.torch, name.removesuffix("Cell"))(3, 9, dtype=torch.float64)
    layer.load_state_dict({f"{k}_l0": v for k, v in cell.state_dict().items()})
    x, h = random(4, 2, 3), None
    for step in x:
        h = cell(step, h)
    torch.testing.assert_close(h, layer(x)[1][0])


def test_relu_cell():
    theirs, ours = pair("RNNCell", 3, 9, nonlinearity="relu", dtype=torch.float64)
    assert_same_pass(theirs, ours, lambda: (random(4, 3), random(4, 9)))


def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count the forward passes of fastgru."""
    count = [0]
    forward = _operators._passes.forward

    def counted(*args: Any) -> Any:
        count[0] += 1
        return forward(*args)

    monkeypatch.setattr(_operators._passes, "forward", counted)
    return count


# ---- parameters ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SEQUENCES + CELLS)
def test_parameters_are_drawn_as_pytorchs(name):
    args = (3, 5, 2) if name in SEQUENCES else (3, 5)
    kwargs = {"bidirectional": True} if name in SEQUENCES else {}
    found = []
    for namespace in (torch.nn, fastgru.torch):
        torch.manual_seed(3)
        found.append(getattr(namespace, name)(*args, **kwargs))
    theirs, ours = found
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for key, value in theirs.named_parameters():
        assert torch.equal(ours.get_parameter(key), value)
    assert repr(ours) == repr(theirs)
    theirs.load_state_dict(ours.state_dict())


def test_extra_repr():
    theirs, ours = pair("GRU", 3, 4, 2, bias=False, batch_first=True, dropout=0.5)
    assert repr(ours) == repr(theirs)
    assert repr(ours) == "GRU(3, 4, num_layers=2, bias=False, batch_first=True, dropout=0.5)"


@pytest.mark.parametrize("name", SEQUENCES + CELLS)
def test_copies(name):
    theirs, ours = pair(name, 3, 4, dtype=torch.float64)
    x = random(5, 3)
    ours(x)
    file = io.BytesIO()
    torch.save(ours, file)
    file.seek(0)
    saved = torch.load(file, weights_only=False)
    for other in (copy.deepcopy(ours), pickle.loads(pickle.dumps(ours)), saved):
        assert type(other) is type(ours)
        assert_equal(other(x), theirs(x))
        with torch.no_grad():
            next(other.parameters()).add_(1)
        assert not torch.equal(next(other.parameters()), next(ours.parameters()))
        assert_equal(ours(x), theirs(x))


@pytest.mark.parametrize("name", SEQUENCES)
def test_conversions(name):
    theirs, ours = pair(name, 3, 4)
    for dtype in (torch.float64, torch.float32):
        theirs, ours = theirs.to(dtype), ours.to(dtype)
        x = torch.randn(5, 2, 3, dtype=dtype)
        ours.flatten_parameters()
        assert_equal(ours(x), theirs(x))


@pytest.mark.parametrize("name", SEQUENCES)
def test_weights_are_read_at_each_call(name):
    theirs, ours = pair(name, 3, 4, dtype=torch.float64)
    x = random(5, 2, 3)
    for module in (theirs, ours):
        module(x)
        module.weight_hh_l0.data.numpy()[:] *= 2
        module.bias_ih_l0 = torch.nn.Parameter(module.bias_ih_l0.detach() + 1)
    assert_equal(ours(x), theirs(x))
    swapped = {k: v * 1.5 for k, v in ours.named_parameters()}
    results = [torch.func.functional_call(m, swapped, (x,)) for m in (ours, theirs)]
    assert_equal(*results)


def reparametrized(module: torch.nn.Module, how: str) -> torch.nn.Module:
    torch.manual_seed(4)
    if how == "weight_norm":
        return parametrizations.weight_norm(module, "weight_hh_l0")
    if how == "spectral_norm":  # in training each look at the weight changes it
        return parametrizations.spectral_norm(module, "weight_hh_l0").eval()
    if how == "old_weight_norm":
        with pytest.warns(FutureWarning):
            return torch.nn.utils.weight_norm(module, "weight_hh_l0")
    return prune.random_unstructured(module, "weight_hh_l0", 0.5)


@pytest.mark.parametrize("how", ["weight_norm", "spectral_norm", "old_weight_norm", "prune"])
def test_reparametrized_weights(how):
    theirs, ours = (reparametrized(m, how) for m in pair("GRU", 3, 8, 2, dtype=torch.float64))
    assert_same_pass(theirs, ours, lambda: (random(5, 2, 3),))


@pytest.mark.parametrize("name", SEQUENCES)
@pytest.mark.parametrize("kind", ["weight", "bias", "weight_ih_l0"])
def test_frozen_parameters(name, kind):
    theirs, ours = pair(name, 3, 4, 2, dtype=torch.float64)
    for module in (theirs, ours):
        for key, parameter in module.named_parameters():
            parameter.requires_grad_(not key.startswith(kind))
    assert_same_pass(theirs, ours, lambda: (torch.randn(5, 2, 3, dtype=torch.float64),))
    ours(random(5, 2, 3))[0].sum().backward()
    for parameter in ours.parameters():
        assert (parameter.grad is not None) == parameter.requires_grad


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_without_gradients(mode):
    theirs, ours = pair("LSTM", 3, 4, dtype=torch.float64)
    x = random(5, 2, 3)
    with mode():
        results = ours(x)
    assert not results[0].requires_grad
    assert_equal(results, tuple(map(as_constant, theirs(x))))


def as_constant(value: Any) -> Any:
    return value.detach() if isinstance(value, torch.Tensor) else tuple(v.detach() for v in value)


def test_only_one_of_the_results_is_used():
    theirs, ours = pair("LSTM", 3, 4, dtype=torch.float64)
    for choose in (lambda r: r[0], lambda r: r[1][0], lambda r: r[1][1]):
        x = random(5, 2, 3)
        a, b = (differentiate(m, choose(m(x)), [x], allow_unused=True) for m in (ours, theirs))
        for ours_, theirs_ in zip(a, b, strict=True):
            torch.testing.assert_close(ours_, theirs_)


def test_proj_size_runs_on_pytorch(falls_through):
    theirs, ours = pair("LSTM", 3, 8, 2, proj_size=4, dtype=torch.float64)
    assert_same_pass(theirs, ours, lambda: (random(5, 2, 3),))
