"""Models, with Keras' names."""

from fastgru.models.model import Model
from fastgru.models.sequential import Sequential

__all__ = ["Model", "Sequential"]
