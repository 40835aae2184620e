"""Sequences of different lengths made one array."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any

import numpy as np

__all__ = ["pad_sequences"]


def pad_sequences(
    sequences: Any,
    maxlen: int | None = None,
    dtype: Any = "int32",
    padding: str = "pre",
    truncating: str = "pre",
    value: Any = 0.0,
) -> np.ndarray:
    """Pad and cut sequences to one length.

    Parameters
    ----------
    sequences : sequence of sequences
        Each of shape (T,) or (T, …), with the same trailing sizes in all.
    maxlen : int, optional
        The length of the result; otherwise that of the longest sequence.
    dtype : dtype, default "int32"
        The dtype of the result.
    padding : {"pre", "post"}, default "pre"
        Whether `value` goes before or behind a sequence that is too short.
    truncating : {"pre", "post"}, default "pre"
        Whether a sequence that is too long loses its beginning or its end.
    value : number or str, default 0
        What to pad with.

    Returns
    -------
    ndarray, shape (len(sequences), maxlen, …)
        The sequences.

    Raises
    ------
    ValueError
        If `sequences` is not a sequence of sequences, their trailing sizes differ, `padding`,
        `truncating` or `maxlen` is out of range, or an integer `dtype` would change a number.
    TypeError
        If an integer `dtype` is to hold something else than numbers.
    """
    for name, side in (("padding", padding), ("truncating", truncating)):
        if side not in ("pre", "post"):
            raise ValueError(f"{name}: expected 'pre' or 'post', got {side!r}")
    sequences = _listed(sequences)
    lengths = _lengths(sequences)
    if maxlen is None:
        maxlen = max(lengths, default=0)
    elif isinstance(maxlen, bool) or not isinstance(maxlen, int | np.integer) or maxlen < 0:
        raise ValueError(f"maxlen: expected an integer of at least 0, got {maxlen!r}")

    trailing = next((np.shape(s)[1:] for s, n in zip(sequences, lengths, strict=True) if n), ())
    result = np.full((len(lengths), maxlen, *trailing), value, dtype=dtype)
    _cast(value, result.dtype, "value")
    for i, (sequence, length) in enumerate(zip(sequences, lengths, strict=True)):
        kept = min(length, maxlen)
        if not kept:
            continue
        start = length - kept if truncating == "pre" else 0
        part = _cast(sequence[start : start + kept], result.dtype, f"sequence {i}")
        if part.shape[1:] != trailing:
            raise ValueError(
                f"sequences: expected steps of shape {trailing} in all sequences, "
                f"got {part.shape[1:]} in number {i}"
            )
        if padding == "pre":
            result[i, maxlen - kept :] = part
        else:
            result[i, :kept] = part
    return result


def _listed(sequences: Any) -> list[Any]:
    countable = hasattr(sequences, "__len__") and hasattr(sequences, "__iter__")
    if not countable or isinstance(sequences, str | bytes | Mapping | Set):
        raise ValueError(f"sequences: expected a list of sequences, got {sequences!r}")
    return list(sequences)


def _lengths(sequences: list[Any]) -> list[int]:
    lengths = []
    for i, sequence in enumerate(sequences):
        if not hasattr(sequence, "__len__") or isinstance(sequence, str | bytes):
            raise ValueError(f"sequences: expected a list of sequences, got {sequence!r} at {i}")
        lengths.append(len(sequence))
    return lengths


def _cast(part: Any, dtype: np.dtype, name: str) -> np.ndarray:
    """Return an array of a dtype; refuse numbers that an integer dtype would change."""
    if dtype.kind not in "iu":
        return np.asarray(part, dtype=dtype)
    values = np.asarray(part)
    if values.dtype.kind not in "iufb":
        raise TypeError(f"{name}: expected numbers for dtype {dtype}, got {part!r}")
    with np.errstate(invalid="ignore"):
        cast: np.ndarray = values.astype(dtype, copy=False)
    changed = cast != values
    if changed.any():
        raise ValueError(
            f"{name}: dtype {dtype} would change {values[changed].flat[0]}; "
            "pass another, such as dtype='int64' or 'float32'"
        )
    return cast
