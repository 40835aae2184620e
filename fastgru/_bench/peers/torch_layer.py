"""PyTorch's nn.GRU, nn.LSTM and nn.RNN, on CPUs."""

# mypy: disable-error-code="import-not-found,no-any-return,untyped-decorator"

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

Arrays = dict[str, np.ndarray]
Job = tuple[Callable[[], Any], Callable[[Any], Arrays]]

LAYERS = {"gru": torch.nn.GRU, "lstm": torch.nn.LSTM, "simple_rnn": torch.nn.RNN}


def version() -> str:
    """Return the library's version."""
    return torch.__version__


def infer(cell: str, arrays: Arrays, threads: int) -> Job:
    """Run forward, in inference mode, time first."""
    layer, x = _layer(cell, arrays, threads), _time_first(arrays["x"])

    @torch.inference_mode()
    def run() -> Any:
        return layer(x)[0]

    return run, lambda y: {"y": _batch_first(y)}


def train(cell: str, arrays: Arrays, threads: int) -> Job:
    """Run forward and backward, time first."""
    layer, x = _layer(cell, arrays, threads), _time_first(arrays["x"]).requires_grad_()
    dy = _time_first(arrays["dy"])
    wanted = [x, *layer.parameters()]  # in the order weight_ih, weight_hh, bias_ih, bias_hh

    def run() -> Any:
        y, _ = layer(x)
        return y, *torch.autograd.grad(y, wanted, dy)

    def results(tensors: Any) -> Arrays:
        y, dx, dW, dU, db, dc = tensors
        dbias = torch.stack([db, dc]) if cell == "gru" else db
        return {
            "y": _batch_first(y),
            "dx": _batch_first(dx),
            "dkernel": _swap_gates(cell, dW.numpy().T),
            "drecurrent_kernel": _swap_gates(cell, dU.numpy().T),
            "dbias": _swap_gates(cell, dbias.numpy()),
        }

    return run, results


def step(cell: str, arrays: Arrays, threads: int) -> Job:
    """Take a training step of a whole model, time first, with the fused Adam."""
    layer, ids = _layer(cell, arrays, threads), torch.tensor(arrays["ids"].T)
    embedding = torch.nn.Embedding.from_pretrained(torch.tensor(arrays["table"]), freeze=False)
    dense = torch.nn.Linear(*arrays["dense_kernel"].shape)
    with torch.no_grad():
        dense.weight.copy_(torch.tensor(arrays["dense_kernel"].T))
        dense.bias.copy_(torch.tensor(arrays["dense_bias"]))
    labels = torch.tensor(arrays["labels"])
    parameters = [*embedding.parameters(), *layer.parameters(), *dense.parameters()]
    adam = torch.optim.Adam(parameters, lr=1e-3, eps=1e-7, fused=True)

    def run() -> Any:
        adam.zero_grad()
        state = layer(embedding(ids))[1]  # h, or the LSTM's h and c; of each layer
        logits = dense(state[0][0] if cell == "lstm" else state[0])
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, labels)
        loss.backward()
        adam.step()
        return loss

    return run, lambda loss: {"loss": loss.detach().numpy()}


def _layer(cell: str, arrays: Arrays, threads: int) -> Any:
    torch.set_num_threads(threads)
    I, H = len(arrays["kernel"]), len(arrays["recurrent_kernel"])
    layer, bias = LAYERS[cell](I, H), arrays["bias"]
    biases = bias if cell == "gru" else (bias, np.zeros_like(bias))
    values = arrays["kernel"], arrays["recurrent_kernel"], *biases
    with torch.no_grad():
        for parameter, value in zip(layer.parameters(), values, strict=True):
            parameter.copy_(torch.tensor(_swap_gates(cell, value).T))
    return layer


def _swap_gates(cell: str, a: np.ndarray) -> np.ndarray:
    """Turn a GRU's gates along the last axis from z, r, n into r, z, n, or back."""
    if cell != "gru":
        return a
    z, r, n = np.split(a, 3, axis=-1)
    return np.concatenate([r, z, n], axis=-1)


def _time_first(a: np.ndarray) -> Any:
    return torch.tensor(a).transpose(0, 1).contiguous()


def _batch_first(a: Any) -> np.ndarray:
    return a.detach().transpose(0, 1).numpy()
