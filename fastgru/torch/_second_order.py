"""Derivatives of the backward pass, by running PyTorch's own recurrent layer instead.

They are needed by few (gradient penalties, Hessians), and PyTorch differentiates its own layer as
often as one likes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from fastgru.torch import _passes

_VF = torch._VF

MaybeTensor: TypeAlias = Tensor | None


def gradients(
    mode: str,
    tensors: Sequence[MaybeTensor],
    batch_sizes: MaybeTensor,
    reverse: bool,
    given: Sequence[MaybeTensor],
    received: Sequence[MaybeTensor],
) -> tuple[list[MaybeTensor], list[MaybeTensor]]:
    """Differentiate the backward pass of a layer.

    Parameters
    ----------
    mode, tensors, batch_sizes, reverse
        The layer: x, w_ih, w_hh, b_ih, b_hh, h0, c0 in `tensors`, absent ones None.
    given : sequence of tensors
        dy, dh_n, dc_n as the backward pass got them.
    received : sequence of tensors
        Gradients of the backward pass' results.

    Returns
    -------
    gradients : of `tensors` and of `given`; None where there is none.
    """
    create_graph = torch.is_grad_enabled()
    with torch.enable_grad():
        # Aliases, so that what is asked for are partial derivatives even if tensors depend on
        # each other.
        tensors, given = [alias(t) for t in tensors], [alias(t) for t in given]
        results = _run(mode, tensors, batch_sizes, reverse)
        pairs = [(y, dy) for y, dy in zip(results, given, strict=False) if dy is not None]
        first = differentiate(pairs, tensors, True)
        pairs = [
            (dx, ddx)
            for dx, ddx in zip(first, received, strict=True)
            if dx is not None and ddx is not None and dx.requires_grad
        ]
        second = differentiate(pairs, [*tensors, *given], create_graph)
    return second[: len(tensors)], second[len(tensors) :]


def alias(tensor: MaybeTensor) -> MaybeTensor:
    """Return a tensor that is the same, for derivatives with respect to it alone."""
    if tensor is None:
        return None
    return tensor.view_as(tensor) if tensor.requires_grad else tensor.detach().requires_grad_()


def differentiate(
    pairs: list[tuple[Tensor, Tensor]], inputs: Sequence[MaybeTensor], create_graph: bool
) -> list[MaybeTensor]:
    """Return the gradients of the inputs, from pairs of results and their gradients."""
    present = [t for t in inputs if t is not None]
    if not pairs:
        return [None] * len(inputs)
    outputs, weights = zip(*pairs, strict=True)
    found = iter(
        torch.autograd.grad(outputs, present, weights, create_graph=create_graph, allow_unused=True)
    )
    return [None if t is None else next(found) for t in inputs]


def _run(
    mode: str, tensors: Sequence[MaybeTensor], batch_sizes: MaybeTensor, reverse: bool
) -> list[Tensor]:
    """Run PyTorch's own layer; return y, h_n and, for an LSTM, c_n, as the operator does."""
    x, w_ih, w_hh, b_ih, b_hh, h0, c0 = tensors
    assert x is not None and w_ih is not None and w_hh is not None
    order = None
    if batch_sizes is None:
        x = x.flip(0) if reverse else x
    elif reverse:
        order = torch.from_numpy(_passes.reversed_rows(batch_sizes.numpy()))
        x = x[order]
    B = x.shape[1] if batch_sizes is None else int(batch_sizes[0])
    zeros = x.new_zeros(1, B, w_hh.shape[1])
    h, c = (zeros if s is None else s[None] for s in (h0, c0))
    biased = b_ih is not None
    weights = [w_ih, w_hh, b_ih, b_hh] if biased else [w_ih, w_hh]
    hx = (h, c) if mode == "lstm" else h
    function = getattr(_VF, mode)
    if batch_sizes is None:
        y, *finals = function(x, hx, weights, biased, 1, 0.0, False, False, False)
        y = y.flip(0) if reverse else y
    else:
        y, *finals = function(x, batch_sizes, hx, weights, biased, 1, 0.0, False, False)
        y = y if order is None else y[order]
    return [y, *(s[0] for s in finals)]
