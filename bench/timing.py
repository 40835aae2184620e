"""How long a run takes in this process, and on which cores it runs."""

from __future__ import annotations

import contextlib
import os
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import fastgru


def median_of_runs(run: Callable[[], Any], seconds: float) -> float:
    """Run for some seconds; return the median time of a run, the first left out."""
    clock, times = time.perf_counter, []
    run()
    end = clock() + seconds
    while not times or clock() < end:
        start = clock()
        run()
        times.append(clock() - start)
    return statistics.median(times)


def ratio_of_runs(run: Callable[[], Any], other: Callable[[], Any], seconds: float) -> float:
    """Run two in turn for some seconds; return the ratio of their median times, the first left out.

    What slows the machine down for longer than a run then does so to both.
    """
    clock = time.perf_counter
    times: tuple[list[float], list[float]] = ([], [])
    run()
    other()
    end = clock() + seconds
    while not times[0] or clock() < end:
        for kept, turn in zip(times, (run, other), strict=True):
            start = clock()
            turn()
            kept.append(clock() - start)
    return statistics.median(times[0]) / statistics.median(times[1])


@contextlib.contextmanager
def pinned(threads: int) -> Iterator[None]:
    """Let fastgru have so many threads, and this process as many cores where it may choose them."""
    fastgru.set_num_threads(threads)
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[:threads])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
