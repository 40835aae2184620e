"""Models, with Keras' names."""

from fastgru.layers import register
from fastgru.models.functional import Functional
from fastgru.models.model import Model
from fastgru.models.model_files import clone_model, load_model, model_from_json, save_model
from fastgru.models.sequential import Sequential

__all__ = [
    "Model",
    "Sequential",
    "clone_model",
    "load_model",
    "model_from_json",
    "save_model",
]

for _kind in (Functional, Sequential):
    register(_kind)
