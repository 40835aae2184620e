"""Weights in files: NumPy's ``.npz``, without pickles, written whole or not at all."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from fastgru._naming import snake_case
from fastgru.layers.base import Layer


def save_weights(
    layers: Sequence[Layer], filepath: str | os.PathLike[str], overwrite: bool
) -> None:
    """Write the weights of layers beside the file, then put them in its place."""
    path = _checked_path(filepath)
    if not overwrite and path.exists():
        raise FileExistsError(f"{path}: exists; pass overwrite=True to replace it")
    arrays = dict(zip(_keys(layers), _arrays(layers), strict=True))
    # A name of its own: threads may save at once, and a killed process leaves its file behind.
    aside = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}.tmp")
    try:
        with open(aside, "xb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


def load_weights(layers: Sequence[Layer], filepath: str | os.PathLike[str]) -> list[np.ndarray]:
    """Return the weights that a file holds for layers of these kinds, in their order."""
    path = _checked_path(filepath)
    keys = _keys(layers)
    with open(path, "rb") as file:
        found = _read(file, path)
    missing = [key for key in keys if key not in found]
    surplus = [key for key in found if key not in keys]
    if missing or surplus:
        raise ValueError(
            f"{path}: holds the weights of another model: "
            f"expected {', '.join(keys)}; got {', '.join(found)}"
        )
    return [found[key] for key in keys]


def _read(file: BinaryIO, path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(file, allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files}
    except Exception as error:  # a damaged file fails in a dozen ways
        raise ValueError(f"{path}: not a whole file of weights ({error})") from error


def _checked_path(filepath: str | os.PathLike[str]) -> Path:
    path = Path(filepath)
    if path.suffix != ".npz":
        raise ValueError(f"filepath: expected a path that ends in .npz, got {str(path)!r}")
    return path


def _keys(layers: Sequence[Layer]) -> list[str]:
    """Name weights by class, the number of the layer in its class, and weight: ``gru_1/kernel``."""
    counts: Counter[str] = Counter()
    keys = []
    for layer in layers:
        kind = snake_case(type(layer).__name__)
        number = counts[kind]
        counts[kind] += 1
        prefix = f"{kind}_{number}" if number else kind
        keys += [f"{prefix}/{weight.name}" for weight in layer.weights]
    return keys


def _arrays(layers: Sequence[Layer]) -> list[np.ndarray]:
    return [weight.array for layer in layers for weight in layer.weights]
