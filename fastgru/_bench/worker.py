"""A process that runs one library's layer for `workers.Worker`: verified, warm, timed on request.

    python worker.py ADAPTER THREADS CORE,CORE,…

It runs by path, in whatever environment has the library: it needs NumPy, not fastgru. Requests are
JSON, a line each, on standard input; so are the answers on standard output.
"""

from __future__ import annotations

import ctypes
import gc
import importlib.util
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

Run = Callable[[], Any]


def main() -> None:
    """Answer requests until there are no more."""
    adapter, threads, cores = sys.argv[1:]
    if sys.platform == "linux":  # a stopped process does not see that there are no more requests
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, map(int, cores.split(",")))
    # Libraries print: only answers may go to what is standard output now.
    with os.fdopen(os.dup(1), "w", buffering=1) as answers:
        os.dup2(2, 1)
        server = Server(adapter, int(threads))
        for line in sys.stdin:
            request = json.loads(line)
            try:
                answer = getattr(server, request.pop("do"))(**request)
            except NotImplementedError as error:
                answer = {"error": str(error)}
            except Exception as error:
                answer = {"error": f"{type(error).__name__}: {error}".splitlines()[0]}
            print(json.dumps(answer), file=answers)


class Server:
    """What can be asked of the process."""

    def __init__(self, adapter: str, threads: int) -> None:
        self.path, self.threads = Path(adapter), threads
        self.adapter: ModuleType
        self.call: Run

    def load(self) -> dict[str, Any]:
        """Import the library."""
        spec = importlib.util.spec_from_file_location(self.path.stem, self.path)
        assert spec is not None and spec.loader is not None
        here = Path(__file__).resolve().parent  # its modules are not to be found by the library
        sys.path[:] = [folder for folder in sys.path if Path(folder).resolve() != here]
        self.adapter = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self.adapter)
        return {"version": self.adapter.version()}

    def prepare(self, cell: str, job: str, inputs: str, outputs: str) -> dict[str, Any]:
        """Get ready to run a job on the arrays of one .npz file; save its results in another."""
        import numpy as np

        results = self._make(cell, job, inputs)
        self.call()  # so that what a library adds to, or keeps, between two calls is seen
        np.savez(outputs, **results(self.call()))
        return {}

    def time(self, seconds: float) -> dict[str, Any]:
        """Run the job again and again for some seconds; return the median of a run."""
        times: list[float] = []
        gc.collect()
        gc.disable()
        clock, end = time.perf_counter, time.perf_counter() + seconds
        while not times or clock() < end:
            start = clock()
            self.call()
            times.append(clock() - start)
        gc.enable()
        warm = sorted(times[1:] or times)
        return {"seconds": warm[len(warm) // 2], "runs": len(warm)}

    def memory(self, cell: str, job: str, inputs: str) -> dict[str, Any]:
        """Return by how many bytes the process grows while it runs a job, at most.

        Inputs and weights are there before; outputs count. Linux only.
        """
        self._make(cell, job, inputs)
        before = _status("VmRSS")
        self.call()  # what it compiles, or keeps for later, counts too
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
        self.call()
        return {"bytes": _status("VmHWM") - before}

    def _make(self, cell: str, job: str, inputs: str) -> Callable[[Any], dict[str, Any]]:
        import numpy as np

        with np.load(inputs) as saved:
            arrays = dict(saved)
        self.call, results = getattr(self.adapter, job)(cell, arrays, self.threads)
        return results  # type: ignore[no-any-return]


def _status(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return 1024 * int(line.split()[1])
    raise OSError(f"/proc/self/status: no field {field}")


if __name__ == "__main__":
    main()
