"""Matplotlib, which need not be installed."""

from __future__ import annotations

from typing import Any


def require_matplotlib() -> Any:
    """Return pyplot, or raise an ImportError that names what to install."""
    try:
        import matplotlib.pyplot as pyplot
    except ImportError as error:
        raise ImportError("fastgru.plot needs matplotlib: pip install 'fastgru[plot]'") from error
    return pyplot
