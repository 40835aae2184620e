"""What a recurrent layer is called with: states in lists, masks, sequences of different lengths."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastgru._arrays import to_floats
from fastgru.layers.padding import with_own


def depth(value: Any) -> int:
    """Return the number of dimensions of an array, or of lists (judged by their first entries)."""
    shape = getattr(value, "shape", None)
    if shape is not None:
        return len(shape)
    if isinstance(value, list | tuple):
        return 1 + (depth(value[0]) if value else 0)
    return np.ndim(value)


def take(layer: Any, sequences: Any, initial_state: Any, mask: Any) -> tuple[Any, Any]:
    """Return the input, in a list with initial states if there are any, and its mask.

    Ragged sequences are padded.
    """
    x, states, mask = _split(layer, sequences, initial_state, mask)
    if _is_ragged(x):
        x, mask = _pad(layer, x, mask, np.dtype(layer.dtype))
    return ([x, *states] if states else x), mask


def _split(layer: Any, sequences: Any, initial_state: Any, mask: Any) -> tuple[Any, list[Any], Any]:
    """Return the input, a list of initial states, and the input's mask, from a call's arguments."""
    states: list[Any] = []
    if isinstance(sequences, list | tuple) and sequences and depth(sequences[0]) == 3:
        sequences, *states = sequences
        if isinstance(mask, list | tuple) and len(mask) == 1 + len(states) and depth(mask) != 2:
            mask = mask[0]
    if initial_state is not None:
        if states:
            raise ValueError(
                f"{layer.name}: initial_state: given twice, with the inputs and by its name"
            )
        listed = isinstance(initial_state, list | tuple)
        states = list(initial_state) if listed and depth(initial_state) != 2 else [initial_state]
    return sequences, states, mask


def _is_ragged(value: Any) -> bool:
    """Tell whether a value is a list of sequences of different lengths."""
    if not isinstance(value, list | tuple) or depth(value) != 3:
        return False
    lengths = {len(sequence) if hasattr(sequence, "__len__") else 0 for sequence in value}
    return len(lengths) > 1


def _pad(
    layer: Any, sequences: Sequence[Any], mask: Any, dtype: np.dtype[Any]
) -> tuple[np.ndarray, np.ndarray]:
    """Return a list of sequences (T_i, I) as one array (B, T, I), zeros at the ends, and its mask.

    Raises
    ------
    ValueError
        If the numbers of features differ, or a mask is given: the sequences have one of their own.
    """
    if mask is not None:
        raise ValueError(
            f"{layer.name}: mask: expected None beside sequences of different lengths, "
            f"got {type(mask).__name__}"
        )
    arrays = [to_floats(f"{layer.name}: inputs[{i}]", s, dtype) for i, s in enumerate(sequences)]
    features = arrays[0].shape[-1]
    for i, a in enumerate(arrays):
        if a.ndim != 2 or a.shape[1] != features:
            raise ValueError(
                f"{layer.name}: inputs[{i}]: expected shape (time, {features}), as the first "
                f"sequence has {features} features, got {a.shape}"
            )
    lengths = np.array([len(a) for a in arrays])
    x = np.zeros((len(arrays), int(lengths.max()), features), dtype)
    for row, a in zip(x, arrays, strict=True):
        row[: len(a)] = a
    own = np.arange(x.shape[1]) < lengths[:, None]
    return x, with_own(own, own)
