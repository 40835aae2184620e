"""The GRU's forward pass against onnxruntime: both resets, and both directions."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import onnx
import onnxruntime
import pytest
from cases import GRUCase

CASES = [
    GRUCase(*shape, dtype="float32", reset_after=after, bias=bias, go_backwards=backwards)
    for shape in ((3, 4, 5, 6), (1, 7, 9, 8), (16, 5, 8, 33), (9, 30, 17, 31))
    for after in (True, False)
    for bias, backwards in ((True, False), (True, True), (False, False))
]


def run_onnxruntime(case: GRUCase) -> tuple[np.ndarray, np.ndarray]:
    """Return y and h_n. The gates are z, r, n here too; a reverse y is in the input's order."""
    a, H = case.arrays(), case.H
    feeds = {
        "X": a["x"].swapaxes(0, 1),
        "W": a["kernel"].T[None],
        "R": a["recurrent_kernel"].T[None],
        "initial_h": a["h0"][None],
    }
    if case.bias:
        bias = a["bias"] if case.reset_after else np.stack([a["bias"], np.zeros_like(a["bias"])])
        feeds["B"] = bias.reshape(1, 6 * H)
    node = onnx.helper.make_node(
        "GRU",
        ["X", "W", "R", "B" if case.bias else "", "", "initial_h"],
        ["Y", "Y_h"],
        hidden_size=H,
        linear_before_reset=int(case.reset_after),
        direction="reverse" if case.go_backwards else "forward",
    )
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [node],
        "gru",
        [value(name, onnx.TensorProto.FLOAT, feed.shape) for name, feed in feeds.items()],
        [value(name, onnx.TensorProto.FLOAT, None) for name in ("Y", "Y_h")],
    )
    model = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", 14)], ir_version=8
    )
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    feeds = {name: np.ascontiguousarray(feed) for name, feed in feeds.items()}
    y, h_n = session.run(None, feeds)
    y = y[:, 0].swapaxes(0, 1)
    return y[:, ::-1] if case.go_backwards else y, h_n[0]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_gru(case: GRUCase, operations: ModuleType):
    y, h_n, _ = operations.gru_forward(**case.arrays(), **case.options())
    expected = run_onnxruntime(case)
    # onnxruntime's own sigmoid and tanh are good to a few 1e-7.
    np.testing.assert_allclose(y, expected[0], 1e-5, 5e-6)
    np.testing.assert_allclose(h_n, expected[1], 1e-5, 5e-6)
