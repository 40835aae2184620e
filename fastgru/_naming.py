"""Names: automatic ones for layers and models, close ones for error messages."""

from __future__ import annotations

import re
from collections.abc import Iterable

_uses: dict[str, int] = {}


def snake_case(name: str) -> str:
    """Turn a class name into snake case: ``InputLayer`` → ``input_layer``, ``GRU`` → ``gru``."""
    name = re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def checked_name(name: object) -> str | None:
    """Return a given name, or None; raise TypeError if it is something else."""
    if not isinstance(name, str | None):
        raise TypeError(f"name: expected a string, got {name!r}")
    return name


def auto_name(class_name: str) -> str:
    """Name the next object of a class as Keras does: ``gru``, ``gru_1``, ``gru_2``, …."""
    prefix = snake_case(class_name)
    count = _uses.get(prefix, 0)
    _uses[prefix] = count + 1
    return f"{prefix}_{count}" if count else prefix


def forget_names() -> None:
    """Start the automatic names anew."""
    _uses.clear()


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'adam'?"`` for the known names close to `name`, or nothing."""
    from difflib import get_close_matches

    close = get_close_matches(name.lower(), {k.lower(): k for k in known}, n=3, cutoff=0.6)
    return f"; did you mean {' or '.join(map(repr, close))}?" if close else ""


def unknown(name: str, given: object, known: Iterable[str]) -> ValueError:
    """Make the error for an unknown name: it lists the close names, or else all of them."""
    names = sorted(known)
    hint = did_you_mean(str(given), names) or f"; known: {', '.join(names)}"
    return ValueError(f"{name}: unknown name {given!r}{hint}")
