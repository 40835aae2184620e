"""OpenVINO: the operation GRUSequence with constant weights, in float32."""

# mypy: disable-error-code="import-not-found,import-untyped,no-any-return"

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import openvino
from openvino import opset8

Arrays = dict[str, np.ndarray]
Job = tuple[Callable[[], Any], Callable[[Any], Arrays]]


def version() -> str:
    """Return the library's version."""
    return openvino.__version__.partition("-")[0]


def infer(arrays: Arrays, threads: int) -> Job:
    """Run forward."""
    x = arrays["x"]
    (B, T, _), H = x.shape, len(arrays["recurrent_kernel"])
    b, c = arrays["bias"]
    bias = np.concatenate([b[: 2 * H] + c[: 2 * H], b[2 * H :], c[2 * H :]])
    constants = [
        np.zeros((B, 1, H), np.float32),
        np.full(B, T, np.int32),
        arrays["kernel"].T[None],
        arrays["recurrent_kernel"].T[None],
        bias[None],
    ]
    given = opset8.parameter(x.shape, np.float32)
    node = opset8.gru_sequence(
        given,
        *(opset8.constant(np.ascontiguousarray(a)) for a in constants),
        hidden_size=H,
        direction="forward",
        linear_before_reset=True,
    )
    settings = {
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
    }
    model = openvino.Model([node.output(0)], [given], "gru")
    request = openvino.Core().compile_model(model, "CPU", settings).create_infer_request()
    shared = openvino.Tensor(x, shared_memory=True)  # of x, which it does not keep alive
    request.set_input_tensor(shared)

    def results(_: Any) -> Arrays:
        return {"y": request.get_output_tensor().data[:, 0]}

    return lambda keep=(x, shared): request.infer(), results


def train(arrays: Arrays, threads: int) -> Job:
    """Refuse: it has no gradients."""
    raise NotImplementedError("it does not train")


step = train
