"""Which operations the layers run on: the compiled ones, or the NumPy reference."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import ModuleType
from typing import Any

from fastgru._naming import did_you_mean, forget_names

__all__ = ["clear_session", "current_ops", "floatx", "set_floatx", "use_ops"]

_MODULES = {"compiled": "fastgru.ops", "reference": "fastgru.reference"}
_chosen: ContextVar[ModuleType | None] = ContextVar("fastgru_operations", default=None)
_compiled: ModuleType | None = None
_floatx = "float32"


def current_ops() -> ModuleType:
    """Return the operations in use: `fastgru.ops`, unless :func:`use_ops` says otherwise."""
    global _compiled
    chosen = _chosen.get()
    if chosen is not None:
        return chosen
    if _compiled is None:
        _compiled = importlib.import_module(_MODULES["compiled"])
    return _compiled


@contextmanager
def use_ops(name: str) -> Iterator[ModuleType]:
    """Run layers and models on a set of operations within a ``with`` block.

    The choice holds for the thread (and the asyncio task) that made it: other threads keep theirs.

    Parameters
    ----------
    name : {"compiled", "reference"}
        The operations of the C core, or the same in plain NumPy.

    Yields
    ------
    module
        The operations.

    Raises
    ------
    ValueError
        If `name` is neither.
    """
    if name not in _MODULES:
        close = did_you_mean(str(name), _MODULES)
        raise ValueError(f"use_ops: expected 'compiled' or 'reference', got {name!r}{close}")
    module = importlib.import_module(_MODULES[name])
    with using(module):
        yield module


@contextmanager
def using(operations: Any) -> Iterator[None]:
    """Run layers and models on any object that has the operations within a ``with`` block."""
    token = _chosen.set(operations)
    try:
        yield
    finally:
        _chosen.reset(token)


def floatx() -> str:
    """Return the dtype of layers without one: ``"float32"``, unless :func:`set_floatx` set it."""
    return _floatx


def set_floatx(value: str) -> None:
    """Set the dtype of layers that name none.

    Parameters
    ----------
    value : {"float32", "float64"}
        The dtype; it holds for the layers that are made from now on.

    Raises
    ------
    ValueError
        If it is neither.
    """
    global _floatx
    if value not in ("float32", "float64"):
        raise ValueError(f"set_floatx: expected 'float32' or 'float64', got {value!r}")
    _floatx = value


def clear_session(free_memory: bool = True) -> None:
    """Start the automatic names of layers and models anew, as Keras does.

    Parameters
    ----------
    free_memory : bool, default True
        Accepted for Keras' sake: fastgru holds on to no model, so there is nothing to free.
    """
    forget_names()
