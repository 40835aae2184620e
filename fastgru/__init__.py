"""fastgru: Gated Recurrent Units on CPUs, fast, with Keras' names.

Change ``tensorflow.keras`` to ``fastgru`` in the imports of a script, or ``import fastgru as
keras``. The operations underneath are in `fastgru.ops`, compiled, and in `fastgru.reference`, plain
NumPy.
"""

from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

try:
    from fastgru import _core as _core  # first, so that nothing else trips over its absence
except ImportError:
    from importlib.util import find_spec as _find_spec

    if _find_spec("fastgru._core") is not None:
        raise
    raise ImportError(
        f"fastgru: no compiled core in {__path__[0]}; if these are the sources, start Python in "
        "another folder to import the installed package, or install it in place: pip install -e ."
    ) from None

from fastgru import (
    activations,
    backend,
    callbacks,
    constraints,
    initializers,
    layers,
    losses,
    metrics,
    models,
    optimizers,
    preprocessing,
    regularizers,
    saving,
    utils,
)
from fastgru._threads import get_num_threads, set_num_threads
from fastgru._version import __version__
from fastgru.backend import clear_session, current_ops, use_ops
from fastgru.callbacks import (
    Callback,
    CallbackList,
    CSVLogger,
    EarlyStopping,
    History,
    LambdaCallback,
    LearningRateScheduler,
    ModelCheckpoint,
    ReduceLROnPlateau,
    TerminateOnNaN,
)
from fastgru.config import show_config
from fastgru.initializers import (
    Constant,
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    Initializer,
    LecunNormal,
    LecunUniform,
    Ones,
    Orthogonal,
    RandomNormal,
    RandomUniform,
    TruncatedNormal,
    VarianceScaling,
    Zeros,
)
from fastgru.layers import (
    GRU,
    LSTM,
    RNN,
    Activation,
    Add,
    Bidirectional,
    Concatenate,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GlobalAveragePooling1D,
    GlobalAvgPool1D,
    GlobalMaxPool1D,
    GlobalMaxPooling1D,
    GRUCell,
    Input,
    InputLayer,
    Layer,
    LSTMCell,
    Masking,
    Permute,
    RepeatVector,
    Reshape,
    SimpleRNN,
    SimpleRNNCell,
    SpatialDropout1D,
    TimeDistributed,
    add,
    concatenate,
)
from fastgru.losses import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    CosineSimilarity,
    Huber,
    KLDivergence,
    LogCosh,
    Loss,
    MeanAbsoluteError,
    MeanSquaredError,
    SparseCategoricalCrossentropy,
)
from fastgru.metrics import (
    AUC,
    Accuracy,
    BinaryAccuracy,
    CategoricalAccuracy,
    F1Score,
    FalseNegatives,
    FalsePositives,
    FBetaScore,
    LogCoshError,
    Mean,
    MeanMetricWrapper,
    Metric,
    Perplexity,
    Precision,
    Recall,
    RootMeanSquaredError,
    SparseCategoricalAccuracy,
    SparseTopKCategoricalAccuracy,
    Sum,
    TopKCategoricalAccuracy,
    TrueNegatives,
    TruePositives,
)
from fastgru.models import Model, Sequential, load_model
from fastgru.optimizers import (
    SGD,
    Adam,
    AdamW,
    Optimizer,
    RMSprop,
)
from fastgru.utils import PyDataset, Sequence, pad_sequences, set_random_seed, to_categorical

if _TYPE_CHECKING:
    from fastgru import plot
    from fastgru.comparison import compare
    from fastgru.tracing import trace

__all__ = [
    "AUC",
    "Accuracy",
    "Activation",
    "Adam",
    "AdamW",
    "Add",
    "Bidirectional",
    "BinaryAccuracy",
    "BinaryCrossentropy",
    "CSVLogger",
    "Callback",
    "CallbackList",
    "CategoricalAccuracy",
    "CategoricalCrossentropy",
    "Concatenate",
    "Constant",
    "CosineSimilarity",
    "Dense",
    "Dropout",
    "EarlyStopping",
    "Embedding",
    "F1Score",
    "FBetaScore",
    "FalseNegatives",
    "FalsePositives",
    "Flatten",
    "GRU",
    "GRUCell",
    "GlobalAveragePooling1D",
    "GlobalAvgPool1D",
    "GlobalMaxPool1D",
    "GlobalMaxPooling1D",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "History",
    "Huber",
    "Initializer",
    "Input",
    "InputLayer",
    "KLDivergence",
    "LSTM",
    "LSTMCell",
    "LambdaCallback",
    "Layer",
    "LearningRateScheduler",
    "LecunNormal",
    "LecunUniform",
    "LogCosh",
    "LogCoshError",
    "Loss",
    "Masking",
    "Mean",
    "MeanAbsoluteError",
    "MeanMetricWrapper",
    "MeanSquaredError",
    "Metric",
    "Model",
    "ModelCheckpoint",
    "Ones",
    "Optimizer",
    "Orthogonal",
    "Permute",
    "Perplexity",
    "Precision",
    "PyDataset",
    "RMSprop",
    "RNN",
    "RandomNormal",
    "RandomUniform",
    "Recall",
    "ReduceLROnPlateau",
    "RepeatVector",
    "Reshape",
    "RootMeanSquaredError",
    "SGD",
    "Sequence",
    "Sequential",
    "SimpleRNN",
    "SimpleRNNCell",
    "SparseCategoricalAccuracy",
    "SparseCategoricalCrossentropy",
    "SparseTopKCategoricalAccuracy",
    "SpatialDropout1D",
    "Sum",
    "TerminateOnNaN",
    "TimeDistributed",
    "TopKCategoricalAccuracy",
    "TrueNegatives",
    "TruePositives",
    "TruncatedNormal",
    "VarianceScaling",
    "Zeros",
    "__version__",
    "activations",
    "add",
    "backend",
    "callbacks",
    "clear_session",
    "compare",
    "concatenate",
    "constraints",
    "current_ops",
    "get_num_threads",
    "initializers",
    "layers",
    "load_model",
    "losses",
    "metrics",
    "models",
    "optimizers",
    "pad_sequences",
    "plot",
    "preprocessing",
    "regularizers",
    "saving",
    "set_num_threads",
    "set_random_seed",
    "show_config",
    "to_categorical",
    "trace",
    "use_ops",
    "utils",
]


# Imported at their first use: they take time to load.
_MODULES = ("comparison", "ops", "plot", "reference", "tracing")
_FUNCTIONS = {"compare": "comparison", "trace": "tracing"}


def __getattr__(name: str) -> _Any:
    """Import what is rarely needed at its first use."""
    from importlib import import_module

    if name in _MODULES:
        return import_module(f"fastgru.{name}")
    if name in _FUNCTIONS:
        return getattr(import_module(f"fastgru.{_FUNCTIONS[name]}"), name)
    raise AttributeError(f"module 'fastgru' has no attribute {name!r}")
