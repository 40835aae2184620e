"""An embedding in plain NumPy."""

# mypy: disable-error-code="no-any-return"
# (NumPy's stubs give Any for many results.)

from __future__ import annotations

import numpy as np

from .. import _checks
from .._arrays import Array


def embedding_forward(ids: Array, table: Array) -> Array:
    """Look up a table's rows by id.

    Parameters
    ----------
    ids : int32 or int64 array (...)
        Each in [0, V).
    table : array (V, D)

    Returns
    -------
    y : array (..., D)

    Raises
    ------
    ValueError
        For a wrong shape, or an id out of range (the message names the first one).
    TypeError
        For a wrong type or dtype.
    """
    V, _, _ = _checks.embedding_forward(ids, table)
    _checks.ids_in_range(ids, V)
    return table[ids]


def embedding_backward(dy: Array, ids: Array, input_dim: int, *, out: Array | None = None) -> Array:
    """Sum the rows of dy by id: the gradient of the table.

    Parameters
    ----------
    dy : array (..., D)
        Gradient of the loss with respect to the rows that were looked up.
    ids : int32 or int64 array (...)
        Each in [0, input_dim).
    input_dim : int
        The number V of the table's rows.
    out : array (V, D), optional
        A C-contiguous array that receives the gradient, and is returned.

    Returns
    -------
    dtable : array (V, D)

    Raises
    ------
    ValueError
        For a wrong shape, or an id out of range (the message names the first one).
    TypeError
        For a wrong type or dtype.
    """
    V, D, dtype = _checks.embedding_backward(dy, ids, input_dim)
    if out is not None:
        _checks.writable("out", out, dtype, (V, D))
    _checks.ids_in_range(ids, V)
    dtable = np.empty((V, D), dtype) if out is None else out
    dtable[...] = 0
    if ids.size:
        # Sorted, equal ids are neighbours; each run of them is one sum.
        order = np.argsort(ids, axis=None, kind="stable")
        found, starts = np.unique(ids.reshape(-1)[order], return_index=True)
        dtable[found] = np.add.reduceat(dy.reshape(-1, D)[order], starts, axis=0)
    return dtable
