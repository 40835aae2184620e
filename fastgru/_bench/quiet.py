"""Whether others used the same cores while something was timed. Known on Linux only.

On a shared machine this is what spoils a figure, above all of libraries whose threads spin.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection
from pathlib import Path

__all__ = ["DISTURBED", "Watch", "least_disturbed"]

DISTURBED = 0.2  # cores that others used, on average
TRIES = 3


def least_disturbed(
    measure: Callable[[], float], process: int, cores: Collection[int]
) -> tuple[float, bool]:
    """Measure until others did not use the same cores, or three times.

    Parameters
    ----------
    measure : callable
        Returns a figure.
    process : int
        The id of the process that is measured.
    cores : collection of int
        The cores that it runs on.

    Returns
    -------
    figure : float
        The one with the least use by others.
    disturbed : bool
        Whether that use was more than `DISTURBED` cores.
    """
    found: list[tuple[float, float]] = []
    while len(found) < TRIES and (not found or found[-1][0] > DISTURBED):
        watch = Watch(process, cores)
        figure = measure()
        found.append((watch.others(), figure))
    others, figure = min(found)
    return figure, others > DISTURBED


class Watch:
    """Watches the cores of a process from its creation on.

    Parameters
    ----------
    process : int
        The id of the process that is timed.
    cores : collection of int
        The cores that it runs on.
    """

    def __init__(self, process: int, cores: Collection[int]) -> None:
        self._process, self._cores = process, {f"cpu{core}" for core in cores}
        self._began, self._before = time.perf_counter(), self._of_others()

    def others(self) -> float:
        """Return how many cores others kept busy meanwhile: 0 for none, or where it is unknown."""
        elapsed = time.perf_counter() - self._began
        return max(0.0, self._of_others() - self._before) / elapsed

    def _of_others(self) -> float:
        """Return the seconds that the cores were busy, less those of the process."""
        try:
            lines = Path("/proc/stat").read_text().splitlines()
            after_name = Path(f"/proc/{self._process}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return 0.0
        times = [line.split() for line in lines]
        busy = sum(
            sum(map(int, fields[1:9])) - int(fields[4]) - int(fields[5])  # less idle and waiting
            for fields in times
            if fields[0] in self._cores
        )
        own = int(after_name[11]) + int(after_name[12])  # user and system, of all threads
        return (busy - own) / os.sysconf("SC_CLK_TCK")
