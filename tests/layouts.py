"""Equal arrays in other layouts of memory: what any operation must take."""

from __future__ import annotations

import numpy as np

Array = np.ndarray


def stride(a: Array) -> Array:
    """Return an equal array that is transposed in memory, with gaps, its first axis descending."""
    if a.ndim == 0:
        return a
    wide = np.full([2 * n + 1 for n in a.T.shape], 99, a.dtype)
    view = wide[tuple(slice(1, None, 2) for _ in a.shape)].T[::-1]
    view[...] = a
    return view


def unaligned(a: Array) -> Array:
    """Return an equal array that starts at an odd address."""
    memory = np.empty(a.nbytes + 1, np.uint8)
    view = memory[1:].view(a.dtype).reshape(a.shape)
    view[...] = a
    return view


def field(a: Array) -> Array:
    """Return an equal array that is a field of packed records: its strides are odd."""
    last = a.shape[-1]
    records = np.zeros(a.shape[:-1], [("tag", "i1"), ("values", a.dtype, (last,))])
    records["values"] = a
    return records["values"]


def column(a: Array) -> Array:
    """Return an equal array that has one scalar in each packed record: all strides are odd."""
    records = np.zeros(a.shape, [("tag", "i1"), ("value", a.dtype)])
    records["value"] = a
    return records["value"]


def fortran(a: Array) -> Array:
    """Return an equal array in Fortran's order."""
    return np.asfortranarray(a)


def broadcast(a: Array) -> Array:
    """Return an equal array that is read-only and has a broadcast axis if it can."""
    same = bool((a == a[:1]).all())
    view = np.broadcast_to(a[:1], a.shape) if same else a.view()
    view.flags.writeable = False
    return view


class Named(np.ndarray):
    """An array of a class of its own, as memory maps are."""


def subclass(a: Array) -> Array:
    """Return an equal array of another class."""
    return a.view(Named)


LAYOUTS = [stride, fortran, unaligned, field, column, broadcast, subclass]
