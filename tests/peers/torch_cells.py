"""The recurrent cases of tests/cases.py, run on torch.nn."""

from __future__ import annotations

from functools import cache
from types import ModuleType
from typing import Any

import numpy as np
import torch
from cases import GRUCase, RecurrentCase, Results, assert_close, backward, forward
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

# torch computes in the same precision, so both sides' rounding counts.
TOLERANCE = {"float32": 5e-6, "float64": 2e-14}
SHAPES = ((3, 4, 5, 6), (1, 7, 9, 8), (16, 5, 8, 33), (9, 30, 17, 31))


def _reorder(case: RecurrentCase, a: np.ndarray) -> np.ndarray:
    """Swap torch's gates r, z, n and our z, r, n; an LSTM's are the same."""
    if case.cell != "gru":
        return a
    one, other, n = np.split(a, 3, axis=-1)
    return np.concatenate([other, one, n], axis=-1)


def from_torch(case: RecurrentCase, a: torch.Tensor) -> np.ndarray:
    """Turn gates along torch's first axis into ours along the last one."""
    return _reorder(case, a.detach().numpy().T)


def to_torch(case: RecurrentCase, a: np.ndarray) -> torch.Tensor:
    """Turn gates along our last axis into torch's along the first one."""
    return torch.from_numpy(np.ascontiguousarray(_reorder(case, a).T))


def make_module(case: RecurrentCase) -> torch.nn.RNNBase:
    """Make torch's module with a case's weights. What has one bias is given a second, of zeros."""
    module = {"gru": torch.nn.GRU, "lstm": torch.nn.LSTM, "simple_rnn": torch.nn.RNN}[case.cell]
    options: dict[str, Any] = {}
    if case.cell == "simple_rnn":
        options["nonlinearity"] = case.activation
    dtype = getattr(torch, case.dtype)
    made = module(case.I, case.H, bias=case.bias, batch_first=True, dtype=dtype, **options)
    a = case.arrays()
    weights = {"weight_ih_l0": a["kernel"], "weight_hh_l0": a["recurrent_kernel"]}
    if case.bias:
        bias = a["bias"] if a["bias"].ndim == 2 else np.stack([a["bias"], 0 * a["bias"]])
        weights |= {"bias_ih_l0": bias[0], "bias_hh_l0": bias[1]}
    with torch.no_grad():
        for name, value in weights.items():
            getattr(made, name).copy_(to_torch(case, value))
    return made


def sequences(case: RecurrentCase, x: torch.Tensor, mask: np.ndarray | None) -> Any:
    """Return x as torch wants it: as it is, or packed, where it is ragged or masked at the end."""
    if case.ragged:
        return PackedSequence(x, torch.from_numpy(case.arrays()["batch_sizes"]))
    if mask is not None:
        lengths = torch.from_numpy(mask.sum(axis=1))
        return pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    return x


@cache
def run_torch(case: RecurrentCase, masked: bool = False) -> Results:
    """Run a case on torch and return what `run_recurrent` returns; masked: with `end_mask`."""
    a, module = case.arrays(), make_module(case)
    x, *states = (torch.from_numpy(a[k]).requires_grad_() for k in ("x", *case.states))
    mask = end_mask(case) if masked else None
    hx = states[0][None] if len(states) == 1 else tuple(s[None] for s in states)
    y, last = module(sequences(case, x, mask), hx)
    if case.ragged:
        y = y.data
    elif masked:
        y, _ = pad_packed_sequence(y, batch_first=True, total_length=case.T)
    outputs = [y, *(s[0] for s in (last if isinstance(last, tuple) else (last,)))]
    terms = [
        (value * torch.from_numpy(d)).sum()
        for value, d in zip(outputs, case.gradients(), strict=True)
        if d is not None
    ]
    sum(terms).backward()
    dbias = None
    if case.bias:
        dbias = from_torch(case, module.bias_ih_l0.grad)
        if isinstance(case, GRUCase):
            dbias = np.stack([dbias, from_torch(case, module.bias_hh_l0.grad)])
    gradients = [
        x.grad.numpy(),
        from_torch(case, module.weight_ih_l0.grad),
        from_torch(case, module.weight_hh_l0.grad),
        dbias,
        *(s.grad.numpy() for s in states),
    ]
    names = *case.output_names(), *case.gradient_names()
    values = *(v.detach().numpy() for v in outputs), *gradients
    return dict(zip(names, values, strict=True))


def end_mask(case: RecurrentCase) -> np.ndarray:
    """Return a mask (B, T) of lengths in no order, none zero."""
    lengths = 1 + np.arange(case.B) * 7 % case.T
    return np.arange(case.T) < lengths[:, None]


def check_masks(operations: ModuleType, case: RecurrentCase) -> None:
    """Require a mask at the end to do what torch's packing of padded sequences does."""
    a = case.arrays() | case.options() | {"mask": end_mask(case), "masked_output": "zero"}
    *outputs, cache = forward(operations, case)(**a, training=True)
    dy, *dstates = case.gradients()
    gradients = backward(operations, case)(dy, cache, *dstates)
    right = run_torch(case, masked=True)
    assert_close(dict(zip(right, (*outputs, *gradients), strict=True)), right, TOLERANCE["float64"])
