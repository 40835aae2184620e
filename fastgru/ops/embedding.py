"""The embedding."""

from __future__ import annotations

import numpy as np

from .. import _checks, _core
from .._arrays import Array
from ._shared import documented, plain, taken


@documented
def embedding_forward(ids: Array, table: Array) -> Array:
    y = _core.embedding_forward(ids, table)
    if y is None:
        V, _, _ = _checks.embedding_forward(ids, table)
        y = _core.embedding_forward(plain(ids.astype(np.int64)), plain(table))
        if y is None:
            _checks.ids_in_range(ids, V)
        return taken(y)
    return y


@documented
def embedding_backward(dy: Array, ids: Array, input_dim: int, *, out: Array | None = None) -> Array:
    dtable = _core.embedding_backward(dy, ids, input_dim, out)
    if dtable is None:
        V, D, dtype = _checks.embedding_backward(dy, ids, input_dim)
        if out is not None:
            _checks.writable("out", out, dtype, (V, D))
        wide, into = plain(ids.astype(np.int64)), None if out is None else plain(out)
        dtable = _core.embedding_backward(plain(dy), wide, V, into)
        if dtable is None:
            _checks.ids_in_range(ids, V)
        dtable = taken(dtable)
    return dtable if out is None else out
