"""Calls that both sets of operations must refuse, with the error and how its message begins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from cases import GRUCase

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


def good(operation: str, ops: ModuleType) -> dict[str, Any]:
    """Return arguments that the operation takes."""
    gru, random = GRUCase(3, 4, 5, 6).arrays(), np.random.default_rng(0)
    dense = {"x": random.random((3, 5)), "kernel": random.random((5, 4)), "bias": np.ones(4)}
    ids = np.array([[0, 1, 2], [4, 3, 1]])
    match operation:
        case "gru_forward":
            return gru
        case "gru_backward":
            _, _, cache = ops.gru_forward(**gru, training=True)
            return {"dy": random.random((3, 4, 6)), "cache": cache, "dh_n": np.ones((3, 6))}
        case "pack_gru":
            return {k: gru[k] for k in ("kernel", "recurrent_kernel")}
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


def _swapped(*shape: int) -> Array:
    """Return an array whose bytes are not in the machine's order."""
    return np.zeros(shape, np.dtype(np.float64).newbyteorder())


def _read_only(n: int) -> Array:
    a = np.zeros(n)
    a.flags.writeable = False
    return a


def _pack(dtype: str = "f8", I: int = 5) -> Callable[[ModuleType], Any]:
    return lambda ops: ops.pack_gru(np.zeros((I, 18), dtype), np.zeros((6, 18), dtype))


def _dense_cache(ops: ModuleType) -> Any:
    return ops.dense_forward(np.ones((3, 5)), np.ones((5, 4)), training=True)[1]


_FLOATS = "expected dtype float32 or float64, got"
_H3H = "recurrent_kernel: expected shape (H, 3H) with H = the number of units, got"

_GRU = [
    ({"x": [[[1.0]]]}, TypeError, "x: expected numpy.ndarray, got list"),
    ({"x": None}, TypeError, "x: expected numpy.ndarray, got None"),
    (
        {"x": np.ma.zeros((3, 4, 5))},
        TypeError,
        "x: expected numpy.ndarray, got numpy.ma.MaskedArray",
    ),
    ({"x": np.zeros((3, 4, 5), int)}, TypeError, f"x: {_FLOATS} int64"),
    ({"x": np.zeros((3, 4, 5), "f2")}, TypeError, f"x: {_FLOATS} float16"),
    ({"x": _swapped(3, 4, 5)}, TypeError, f"x: {_FLOATS} float64 with swapped bytes"),
    (
        {"x": np.zeros((4, 5))},
        ValueError,
        "x: expected 3 dimensions (batch, time, features), got shape (4, 5)",
    ),
    ({"x": np.zeros((3, 0, 5))}, ValueError, "x: expected at least one time step, got shape (3, 0"),
    ({"x": np.zeros((3, 4, 0))}, ValueError, "x: expected at least one feature, got shape (3, 4"),
    ({"x": np.zeros((3, 4, 5), "f4")}, TypeError, "kernel: expected dtype float32, got float64"),
    ({"kernel": 1.0}, TypeError, "kernel: expected numpy.ndarray, got float"),
    ({"kernel": np.zeros((4, 18))}, ValueError, "kernel: expected shape (5, 18), got (4, 18)"),
    (
        {"kernel": _swapped(5, 18)},
        TypeError,
        "kernel: expected dtype float64, got float64 with swapped bytes",
    ),
    ({"recurrent_kernel": None}, TypeError, "recurrent_kernel: expected numpy.ndarray, got None"),
    ({"recurrent_kernel": np.zeros(18)}, ValueError, f"{_H3H} (18,)"),
    ({"recurrent_kernel": np.zeros((6, 24))}, ValueError, f"{_H3H} (6, 24)"),
    (
        {"recurrent_kernel": np.zeros((6, 18), "f4")},
        TypeError,
        "recurrent_kernel: expected dtype float64, got float32",
    ),
    ({"bias": np.zeros(18)}, ValueError, "bias: expected shape (2, 18), got (18,)"),
    ({"reset_after": False}, ValueError, "bias: expected shape (18,), got (2, 18)"),
    ({"bias": np.zeros((2, 18), "f4")}, TypeError, "bias: expected dtype float64, got float32"),
    ({"h0": np.zeros((1, 6))}, ValueError, "h0: expected shape (3, 6), got (1, 6)"),
    ({"mask": np.zeros((3, 4))}, TypeError, "mask: expected dtype bool, got float64"),
    ({"mask": np.ones((4, 3), bool)}, ValueError, "mask: expected shape (3, 4), got (4, 3)"),
    (
        {"masked_output": "last"},
        ValueError,
        "masked_output: unknown name 'last'; known: repeat, zero",
    ),
    (
        {"masked_output": "zeros"},
        ValueError,
        "masked_output: unknown name 'zeros'; did you mean 'zero'?",
    ),
    (
        {"update_gate": "keeps"},
        ValueError,
        "update_gate: unknown name 'keeps'; did you mean 'keep'?",
    ),
    (
        {"activation": "tan"},
        ValueError,
        "activation: unknown name 'tan'; did you mean 'tanh'",
    ),
    (
        {"recurrent_activation": "sigmod"},
        ValueError,
        "recurrent_activation: unknown name 'sigmod'; did you mean 'sigmoid'",
    ),
    (
        {"activation": lambda ops: np.tanh},
        TypeError,
        "activation: expected a name or an Activation, got a plain function",
    ),
    ({"activation": 3}, TypeError, "activation: expected a name or an Activation, got int"),
    (
        {"input_dropout": np.ones((3, 4))},
        ValueError,
        "input_dropout: expected shape (3, 5) or (3, 3, 5), got (3, 4)",
    ),
    (
        {"input_dropout": np.ones((2, 3, 5))},
        ValueError,
        "input_dropout: expected shape (3, 3, 5), got (2, 3, 5)",
    ),
    (
        {"recurrent_dropout": np.ones(6)},
        ValueError,
        "recurrent_dropout: expected shape (3, 6) or (3, 3, 6), got (6,)",
    ),
    (
        {"recurrent_dropout": np.ones((3, 6), bool)},
        TypeError,
        "recurrent_dropout: expected dtype float64, got bool",
    ),
    ({"recurrent_dropout": 0.5}, TypeError, "recurrent_dropout: expected numpy.ndarray, got float"),
    (
        {"kernel": _pack()},
        TypeError,
        "recurrent_kernel: expected None beside a packed kernel, got numpy.ndarray",
    ),
    (
        {"kernel": _pack(), "recurrent_kernel": None, "reset_after": False, "bias": None},
        ValueError,
        "kernel: expected one packed with reset_after=False, got one packed with reset_after=True",
    ),
    (
        {"kernel": _pack("f4"), "recurrent_kernel": None},
        TypeError,
        "kernel: expected dtype float64, as x, got one packed from float32",
    ),
    (
        {"kernel": _pack(I=2), "recurrent_kernel": None},
        ValueError,
        "kernel: expected one packed for 5 features, as x has, got one packed for 2",
    ),
]

_GRU_BACKWARD = [
    (
        {"dy": None, "dh_n": None},
        ValueError,
        "dy: expected an array when dh_n is None; got None for both",
    ),
    ({"dy": np.zeros((3, 3, 6))}, ValueError, "dy: expected shape (3, 4, 6), got (3, 3, 6)"),
    ({"dy": np.zeros((3, 4, 6), "f4")}, TypeError, "dy: expected dtype float64, got float32"),
    ({"dh_n": np.zeros((6, 3))}, ValueError, "dh_n: expected shape (3, 6), got (6, 3)"),
    (
        {"cache": None},
        TypeError,
        "cache: got None; call gru_forward with training=True to get one",
    ),
    ({"cache": _dense_cache}, TypeError, "cache: expected the cache of gru_forward, got "),
]

_PACK = [
    ({"recurrent_kernel": np.zeros((6, 17))}, ValueError, f"{_H3H} (6, 17)"),
    (
        {"kernel": np.zeros((0, 18))},
        ValueError,
        "kernel: expected shape (I, 3H) with I >= 1, got (0, 18)",
    ),
    ({"kernel": np.zeros((5, 15))}, ValueError, "kernel: expected shape (5, 18), got (5, 15)"),
    ({"kernel": np.zeros((5, 18), int)}, TypeError, f"kernel: {_FLOATS} int64"),
]

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
        {"parameters": _read_only(4)},
        ValueError,
        "parameters: expected a writable array, got a read-only one",
    ),
    ({"gradients": np.zeros(5)}, ValueError, "gradients: expected shape (4,), got (5,)"),
    ({"m": np.zeros(4, "f4")}, TypeError, "m: expected dtype float64, got float32"),
    ({"v": _read_only(4)}, ValueError, "v: expected a writable array, got a read-only one"),
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
    ({"x": np.zeros(3, int)}, TypeError, f"x: {_FLOATS} int64"),
]

BAD = [
    Bad(operation, *row)
    for operation, rows in {
        "gru_forward": _GRU,
        "gru_backward": _GRU_BACKWARD,
        "pack_gru": _PACK,
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
