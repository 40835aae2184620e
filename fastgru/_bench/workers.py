"""Processes that run one library each, so that all can be timed in turn.

Every library has a process of its own, with the same cores and the same number of threads, and
only one of them runs at a time: the others are stopped, for their threads may spin.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from fastgru._bench.machine import usable_cores

__all__ = ["CELLS", "PEERS", "LeftOut", "Peer", "Worker"]

CELLS = {"gru": 3, "lstm": 4, "simple_rnn": 1}  # and their gates

_HERE = Path(__file__).parent
_STOPS = hasattr(signal, "SIGSTOP")


class LeftOut(Exception):
    """A library cannot do a job; the message says why."""


@dataclass(frozen=True)
class Peer:
    """A library: the script that runs it, what it is imported as, whether it has gradients."""

    adapter: Path
    module: str
    trains: bool = True


PEERS = {
    name: Peer(_HERE / "peers" / f"{name}_layer.py", module, trains)
    for name, module, trains in (
        ("fastgru", "fastgru", True),
        ("numpy", "fastgru", True),
        ("torch", "torch", True),
        ("keras", "tensorflow", True),
        ("jax", "jax", True),
        ("onnxruntime", "onnxruntime", False),
        ("openvino", "openvino", False),
    )
}


def environment(threads: int) -> dict[str, str]:
    """Return the environment of a process whose numerical libraries have so many threads."""
    count = str(threads)
    several = str(threads > 1).lower()
    return os.environ | {
        "FASTGRU_NUM_THREADS": count,
        "MKL_NUM_THREADS": count,
        "OMP_NUM_THREADS": count,
        "OPENBLAS_NUM_THREADS": count,
        "VECLIB_MAXIMUM_THREADS": count,
        "TF_NUM_INTRAOP_THREADS": count,
        "TF_NUM_INTEROP_THREADS": "1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "KERAS_BACKEND": "tensorflow",
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": f"--xla_cpu_multi_thread_eigen={several}",
    }


class Worker:
    """One library in a process of its own.

    Parameters
    ----------
    peer : Peer
        The library.
    python : str
        The interpreter of the environment that has it.
    threads : int
        How many threads it may use, on as many cores.
    variables : mapping of str to str, optional
        Further environment variables.

    Raises
    ------
    LeftOut
        If there are not so many cores, or the library cannot be imported.
    """

    def __init__(
        self,
        peer: Peer,
        python: str = sys.executable,
        threads: int = 1,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        cores = usable_cores()[:threads]
        if len(cores) < threads:
            raise LeftOut(f"{threads} threads wanted, but only {len(cores)} cores are usable")
        self._errors = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115
        self._process = subprocess.Popen(
            [
                python,
                str(_HERE / "worker.py"),
                str(peer.adapter),
                str(threads),
                ",".join(map(str, cores)),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=self._environment(peer, python, threads) | dict(variables or {}),
        )
        try:
            self.version: str = self.ask("load")["version"]
        except LeftOut:
            self.close()
            raise

    @staticmethod
    def _environment(peer: Peer, python: str, threads: int) -> dict[str, str]:
        made = environment(threads)
        if peer.module == "fastgru" and python == sys.executable:  # this fastgru, no other
            paths = (str(_HERE.parents[1]), made.get("PYTHONPATH", ""))
            made["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
        return made

    def ask(self, do: str, *, timeout: float = 300, **request: Any) -> dict[str, Any]:
        """Send a request, wait for the answer.

        Parameters
        ----------
        do : {"prepare", "time", "memory"}
            A method of `worker.Server`.
        timeout : float, default 300
            Seconds after which the process is ended.
        **request
            The method's arguments.

        Raises
        ------
        LeftOut
            If the library refuses, fails, takes too long, or its process dies.
        """
        process = self._process
        assert process.stdin is not None and process.stdout is not None
        too_late = threading.Timer(timeout, process.kill)
        too_late.start()
        try:
            self._signal("SIGCONT")
            process.stdin.write(json.dumps({"do": do} | request).encode() + b"\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except OSError:
            line = b""
        late = not too_late.is_alive()
        too_late.cancel()
        if not line:
            process.wait()
            reason = f"no answer in {timeout:g} s" if late else self._last_words()
            self.close()
            raise LeftOut(reason)
        self._signal("SIGSTOP")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise LeftOut(answer["error"])
        return answer

    @property
    def id(self) -> int:
        """The id of the process."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            with contextlib.suppress(OSError):  # what could not be written any more
                stream.close()  # type: ignore[union-attr]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self.close()

    def _signal(self, name: str) -> None:
        if _STOPS:
            self._process.send_signal(getattr(signal, name))

    def _last_words(self) -> str:
        self._errors.seek(0)
        lines = self._errors.read().strip().splitlines()
        code = self._process.returncode
        how = signal.Signals(-code).name if code < 0 else f"status {code}"
        return f"its process died ({how})" + (f": {lines[-1]}" if lines else "")
