"""Whole models trained with torch.nn's recurrent modules and with fastgru.torch's: one curve."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

import fastgru.torch

EXAMPLE = Path(__file__).parents[2] / "examples" / "torch_training.py"


def test_the_example_has_one_curve():
    spec = importlib.util.spec_from_file_location("torch_training", EXAMPLE)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    text = example.read_text()[:20_000]
    curves = []
    for swap in (False, True):
        torch.manual_seed(0)
        model = example.NextCharacter(len(set(text)), units=24).double()
        if swap:
            assert fastgru.torch.replace(model).swapped == {"gru": "GRU"}
        curves.append(example.train(model, text, 20))
    torch.testing.assert_close(curves[1], curves[0], rtol=1e-9, atol=0)
    assert curves[0][-1] < 0.9 * curves[0][0]


def test_the_example_runs():
    command = [sys.executable, str(EXAMPLE), "--steps", "4"]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    assert lines[0] == "gru: swapped, GRU"
    assert float(lines[-2].split()[-2]) < 1e-4


class Tagger(nn.Module):
    """Ragged sequences through a bidirectional LSTM and an RNN."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(3, 9, 2, bidirectional=True, dropout=0.2)
        self.rnn = nn.RNN(18, 7, nonlinearity="relu")
        self.head = nn.Linear(7, 1)

    def forward(self, packed):
        return self.head(self.rnn(self.lstm(packed)[0])[0].data)


@pytest.mark.parametrize("optimizer", ["SGD", "Adam", "RMSprop"])
def test_ragged_sequences(optimizer):
    torch.manual_seed(3)
    x = torch.randn(9, 6, 3, dtype=torch.float64)
    packed = pack_padded_sequence(x, torch.tensor([2, 9, 1, 4, 4, 7]), enforce_sorted=False)
    target = packed.data.cumsum(0).sum(1, keepdim=True).sin()
    curves = []
    for swap in (False, True):
        torch.manual_seed(4)
        model = Tagger().double()
        if swap:
            assert len(fastgru.torch.replace(model).swapped) == 2
        steps = getattr(torch.optim, optimizer)(model.parameters(), 0.01)
        curves.append([])
        for _ in range(30):
            loss = (model(packed) - target).square().mean()
            steps.zero_grad()
            loss.backward()
            steps.step()
            curves[-1].append(loss.item())
    torch.testing.assert_close(curves[1], curves[0], rtol=1e-8, atol=0)
    assert curves[0][-1] < curves[0][0]
