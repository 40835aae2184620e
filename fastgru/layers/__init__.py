"""Layers, with Keras' names and arguments.

They hold parameters and call operations; see :class:`Layer` for what they have in common.
"""

from typing import Any

from fastgru._configurable import Registry, describe
from fastgru.layers.activation import Activation
from fastgru.layers.base import Layer
from fastgru.layers.dense import Dense
from fastgru.layers.dropout import Dropout, SpatialDropout1D
from fastgru.layers.embedding import Embedding
from fastgru.layers.input_layer import Input, InputLayer
from fastgru.layers.masking import Masking, NotEqual
from fastgru.layers.merging import Add, Concatenate, add, concatenate
from fastgru.layers.pooling import GlobalAveragePooling1D, GlobalMaxPooling1D
from fastgru.layers.recurrent import (
    GRU,
    LSTM,
    RNN,
    Bidirectional,
    GRUCell,
    LSTMCell,
    SimpleRNN,
    SimpleRNNCell,
)
from fastgru.layers.reshaping import Flatten, Permute, RepeatVector, Reshape
from fastgru.layers.time_distributed import TimeDistributed

__all__ = [
    "Activation",
    "Add",
    "Bidirectional",
    "Concatenate",
    "Dense",
    "Dropout",
    "Embedding",
    "Flatten",
    "GRU",
    "GRUCell",
    "GlobalAveragePooling1D",
    "GlobalAvgPool1D",
    "GlobalMaxPool1D",
    "GlobalMaxPooling1D",
    "Input",
    "InputLayer",
    "LSTM",
    "LSTMCell",
    "Layer",
    "Masking",
    "Permute",
    "RNN",
    "RepeatVector",
    "Reshape",
    "SimpleRNN",
    "SimpleRNNCell",
    "SpatialDropout1D",
    "TimeDistributed",
    "add",
    "concatenate",
    "deserialize",
    "get",
    "serialize",
]

# Keras' short names.
GlobalAvgPool1D, GlobalMaxPool1D = GlobalAveragePooling1D, GlobalMaxPooling1D

_REGISTRY: Registry[Layer] = Registry(
    "layer",
    Layer,
    [
        GRU,
        LSTM,
        Activation,
        Add,
        Bidirectional,
        Concatenate,
        Dense,
        Dropout,
        Flatten,
        GlobalAveragePooling1D,
        GlobalMaxPooling1D,
        Masking,
        NotEqual,
        Permute,
        RepeatVector,
        Reshape,
        SpatialDropout1D,
        TimeDistributed,
        Embedding,
        GRUCell,
        InputLayer,
        LSTMCell,
        SimpleRNN,
        SimpleRNNCell,
    ],
)


def serialize(layer: Layer) -> dict[str, Any]:
    """Return the class name and the configuration of a layer; its weights are not part of it."""
    return describe(layer)


def deserialize(config: dict[str, Any]) -> Layer:
    """Return a new layer of the kind that :func:`serialize` described."""
    return _REGISTRY.get(config)


def get(identifier: Any) -> Layer:
    """Return the layer that a configuration, a class or the layer itself stands for."""
    return _REGISTRY.get(identifier)


def register(kind: type[Layer]) -> None:
    """Make a class of layers known to :func:`deserialize`, by its name."""
    _REGISTRY.add(kind)
