"""Checks of the arguments of the recurrent operations."""

from __future__ import annotations

from operator import ge
from typing import Any, TypeAlias

import numpy as np
from numpy import ndarray

from .. import activations
from .._naming import unknown
from .arrays import array, floating, gradients, numpy_array, type_name

# B, T, I, H, dtype; with batch_sizes, B is the first of them and T their number.
RecurrentShape: TypeAlias = tuple[int, int, int, int, np.dtype[Any]]

_BOOL = np.dtype(np.bool_)
_INT64 = np.dtype(np.int64)


# ---- forward -------------------------------------------------------------------------------------
#
# `packed` is the class of the objects that the caller's own `pack_gru` (or its kin) makes. Such an
# object has the attributes `input_size`, `units` and `dtype`, a GRU's `reset_after` and
# `resets_first`, too.


def gru_forward(
    x: Any,
    kernel: Any,
    recurrent_kernel: Any,
    bias: Any,
    h0: Any,
    mask: Any,
    masked_output: Any,
    reset_after: bool,
    update_gate: Any,
    activation: Any,
    recurrent_activation: Any,
    input_dropout: Any,
    recurrent_dropout: Any,
    packed: type,
    go_backwards: Any,
    batch_sizes: Any,
    gate_order: Any,
) -> RecurrentShape:
    """Check the arguments of `gru_forward` and return (B, T, I, H, dtype)."""
    _gate_order(gate_order)
    if type(kernel) is packed:
        _same_mode(kernel, bool(reset_after), gate_order)
    shape = _forward(
        3, x, kernel, recurrent_kernel, mask, masked_output, input_dropout, recurrent_dropout,
        packed, go_backwards, batch_sizes,
    )  # fmt: skip
    B, _, _, H, dtype = shape
    if bias is not None:
        array("bias", bias, dtype, (2, 3 * H) if reset_after else (3 * H,))
    if h0 is not None:
        array("h0", h0, dtype, (B, H))
    if update_gate != "keep" and update_gate != "replace":
        raise unknown("update_gate", update_gate, ("keep", "replace"))
    if activation != "tanh" or recurrent_activation != "sigmoid":
        _activations(activation, recurrent_activation)
    return shape


def _gate_order(gate_order: Any) -> None:
    if gate_order != "zrn" and gate_order != "rzn":
        raise unknown("gate_order", gate_order, ("zrn", "rzn"))


def _same_mode(kernel: Any, reset_after: bool, gate_order: str) -> None:
    if kernel.reset_after != reset_after:
        raise ValueError(
            f"kernel: expected one packed with reset_after={reset_after}, "
            f"got one packed with reset_after={kernel.reset_after}"
        )
    if kernel.resets_first != (gate_order == "rzn"):
        other = "rzn" if kernel.resets_first else "zrn"
        raise ValueError(
            f"kernel: expected one packed with gate_order={gate_order!r}, "
            f"got one packed with gate_order={other!r}"
        )


def lstm_forward(
    x: Any,
    kernel: Any,
    recurrent_kernel: Any,
    bias: Any,
    h0: Any,
    c0: Any,
    mask: Any,
    masked_output: Any,
    activation: Any,
    recurrent_activation: Any,
    input_dropout: Any,
    recurrent_dropout: Any,
    packed: type,
    go_backwards: Any,
    batch_sizes: Any,
) -> RecurrentShape:
    """Check the arguments of `lstm_forward` and return (B, T, I, H, dtype)."""
    shape = _forward(
        4, x, kernel, recurrent_kernel, mask, masked_output, input_dropout, recurrent_dropout,
        packed, go_backwards, batch_sizes,
    )  # fmt: skip
    B, _, _, H, dtype = shape
    if bias is not None:
        array("bias", bias, dtype, (4 * H,))
    if h0 is not None:
        array("h0", h0, dtype, (B, H))
    if c0 is not None:
        array("c0", c0, dtype, (B, H))
    if activation != "tanh" or recurrent_activation != "sigmoid":
        _activations(activation, recurrent_activation)
    return shape


def simple_rnn_forward(
    x: Any,
    kernel: Any,
    recurrent_kernel: Any,
    bias: Any,
    h0: Any,
    mask: Any,
    masked_output: Any,
    activation: Any,
    input_dropout: Any,
    recurrent_dropout: Any,
    packed: type,
    go_backwards: Any,
    batch_sizes: Any,
) -> RecurrentShape:
    """Check the arguments of `simple_rnn_forward` and return (B, T, I, H, dtype)."""
    shape = _forward(
        1, x, kernel, recurrent_kernel, mask, masked_output, input_dropout, recurrent_dropout,
        packed, go_backwards, batch_sizes,
    )  # fmt: skip
    B, _, _, H, dtype = shape
    if bias is not None:
        array("bias", bias, dtype, (H,))
    if h0 is not None:
        array("h0", h0, dtype, (B, H))
    if activation != "tanh":
        _activations(activation, "sigmoid")
    return shape


def _forward(
    gates: int,
    x: Any,
    kernel: Any,
    recurrent_kernel: Any,
    mask: Any,
    masked_output: Any,
    input_dropout: Any,
    recurrent_dropout: Any,
    packed: type,
    go_backwards: Any,
    batch_sizes: Any,
) -> RecurrentShape:
    """Check what all cells take, and return (B, T, I, H, dtype)."""
    dtype = floating("x", x)
    if batch_sizes is not None:
        B, T, I = _ragged(x, mask, go_backwards, batch_sizes)
    elif x.ndim == 3:
        B, T, I = x.shape
    else:
        raise ValueError(f"x: expected 3 dimensions (batch, time, features), got shape {x.shape}")
    if T == 0 or I == 0:
        what = "time step" if T == 0 else "feature"
        raise ValueError(f"x: expected at least one {what}, got shape {x.shape}")

    if type(kernel) is packed:
        H = _packed_units(kernel, recurrent_kernel, I, dtype)
    else:
        H = _kernels(gates, kernel, recurrent_kernel, dtype, I)
    if mask is not None:
        array("mask", mask, _BOOL, (B, T))
    if masked_output != "repeat" and masked_output != "zero":
        raise unknown("masked_output", masked_output, ("repeat", "zero"))
    if input_dropout is not None:
        _dropout("input_dropout", input_dropout, dtype, gates, (B, I))
    if recurrent_dropout is not None:
        _dropout("recurrent_dropout", recurrent_dropout, dtype, gates, (B, H))
    return B, T, I, H, dtype


def _ragged(x: Any, mask: Any, go_backwards: Any, batch_sizes: Any) -> tuple[int, int, int]:
    """Check rows of sequences that are not padded, and return (B, T, I)."""
    if mask is not None:
        raise ValueError("mask: expected None beside batch_sizes, which leave nothing to mask")
    if go_backwards:
        raise ValueError(
            "go_backwards: expected False beside batch_sizes; reverse each sequence instead"
        )
    if x.ndim != 2:
        raise ValueError(
            f"x: expected 2 dimensions (rows, features) beside batch_sizes, got shape {x.shape}"
        )
    sizes = numpy_array("batch_sizes", batch_sizes)
    if sizes.ndim != 1 or sizes.size == 0:
        raise ValueError(
            f"batch_sizes: expected shape (T,) with at least one time step, got {sizes.shape}"
        )
    array("batch_sizes", sizes, _INT64, sizes.shape)
    numbers = sizes.tolist()  # few, and Python's: quicker than NumPy's, and without an overflow
    if not all(map(ge, numbers, numbers[1:])):
        t = next(t for t in range(1, len(numbers)) if numbers[t] > numbers[t - 1])
        raise ValueError(
            "batch_sizes: expected numbers that never increase (the longest sequence first), "
            f"got {numbers[t]} after {numbers[t - 1]} at position {t}"
        )
    if numbers[-1] < 1:
        t = next(t for t in range(len(numbers)) if numbers[t] < 1)
        raise ValueError(
            f"batch_sizes: expected numbers of at least 1, got {numbers[t]} at position {t}"
        )
    if sum(numbers) != len(x):
        raise ValueError(
            f"batch_sizes: expected the sum {len(x)}, as x has shape {x.shape}, got {sum(numbers)}"
        )
    return numbers[0], len(numbers), x.shape[1]


def _kernels(gates: int, kernel: Any, recurrent_kernel: Any, dtype: np.dtype[Any], I: int) -> int:
    """Check both kernels against each other and the input size, and return H."""
    if type(recurrent_kernel) is not ndarray or recurrent_kernel.ndim != 2:
        recurrent_kernel = numpy_array("recurrent_kernel", recurrent_kernel)
    if type(kernel) is not ndarray:
        kernel = numpy_array("kernel", kernel)
    shape = recurrent_kernel.shape
    if len(shape) != 2 or shape[1] != gates * shape[0] or shape[0] == 0:
        raise ValueError(
            f"recurrent_kernel: expected shape (H, {_columns(gates)}) with H = the number of "
            f"units, got {shape}"
        )
    H: int = shape[0]
    array("kernel", kernel, dtype, (I, gates * H))
    array("recurrent_kernel", recurrent_kernel, dtype, (H, gates * H))
    return H


def _columns(gates: int) -> str:
    return "H" if gates == 1 else f"{gates}H"


def _packed_units(kernel: Any, recurrent_kernel: Any, I: int, dtype: np.dtype[Any]) -> int:
    if recurrent_kernel is not None:
        got = type_name(recurrent_kernel)
        raise TypeError(f"recurrent_kernel: expected None beside a packed kernel, got {got}")
    if kernel.dtype != dtype:
        raise TypeError(f"kernel: expected dtype {dtype}, as x, got one packed from {kernel.dtype}")
    if kernel.input_size != I:
        raise ValueError(
            f"kernel: expected one packed for {I} features, as x has, "
            f"got one packed for {kernel.input_size}"
        )
    units: int = kernel.units
    return units


def _dropout(name: str, a: Any, dtype: np.dtype[Any], gates: int, shape: tuple[int, int]) -> None:
    """Require one dropout mask for all gates, or a stack with one for each of several gates."""
    if isinstance(a, ndarray) and gates > 1:
        stack = (gates, *shape)
        if a.ndim == 3:
            shape = stack  # type: ignore[assignment]
        elif a.shape != shape:
            raise ValueError(f"{name}: expected shape {shape} or {stack}, got {a.shape}")
    array(name, a, dtype, shape)


def _activations(activation: Any, recurrent_activation: Any) -> None:
    activations.get(activation, "activation")
    activations.get(recurrent_activation, "recurrent_activation")


# ---- backward ------------------------------------------------------------------------------------
#
# `rows` is the number of rows of x where the forward pass had batch_sizes.


def gru_backward(dy: Any, dh_n: Any, shape: RecurrentShape, rows: int | None) -> None:
    """Check the gradients given to `gru_backward` against the shape of the forward pass."""
    B, T, _, H, dtype = shape
    if dy is not None:
        array("dy", dy, dtype, (B, T, H) if rows is None else (rows, H))
    elif dh_n is None:
        raise ValueError("dy: expected an array when dh_n is None; got None for both")
    if dh_n is not None:
        array("dh_n", dh_n, dtype, (B, H))


simple_rnn_backward = gru_backward


def lstm_backward(dy: Any, dh_n: Any, dc_n: Any, shape: RecurrentShape, rows: int | None) -> None:
    """Check the gradients given to `lstm_backward` against the shape of the forward pass."""
    B, T, _, H, dtype = shape
    if dy is not None:
        array("dy", dy, dtype, (B, T, H) if rows is None else (rows, H))
    elif dh_n is None and dc_n is None:
        raise ValueError("dy: expected an array when dh_n and dc_n are None; got None for all")
    if dh_n is not None:
        array("dh_n", dh_n, dtype, (B, H))
    if dc_n is not None:
        array("dc_n", dc_n, dtype, (B, H))


def weight_gradients(
    out: Any,
    kernel: tuple[int, int],
    recurrent_kernel: tuple[int, int],
    bias: tuple[int, ...] | None,
    dtype: np.dtype[Any],
) -> None:
    """Require `out` of a backward pass: arrays of these shapes for the weights' gradients."""
    names = "(dkernel, drecurrent_kernel, dbias)"
    gradients(names, out, (kernel, recurrent_kernel, bias), dtype)


# ---- packing -------------------------------------------------------------------------------------


def pack_gru(kernel: Any, recurrent_kernel: Any, gate_order: Any) -> tuple[int, int, np.dtype[Any]]:
    """Check the arguments of `pack_gru` and return (I, H, dtype)."""
    _gate_order(gate_order)
    return _pack(3, kernel, recurrent_kernel)


def pack_lstm(kernel: Any, recurrent_kernel: Any) -> tuple[int, int, np.dtype[Any]]:
    """Check the arguments of `pack_lstm` and return (I, H, dtype)."""
    return _pack(4, kernel, recurrent_kernel)


def pack_simple_rnn(kernel: Any, recurrent_kernel: Any) -> tuple[int, int, np.dtype[Any]]:
    """Check the arguments of `pack_simple_rnn` and return (I, H, dtype)."""
    return _pack(1, kernel, recurrent_kernel)


def _pack(gates: int, kernel: Any, recurrent_kernel: Any) -> tuple[int, int, np.dtype[Any]]:
    dtype = floating("kernel", kernel)
    if kernel.ndim != 2 or kernel.shape[0] == 0:
        expected = f"(I, {_columns(gates)}) with I >= 1"
        raise ValueError(f"kernel: expected shape {expected}, got {kernel.shape}")
    I: int = kernel.shape[0]
    return I, _kernels(gates, kernel, recurrent_kernel, dtype, I), dtype
