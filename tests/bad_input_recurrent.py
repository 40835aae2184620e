"""What the recurrent operations must refuse: changed arguments, the error, how it begins."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

Array = np.ndarray
Row = tuple[dict[str, Any], type[Exception], str]


def swapped(*shape: int) -> Array:
    """Return an array whose bytes are not in the machine's order."""
    return np.zeros(shape, np.dtype(np.float64).newbyteorder())


def read_only(*shape: int) -> Array:
    a = np.zeros(shape)
    a.flags.writeable = False
    return a


def _pack(dtype: str = "f8", I: int = 5) -> Callable[[ModuleType], Any]:
    return lambda ops: ops.pack_gru(np.zeros((I, 18), dtype), np.zeros((6, 18), dtype))


def dense_cache(ops: ModuleType) -> Any:
    return ops.dense_forward(np.ones((3, 5)), np.ones((5, 4)), training=True)[1]


FLOATS = "expected dtype float32 or float64, got"
_H3H = "recurrent_kernel: expected shape (H, 3H) with H = the number of units, got"

_GRU = [
    ({"x": [[[1.0]]]}, TypeError, "x: expected numpy.ndarray, got list"),
    ({"x": None}, TypeError, "x: expected numpy.ndarray, got None"),
    (
        {"x": np.ma.zeros((3, 4, 5))},
        TypeError,
        "x: expected numpy.ndarray, got numpy.ma.MaskedArray",
    ),
    ({"x": np.zeros((3, 4, 5), int)}, TypeError, f"x: {FLOATS} int64"),
    ({"x": np.zeros((3, 4, 5), "f2")}, TypeError, f"x: {FLOATS} float16"),
    ({"x": swapped(3, 4, 5)}, TypeError, f"x: {FLOATS} float64 with swapped bytes"),
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
        {"kernel": swapped(5, 18)},
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
        {"gate_order": "rnz"},
        ValueError,
        "gate_order: unknown name 'rnz'; did you mean 'zrn' or 'rzn'?",
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
        {"kernel": _pack(), "recurrent_kernel": None, "gate_order": "rzn"},
        ValueError,
        "kernel: expected one packed with gate_order='rzn', got one packed with gate_order='zrn'",
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
    ({"cache": dense_cache}, TypeError, "cache: expected the cache of gru_forward, got "),
]

_ROWS = {"x": np.zeros((6, 5)), "batch_sizes": np.array([3, 2, 1])}

# What all cells refuse alike, with x (3, 4, 5).
_SEQUENCES = [
    ({"x": np.zeros((4, 5))}, ValueError, "x: expected 3 dimensions (batch, time, features), got"),
    ({"x": np.zeros((3, 0, 5))}, ValueError, "x: expected at least one time step, got shape (3, 0"),
    ({"mask": np.ones((3, 4), int)}, TypeError, "mask: expected dtype bool, got int64"),
    ({"mask": np.ones((3, 4, 1), bool)}, ValueError, "mask: expected shape (3, 4), got (3, 4, 1)"),
    ({"mask": [[True] * 4] * 3}, TypeError, "mask: expected numpy.ndarray, got list"),
    ({"masked_output": "both"}, ValueError, "masked_output: unknown name 'both'; known: repeat, z"),
    (
        _ROWS | {"mask": np.ones((3, 3), bool)},
        ValueError,
        "mask: expected None beside batch_sizes, which leave nothing to mask",
    ),
    (
        _ROWS | {"go_backwards": True},
        ValueError,
        "go_backwards: expected False beside batch_sizes; reverse each sequence instead",
    ),
    (
        {"batch_sizes": np.array([3, 3, 3, 3])},
        ValueError,
        "x: expected 2 dimensions (rows, features) beside batch_sizes, got shape (3, 4, 5)",
    ),
    (_ROWS | {"x": np.zeros((6, 0))}, ValueError, "x: expected at least one feature, got shape (6"),
    (
        _ROWS | {"batch_sizes": [3, 2, 1]},
        TypeError,
        "batch_sizes: expected numpy.ndarray, got list",
    ),
    (
        _ROWS | {"batch_sizes": np.array([3.0, 2, 1])},
        TypeError,
        "batch_sizes: expected dtype int64, got float64",
    ),
    (
        _ROWS | {"batch_sizes": np.array([3, 2, 1], "i4")},
        TypeError,
        "batch_sizes: expected dtype int64, got int32",
    ),
    (
        _ROWS | {"batch_sizes": np.array([], int)},
        ValueError,
        "batch_sizes: expected shape (T,) with at least one time step, got (0,)",
    ),
    (
        _ROWS | {"batch_sizes": np.array([[3, 2, 1]])},
        ValueError,
        "batch_sizes: expected shape (T,) with at least one time step, got (1, 3)",
    ),
    (
        _ROWS | {"batch_sizes": np.array([3, 1, 2])},
        ValueError,
        "batch_sizes: expected numbers that never increase (the longest sequence first), "
        "got 2 after 1 at position 2",
    ),
    (
        _ROWS | {"batch_sizes": np.array([3, 3, 0])},
        ValueError,
        "batch_sizes: expected numbers of at least 1, got 0 at position 2",
    ),
    (
        _ROWS | {"batch_sizes": np.array([3, -1, -1])},
        ValueError,
        "batch_sizes: expected numbers of at least 1, got -1 at position 1",
    ),
    (
        _ROWS | {"batch_sizes": np.array([3, 2, 2])},
        ValueError,
        "batch_sizes: expected the sum 6, as x has shape (6, 5), got 7",
    ),
    (
        _ROWS | {"batch_sizes": np.array([2**62] * 4)},
        ValueError,
        f"batch_sizes: expected the sum 6, as x has shape (6, 5), got {2**64}",
    ),
    (
        _ROWS | {"h0": np.zeros((6, 6))},
        ValueError,
        "h0: expected shape (3, 6), got (6, 6)",
    ),
    ({"h0": np.zeros((3, 6), "f4")}, TypeError, "h0: expected dtype float64, got float32"),
    ({"activation": "thanh"}, ValueError, "activation: unknown name 'thanh'; did you mean 'tanh'"),
]

_H4H = "recurrent_kernel: expected shape (H, 4H) with H = the number of units, got"
_LSTM = [
    *_SEQUENCES,
    ({"kernel": np.zeros((5, 18))}, ValueError, "kernel: expected shape (5, 24), got (5, 18)"),
    ({"recurrent_kernel": np.zeros((6, 18))}, ValueError, f"{_H4H} (6, 18)"),
    ({"bias": np.zeros((2, 24))}, ValueError, "bias: expected shape (24,), got (2, 24)"),
    ({"c0": np.zeros((6, 3))}, ValueError, "c0: expected shape (3, 6), got (6, 3)"),
    ({"c0": np.zeros((3, 6), "f4")}, TypeError, "c0: expected dtype float64, got float32"),
    ({"c0": 0.0}, TypeError, "c0: expected numpy.ndarray, got float"),
    (
        {"recurrent_activation": "hardsigmoid"},
        ValueError,
        "recurrent_activation: unknown name 'hardsigmoid'; did you mean 'hard_sigmoid'",
    ),
    (
        {"input_dropout": np.ones((3, 3, 5))},
        ValueError,
        "input_dropout: expected shape (4, 3, 5), got (3, 3, 5)",
    ),
    (
        {"recurrent_dropout": np.ones((3, 5))},
        ValueError,
        "recurrent_dropout: expected shape (3, 6) or (4, 3, 6), got (3, 5)",
    ),
    ({"kernel": _pack(), "recurrent_kernel": None}, TypeError, "recurrent_kernel: expected numpy"),
]

_SIMPLE_RNN = [
    *_SEQUENCES,
    ({"kernel": np.zeros((5, 18))}, ValueError, "kernel: expected shape (5, 6), got (5, 18)"),
    (
        {"recurrent_kernel": np.zeros((6, 5))},
        ValueError,
        "recurrent_kernel: expected shape (H, H) with H = the number of units, got (6, 5)",
    ),
    ({"bias": np.zeros((1, 6))}, ValueError, "bias: expected shape (6,), got (1, 6)"),
    (
        {"input_dropout": np.ones((1, 3, 5))},
        ValueError,
        "input_dropout: expected shape (3, 5), got (1, 3, 5)",
    ),
    (
        {"recurrent_dropout": np.ones((3, 5))},
        ValueError,
        "recurrent_dropout: expected shape (3, 6), got (3, 5)",
    ),
    ({"kernel": _pack(), "recurrent_kernel": None}, TypeError, "recurrent_kernel: expected numpy"),
]


def given(*shapes: tuple[int, ...], dtype: str = "f8") -> tuple[Array, ...]:
    """Return arrays for gradients."""
    return tuple(np.zeros(shape, dtype) for shape in shapes)


def _out(columns: int, *bias: int) -> list[Row]:
    """Return what every cell refuses as `out`, with I = 5, H = 6 and 6 * gates columns."""
    W, U = (5, columns), (6, columns)
    names = "(dkernel, drecurrent_kernel, dbias)"
    return [
        ({"out": np.zeros(3)}, TypeError, f"out: expected a tuple {names}, got numpy.ndarray"),
        ({"out": given(W, U)}, ValueError, f"out: expected 3 items {names}, got 2"),
        ({"out": given(U, W, bias)}, ValueError, f"out[0]: expected shape {W}, got {U}"),
        (
            {"out": given(W, U, (*bias, 1))},
            ValueError,
            f"out[2]: expected shape {bias}, got {(*bias, 1)}",
        ),
        ({"out": (*given(W, U), None)}, TypeError, "out[2]: expected numpy.ndarray, got None"),
        (
            {"out": given(W, U, bias, dtype="f4")},
            TypeError,
            "out[0]: expected dtype float64, got float32",
        ),
        (
            {"out": (np.zeros(W[::-1]).T, *given(U, bias))},
            ValueError,
            "out[0]: expected a C-contiguous array, got strides",
        ),
        (
            {"out": (np.zeros(W), read_only(*U), np.zeros(bias))},
            ValueError,
            "out[1]: expected a writable array, got a read-only one",
        ),
    ]


_LSTM_BACKWARD = [
    (
        {"dy": None, "dh_n": None, "dc_n": None},
        ValueError,
        "dy: expected an array when dh_n and dc_n are None; got None for all",
    ),
    ({"dy": np.zeros((3, 3, 6))}, ValueError, "dy: expected shape (3, 4, 6), got (3, 3, 6)"),
    ({"dh_n": np.zeros((6, 3))}, ValueError, "dh_n: expected shape (3, 6), got (6, 3)"),
    ({"dc_n": np.zeros((6, 3))}, ValueError, "dc_n: expected shape (3, 6), got (6, 3)"),
    ({"dc_n": np.zeros((3, 6), "f4")}, TypeError, "dc_n: expected dtype float64, got float32"),
    ({"cache": None}, TypeError, "cache: got None; call lstm_forward with training=True to get"),
    ({"cache": dense_cache}, TypeError, "cache: expected the cache of lstm_forward, got "),
    *_out(24, 24),
]

_SIMPLE_RNN_BACKWARD = [
    (
        {"dy": None, "dh_n": None},
        ValueError,
        "dy: expected an array when dh_n is None; got None for both",
    ),
    ({"dy": np.zeros((3, 3, 6))}, ValueError, "dy: expected shape (3, 4, 6), got (3, 3, 6)"),
    ({"dh_n": np.zeros((6, 3))}, ValueError, "dh_n: expected shape (3, 6), got (6, 3)"),
    ({"cache": None}, TypeError, "cache: got None; call simple_rnn_forward with training=True to"),
    ({"cache": dense_cache}, TypeError, "cache: expected the cache of simple_rnn_forward, got "),
    *_out(6, 6),
]

_PACK_LSTM = [
    ({"recurrent_kernel": np.zeros((6, 18))}, ValueError, f"{_H4H} (6, 18)"),
    (
        {"kernel": np.zeros(24)},
        ValueError,
        "kernel: expected shape (I, 4H) with I >= 1, got (24,)",
    ),
    ({"kernel": np.zeros((5, 18))}, ValueError, "kernel: expected shape (5, 24), got (5, 18)"),
]

_PACK_SIMPLE_RNN = [
    (
        {"recurrent_kernel": np.zeros((6, 0))},
        ValueError,
        "recurrent_kernel: expected shape (H, H) with H = the number of units, got (6, 0)",
    ),
    (
        {"kernel": np.zeros((0, 6))},
        ValueError,
        "kernel: expected shape (I, H) with I >= 1, got (0, 6)",
    ),
    ({"kernel": np.zeros((5, 6), int)}, TypeError, f"kernel: {FLOATS} int64"),
]

_PACK = [
    ({"recurrent_kernel": np.zeros((6, 17))}, ValueError, f"{_H3H} (6, 17)"),
    (
        {"kernel": np.zeros((0, 18))},
        ValueError,
        "kernel: expected shape (I, 3H) with I >= 1, got (0, 18)",
    ),
    ({"kernel": np.zeros((5, 15))}, ValueError, "kernel: expected shape (5, 18), got (5, 15)"),
    ({"kernel": np.zeros((5, 18), int)}, TypeError, f"kernel: {FLOATS} int64"),
]

RECURRENT: dict[str, list[Row]] = {
    "gru_forward": _GRU + _SEQUENCES,
    "gru_backward": _GRU_BACKWARD + _out(18, 2, 18),
    "pack_gru": _PACK,
    "lstm_forward": _LSTM,
    "lstm_backward": _LSTM_BACKWARD,
    "pack_lstm": _PACK_LSTM,
    "simple_rnn_forward": _SIMPLE_RNN,
    "simple_rnn_backward": _SIMPLE_RNN_BACKWARD,
    "pack_simple_rnn": _PACK_SIMPLE_RNN,
}
