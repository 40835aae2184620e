"""GRU, LSTM and RNN with the faces of torch.nn's, on fastgru's operations."""

# mypy: disable-error-code="no-any-return"
# (What torch returns is Any where it is not installed.)

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from fastgru.torch import _operators
from fastgru.torch._passes import Kind

__all__ = ["GRU", "LSTM", "RNN"]

_DTYPES = (torch.float32, torch.float64)


def served(*tensors: Tensor) -> bool:
    """Tell whether fastgru computes with these tensors: on the CPU, of one dtype that it has."""
    first = tensors[0]
    if first.dtype not in _DTYPES or torch.is_autocast_enabled("cpu"):
        return False
    for t in tensors:
        if t.dtype != first.dtype or not t.is_cpu or t.layout != torch.strided:
            return False
    return not torch.overrides.has_torch_function(tensors)


def transformed() -> bool:
    """Tell whether PyTorch needs to see the operations inside: to export, batch or push forward."""
    if torch.compiler.is_compiling():
        return torch.compiler.is_exporting()
    return (
        torch.compiler.is_exporting()
        or torch.jit.is_tracing()
        or torch._C._are_functorch_transforms_active()
        or torch.autograd.forward_ad._current_level >= 0
    )


class Recurrent(torch.nn.RNNBase):
    """What GRU, LSTM and RNN share: who computes, and how layers and directions are joined.

    A call that fastgru does not serve (see `served`) or that is wrong goes to PyTorch's own forward
    method, which knows what to say. These classes do not derive from torch.nn.GRU itself, because
    torch.compile breaks its graph at every instance of that.
    """

    pytorch: ClassVar[type[torch.nn.RNNBase]]

    @property
    def operator(self) -> str:
        """Which of the passes computes it."""
        return self.mode.lower()

    def forward(self, input: Any, hx: Any = None) -> Any:
        """Run the layers over a sequence, as torch.nn's module of the same name does."""
        if transformed():
            return self.pytorch.forward(self, input, hx)
        packed = isinstance(input, PackedSequence)
        data = input.data if packed else input
        states = self._states(hx)
        own = self._parameters  # past nn.Module.__getattr__, unless they are reparametrized
        weights = [own[n] if n in own else getattr(self, n) for n in self._flat_weights_names]
        if not self._fits(input, data, states) or not served(data, *states, *weights):
            return self.pytorch.forward(self, input, hx)
        if packed:
            return self._run_packed(input, states, weights)

        batched, batch_axis = data.dim() == 3, 0 if self.batch_first else 1
        if not batched:
            data = data.unsqueeze(batch_axis)
            states = [s.unsqueeze(1) for s in states]
        y, states = self._run(data, None, states, weights)
        if not batched:
            y, states = y.squeeze(batch_axis), [s.squeeze(1) for s in states]
        return y, self._hidden(states)

    def _run_packed(
        self, input: PackedSequence, states: list[Tensor], weights: list[Tensor]
    ) -> tuple[PackedSequence, Any]:
        data, batch_sizes, order, inverse = input
        if states and order is not None:
            states = [s.index_select(1, order) for s in states]
        elif not states and order is not None and torch.compiler.is_compiling():
            # Without them a compiler would not know how many rows the final states have.
            rows = self.num_layers * (2 if self.bidirectional else 1), len(order), self.hidden_size
            states = [data.new_zeros(rows)] * (2 if self.mode == "LSTM" else 1)
        y, states = self._run(data, batch_sizes, states, weights)
        if inverse is not None:
            states = [s.index_select(1, inverse) for s in states]
        return PackedSequence(y, batch_sizes, order, inverse), self._hidden(states)

    def _run(
        self, x: Tensor, batch_sizes: Tensor | None, states: list[Tensor], weights: list[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        """Run all layers on padded or packed x; return y and the final states (L D, B, H)."""
        directions = 2 if self.bidirectional else 1
        batch_first = self.batch_first and batch_sizes is None
        kind = Kind(self.operator, directions, self.bias, batch_first)
        h0, c0 = [*states, None, None][:2]
        if not (self.dropout and self.training) or self.num_layers == 1:
            y, h_n, c_n = _operators.run(kind, x, batch_sizes, h0, c0, *weights)
            return y, [h_n] if c_n is None else [h_n, c_n]
        each, finals = len(weights) // self.num_layers, []
        for layer in range(self.num_layers):
            rows = slice(layer * directions, (layer + 1) * directions)
            x, *after = _operators.run(
                kind, x, batch_sizes, None if h0 is None else h0[rows],
                None if c0 is None else c0[rows], *weights[layer * each : (layer + 1) * each],
            )  # fmt: skip
            finals.append([s for s in after if s is not None])
            if layer < self.num_layers - 1:
                x = torch.nn.functional.dropout(x, self.dropout, True)
        return x, [torch.cat(s) for s in zip(*finals, strict=True)]

    def _fits(self, input: Any, data: Any, states: list[Any]) -> bool:
        """Tell whether the shapes are right."""
        if self.proj_size or len(states) not in (0, 2 if self.mode == "LSTM" else 1):
            return False
        if not all(isinstance(t, Tensor) for t in (data, *states)):
            return False
        packed, dimensions = isinstance(input, PackedSequence), data.dim()
        if dimensions not in ((2,) if packed else (2, 3)) or data.shape[-1] != self.input_size:
            return False
        if packed and torch.compiler.is_compiling():
            return True
        if data.shape[1 if self.batch_first and dimensions == 3 else 0] == 0:
            return False
        if not states:
            return True
        layers = self.num_layers * (2 if self.bidirectional else 1)
        expected: tuple[int, ...] = (layers, self.hidden_size)
        if packed:
            expected = (layers, int(input.batch_sizes[0]), self.hidden_size)
        elif dimensions == 3:
            expected = (layers, data.shape[0 if self.batch_first else 1], self.hidden_size)
        return all(s.shape == expected for s in states)

    def _states(self, hx: Any) -> list[Any]:
        return [] if hx is None else [hx]

    def _hidden(self, states: list[Tensor]) -> Any:
        return states[0]


class GRU(Recurrent):
    """A Gated Recurrent Unit: torch.nn.GRU, computed by fastgru on CPUs.

    Constructor, parameters, state_dict, arguments and results are those of `torch.nn.GRU`.

    Parameters
    ----------
    input_size, hidden_size : int
        Features of the input and of the state.
    num_layers : int, default 1
    bias : bool, default True
    batch_first : bool, default False
        Whether padded sequences are (batch, time, features) instead of (time, batch, features).
    dropout : float, default 0
        Rate of the dropout after each layer but the last one, in training.
    bidirectional : bool, default False
    device, dtype : optional
        Of the parameters.

    Raises
    ------
    ValueError, TypeError
        As torch.nn.GRU.
    """

    pytorch = torch.nn.GRU

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        _refuse_projections(kwargs)
        super().__init__("GRU", *args, **kwargs)


class LSTM(Recurrent):
    """A long short-term memory: torch.nn.LSTM, computed by fastgru on CPUs.

    Constructor, parameters, state_dict, arguments and results are those of `torch.nn.LSTM`.
    Modules with proj_size run on PyTorch's own code.

    Parameters
    ----------
    input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional
        As in :class:`GRU`.
    proj_size : int, default 0
        Size of the projected state, if not 0.
    device, dtype : optional
        Of the parameters.

    Raises
    ------
    ValueError, TypeError
        As torch.nn.LSTM.
    """

    pytorch = torch.nn.LSTM

    # PyTorch's forward method calls these, which torch.nn.LSTM has in versions of its own.
    check_forward_args = torch.nn.LSTM.check_forward_args
    get_expected_cell_size = torch.nn.LSTM.get_expected_cell_size
    permute_hidden = torch.nn.LSTM.permute_hidden

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__("LSTM", *args, **kwargs)

    def _states(self, hx: Any) -> list[Any]:
        return [] if hx is None else list(hx)

    def _hidden(self, states: list[Tensor]) -> Any:
        return states[0], states[1]


class RNN(Recurrent):
    """An Elman network: torch.nn.RNN, computed by fastgru on CPUs.

    Constructor, parameters, state_dict, arguments and results are those of `torch.nn.RNN`.

    Parameters
    ----------
    input_size, hidden_size, num_layers
        As in :class:`GRU`.
    nonlinearity : {"tanh", "relu"}, default "tanh"
    bias, batch_first, dropout, bidirectional, device, dtype
        As in :class:`GRU`.

    Raises
    ------
    ValueError, TypeError
        As torch.nn.RNN.
    """

    pytorch = torch.nn.RNN

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        *args: Any,
        **kwargs: Any,
    ) -> None:
        _refuse_projections(kwargs)
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"nonlinearity: expected 'tanh' or 'relu', got {nonlinearity!r}")
        mode = f"RNN_{nonlinearity.upper()}"
        super().__init__(mode, input_size, hidden_size, num_layers, *args, **kwargs)
        self.nonlinearity = nonlinearity


def _refuse_projections(kwargs: dict[str, Any]) -> None:
    if "proj_size" in kwargs:
        raise ValueError("proj_size: only an LSTM has one")
