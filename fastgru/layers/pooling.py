"""A sequence to one vector: the mean or the maximum over its steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastgru.layers.arguments import Shape
from fastgru.layers.base import Layer
from fastgru.layers.padding import own_steps


class GlobalPooling1D(Layer):
    """The base of layers that reduce the time axis.

    Parameters
    ----------
    data_format : {"channels_last"}, optional
        The order of the axes: (B, T, features).
    keepdims : bool, default False
        Whether to keep the time axis, with size 1.
    **common
        name, dtype: see :class:`Layer`.
    """

    def __init__(
        self, data_format: str | None = None, keepdims: bool = False, **common: Any
    ) -> None:
        super().__init__(**common)
        if data_format not in (None, "channels_last"):
            raise ValueError(
                f"data_format: expected 'channels_last' (batch, time, features), "
                f"got {data_format!r}"
            )
        self.data_format, self.keepdims = "channels_last", bool(keepdims)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Shape:
        """Return (B, features), or (B, 1, features)."""
        self.expect_rank(
            input_shape,
            3,
            "(batch, time, features)",
            "; a recurrent layer before it needs return_sequences=True",
        )
        batch, time, features = input_shape
        if time == 0:
            raise ValueError(f"{self.name}: expected at least one time step, got {input_shape}")
        return (batch, 1, features) if self.keepdims else (batch, features)

    def compute_mask(self, x: Any, mask: Any = None) -> Any:
        """Return None: no steps are left."""
        return None


class GlobalAveragePooling1D(GlobalPooling1D):
    """The mean over the valid steps: (B, T, F) → (B, F).

    The mean of a row without a valid step is zero (Keras returns NaN).

    Parameters
    ----------
    data_format : {"channels_last"}, optional
        The order of the axes: (B, T, features).
    keepdims : bool, default False
        Whether to keep the time axis, with size 1.
    **common
        name, dtype: see :class:`Layer`.
    """

    supports_masking = True

    def __call__(self, inputs: Any, mask: Any = None, *, training: bool | None = None) -> Any:
        """Return the means: see the call of :class:`Layer`; as in Keras, the mask comes second."""
        return super().__call__(inputs, training=training, mask=mask)

    def forward(self, x: Any, *, training: bool = False, mask: Any = None) -> tuple[Any, Any]:
        """Return the means."""
        if mask is None:
            share = np.full((1, x.shape[1], 1), 1 / x.shape[1], x.dtype)
            y = x.mean(axis=1, keepdims=self.keepdims)
        else:
            counts = np.maximum(mask.sum(axis=1, keepdims=True), 1)
            share = (mask / counts).astype(x.dtype)[..., None]
            kept = np.where(mask[..., None], x, 0)
            y = kept.sum(axis=1) / counts.astype(x.dtype)
            y = y[:, None] if self.keepdims else y
        return y, (share, x.shape) if training else None

    def backward(self, dy: Any, cache: Any, *, accumulate: bool = False) -> Any:
        """Return dx."""
        share, shape = cache
        return np.broadcast_to((dy if self.keepdims else dy[:, None]) * share, shape)


class GlobalMaxPooling1D(GlobalPooling1D):
    """The maximum over all steps: (B, T, F) → (B, F). As in Keras, it knows no mask.

    Steps that a model has padded samples with do not count.

    Parameters
    ----------
    data_format : {"channels_last"}, optional
        The order of the axes: (B, T, features).
    keepdims : bool, default False
        Whether to keep the time axis, with size 1.
    **common
        name, dtype: see :class:`Layer`.
    """

    def forward(self, x: Any, *, training: bool = False, mask: Any = None) -> tuple[Any, Any]:
        """Return the maxima."""
        own = own_steps(mask)
        if own is not None:
            x = np.where(own[..., None], x, x.dtype.type(-np.inf))
        y = x.max(axis=1, keepdims=True)
        return y if self.keepdims else y[:, 0], (x, y) if training else None

    def mask_of_output(self, x: Any, mask: Any, cache: Any) -> Any:
        """Return None; warn, unless the mask hides nothing but padding, which does not count."""
        own = own_steps(mask)
        if own is not None and np.array_equal(mask, own):
            return None
        return super().mask_of_output(x, mask, cache)

    def backward(self, dy: Any, cache: Any, *, accumulate: bool = False) -> Any:
        """Return dx; steps that share a maximum share its gradient."""
        x, y = cache
        hit = (x == y).astype(x.dtype)
        return hit * ((dy if self.keepdims else dy[:, None]) / hit.sum(axis=1, keepdims=True))
