"""Put fastgru's modules in the place of torch.nn's inside a model, and back."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import nn

from fastgru.torch.cells import GRUCell, LSTMCell, RNNCell
from fastgru.torch.modules import GRU, LSTM, RNN

__all__ = ["Report", "replace", "restore"]

_OURS: dict[type[nn.Module], type[nn.Module]] = {
    nn.GRU: GRU,
    nn.LSTM: LSTM,
    nn.RNN: RNN,
    nn.GRUCell: GRUCell,
    nn.LSTMCell: LSTMCell,
    nn.RNNCell: RNNCell,
}
_PYTORCHS = {ours: pytorchs for pytorchs, ours in _OURS.items()}


@dataclass(frozen=True, slots=True)
class Report:
    """What :func:`replace` or :func:`restore` did; printed, one line for each module.

    Attributes
    ----------
    swapped : dict of str to str
        For the name of each module that was swapped, its class.
    left : dict of str to str
        For the name of each recurrent module that was left as it is, the reason.
    """

    swapped: dict[str, str] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """Return one line for each module."""
        lines = [f"{name}: swapped, {kind}" for name, kind in self.swapped.items()]
        lines += [f"{name}: left, {reason}" for name, reason in self.left.items()]
        return "\n".join(lines) or "no recurrent modules"


def replace(module: nn.Module, *, cells: bool = False) -> Report:
    """Let fastgru compute every torch.nn.GRU, LSTM and RNN inside a model.

    The modules stay the objects that they are: each changes its class, and keeps its parameters,
    buffers, hooks and attributes. So optimizers, wrappers and other references go on working.

    Parameters
    ----------
    module : torch.nn.Module
        A model, or a recurrent module itself; changed in place.
    cells : bool, default False
        Whether to swap GRUCell, LSTMCell and RNNCell, too. A single step is too little work to win
        back what it costs to lay the weights out for it: PyTorch's own cells are faster.

    Returns
    -------
    report : Report
        What was swapped; what was left, and why.

    Raises
    ------
    TypeError
        If `module` is not a torch.nn.Module.

    Examples
    --------
    >>> model = torch.nn.Sequential(torch.nn.GRU(3, 4), torch.nn.LSTM(4, 8, proj_size=2))
    >>> print(replace(model))
    0: swapped, GRU
    1: left, LSTM: proj_size is not supported
    """
    report = Report()
    for name, child in _recurrent_modules(module):
        kind = type(child).__name__
        if type(child) in _PYTORCHS:
            continue
        reason = _why_not(child, cells)
        if reason:
            report.left[name] = f"{kind}: {reason}"
        else:
            child.__class__ = _OURS[type(child)]
            report.swapped[name] = kind
    return report


def restore(module: nn.Module) -> Report:
    """Turn every recurrent module of fastgru.torch inside a model into torch.nn's.

    It undoes :func:`replace`, and treats modules that were built as fastgru's the same.

    Parameters
    ----------
    module : torch.nn.Module
        Changed in place.

    Returns
    -------
    report : Report

    Raises
    ------
    TypeError
        If `module` is not a torch.nn.Module.
    """
    report = Report()
    for name, child in _recurrent_modules(module):
        kind = type(child).__name__
        if type(child) in _PYTORCHS:
            child.__class__ = _PYTORCHS[type(child)]
            report.swapped[name] = kind
        elif isinstance(child, tuple(_PYTORCHS)):
            report.left[name] = f"{kind}: {_subclass(child, _PYTORCHS)}"
    return report


def _recurrent_modules(module: nn.Module) -> list[tuple[str, nn.Module]]:
    """Return every recurrent module, once, with its name; the model's own name is "(model)"."""
    if not isinstance(module, nn.Module):
        raise TypeError(f"module: expected a torch.nn.Module, got {type(module).__name__}")
    return [
        (name or "(model)", child)
        for name, child in module.named_modules()
        if isinstance(child, (nn.RNNBase, nn.RNNCellBase)) or _quantized(child)
    ]


def _quantized(module: nn.Module) -> bool:
    """Tell whether a module is one of PyTorch's quantized recurrent ones."""
    kind = type(module)
    names = {c.__name__ for c in _OURS} | {"RNNBase", "RNNCellBase"}
    return kind.__module__.startswith("torch.ao.") and kind.__name__ in names


def _why_not(module: nn.Module, cells: bool) -> str | None:
    """Return why a recurrent module is left as it is, or None."""
    if _quantized(module):
        return "it is quantized"
    if type(module) not in _OURS:
        return _subclass(module, _OURS)
    if getattr(module, "proj_size", 0):
        return "proj_size is not supported"
    if isinstance(module, nn.RNNCellBase) and not cells:
        return "single steps are faster on PyTorch (cells=True swaps them)"
    for parameter in module.parameters():
        if parameter.device.type != "cpu":
            return f"its parameters are on {parameter.device}"
        if parameter.dtype not in (torch.float32, torch.float64):
            return f"its parameters are {parameter.dtype}"
    return None


def _subclass(module: nn.Module, classes: dict[type[nn.Module], type[nn.Module]]) -> str:
    for known in classes:
        if isinstance(module, known):
            return f"it is of a subclass of {known.__module__.split('.')[0]}'s {known.__name__}"
    return "its class is not known"
