"""How many threads a call of the compiled core may use."""

from __future__ import annotations

import math
import operator
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from pathlib import Path
from typing import Any

from . import _core

__all__ = ["get_num_threads", "set_num_threads"]

MOST_THREADS = 64  # as MOST_MEMBERS in csrc/team.c

_lock = threading.Lock()
_chosen = 1
_sharers = 0  # how many callers are inside of `shared_threads`


def get_num_threads() -> int:
    """Return the number of threads that a call may use at most."""
    return _chosen


def set_num_threads(count: int) -> None:
    """Let each call of the compiled operations use at most so many threads.

    Work that is too small to share runs on the calling thread alone, and on Windows all work does.
    The results have the same bits at any number of threads.

    Parameters
    ----------
    count : int
        At least 1; more than 64 count as 64. The default is taken from the environment
        (FASTGRU_NUM_THREADS, then OMP_NUM_THREADS), or else the number of processors that this
        process may use.

    Raises
    ------
    ValueError
        If `count` is less than 1.
    TypeError
        If it is not an integer.
    """
    try:
        number = operator.index(count)
    except TypeError:
        raise TypeError(f"count: expected an integer, got {type(count).__name__}") from None
    if number < 1:
        raise ValueError(f"count: expected at least 1, got {number}")
    global _chosen
    with _lock:
        _chosen = min(number, MOST_THREADS)
        if not _sharers:
            _core.set_threads(_chosen)


@contextmanager
def shared_threads(callers: int) -> Iterator[None]:
    """Give each of several calls that run at once its part of the threads, in a ``with`` block.

    Calls of other threads get no more meanwhile: their results are the same.
    """
    global _sharers
    with _lock:
        _sharers += 1
        _core.set_threads(max(1, _chosen // callers))
    try:
        yield
    finally:
        with _lock:
            _sharers -= 1
            if not _sharers:
                _core.set_threads(_chosen)


def at_once(run: Callable[[int], Any]) -> tuple[Any, Any]:
    """Return what a function returns for 0 and for 1, run on this thread and on another.

    Each gets half of the threads, and both see the same context variables.
    """
    context = copy_context()
    outcome: list[Any] = []

    def other() -> None:
        try:
            outcome.append((context.run(run, 1), None))
        except BaseException as error:
            outcome.append((None, error))

    thread = threading.Thread(target=other, name="fastgru_at_once")
    with shared_threads(2):
        thread.start()
        try:
            first = run(0)
        finally:
            thread.join()
    ((second, error),) = outcome
    if error is not None:
        raise error
    return first, second


def _begin_anew() -> None:
    """Forget, in a forked child, the callers that only its parent has."""
    global _lock, _sharers
    _lock, _sharers = threading.Lock(), 0
    _core.set_threads(_chosen)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)


def default_num_threads() -> int:
    """Return the number of threads that the environment or the machine suggests."""
    for name in ("FASTGRU_NUM_THREADS", "OMP_NUM_THREADS"):
        # OMP_NUM_THREADS may be a list, one number per level of nesting.
        text = os.environ.get(name, "").split(",")[0].strip()
        if text.isdecimal() and int(text) > 0:
            return int(text)
        if text and name == "FASTGRU_NUM_THREADS":
            raise ImportError(
                f"environment variable {name}: expected a positive integer, got {text!r}"
            )
    if hasattr(os, "sched_getaffinity"):
        available = len(os.sched_getaffinity(0))
    else:
        available = os.cpu_count() or 1
    return max(1, min(available, _cgroup_processors()))


def _cgroup_processors() -> int:
    """Return how many processors a container's quota is worth, rounded up."""
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return max(1, math.ceil(int(quota) / int(period)))
    except (OSError, ValueError):  # no such file, or no limit ("max")
        return MOST_THREADS


set_num_threads(default_num_threads())
