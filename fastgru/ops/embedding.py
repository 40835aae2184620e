"""The embedding."""

from __future__ import annotations

import numpy as np

from .. import _checks, _core
from .._arrays import Array
from ._shared import contiguous, documented


@documented
def embedding_forward(ids: Array, table: Array) -> Array:
    V, D, dtype = _checks.embedding_forward(ids, table)
    wide = contiguous(ids.astype(np.int64, copy=False))
    y = np.empty((*ids.shape, D), dtype)
    if not _core.embedding(True, wide, ids.size, V, D, dtype.itemsize, y, contiguous(table)):
        _checks.id_out_of_range(ids, V)
    return y


@documented
def embedding_backward(dy: Array, ids: Array, input_dim: int, *, out: Array | None = None) -> Array:
    V, D, dtype = _checks.embedding_backward(dy, ids, input_dim)
    wide = contiguous(ids.astype(np.int64, copy=False))
    if out is not None:
        _checks.writable("out", out, dtype, (V, D))
    dtable = np.empty((V, D), dtype) if out is None else out
    if not _core.embedding(False, wide, ids.size, V, D, dtype.itemsize, contiguous(dy), dtable):
        _checks.id_out_of_range(ids, V)
    return dtable
