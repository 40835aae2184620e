"""Layers, with Keras' names and arguments.

They hold parameters and call operations; see :class:`Layer` for what they have in common.
"""

from typing import Any

from fastgru._configurable import Registry, describe
from fastgru.layers.activation import Activation
from fastgru.layers.base import Layer
from fastgru.layers.dense import Dense
from fastgru.layers.dropout import Dropout
from fastgru.layers.embedding import Embedding
from fastgru.layers.gru import GRU
from fastgru.layers.input_layer import Input, InputLayer

__all__ = [
    "GRU",
    "Activation",
    "Dense",
    "Dropout",
    "Embedding",
    "Input",
    "InputLayer",
    "Layer",
    "deserialize",
    "serialize",
]

_REGISTRY: Registry[Layer] = Registry(
    "layer", Layer, [Activation, Dense, Dropout, Embedding, GRU, InputLayer]
)


def serialize(layer: Layer) -> dict[str, Any]:
    """Return the class name and the configuration of a layer; its weights are not part of it."""
    return describe(layer)


def deserialize(config: dict[str, Any]) -> Layer:
    """Return a new layer of the kind that :func:`serialize` described."""
    return _REGISTRY.get(config)
