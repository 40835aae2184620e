"""fastgru: Gated Recurrent Units on CPUs, fast, with Keras' names.

Change ``tensorflow.keras`` to ``fastgru`` in the imports of a script, or ``import fastgru as
keras``. The operations underneath are in `fastgru.ops`, compiled, and in `fastgru.reference`, plain
NumPy.
"""

from fastgru import (
    activations,
    backend,
    callbacks,
    initializers,
    layers,
    losses,
    metrics,
    models,
    optimizers,
    preprocessing,
    utils,
)
from fastgru._version import __version__
from fastgru.backend import current_ops, use_ops
from fastgru.config import show_config
from fastgru.layers import Input, InputLayer, Layer
from fastgru.models import Model, Sequential

__all__ = [
    "Input",
    "InputLayer",
    "Layer",
    "Model",
    "Sequential",
    "__version__",
    "activations",
    "backend",
    "callbacks",
    "current_ops",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "models",
    "optimizers",
    "preprocessing",
    "show_config",
    "use_ops",
    "utils",
]
