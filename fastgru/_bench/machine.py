"""What a measurement was made on: the facts to record beside every figure."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

__all__ = ["cpu_name", "facts", "usable_cores"]


def usable_cores() -> list[int]:
    """Return the numbers of the cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def facts() -> dict[str, object]:
    """Return what was measured, and on what.

    Returns
    -------
    dict
        With the keys ``cpu`` (its name), ``cores`` (how many this process may use), ``platform``,
        ``python``, ``numpy``, ``fastgru`` (versions), ``isa`` and ``compiler`` (of fastgru's core)
        and ``commit`` (of the source, with a + if it was changed since; None without a repository).
    """
    from fastgru.config import show_config

    config = show_config("dicts")
    assert config is not None
    return {
        "cpu": cpu_name(),
        "cores": len(usable_cores()),
        "platform": config["platform"],
        "python": config["python"],
        "numpy": config["numpy"],
        "fastgru": config["fastgru"],
        "isa": config["isa"],
        "compiler": config["compiler"],
        "commit": commit(),
    }


def cpu_name() -> str:
    """Return the processor's name as the operating system gives it."""
    try:
        if sys.platform == "darwin":
            return _output("sysctl", "-n", "machdep.cpu.brand_string")
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except (OSError, subprocess.SubprocessError):
        lines = []
    fields: Mapping[str, str] = {
        key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)
    }
    if "model name" not in fields:
        return platform.processor() or platform.machine()
    family, model = (fields.get(key, "?") for key in ("cpu family", "model"))
    return f"{fields['model name']}, family {family}, model {model}"


def commit() -> str | None:
    """Return the commit that this package's source is at, or None where there is no repository."""
    source = Path(__file__).resolve().parents[2]
    if not (source / "csrc").is_dir():
        return None
    git = ("git", "-C", str(source))
    try:
        changed = _output(*git, "status", "--porcelain", "--untracked-files=no")
        return _output(*git, "rev-parse", "--short", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
