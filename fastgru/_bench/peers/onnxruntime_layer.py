"""ONNX Runtime: the operators GRU, LSTM and RNN with constant weights, inputs and outputs bound."""

# mypy: disable-error-code="import-not-found,import-untyped,no-any-return"

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime

Arrays = dict[str, np.ndarray]
Job = tuple[Callable[[], Any], Callable[[Any], Arrays]]

# Operator, where its gates are among ours, attributes.
OPERATORS: dict[str, tuple[str, tuple[int, ...], dict[str, int]]] = {
    "gru": ("GRU", (0, 1, 2), {"linear_before_reset": 1}),
    "lstm": ("LSTM", (0, 3, 1, 2), {}),
    "simple_rnn": ("RNN", (0,), {}),
}


def version() -> str:
    """Return the library's version."""
    return onnxruntime.__version__


def infer(cell: str, arrays: Arrays, threads: int) -> Job:
    """Run forward, time first."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        _model(cell, arrays), options, providers=["CPUExecutionProvider"]
    )
    x = np.ascontiguousarray(arrays["x"].swapaxes(0, 1))
    T, B, _ = x.shape
    y = np.empty((T, 1, B, len(arrays["recurrent_kernel"])), np.float32)
    bound = [onnxruntime.OrtValue.ortvalue_from_numpy(a) for a in (x, y)]  # kept by run, below
    binding = session.io_binding()
    binding.bind_ortvalue_input("x", bound[0])
    binding.bind_ortvalue_output("y", bound[1])

    def run() -> Any:
        session.run_with_iobinding(binding)
        return bound[1]

    return run, lambda y: {"y": y.numpy()[:, 0].swapaxes(0, 1)}


def train(cell: str, arrays: Arrays, threads: int) -> Job:
    """Refuse: it has no gradients."""
    raise NotImplementedError("it does not train")


step = train


def _model(cell: str, arrays: Arrays) -> bytes:
    try:
        import onnx
    except ImportError:
        raise NotImplementedError("the package onnx, which makes its model, is missing") from None
    T, B, H = *arrays["x"].shape[1::-1], len(arrays["recurrent_kernel"])
    operator, order, attributes = OPERATORS[cell]

    def gates(a: np.ndarray) -> np.ndarray:
        return a.reshape(*a.shape[:-1], -1, H)[..., order, :].reshape(a.shape)

    bias = gates(arrays["bias"])
    weights = {
        "w": gates(arrays["kernel"]).T[None],
        "r": gates(arrays["recurrent_kernel"]).T[None],
        "b": np.concatenate(bias if cell == "gru" else [bias, 0 * bias])[None],
    }
    options: dict[str, Any] = {"hidden_size": H, **attributes}
    node = onnx.helper.make_node(operator, ["x", *weights], ["y"], **options)
    real = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        [node],
        "layer",
        [onnx.helper.make_tensor_value_info("x", real, (T, B, len(arrays["kernel"])))],
        [onnx.helper.make_tensor_value_info("y", real, (T, 1, B, H))],
        [
            onnx.numpy_helper.from_array(np.ascontiguousarray(a), name)
            for name, a in weights.items()
        ],
    )
    opset = [onnx.helper.make_opsetid("", 22)]
    return onnx.helper.make_model(graph, opset_imports=opset, ir_version=10).SerializeToString()
