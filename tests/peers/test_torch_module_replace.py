"""fastgru.torch.replace and restore."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

import fastgru.torch
from fastgru.torch import replace, restore


class Tagger(nn.Module):
    """Recurrent modules of every kind, some inside containers, one under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(11, 6)
        self.encoder = nn.ModuleDict({"gru": nn.GRU(6, 8, 2, bidirectional=True)})
        self.lstm = nn.LSTM(16, 8, batch_first=True)
        self.rnn = nn.RNN(8, 8, nonlinearity="relu")
        self.again = self.rnn
        self.cells = nn.ModuleList([nn.GRUCell(8, 5), nn.LSTMCell(5, 5), nn.RNNCell(5, 5)])
        self.head = nn.Linear(5, 3)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        y, _ = self.encoder["gru"](self.embedding(ids))
        y, _ = self.lstm(y)
        y, _ = self.rnn(y)
        y, _ = self.again(y)
        h = self.cells[0](y[-1])
        h, _ = self.cells[1](h)
        return self.head(self.cells[2](h))


IDS = torch.arange(20).reshape(5, 4) % 11


def test_replace_and_restore():
    model = Tagger()
    parameters, modules = list(model.parameters()), list(model.modules())
    expected = model(IDS)

    report = replace(model)
    assert report.swapped == {"encoder.gru": "GRU", "lstm": "LSTM", "rnn": "RNN"}
    assert set(report.left) == {"cells.0", "cells.1", "cells.2"}
    assert "cells=True" in report.left["cells.0"]
    assert replace(model, cells=True).swapped == {
        "cells.0": "GRUCell",
        "cells.1": "LSTMCell",
        "cells.2": "RNNCell",
    }
    assert all(map(lambda a, b: a is b, model.parameters(), parameters))
    assert all(map(lambda a, b: a is b, model.modules(), modules))
    assert type(model.encoder["gru"]) is fastgru.torch.GRU
    assert model.again is model.rnn
    torch.testing.assert_close(model(IDS), expected)

    report = restore(model)
    assert len(report.swapped) == 6
    assert not report.left
    assert [type(m) for m in modules] == [type(m) for m in Tagger().modules()]
    assert torch.equal(model(IDS), expected)


def test_a_recurrent_module_by_itself():
    module = nn.GRU(3, 4)
    assert replace(module).swapped == {"(model)": "GRU"}
    assert type(module) is fastgru.torch.GRU
    assert str(replace(module)) == "no recurrent modules" or not replace(module).swapped
    assert str(restore(module)) == "(model): swapped, GRU"
    assert type(module) is nn.GRU


def test_optimizers_and_hooks_go_on():
    calls: list[str] = []
    models = [nn.Sequential(nn.GRU(3, 4, dtype=torch.float64)) for _ in range(2)]
    models[1].load_state_dict(models[0].state_dict())
    x = torch.randn(6, 2, 3, dtype=torch.float64)
    optimizers = [torch.optim.Adam(m.parameters(), 0.1) for m in models]
    models[1][0].register_forward_hook(lambda *_: calls.append("hook"))
    for step in range(4):
        if step == 2:
            replace(models[1])
        for model, optimizer in zip(models, optimizers, strict=True):
            optimizer.zero_grad()
            model(x)[0].square().sum().backward()
            optimizer.step()
    assert calls == ["hook"] * 4
    for a, b in zip(models[0].parameters(), models[1].parameters(), strict=True):
        torch.testing.assert_close(a, b)


class Own(nn.GRU):
    """A user's subclass."""

    def forward(self, *args: Any) -> Any:
        return super().forward(*args)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_what_is_left_and_why():
    quantized = nn.Sequential(nn.LSTM(3, 4))
    quantized = torch.ao.quantization.quantize_dynamic(quantized, {nn.LSTM}, dtype=torch.qint8)
    normed = torch.nn.utils.parametrizations.weight_norm(nn.GRU(3, 4), "weight_hh_l0")
    model = nn.ModuleDict(
        {
            "projected": nn.LSTM(3, 4, proj_size=2),
            "own": Own(3, 4),
            "elsewhere": nn.GRU(3, 4, device="meta"),
            "float16": nn.GRU(3, 4, dtype=torch.float16),
            "quantized": quantized,
            "normed": normed,
            "taken": nn.GRU(3, 4),
        }
    )
    report = replace(model)
    assert report.swapped == {"taken": "GRU"}
    assert {name: reason.partition(": ")[2] for name, reason in report.left.items()} == {
        "projected": "proj_size is not supported",
        "own": "it is of a subclass of torch's GRU",
        "elsewhere": "its parameters are on meta",
        "float16": "its parameters are torch.float16",
        "quantized.0": "it is quantized",
        "normed": "it is of a subclass of torch's GRU",
    }
    lines = str(report).splitlines()
    assert "taken: swapped, GRU" in lines
    assert "projected: left, LSTM: proj_size is not supported" in lines


def test_reparametrized_after_the_swap():
    module = nn.GRU(3, 4)
    replace(module)
    torch.nn.utils.parametrizations.weight_norm(module, "weight_hh_l0")
    report = restore(module)
    assert report.left == {"(model)": "ParametrizedGRU: it is of a subclass of fastgru's GRU"}
    torch.nn.utils.parametrize.remove_parametrizations(module, "weight_hh_l0")
    assert restore(module).swapped
    assert type(module) is nn.GRU


def test_wrong_arguments():
    for function in (replace, restore):
        with pytest.raises(TypeError, match=r"module: expected a torch.nn.Module, got Tensor"):
            function(torch.zeros(1))
    assert str(replace(nn.Linear(2, 2))) == "no recurrent modules"


def test_state_dicts_pass_between_both():
    model = Tagger()
    swapped = copy.deepcopy(model)
    replace(swapped, cells=True)
    assert list(swapped.state_dict()) == list(model.state_dict())
    other = Tagger()
    other.load_state_dict(swapped.state_dict())
    assert torch.equal(other(IDS), model(IDS))
