"""Penalties on what layers return: activity regularization."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastgru.layers.base import Layer
from fastgru.layers.padding import along_steps, own_of_any
from fastgru.regularizers import Regularizer


class Penalized:
    """A layer with an activity regularizer, as a step of what runs it: the penalty joins the loss.

    Parameters
    ----------
    layer : Layer
        The layer.
    """

    adds_loss = True
    output_activation = None  # the penalty is on the activated output

    def __init__(self, layer: Layer, regularizer: Regularizer) -> None:
        self.layer, self.regularizer = layer, regularizer

    def __getattr__(self, name: str) -> Any:
        """Return what else the layer has."""
        if name == "layer":  # a copy that is not whole yet
            raise AttributeError(name)
        return getattr(self.layer, name)

    def forward(self, x: Any, **how: Any) -> tuple[Any, Any]:
        """Return the layer's output, and its cache with what of the output counts."""
        y, cache = self.layer.forward(x, **how)
        mask = how.get("mask")
        own = own_of_any(mask if isinstance(mask, list) else [mask])
        return y, (cache, y if own is None else _unpadded(y, own))

    def mask_of_output(self, x: Any, mask: Any, cache: Any) -> Any:
        """Return the layer's mask."""
        return self.layer.mask_of_output(x, mask, cache[0])

    def added_loss(self, cache: Any) -> float:
        """Return the penalty: that of each output, divided by the batch size."""
        _, y = cache
        outputs = y if isinstance(y, list) else [y]
        inside = self.layer.added_loss(cache[0]) if self.layer.adds_loss else 0.0
        return sum((self.regularizer(a) / max(1, len(a)) for a in outputs), inside)

    def backward(self, dy: Any, cache: Any, *, accumulate: bool = False) -> Any:
        """Add the penalty's gradient to that of the output; return what the layer does."""
        cache, y = cache
        return self.layer.backward(self._with_penalty(dy, y), cache, accumulate=accumulate)

    def backward_to_weights(self, dy: Any, cache: Any, *, accumulate: bool = False) -> None:
        """Do the same where nobody wants the gradient of the input."""
        cache, y = cache
        self.layer.backward_to_weights(self._with_penalty(dy, y), cache, accumulate=accumulate)

    def _with_penalty(self, dy: Any, y: Any) -> Any:
        if isinstance(y, list):
            return [self._with_penalty(d, a) for d, a in zip(dy, y, strict=True)]
        penalty = self.regularizer.gradient(y) / max(1, len(y))
        return penalty if dy is None else dy + penalty


def _unpadded(y: Any, own: np.ndarray) -> Any:
    """Return outputs with zeros, which cost nothing, where a model has padded samples."""
    if isinstance(y, list):
        return [_unpadded(a, own) for a in y]
    if y.ndim <= own.ndim or y.shape[: own.ndim] != own.shape:  # its steps are others, or none
        return y
    return np.where(along_steps(own, y.ndim), y, 0)


def as_step(layer: Layer) -> Any:
    """Return a layer as a step of a model, or of a layer that runs it."""
    regularizer = layer.activity_regularizer
    return layer if regularizer is None else Penalized(layer, regularizer)
