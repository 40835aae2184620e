"""Whether others used the same cores while something was timed. Known on Linux only.

On a shared machine this is what spoils a figure, above all of libraries whose threads spin.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path

__all__ = ["DISTURBED", "Watch", "least_disturbed"]

DISTURBED = 0.05  # threads that waited for a core, on average
TRIES = 3


def least_disturbed(measure: Callable[[], float], process: int) -> tuple[float, bool]:
    """Measure until the process did not have to wait for its cores, or three times.

    Parameters
    ----------
    measure : callable
        Returns a figure.
    process : int
        The id of the process that is measured.

    Returns
    -------
    figure : float
        The one with the least waiting.
    disturbed : bool
        Whether more than `DISTURBED` threads waited all the same.
    """
    found: list[tuple[float, float]] = []
    while len(found) < TRIES and (not found or found[-1][0] > DISTURBED):
        watch = Watch(process)
        figure = measure()
        found.append((watch.waiting(), figure))
    waiting, figure = min(found)
    return figure, waiting > DISTURBED


class Watch:
    """Watches from its creation on how long a process has to wait for a core.

    Parameters
    ----------
    process : int
        The id of the process.
    """

    def __init__(self, process: int) -> None:
        self._threads = Path(f"/proc/{process}/task")
        self._began, self._before = time.perf_counter(), self._waited()

    def waiting(self) -> float:
        """Return how many of its threads waited on average: 0 also where that is unknown."""
        elapsed = time.perf_counter() - self._began
        return max(0.0, self._waited() - self._before) / elapsed

    def _waited(self) -> float:
        """Return the seconds that threads were ready to run while others did."""
        nanoseconds = 0
        for thread in self._threads.glob("*/schedstat"):
            with contextlib.suppress(OSError):  # it has just ended
                nanoseconds += int(thread.read_text().split()[1])
        return 1e-9 * nanoseconds
