"""Pairs of one of torch.nn's modules and its twin in fastgru.torch, with the same weights."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

import fastgru.torch

SEQUENCES = ("GRU", "LSTM", "RNN")
CELLS = ("GRUCell", "LSTMCell", "RNNCell")

# Both sides compute in the same precision, so the rounding of both counts.
TOLERANCE = {
    torch.float32: {"rtol": 1e-4, "atol": 1e-5},
    torch.float64: {"rtol": 1e-10, "atol": 1e-12},
}


def pair(name: str, *args: Any, **kwargs: Any) -> tuple[torch.nn.Module, torch.nn.Module]:
    """Return torch.nn's module and ours, with the same weights, through a state_dict."""
    theirs = getattr(torch.nn, name)(*args, **kwargs)
    ours = getattr(fastgru.torch, name)(*args, **kwargs)
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


def twin(module: torch.nn.Module) -> torch.nn.Module:
    """Return our twin of one of torch.nn's modules."""
    ours = copy.deepcopy(module)
    ours.__class__ = getattr(fastgru.torch, type(module).__name__)
    return ours


def tensors_of(value: Any) -> list[torch.Tensor]:
    """Return the tensors in nested tuples and packed sequences."""
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, PackedSequence):
        return [value.data]
    return [] if value is None else [t for part in value for t in tensors_of(part)]


def differentiate(
    module: torch.nn.Module, results: Any, inputs: list[torch.Tensor], **kwargs: Any
) -> list[torch.Tensor]:
    """Return gradients of a weighted sum of all results, by the inputs and the parameters."""
    floating = [t for t in tensors_of(results) if t.requires_grad]
    weights = [
        torch.linspace(-1, 2, t.numel(), dtype=t.dtype).reshape(t.shape) + i
        for i, t in enumerate(floating)
    ]
    of = [t for t in (*inputs, *module.parameters()) if t.requires_grad]
    return list(torch.autograd.grad(floating, of, weights, **kwargs))


def assert_equal(ours: Any, theirs: Any, tolerance: float | None = None) -> None:
    """Assert that nested results have one structure, and tensors close to each other's."""
    limits = {"rtol": tolerance, "atol": tolerance} if tolerance else None
    assert type(ours) is type(theirs)
    if isinstance(theirs, torch.Tensor):
        assert ours.is_contiguous() == theirs.is_contiguous()
        torch.testing.assert_close(ours, theirs, **(limits or TOLERANCE.get(theirs.dtype, {})))
    elif theirs is not None:
        assert len(ours) == len(theirs)
        for a, b in zip(ours, theirs, strict=True):
            assert_equal(a, b, tolerance)


def assert_same_pass(
    theirs: torch.nn.Module,
    ours: torch.nn.Module,
    make_arguments: Callable[[], tuple[Any, ...]],
    **kwargs: Any,
) -> None:
    """Assert that both modules give the same results and gradients, from the same random state."""
    found = []
    for module in (theirs, ours):
        torch.manual_seed(5)
        arguments = make_arguments()
        torch.manual_seed(6)
        results = module(*arguments)
        inputs = tensors_of(arguments)
        found.append((results, differentiate(module, results, inputs, **kwargs)))
    (their_results, their_gradients), (our_results, our_gradients) = found
    assert_equal(our_results, their_results)
    for a, b in zip(our_gradients, their_gradients, strict=True):
        torch.testing.assert_close(a, b, **TOLERANCE[b.dtype])


def random(*shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """Return a leaf of normal numbers that wants a gradient."""
    return torch.randn(shape, dtype=dtype).requires_grad_()


def pack(x: torch.Tensor, lengths: list[int], **kwargs: Any) -> PackedSequence:
    """Return packed sequences whose data is a leaf that wants a gradient."""
    packed = pack_padded_sequence(x.detach(), torch.tensor(lengths), **kwargs)
    packed.data.requires_grad_()
    return packed
