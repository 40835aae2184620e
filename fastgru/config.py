"""What this installation of fastgru is and runs on."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastgru._version import __version__

__all__ = ["show_config"]


def show_config(mode: str | None = None) -> dict[str, Any] | None:
    """Print, or return, the facts to put into a bug report or beside a measurement.

    Parameters
    ----------
    mode : {None, "stdout", "dicts", "dict"}, default None
        None and "stdout" print; "dicts" (as in :func:`numpy.show_config`) and "dict" return.

    Returns
    -------
    dict or None
        With the keys ``fastgru`` (the version), ``isa`` (the instruction set in use),
        ``available_isas`` (a tuple, the best last), ``threads``, ``compiler``, ``python``,
        ``numpy`` (versions) and ``platform``. None if the configuration is printed.

    Raises
    ------
    ValueError
        If `mode` is none of these.
    """
    if mode not in (None, "stdout", "dicts", "dict"):
        raise ValueError(f"mode: expected None, 'stdout', 'dicts' or 'dict', got {mode!r}")
    config = _config()
    if mode in ("dicts", "dict"):
        return config
    width = max(map(len, config))
    for name, value in config.items():
        text = ", ".join(value) if isinstance(value, tuple) else value
        print(f"{name.replace('_', ' '):{width}}  {text}")
    return None


def _config() -> dict[str, Any]:
    import platform

    from . import _core

    return {
        "fastgru": __version__,
        "isa": _core.isa(),
        "available_isas": _core.available_isas(),
        "threads": _core.threads(),
        "compiler": _core.compiler().strip(),  # Clang's version ends in a space
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "numpy": np.__version__,
        "platform": platform.platform(),
    }
