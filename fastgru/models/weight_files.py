"""Weights in files, under names that do not depend on what the layers are called."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from fastgru import _archive
from fastgru._archive import Archive, Arrays
from fastgru._naming import snake_case
from fastgru.layers.base import Layer
from fastgru.layers.nesting import held_by
from fastgru.layers.parameters import Weight

# How the names of arrays begin that are no weights; a class' name has no dot.
_BESIDE = ("optimizer.", "seeds.")


def save_weights(
    layers: Sequence[Layer], filepath: str | os.PathLike[str], overwrite: bool
) -> None:
    """Write the weights of layers into a file, whole or not at all."""
    _archive.write(_archive.checked_path(filepath), Archive(arrays_of(layers)), overwrite)


def load_weights(
    layers: Sequence[Layer], filepath: str | os.PathLike[str], skip_mismatch: bool = False
) -> list[np.ndarray]:
    """Return the weights that a file holds for layers of these kinds, in the order of theirs.

    The file must hold these weights and no others. With `skip_mismatch`, a weight that it does not
    hold in its shape keeps its values, and a warning names it.
    """
    path = _archive.checked_path(filepath)
    found = weights_in(_archive.read(path).arrays)
    if not skip_mismatch:
        return chosen(layers, found, str(path))
    values, kept = [], []
    for key, weight in named_weights(layers):
        fits = key in found and found[key].shape == weight.shape
        values.append(found[key] if fits else weight.array)
        if not fits:
            got = f"of shape {found[key].shape}" if key in found else "not there"
            kept.append(f"{key} of shape {weight.shape} ({got})")
    if kept:
        what = f"{path}: these weights keep their values, which the file does not have: "
        warnings.warn(what + ", ".join(kept), stacklevel=3)
    return values


def weights_in(arrays: Arrays) -> Arrays:
    """Return the weights among the arrays of a file: a whole model's has others too."""
    return {name: array for name, array in arrays.items() if not name.startswith(_BESIDE)}


def chosen(layers: Sequence[Layer], found: Arrays, where: str) -> list[np.ndarray]:
    """Return the arrays for the weights of layers, in their order."""
    named = named_weights(layers)
    keys = [key for key, _ in named]
    if set(keys) != set(found):
        raise ValueError(
            f"{where}: holds the weights of another model: "
            f"expected {', '.join(keys)}; got {', '.join(found)}"
        )
    for key, weight in named:
        if found[key].shape != weight.shape:
            raise ValueError(
                f"{where}: {key}: expected shape {weight.shape}, got {found[key].shape}"
            )
    return [found[key] for key in keys]


def arrays_of(layers: Sequence[Layer]) -> Arrays:
    """Return the values of the weights by name."""
    return {key: weight.array for key, weight in named_weights(layers)}


def named_weights(layers: Sequence[Layer]) -> list[tuple[str, Weight]]:
    """Return the weights with their names in files, in the order of the layers' own, each once.

    A name tells the class, the number of the layer in its class, and the weight:
    ``gru_1/kernel``; for a layer within a layer, its place there too:
    ``bidirectional/forward_layer/kernel``.
    """
    named: dict[int, tuple[str, Weight]] = {}
    taken: Counter[str] = Counter()
    for prefix, layer in numbered(layers):
        unreached = ((f"{prefix}/{weight.name}", weight) for weight in layer.weights)
        for key, weight in (*_walk(prefix, layer), *unreached):
            if id(weight) not in named:
                same = taken[key]
                taken[key] += 1
                named[id(weight)] = (f"{key}_{same}" if same else key), weight
    order = dict.fromkeys(id(weight) for layer in layers for weight in layer.weights)
    return [named[key] for key in order]


def numbered(layers: Sequence[Layer]) -> Iterator[tuple[str, Layer]]:
    """Yield layers with class and number: ``gru``, ``gru_1``, ``dense``."""
    counts: Counter[str] = Counter()
    for layer in layers:
        kind = snake_case(type(layer).__name__)
        number = counts[kind]
        counts[kind] += 1
        yield (f"{kind}_{number}" if number else kind), layer


def _walk(prefix: str, layer: Any) -> Iterator[tuple[str, Weight]]:
    """Yield the weights of the layers that a layer holds, then its own."""
    # A model's layers have names that do not last: they are numbered instead.
    inner = numbered(layer.layers) if hasattr(layer, "layers") else held_by(layer)
    for name, held in inner:  # a cell's weights are its layer's
        yield from _walk(prefix if name == "cell" else f"{prefix}/{name}", held)
    for weight in getattr(layer, "_weights", ()):
        yield f"{prefix}/{weight.name}", weight
