"""Compile a C program of this folder for this machine and run it."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).parent
NATIVE = ("-O3", "-march=native", "-pthread")


@functools.cache
def build_folder() -> Path:
    """Return a folder for what is compiled, which ends with this process."""
    build_folder.keep = folder = tempfile.TemporaryDirectory()  # type: ignore[attr-defined]
    return Path(folder.name)


@functools.cache
def compiled(name: str, flags: Sequence[str] = NATIVE) -> Path:
    """Return the path of the program that NAME.c is compiled to."""
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc") or "clang"
    program = build_folder() / name
    subprocess.run([compiler, *flags, HERE / f"{name}.c", "-o", program, "-lm"], check=True)
    return program


def output(name: str, *arguments: object) -> str:
    """Return what a program of this folder prints."""
    command = [compiled(name), *map(str, arguments)]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
