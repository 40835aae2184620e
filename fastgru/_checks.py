"""Validation of the operations' arguments, shared by the compiled and the NumPy operations.

Every function here either returns what the operation needs to know or raises an error that names
the argument, what came and what was expected. The way without errors is kept short, because it is
walked at every call: comparisons only; messages are made after a comparison has failed.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn, TypeAlias

import numpy as np
from numpy import ndarray
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
GRUShape: TypeAlias = tuple[int, int, int, int, np.dtype[Any]]  # B, T, I, H, dtype

_F32 = np.dtype(np.float32)
_F64 = np.dtype(np.float64)
_BOOL = np.dtype(np.bool_)
_INTS = (np.dtype(np.int64), np.dtype(np.int32))


# ---- arrays --------------------------------------------------------------------------------------


def array(name: str, a: object, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    """Require `a` to be an array of exactly this dtype and shape."""
    if type(a) is ndarray and a.dtype is dtype and a.shape == shape:
        return
    a = _ndarray(name, a)
    if a.dtype != dtype:
        raise TypeError(f"{name}: expected dtype {dtype}, got {_dtype_name(a.dtype)}")
    if a.shape != shape:
        raise ValueError(f"{name}: expected shape {shape}, got {a.shape}")


def floating(name: str, a: object) -> np.dtype[Any]:
    """Require a float32 or float64 array of any shape and return its dtype."""
    if type(a) is ndarray:
        dtype: np.dtype[Any] = a.dtype
        if dtype is _F32 or dtype is _F64:
            return dtype
    a = _ndarray(name, a)
    for known in (_F32, _F64):
        if a.dtype == known:
            return known
    raise TypeError(f"{name}: expected dtype float32 or float64, got {_dtype_name(a.dtype)}")


def _ndarray(name: str, a: object) -> Array:
    # A masked array's mask would be ignored, a matrix multiplies differently.
    if not isinstance(a, ndarray) or isinstance(a, np.ma.MaskedArray | np.matrix):
        raise TypeError(f"{name}: expected numpy.ndarray, got {_type_name(a)}")
    return a


def _type_name(a: object) -> str:
    if a is None:
        return "None"
    kind = type(a)
    return (
        kind.__qualname__
        if kind.__module__ == "builtins"
        else f"{kind.__module__}.{kind.__qualname__}"
    )


def _dtype_name(dtype: np.dtype[Any]) -> str:
    return str(dtype) if dtype.isnative else f"{dtype.name} with swapped bytes ({dtype.str})"


# ---- names and numbers ---------------------------------------------------------------------------


def unknown(name: str, given: object, known: Iterable[str]) -> ValueError:
    """Make the error for an unknown name: it lists the close names, or else all of them."""
    from difflib import get_close_matches

    names = sorted(known)
    close = get_close_matches(str(given).lower(), names, n=3)
    hint = (
        f"did you mean {' or '.join(map(repr, close))}?" if close else f"known: {', '.join(names)}"
    )
    return ValueError(f"{name}: unknown name {given!r}; {hint}")


def _number(name: str, value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise TypeError(f"{name}: expected a number, got {_type_name(value)}") from None
    except OverflowError:
        raise ValueError(f"{name}: expected a finite number, got a larger one") from None


def _integer(name: str, value: Any) -> int:
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{name}: expected an integer, got {_type_name(value)}") from None


# ---- the GRU -------------------------------------------------------------------------------------


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
) -> GRUShape:
    """Check the arguments of `gru_forward` and return (B, T, I, H, dtype).

    `packed` is the class of the objects that the caller's own `pack_gru` makes. Such an object has
    the attributes `input_size`, `units`, `dtype` and `reset_after`.
    """
    dtype = floating("x", x)
    if x.ndim != 3:
        raise ValueError(f"x: expected 3 dimensions (batch, time, features), got shape {x.shape}")
    B, T, I = x.shape
    if T == 0 or I == 0:
        what = "time step" if T == 0 else "feature"
        raise ValueError(f"x: expected at least one {what}, got shape {x.shape}")

    if type(kernel) is packed:
        H = _packed_units(kernel, recurrent_kernel, I, dtype, reset_after)
    else:
        H = _kernels(kernel, recurrent_kernel, dtype, I)
    if bias is not None:
        array("bias", bias, dtype, (2, 3 * H) if reset_after else (3 * H,))
    if h0 is not None:
        array("h0", h0, dtype, (B, H))
    if mask is not None:
        array("mask", mask, _BOOL, (B, T))
    if input_dropout is not None:
        _dropout("input_dropout", input_dropout, dtype, (B, I))
    if recurrent_dropout is not None:
        _dropout("recurrent_dropout", recurrent_dropout, dtype, (B, H))

    if update_gate != "keep" and update_gate != "replace":
        raise unknown("update_gate", update_gate, ("keep", "replace"))
    if masked_output != "repeat" and masked_output != "zero":
        raise unknown("masked_output", masked_output, ("repeat", "zero"))
    if activation != "tanh" or recurrent_activation != "sigmoid":
        from . import activations

        activations.get(activation, "activation")
        activations.get(recurrent_activation, "recurrent_activation")
    return B, T, I, H, dtype


def _kernels(kernel: Any, recurrent_kernel: Any, dtype: np.dtype[Any], I: int) -> int:
    """Check both kernels against each other and the input size, and return H."""
    if type(recurrent_kernel) is not ndarray or recurrent_kernel.ndim != 2:
        recurrent_kernel = _ndarray("recurrent_kernel", recurrent_kernel)
    if type(kernel) is not ndarray:
        kernel = _ndarray("kernel", kernel)
    shape = recurrent_kernel.shape
    if len(shape) != 2 or shape[1] != 3 * shape[0] or shape[0] == 0:
        raise ValueError(
            f"recurrent_kernel: expected shape (H, 3H) with H = the number of units, got {shape}"
        )
    H: int = shape[0]
    array("kernel", kernel, dtype, (I, 3 * H))
    array("recurrent_kernel", recurrent_kernel, dtype, (H, 3 * H))
    return H


def _packed_units(
    kernel: Any,
    recurrent_kernel: Any,
    I: int,
    dtype: np.dtype[Any],
    reset_after: bool,
) -> int:
    if recurrent_kernel is not None:
        got = _type_name(recurrent_kernel)
        raise TypeError(f"recurrent_kernel: expected None beside a packed kernel, got {got}")
    if kernel.reset_after != bool(reset_after):
        raise ValueError(
            f"kernel: expected one packed with reset_after={bool(reset_after)}, "
            f"got one packed with reset_after={kernel.reset_after}"
        )
    if kernel.dtype != dtype:
        raise TypeError(f"kernel: expected dtype {dtype}, as x, got one packed from {kernel.dtype}")
    if kernel.input_size != I:
        raise ValueError(
            f"kernel: expected one packed for {I} features, as x has, "
            f"got one packed for {kernel.input_size}"
        )
    units: int = kernel.units
    return units


def _dropout(name: str, a: Any, dtype: np.dtype[Any], shape: tuple[int, int]) -> None:
    """Require one dropout mask for all gates, or a stack of three, one per gate."""
    if isinstance(a, ndarray) and a.ndim == 3:
        array(name, a, dtype, (3, *shape))
    elif isinstance(a, ndarray) and a.shape != shape:
        raise ValueError(f"{name}: expected shape {shape} or {(3, *shape)}, got {a.shape}")
    else:
        array(name, a, dtype, shape)


def gru_backward(dy: Any, dh_n: Any, shape: GRUShape) -> None:
    """Check the gradients given to `gru_backward` against the shape of the forward pass."""
    B, T, _, H, dtype = shape
    if dy is not None:
        array("dy", dy, dtype, (B, T, H))
    elif dh_n is None:
        raise ValueError("dy: expected an array when dh_n is None; got None for both")
    if dh_n is not None:
        array("dh_n", dh_n, dtype, (B, H))


def pack_gru(kernel: Any, recurrent_kernel: Any) -> tuple[int, int, np.dtype[Any]]:
    """Check the arguments of `pack_gru` and return (I, H, dtype)."""
    dtype = floating("kernel", kernel)
    if kernel.ndim != 2 or kernel.shape[0] == 0:
        raise ValueError(f"kernel: expected shape (I, 3H) with I >= 1, got {kernel.shape}")
    I: int = kernel.shape[0]
    return I, _kernels(kernel, recurrent_kernel, dtype, I), dtype


def cache(given: object, expected: type, operation: str) -> None:
    """Require the cache that `operation` returns when it is called with training=True."""
    if type(given) is expected:
        return
    if given is None:
        raise TypeError(f"cache: got None; call {operation} with training=True to get one")
    raise TypeError(f"cache: expected the cache of {operation}, got {_type_name(given)}")


# ---- dense, embedding ----------------------------------------------------------------------------


def dense_forward(
    x: Any, kernel: Any, bias: Any, activation: Any
) -> tuple[int, int, np.dtype[Any]]:
    """Check the arguments of `dense_forward` and return (I, O, dtype)."""
    dtype = floating("x", x)
    if x.ndim == 0:
        raise ValueError("x: expected at least one dimension (..., features), got shape ()")
    I: int = x.shape[-1]
    if type(kernel) is not ndarray:
        kernel = _ndarray("kernel", kernel)
    if kernel.ndim != 2 or kernel.shape[0] != I or kernel.shape[1] == 0 or I == 0:
        raise ValueError(
            f"kernel: expected shape ({I}, units), as x has {I} features, got {kernel.shape}"
        )
    O: int = kernel.shape[1]
    array("kernel", kernel, dtype, (I, O))
    if bias is not None:
        array("bias", bias, dtype, (O,))
    if activation != "linear":
        from . import activations

        activations.get(activation, "activation")
    return I, O, dtype


def integers(name: str, a: object) -> np.dtype[Any]:
    """Require an int32 or int64 array of any shape and return its dtype."""
    dtype = (a if type(a) is ndarray else _ndarray(name, a)).dtype
    if dtype not in _INTS:
        raise TypeError(f"{name}: expected dtype int32 or int64, got {_dtype_name(dtype)}")
    return dtype


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
    V = _integer("input_dim", input_dim)
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


# ---- loss, optimizer, elementwise ----------------------------------------------------------------


def binary_crossentropy(y_true: Any, y_pred: Any) -> np.dtype[Any]:
    """Check the arguments of `binary_crossentropy`, all but the values, and return the dtype."""
    dtype = floating("y_pred", y_pred)
    array("y_true", y_true, dtype, y_pred.shape)
    return dtype


def labels_in_range(y_true: Array) -> None:
    """Require every label to lie in [0, 1]."""
    # NaN makes both comparisons false.
    if y_true.size and not (y_true.min() >= 0 and y_true.max() <= 1):
        label_out_of_range(y_true)


def label_out_of_range(y_true: Array) -> NoReturn:
    """Raise the error that names the first label outside of [0, 1] and its position."""
    where = np.unravel_index(int(np.argmin((y_true >= 0) & (y_true <= 1))), y_true.shape)
    position = tuple(int(i) for i in where)
    raise ValueError(
        f"y_true: expected labels in [0, 1], got {y_true[position]} at position {position}"
    )


def adam_update(
    parameters: Any,
    gradients: Any,
    m: Any,
    v: Any,
    step: Any,
    learning_rate: Any,
    beta_1: Any,
    beta_2: Any,
    epsilon: Any,
) -> tuple[int, float, float, float, float, np.dtype[Any]]:
    """Check `adam_update`; return step, the four rates as Python numbers, and the dtype."""
    dtype = floating("parameters", parameters)
    if parameters.ndim != 1:
        raise ValueError(f"parameters: expected a flat array, got shape {parameters.shape}")
    _buffers(parameters, gradients, m, v, dtype)
    t = _integer("step", step)
    if t < 1:
        raise ValueError(f"step: expected at least 1, got {t}")
    if t >= 2**63:
        raise ValueError("step: expected a number below 2**63, got a larger one")
    rate = _number("learning_rate", learning_rate)
    b1 = _number("beta_1", beta_1)
    b2 = _number("beta_2", beta_2)
    eps = _number("epsilon", epsilon)
    if not math.isfinite(rate):
        raise ValueError(f"learning_rate: expected a finite number, got {rate}")
    if not 0 <= b1 < 1:
        raise ValueError(f"beta_1: expected a number in [0, 1), got {b1}")
    if not 0 <= b2 < 1:
        raise ValueError(f"beta_2: expected a number in [0, 1), got {b2}")
    if not 0 <= eps < math.inf:
        raise ValueError(f"epsilon: expected a finite number of at least 0, got {eps}")
    return t, rate, b1, b2, eps, dtype


def _buffers(parameters: Any, gradients: Any, m: Any, v: Any, dtype: np.dtype[Any]) -> None:
    """Require four contiguous buffers of one size, all but the gradients writable."""
    shape = parameters.shape
    array("gradients", gradients, dtype, shape)
    array("m", m, dtype, shape)
    array("v", v, dtype, shape)
    named: Sequence[tuple[str, Array]] = (
        ("parameters", parameters), ("gradients", gradients), ("m", m), ("v", v)
    )  # fmt: skip
    for name, a in named:
        flags = a.flags
        if not flags.c_contiguous:
            raise ValueError(f"{name}: expected a contiguous array, got strides {a.strides}")
        if not flags.writeable and name != "gradients":
            raise ValueError(f"{name}: expected a writable array, got a read-only one")
