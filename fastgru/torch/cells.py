"""GRUCell, LSTMCell and RNNCell with the faces of torch.nn's: one step of a layer."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from fastgru.torch._operators import run
from fastgru.torch._passes import Kind
from fastgru.torch.modules import served, transformed

__all__ = ["GRUCell", "LSTMCell", "RNNCell"]


def _step(
    cell: torch.nn.RNNCellBase, mode: str, input: Any, states: list[Any]
) -> list[Tensor] | None:
    """Run one step; None if it is not for fastgru to run, or wrong."""
    if transformed() or not all(isinstance(t, Tensor) for t in (input, *states)):
        return None
    if len(states) not in (0, 2 if mode == "lstm" else 1):
        return None
    if any(s.dim() != input.dim() for s in states):
        return None
    weights = [cell.weight_ih, cell.weight_hh]
    biases = [cell.bias_ih, cell.bias_hh] if cell.bias else [None, None]
    tensors = [input, *states, *weights, *(b for b in biases if b is not None)]
    size = input.shape[:-1]
    if input.dim() not in (1, 2) or input.shape[-1] != cell.input_size or not served(*tensors):
        return None
    if any(s.shape != (*size, cell.hidden_size) for s in states):
        return None
    x, *given = [(t if t.dim() == 2 else t.unsqueeze(0)).unsqueeze(0) for t in (input, *states)]
    h0, c0 = [*given, None, None][:2]
    _, *after = run(
        Kind(mode, 1, bool(cell.bias), False), x, None, h0, c0, *tensors[1 + len(states) :]
    )
    results = [s.squeeze(0) for s in after if s is not None]
    return results if input.dim() == 2 else [s.squeeze(0) for s in results]


class GRUCell(torch.nn.GRUCell):
    """One step of a Gated Recurrent Unit: torch.nn.GRUCell, computed by fastgru on CPUs.

    Constructor, parameters, state_dict, arguments and results are those of `torch.nn.GRUCell`.
    """

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """Return the state after one step of (batch, features) or (features) input."""
        result = _step(self, "gru", input, [] if hx is None else [hx])
        return super().forward(input, hx) if result is None else result[0]


class LSTMCell(torch.nn.LSTMCell):
    """One step of a long short-term memory: torch.nn.LSTMCell, computed by fastgru on CPUs.

    Constructor, parameters, state_dict, arguments and results are those of `torch.nn.LSTMCell`.
    """

    def forward(
        self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return both states after one step of (batch, features) or (features) input."""
        result = _step(self, "lstm", input, [] if hx is None else list(hx))
        return super().forward(input, hx) if result is None else (result[0], result[1])


class RNNCell(torch.nn.RNNCell):
    """One step of an Elman network: torch.nn.RNNCell, computed by fastgru on CPUs.

    Constructor, parameters, state_dict, arguments and results are those of `torch.nn.RNNCell`.
    """

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """Return the state after one step of (batch, features) or (features) input."""
        known = self.nonlinearity in ("tanh", "relu")
        states = [] if hx is None else [hx]
        result = _step(self, f"rnn_{self.nonlinearity}", input, states) if known else None
        return super().forward(input, hx) if result is None else result[0]
