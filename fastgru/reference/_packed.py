"""Packed kernels. Here the objects just hold copies; the compiled operations lay them out anew."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import _checks
from .._arrays import Array


@dataclass(frozen=True, slots=True)
class _Packed:
    kernel: Array
    recurrent_kernel: Array
    input_size: int
    units: int
    dtype: np.dtype[Any]


@dataclass(frozen=True, slots=True)
class PackedGRU(_Packed):
    """A GRU's kernels as `pack_gru` returns them; accepted as `kernel` by `gru_forward`."""

    reset_after: bool
    resets_first: bool


@dataclass(frozen=True, slots=True)
class PackedLSTM(_Packed):
    """An LSTM's kernels as `pack_lstm` returns them; accepted as `kernel` by `lstm_forward`."""


@dataclass(frozen=True, slots=True)
class PackedSimpleRNN(_Packed):
    """Kernels as `pack_simple_rnn` returns them; accepted as `kernel` by `simple_rnn_forward`."""


def unpack(kernel: Array | _Packed, recurrent_kernel: Array | None) -> tuple[Array, Array]:
    """Return both kernels, packed or not."""
    if isinstance(kernel, _Packed):
        return kernel.kernel, kernel.recurrent_kernel
    assert recurrent_kernel is not None
    return kernel, recurrent_kernel


def pack_gru(
    kernel: Array, recurrent_kernel: Array, *, reset_after: bool = True, gate_order: str = "zrn"
) -> PackedGRU:
    """Prepare a GRU's kernels for many calls.

    The compiled operations lay the weights out anew at each call, unless they are packed.

    Parameters
    ----------
    kernel : array (I, 3H)
    recurrent_kernel : array (H, 3H)
    reset_after : bool, default True
        The mode that the object is made for.
    gate_order : {"zrn", "rzn"}, default "zrn"
        The order of the gates' columns.

    Returns
    -------
    packed : PackedGRU
        Accepted as `kernel` by `gru_forward`, with recurrent_kernel=None. Later changes of the
        kernels do not reach it.

    Raises
    ------
    ValueError
        For a wrong shape.
    TypeError
        For a wrong type or dtype.
    """
    I, H, dtype = _checks.pack_gru(kernel, recurrent_kernel, gate_order)
    mode = bool(reset_after), gate_order == "rzn"
    return PackedGRU(kernel.copy(), recurrent_kernel.copy(), I, H, dtype, *mode)


def pack_lstm(kernel: Array, recurrent_kernel: Array) -> PackedLSTM:
    """Prepare an LSTM's kernels for many calls.

    The compiled operations lay the weights out anew at each call, unless they are packed.

    Parameters
    ----------
    kernel : array (I, 4H)
    recurrent_kernel : array (H, 4H)

    Returns
    -------
    packed : PackedLSTM
        Accepted as `kernel` by `lstm_forward`, with recurrent_kernel=None. Later changes of the
        kernels do not reach it.

    Raises
    ------
    ValueError
        For a wrong shape.
    TypeError
        For a wrong type or dtype.
    """
    I, H, dtype = _checks.pack_lstm(kernel, recurrent_kernel)
    return PackedLSTM(kernel.copy(), recurrent_kernel.copy(), I, H, dtype)


def pack_simple_rnn(kernel: Array, recurrent_kernel: Array) -> PackedSimpleRNN:
    """Prepare a simple recurrent layer's kernels for many calls.

    The compiled operations lay the weights out anew at each call, unless they are packed.

    Parameters
    ----------
    kernel : array (I, H)
    recurrent_kernel : array (H, H)

    Returns
    -------
    packed : PackedSimpleRNN
        Accepted as `kernel` by `simple_rnn_forward`, with recurrent_kernel=None. Later changes of
        the kernels do not reach it.

    Raises
    ------
    ValueError
        For a wrong shape.
    TypeError
        For a wrong type or dtype.
    """
    I, H, dtype = _checks.pack_simple_rnn(kernel, recurrent_kernel)
    return PackedSimpleRNN(kernel.copy(), recurrent_kernel.copy(), I, H, dtype)
