"""Checks of the arguments of dense layers and embeddings."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np
from numpy import ndarray

from .. import activations
from .._arrays import Array
from .arrays import array, floating, gradients, integer, integers, numpy_array


def dense_forward(
    x: Any, kernel: Any, bias: Any, activation: Any
) -> tuple[int, int, np.dtype[Any]]:
    """Check the arguments of `dense_forward` and return (I, O, dtype)."""
    dtype = floating("x", x)
    if x.ndim == 0:
        raise ValueError("x: expected at least one dimension (..., features), got shape ()")
    I: int = x.shape[-1]
    if type(kernel) is not ndarray:
        kernel = numpy_array("kernel", kernel)
    if kernel.ndim != 2 or kernel.shape[0] != I or kernel.shape[1] == 0 or I == 0:
        raise ValueError(
            f"kernel: expected shape ({I}, units), as x has {I} features, got {kernel.shape}"
        )
    O: int = kernel.shape[1]
    array("kernel", kernel, dtype, (I, O))
    if bias is not None:
        array("bias", bias, dtype, (O,))
    if activation != "linear":
        activations.get(activation, "activation")
    return I, O, dtype


def dense_gradients(
    out: Any, kernel: tuple[int, int], has_bias: bool, dtype: np.dtype[Any]
) -> None:
    """Require `out` of `dense_backward`: arrays for dkernel and, with a bias, dbias."""
    bias = kernel[1:] if has_bias else None
    gradients("(dkernel, dbias)", out, (kernel, bias), dtype)


def embedding_forward(ids: Any, table: Any) -> tuple[int, int, np.dtype[Any]]:
    """Check all of `embedding_forward` but the values of ids, and return (V, D, dtype)."""
    integers("ids", ids)
    dtype = floating("table", table)
    if table.ndim != 2 or table.shape[0] == 0 or table.shape[1] == 0:
        raise ValueError(
            f"table: expected shape (input_dim, output_dim), both at least 1, got {table.shape}"
        )
    return table.shape[0], table.shape[1], dtype


def embedding_backward(dy: Any, ids: Any, input_dim: Any) -> tuple[int, int, np.dtype[Any]]:
    """Check all of `embedding_backward` but the values of ids, and return (V, D, dtype)."""
    integers("ids", ids)
    dtype = floating("dy", dy)
    if dy.ndim != ids.ndim + 1 or dy.shape[:-1] != ids.shape or dy.shape[-1] == 0:
        raise ValueError(
            f"dy: expected shape {ids.shape} + (output_dim,), as ids has shape {ids.shape}, "
            f"got {dy.shape}"
        )
    V = integer("input_dim", input_dim)
    if V < 1:
        raise ValueError(f"input_dim: expected at least 1, got {V}")
    return V, dy.shape[-1], dtype


def ids_in_range(ids: Array, input_dim: int) -> None:
    """Require every id to lie in [0, input_dim)."""
    # Seen as unsigned, a negative id is a huge one, so one pass tests both ends.
    if ids.size and int(ids.view(f"u{ids.itemsize}").max()) >= input_dim:
        id_out_of_range(ids, input_dim)


def id_out_of_range(ids: Array, input_dim: int) -> NoReturn:
    """Raise the error that names the first id outside of [0, input_dim) and its position."""
    where = np.unravel_index(int(np.argmax((ids < 0) | (ids >= input_dim))), ids.shape)
    position = tuple(int(i) for i in where)
    raise ValueError(
        f"ids: expected integers in [0, {input_dim}), got {ids[position]} at position {position}"
    )
