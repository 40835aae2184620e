"""Calls that both sets of operations must refuse, with the error and how its message begins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from bad_input_recurrent import FLOATS, RECURRENT, given, read_only
from cases import GRUCase, LSTMCase, SimpleRNNCase, forward

Array = np.ndarray


@dataclass(frozen=True)
class Bad:
    """Changes of an operation's good arguments, and what must come of them.

    A changed value that is a function of the operations is called with them first.
    """

    operation: str
    changed: dict[str, Any]
    error: type[Exception]
    message: str

    def __str__(self) -> str:
        return f"{self.operation}: {self.message[:50]}"

    def arguments(self, ops: ModuleType) -> dict[str, Any]:
        """Return the arguments of the bad call."""
        changed = {k: v(ops) if isinstance(v, Callable) else v for k, v in self.changed.items()}
        return good(self.operation, ops) | changed


_CELLS = (GRUCase(3, 4, 5, 6), LSTMCase(3, 4, 5, 6), SimpleRNNCase(3, 4, 5, 6))


def good(operation: str, ops: ModuleType) -> dict[str, Any]:
    """Return arguments that the operation takes."""
    random = np.random.default_rng(0)
    dense = {"x": random.random((3, 5)), "kernel": random.random((5, 4)), "bias": np.ones(4)}
    ids = np.array([[0, 1, 2], [4, 3, 1]])
    for case in _CELLS:
        if operation == f"{case.cell}_forward":
            return case.arrays()
        if operation == f"{case.cell}_backward":
            *_, cache = forward(ops, case)(**case.arrays(), training=True)
            dy, *dstates = case.gradients()
            names = (f"d{name[0]}_n" for name in case.states)
            return {"dy": dy, "cache": cache} | dict(zip(names, dstates, strict=True))
        if operation == f"pack_{case.cell}":
            return {k: case.arrays()[k] for k in ("kernel", "recurrent_kernel")}
    match operation:
        case "dense_forward":
            return dense
        case "dense_backward":
            _, cache = ops.dense_forward(**dense, training=True)
            return {"dy": random.random((3, 4)), "cache": cache}
        case "embedding_forward":
            return {"ids": ids, "table": random.random((5, 2))}
        case "embedding_backward":
            return {"ids": ids, "dy": random.random((2, 3, 2)), "input_dim": 5}
        case "binary_crossentropy":
            return {"y_true": np.array([0.0, 0.25, 1.0]), "y_pred": random.random(3)}
        case "adam_update":
            buffers = ("parameters", "gradients", "m", "v")
            return {name: random.random(4) for name in buffers} | {"step": 1}
    return {"x": random.random((3, 5))}


_DENSE = [
    (
        {"x": np.zeros(())},
        ValueError,
        "x: expected at least one dimension (..., features), got shape ()",
    ),
    (
        {"kernel": np.zeros((4, 5))},
        ValueError,
        "kernel: expected shape (5, units), as x has 5 features, got (4, 5)",
    ),
    ({"kernel": np.zeros((5, 4), "f4")}, TypeError, "kernel: expected dtype float64, got float32"),
    ({"bias": np.zeros(5)}, ValueError, "bias: expected shape (4,), got (5,)"),
    (
        {"activation": "rely"},
        ValueError,
        "activation: unknown name 'rely'; did you mean 'relu'",
    ),
]

_DENSE_BACKWARD = [
    ({"out": np.zeros(2)}, TypeError, "out: expected a tuple (dkernel, dbias), got numpy.ndarray"),
    ({"out": given((5, 4))}, ValueError, "out: expected 2 items (dkernel, dbias), got 1"),
    ({"out": given((4, 5), (4,))}, ValueError, "out[0]: expected shape (5, 4), got (4, 5)"),
    ({"out": (np.zeros((5, 4)), None)}, TypeError, "out[1]: expected numpy.ndarray, got None"),
    (
        {"out": (np.zeros((5, 4)), np.zeros(8)[::2])},
        ValueError,
        "out[1]: expected a C-contiguous array, got strides (16,)",
    ),
    ({"dy": np.zeros((3, 5))}, ValueError, "dy: expected shape (3, 4), got (3, 5)"),
    ({"dy": np.zeros((3, 4), "f4")}, TypeError, "dy: expected dtype float64, got float32"),
    (
        {"cache": None},
        TypeError,
        "cache: got None; call dense_forward with training=True to get one",
    ),
]

_EMBEDDING = [
    ({"ids": np.zeros(3)}, TypeError, "ids: expected dtype int32 or int64, got float64"),
    ({"ids": [1, 2]}, TypeError, "ids: expected numpy.ndarray, got list"),
    ({"ids": np.zeros(3, "u4")}, TypeError, "ids: expected dtype int32 or int64, got uint32"),
    (
        {"ids": np.zeros(3, np.dtype("i4").newbyteorder())},
        TypeError,
        "ids: expected dtype int32 or int64, got int32 with swapped bytes",
    ),
    (
        {"ids": np.array([[0, 1], [5, -1]])},
        ValueError,
        "ids: expected integers in [0, 5), got 5 at position (1, 0)",
    ),
    (
        {"ids": np.array([[0, 1], [-1, 5]], "i4")},
        ValueError,
        "ids: expected integers in [0, 5), got -1 at position (1, 0)",
    ),
    (
        {"ids": np.array([0, 2**32 + 1])},
        ValueError,
        "ids: expected integers in [0, 5), got 4294967297 at position (1,)",
    ),
    (
        {"ids": np.array([0, 1, 7, 2])[::2][::-1]},
        ValueError,
        "ids: expected integers in [0, 5), got 7 at position (0,)",
    ),
    (
        {"ids": np.array(7)},
        ValueError,
        "ids: expected integers in [0, 5), got 7 at position ()",
    ),
    (
        {"table": np.zeros(5)},
        ValueError,
        "table: expected shape (input_dim, output_dim), both at least 1, got (5,)",
    ),
]

_EMBEDDING_BACKWARD = [
    ({"out": np.zeros((5, 3))}, ValueError, "out: expected shape (5, 2), got (5, 3)"),
    ({"out": np.zeros((5, 2), "f4")}, TypeError, "out: expected dtype float64, got float32"),
    (
        {"out": read_only(5, 2)},
        ValueError,
        "out: expected a writable array, got a read-only one",
    ),
    (
        {"out": np.zeros((2, 5)).T},
        ValueError,
        "out: expected a C-contiguous array, got strides (8, 40)",
    ),
    (
        {"dy": np.zeros((3, 2))},
        ValueError,
        "dy: expected shape (2, 3) + (output_dim,), as ids has shape (2, 3), got (3, 2)",
    ),
    (
        {"ids": np.array([[0, 1, 2], [9, 0, -3]])},
        ValueError,
        "ids: expected integers in [0, 5), got 9 at position (1, 0)",
    ),
    (
        {"input_dim": 4},
        ValueError,
        "ids: expected integers in [0, 4), got 4 at position (1, 0)",
    ),
    ({"input_dim": 5.0}, TypeError, "input_dim: expected an integer, got float"),
    ({"input_dim": 0}, ValueError, "input_dim: expected at least 1, got 0"),
]

_LOSS = [
    ({"y_true": np.zeros((3, 1))}, ValueError, "y_true: expected shape (3,), got (3, 1)"),
    ({"y_true": np.zeros(3, int)}, TypeError, "y_true: expected dtype float64, got int64"),
    *(
        (
            {"y_true": np.array([0, 0.5, bad])},
            ValueError,
            f"y_true: expected labels in [0, 1], got {bad} at position (2,)",
        )
        for bad in (np.nan, -0.001, 1.001, np.inf, -np.inf)
    ),
]

_ADAM = [
    (
        {"parameters": np.zeros((2, 2))},
        ValueError,
        "parameters: expected a flat array, got shape (2, 2)",
    ),
    (
        {"parameters": np.zeros(8)[::2]},
        ValueError,
        "parameters: expected a contiguous array, got strides (16,)",
    ),
    (
        {"parameters": read_only(4)},
        ValueError,
        "parameters: expected a writable array, got a read-only one",
    ),
    ({"gradients": np.zeros(5)}, ValueError, "gradients: expected shape (4,), got (5,)"),
    ({"m": np.zeros(4, "f4")}, TypeError, "m: expected dtype float64, got float32"),
    ({"v": read_only(4)}, ValueError, "v: expected a writable array, got a read-only one"),
    ({"step": 0}, ValueError, "step: expected at least 1, got 0"),
    ({"step": 1.0}, TypeError, "step: expected an integer, got float"),
    ({"learning_rate": np.nan}, ValueError, "learning_rate: expected a finite number, got nan"),
    ({"step": 10**400}, ValueError, "step: expected a number below 2**63, got a larger one"),
    ({"learning_rate": 10**400}, ValueError, "learning_rate: expected a finite number, got a"),
    ({"learning_rate": None}, TypeError, "learning_rate: expected a number, got None"),
    ({"beta_1": 1.0}, ValueError, "beta_1: expected a number in [0, 1), got 1.0"),
    ({"beta_2": -0.1}, ValueError, "beta_2: expected a number in [0, 1), got -0.1"),
    (
        {"epsilon": -1e-7},
        ValueError,
        "epsilon: expected a finite number of at least 0, got -1e-07",
    ),
]

_ELEMENTWISE = [
    ({"x": [1.0]}, TypeError, "x: expected numpy.ndarray, got list"),
    ({"x": 1.0}, TypeError, "x: expected numpy.ndarray, got float"),
    ({"x": np.zeros(3, int)}, TypeError, f"x: {FLOATS} int64"),
]

BAD = [
    Bad(operation, *row)
    for operation, rows in {
        **RECURRENT,
        "dense_forward": _DENSE,
        "dense_backward": _DENSE_BACKWARD,
        "embedding_forward": _EMBEDDING,
        "embedding_backward": _EMBEDDING_BACKWARD,
        "binary_crossentropy": _LOSS,
        "adam_update": _ADAM,
        "exp": _ELEMENTWISE,
        "sigmoid": _ELEMENTWISE,
        "tanh": _ELEMENTWISE,
    }.items()
    for row in rows
]
