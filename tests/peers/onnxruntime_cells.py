"""The forward passes of tests/cases.py, run on onnxruntime."""

from __future__ import annotations

from functools import cache
from types import ModuleType

import numpy as np
import onnx
import onnxruntime
from cases import GRUCase, RecurrentCase, forward

SHAPES = ((3, 4, 5, 6), (1, 7, 9, 8), (16, 5, 8, 33), (9, 30, 17, 31))
OPTIONS = (
    {"bias": True},
    {"go_backwards": True},
    {"bias": False},
    {"ragged": True},
    {"mask": "right", "masked_output": "zero"},
)
_OPERATORS = {"gru": "GRU", "lstm": "LSTM", "simple_rnn": "RNN"}


def _gates(case: RecurrentCase, a: np.ndarray) -> np.ndarray:
    """Put an LSTM's gates i, f, c, o in ONNX's order i, o, f, c; the others' are the same."""
    if case.cell != "lstm":
        return a
    i, f, c, o = np.split(a, 4, axis=-1)
    return np.concatenate([i, o, f, c], axis=-1)


def _feeds(case: RecurrentCase) -> dict[str, np.ndarray]:
    """Return the operator's inputs by name: time first, lengths instead of masks."""
    a = case.arrays()
    lengths = np.full(case.B, case.T)
    x = a["x"]
    if case.ragged:
        lengths = np.array(case.lengths())
        x = np.zeros((case.B, case.T, case.I), a["x"].dtype)
        x[_places(case)] = a["x"]
    elif case.mask:
        lengths = a["mask"].sum(axis=1)
    feeds = {
        "X": x.swapaxes(0, 1),
        "W": _gates(case, a["kernel"]).T[None],
        "R": _gates(case, a["recurrent_kernel"]).T[None],
        "sequence_lens": lengths.astype(np.int32),
        "initial_h": a["h0"][None],
    }
    if case.bias:
        bias = a["bias"] if a["bias"].ndim == 2 else np.stack([a["bias"], 0 * a["bias"]])
        feeds["B"] = _gates(case, bias).reshape(1, -1)
    if "c0" in a:
        feeds["initial_c"] = a["c0"][None]
    return {name: np.ascontiguousarray(feed) for name, feed in feeds.items()}


def _places(case: RecurrentCase) -> tuple[np.ndarray, np.ndarray]:
    """Return sequence and step of every ragged row."""
    sizes = case.arrays()["batch_sizes"]
    return np.concatenate([np.arange(n) for n in sizes]), np.repeat(np.arange(case.T), sizes)


@cache
def run_onnxruntime(case: RecurrentCase) -> dict[str, np.ndarray]:
    """Return the outputs of a case by name. ONNX gives a reverse y in the input's order."""
    feeds = _feeds(case)
    inputs = ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c")
    outputs = ["Y", "Y_h", *(["Y_c"] if "initial_c" in feeds else [])]
    options = {"linear_before_reset": int(case.reset_after)} if isinstance(case, GRUCase) else {}
    node = onnx.helper.make_node(
        _OPERATORS[case.cell],
        [name if name in feeds else "" for name in inputs[: -1 if len(outputs) == 2 else None]],
        outputs,
        hidden_size=case.H,
        direction="reverse" if case.go_backwards else "forward",
        **options,
    )
    value, of = onnx.helper.make_tensor_value_info, onnx.helper.np_dtype_to_tensor_dtype
    graph = onnx.helper.make_graph(
        [node],
        case.cell,
        [value(name, of(feed.dtype), feed.shape) for name, feed in feeds.items()],
        [value(name, onnx.TensorProto.FLOAT, None) for name in outputs],
    )
    model = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", 14)], ir_version=8
    )
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    y, *states = session.run(None, feeds)
    y = y[:, 0].swapaxes(0, 1)
    y = y[_places(case)] if case.ragged else y[:, ::-1] if case.go_backwards else y
    return dict(zip(case.output_names(), (y, *(s[0] for s in states)), strict=True))


def check(operations: ModuleType, case: RecurrentCase) -> None:
    """Require a case's outputs to be onnxruntime's, but for rows without a valid step."""
    *outputs, _ = forward(operations, case)(**case.arrays(), **case.options())
    rows = slice(None)
    if case.mask:  # onnxruntime's state of a sequence of length 0 is zero, not the initial one
        rows = case.arrays()["mask"].any(axis=1)
    for got, right in zip(outputs, run_onnxruntime(case).values(), strict=True):
        # onnxruntime's own sigmoid and tanh are good to a few 1e-7.
        np.testing.assert_allclose(got[rows], right[rows], 1e-5, 5e-6)
