"""The GRU against torch.nn.GRU, forward and backward."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
import torch
from cases import GRUCase, Results, assert_close, run_gru

# torch computes in the same precision, so both sides' rounding counts.
TOLERANCE = {"float32": 5e-6, "float64": 2e-14}

CASES = [
    GRUCase(*shape, dtype=dtype, bias=bias, dy=dy, dh_n=dh_n, packed=packed)
    for shape in ((3, 4, 5, 6), (1, 7, 9, 8), (16, 5, 8, 33), (9, 30, 17, 31))
    for dtype in TOLERANCE
    for bias, dy, dh_n, packed in (
        (True, True, True, False),
        (True, True, False, True),
        (False, False, True, False),
    )
]


def from_torch(a: torch.Tensor) -> np.ndarray:
    """Turn gates r, z, n along torch's first axis into z, r, n along our last one."""
    r, z, n = np.split(a.detach().numpy().T, 3, axis=-1)
    return np.concatenate([z, r, n], axis=-1)


def to_torch(a: np.ndarray) -> torch.Tensor:
    """Turn gates z, r, n along our last axis into r, z, n along torch's first one."""
    z, r, n = np.split(a, 3, axis=-1)
    return torch.from_numpy(np.ascontiguousarray(np.concatenate([r, z, n], axis=-1).T))


def run_torch(case: GRUCase) -> Results:
    """Run a case on torch and return what `run_gru` returns."""
    a, gradients = case.arrays(), case.gradients()
    gru = torch.nn.GRU(
        case.I, case.H, bias=case.bias, batch_first=True, dtype=getattr(torch, case.dtype)
    )
    weights = {"weight_ih_l0": a["kernel"], "weight_hh_l0": a["recurrent_kernel"]}
    if case.bias:
        weights |= {"bias_ih_l0": a["bias"][0], "bias_hh_l0": a["bias"][1]}
    with torch.no_grad():
        for name, value in weights.items():
            getattr(gru, name).copy_(to_torch(value))
    x, h0 = (torch.from_numpy(a[k]).requires_grad_() for k in ("x", "h0"))
    y, h_n = gru(x, h0[None])
    dy, dh_n = (None if d is None else torch.from_numpy(d) for d in gradients)
    terms = [(value * d).sum() for value, d in ((y, dy), (h_n[0], dh_n)) if d is not None]
    sum(terms).backward()
    dbias = None
    if case.bias:
        dbias = np.stack([from_torch(b.grad) for b in (gru.bias_ih_l0, gru.bias_hh_l0)])
    return {
        "y": y.detach().numpy(),
        "h_n": h_n[0].detach().numpy(),
        "dx": x.grad.numpy(),
        "dkernel": from_torch(gru.weight_ih_l0.grad),
        "drecurrent_kernel": from_torch(gru.weight_hh_l0.grad),
        "dbias": dbias,
        "dh0": h0.grad.numpy(),
    }


@pytest.mark.parametrize("case", CASES, ids=str)
def test_gru(case: GRUCase, operations: ModuleType):
    assert_close(run_gru(operations, case), run_torch(case), TOLERANCE[case.dtype])


def test_torch_layout_is_a_view(operations: ModuleType):
    """A kernel in torch's own memory layout, rows of gates, is taken as the view that it is."""
    case = GRUCase(5, 6, 7, 9)
    a = case.arrays()
    for name in ("kernel", "recurrent_kernel"):
        a[name] = np.ascontiguousarray(a[name].T).T
    y, _, _ = operations.gru_forward(**a)
    assert_close({"y": y}, {"y": run_torch(case)["y"]}, TOLERANCE["float64"])
