"""The recurrent cases of tests/cases.py, run on Keras' layers."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import keras
import numpy as np
import torch
from cases import MASKS, RecurrentCase, Results

# On every backend but TensorFlow Keras computes products of float64 in float32.
TOLERANCE = 5e-6

_LAYERS = {
    "gru": keras.layers.GRU,
    "lstm": keras.layers.LSTM,
    "simple_rnn": keras.layers.SimpleRNN,
}


def plain_cases(cell: RecurrentCase) -> list[RecurrentCase]:
    """Sizes, biases, states, directions."""
    return [
        replace(
            cell, B=B, T=T, I=I, H=H, dtype="float32", bias=bias, go_backwards=backwards, h0=h0,
            dy=dy, dh_n=dh_n,
        )
        for B, T, I, H in ((3, 4, 5, 6), (1, 7, 9, 8), (9, 5, 17, 33))
        for bias, backwards, h0, dy, dh_n in (
            (True, False, True, True, True),
            (False, True, False, True, False),
            (True, True, True, False, True),
        )
    ]  # fmt: skip


def masked_cases(cell: RecurrentCase) -> list[RecurrentCase]:
    """Masks of all kinds, with both outputs and in both directions; ragged rows."""
    return [
        replace(cell, mask=mask, masked_output=output, go_backwards=backwards)
        for mask in MASKS
        for output in ("repeat", "zero")
        for backwards in (False, True)
    ] + [replace(cell, ragged=True), replace(cell, ragged=True, dy=False, bias=False)]


def dropped_cases(cell: RecurrentCase) -> list[RecurrentCase]:
    """The dropout masks that Keras draws: one for the input, or one for each gate."""
    return [
        replace(cell, input_dropout=i, recurrent_dropout=r, **more)
        for i, r in ((1, 0), (cell.gates, cell.gates), (0, cell.gates))
        for more in ({}, {"mask": "interior"}, {"ragged": True})
    ]


def _padded(case: RecurrentCase, rows: np.ndarray) -> np.ndarray:
    """Return ragged rows (N, K) as a batch (B, T, K), zero past each end."""
    batch = np.zeros((case.B, case.T, rows.shape[1]), rows.dtype)
    batch[_places(case)] = rows
    return batch


def _places(case: RecurrentCase) -> tuple[np.ndarray, np.ndarray]:
    """Return sequence and step of every ragged row."""
    sizes = case.arrays()["batch_sizes"]
    return np.concatenate([np.arange(n) for n in sizes]), np.repeat(np.arange(case.T), sizes)


@cache
def run_keras(case: RecurrentCase) -> Results:
    """Run a case on Keras' layer, differentiated by torch; return what `run_recurrent` returns."""
    arrays, incoming = case.arrays(), case.gradients()
    if case.ragged:  # Keras pads, and masks the end
        arrays["x"] = _padded(case, arrays["x"])
        arrays["mask"] = np.arange(case.T) < np.array(case.lengths())[:, None]
        incoming[0] = None if incoming[0] is None else _padded(case, incoming[0])
    a = {k: torch.from_numpy(v) for k, v in arrays.items()}
    layer = make_layer(case, a)
    names = ["kernel", "recurrent_kernel", *(["bias"] if case.bias else [])]
    zeros = torch.zeros(case.B, case.H, dtype=a["x"].dtype)
    states = [a.get(name, zeros.clone()) for name in case.states]
    given = [a["x"], *(getattr(layer.cell, name).value for name in names), *states]
    for tensor in given:
        tensor.requires_grad_()
    initial = states if len(states) > 1 else states[0]
    outputs = layer(a["x"], initial_state=initial, mask=a.get("mask"), training=True)
    terms = zip(outputs, incoming, strict=True)
    loss = sum((v * torch.from_numpy(d)).sum() for v, d in terms if d is not None)
    found = torch.autograd.grad(loss, given, allow_unused=True)
    gradients = [torch.zeros_like(v) if g is None else g for v, g in zip(given, found, strict=True)]
    gradient_names = "dx", *(f"d{name}" for name in (*names, *case.states))
    pairs = zip((*case.output_names(), *gradient_names), (*outputs, *gradients), strict=True)
    results: Results = {k: v.detach().numpy() for k, v in pairs}
    if case.ragged:
        results |= {k: results[k][_places(case)] for k in ("y", "dx")}
    results.setdefault("dbias", None)
    return results | {f"d{k}": None for k in case.states if not getattr(case, k)}


def make_layer(case: RecurrentCase, a: dict[str, torch.Tensor]) -> Any:
    """Make Keras' layer with a case's weights and dropout masks.

    A positive dropout rate has it ask for a mask.
    """
    ours = ("update_gate", "gate_order")
    options = {k: getattr(case, k) for k in case.choices if k not in ours}
    layer = _LAYERS[case.cell](
        case.H,
        activation=case.activation,
        use_bias=case.bias,
        dropout=0.5 if case.input_dropout else 0.0,
        recurrent_dropout=0.5 if case.recurrent_dropout else 0.0,
        return_sequences=True,
        return_state=True,
        go_backwards=case.go_backwards,
        zero_output_for_mask=case.masked_output == "zero",
        dtype=case.dtype,
        **options,
    )
    layer.build((case.B, case.T, case.I))
    for name in ("kernel", "recurrent_kernel", *(["bias"] if case.bias else [])):
        getattr(layer.cell, name).assign(a[name])
    for name in ("input_dropout", "recurrent_dropout"):
        if name in a:
            masks = a[name] if a[name].ndim == 2 else list(a[name])
            which = "dropout" if name == "input_dropout" else name
            setattr(layer.cell, f"get_{which}_mask", lambda _, masks=masks: masks)
    return layer
