"""OpenVINO: the operations GRUSequence, LSTMSequence, RNNSequence; constant weights, float32."""

# mypy: disable-error-code="import-not-found,import-untyped,no-any-return"

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import openvino
from openvino import opset8

Arrays = dict[str, np.ndarray]
Job = tuple[Callable[[], Any], Callable[[Any], Arrays]]

GATES = {"gru": (0, 1, 2), "lstm": (1, 0, 2, 3), "simple_rnn": (0,)}  # where they are among ours


def version() -> str:
    """Return the library's version."""
    return openvino.__version__.partition("-")[0]


def infer(cell: str, arrays: Arrays, threads: int) -> Job:
    """Run forward."""
    x = arrays["x"]
    given = opset8.parameter(x.shape, np.float32)
    node = _node(cell, given, arrays)
    settings = {
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
    }
    model = openvino.Model([node.output(0)], [given], "layer")
    request = openvino.Core().compile_model(model, "CPU", settings).create_infer_request()
    shared = openvino.Tensor(x, shared_memory=True)  # of x, which it does not keep alive
    request.set_input_tensor(shared)

    def results(_: Any) -> Arrays:
        return {"y": request.get_output_tensor().data[:, 0]}

    return lambda keep=(x, shared): request.infer(), results


def train(cell: str, arrays: Arrays, threads: int) -> Job:
    """Refuse: it has no gradients."""
    raise NotImplementedError("it does not train")


step = train


def _node(cell: str, given: Any, arrays: Arrays) -> Any:
    (B, T, _), H = arrays["x"].shape, len(arrays["recurrent_kernel"])

    def gates(a: np.ndarray) -> np.ndarray:
        return a.reshape(*a.shape[:-1], -1, H)[..., GATES[cell], :].reshape(a.shape)

    bias = gates(arrays["bias"])
    if cell == "gru":  # the two biases of z and r are one
        b, c = bias
        bias = np.concatenate([b[: 2 * H] + c[: 2 * H], b[2 * H :], c[2 * H :]])
    states = [np.zeros((B, 1, H), np.float32)] * (2 if cell == "lstm" else 1)
    weights = [gates(arrays[name]).T[None] for name in ("kernel", "recurrent_kernel")]
    constants = [
        opset8.constant(np.ascontiguousarray(a))
        for a in (*states, np.full(B, T, np.int32), *weights, bias[None])
    ]
    settings: dict[str, Any] = {"hidden_size": H, "direction": "forward"}
    if cell == "gru":
        return opset8.gru_sequence(given, *constants, linear_before_reset=True, **settings)
    if cell == "lstm":
        return opset8.lstm_sequence(given, *constants, **settings)
    return opset8.rnn_sequence(given, *constants, activations=["tanh"], **settings)
