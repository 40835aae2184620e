"""What losses have in common: labels, weights, masks, and how values become one number."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastgru._arrays import first, misplaced, to_array, to_floats
from fastgru._configurable import Configurable, refuse_unknown
from fastgru._naming import checked_name, snake_case

REDUCTIONS = ("sum_over_batch_size", "mean", "sum", "mean_with_sample_weight", "none", None)


class Loss(Configurable):
    """What losses have in common.

    A loss has one value for each sample (for each step of a sequence): that of its outputs on the
    last axis. A subclass gives these values and their gradients; the weights of the samples and
    the mask of the steps come in here.

    Parameters
    ----------
    reduction : {"sum_over_batch_size", "mean", "sum", "mean_with_sample_weight", "none", None}
        How the values become one number. The default, also called "mean", divides their weighted
        sum by their number, that of the valid steps under a mask; "mean_with_sample_weight" by the
        sum of the weights. "none" leaves the values as they are, for a call: such a loss can't
        train.
    name : str, optional
        Otherwise the class' name in snake case.
    dtype : None
        Accepted for Keras' sake: a loss is computed in the dtype of the outputs.
    """

    #: Activations whose logits the loss can take in place of their values.
    takes_logits_of: frozenset[str] = frozenset()
    #: Whether some labels may say that they do not count.
    masks_labels = False

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
        **unknown: Any,
    ) -> None:
        kind = type(self)
        refuse_unknown(kind, unknown)
        if reduction not in REDUCTIONS:
            raise ValueError(
                f"reduction: expected one of {', '.join(map(repr, REDUCTIONS))}, got {reduction!r}"
            )
        self.reduction = reduction
        self.name = checked_name(name) or snake_case(kind.__name__)
        self.dtype = dtype

    # ---- what a subclass says ----

    def values(
        self,
        y_true: np.ndarray,
        y_pred: np.ndarray,
        from_logits: bool = False,
        scale: Any = None,
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the values and, scaled, their gradients with respect to `y_pred`.

        Parameters
        ----------
        y_true, y_pred : ndarray
            Labels as :meth:`prepare` returns them, and outputs.
        from_logits : bool, default False
            Whether `y_pred` are logits of an activation in `takes_logits_of`.
        scale : float or ndarray, optional
            What multiplies the gradients: one number, or one for each value. None: there is no
            need for gradients.

        Returns
        -------
        values : ndarray, shape y_pred.shape[:-1]
            The values.
        gradients : ndarray, shape y_pred.shape, or None
            The scaled gradients.
        """
        hint = "; a method `call`, as in Keras, is not used" if hasattr(self, "call") else ""
        raise NotImplementedError(
            f"{type(self).__name__}.values: a loss says its values and their gradients there, as "
            f"values(y_true, y_pred, from_logits, scale){hint}"
        )

    def label_shape(self, output_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of the labels for outputs of a shape."""
        return output_shape

    def valid(self, y_true: np.ndarray) -> np.ndarray | None:
        """Return which labels count, as bool; None if all do."""
        return None

    def check_labels(self, labels: np.ndarray) -> None:
        """Require that no label is NaN."""
        wrong = np.isnan(labels)
        if wrong.any():
            raise misplaced("y: expected numbers, got nan", first(wrong))

    # ---- labels ----

    def prepare(self, y: Any, output_shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """Return labels as :meth:`values` takes them, checked.

        Labels of shape (B,) are taken for (B, 1), as in Keras.

        Raises
        ------
        ValueError
            If the shape does not fit, or a label is NaN or otherwise out of range.
        TypeError
            If `y` does not hold numbers.
        """
        labels = to_floats("y", y, dtype)
        if labels.shape != output_shape:
            if output_shape[-1] != 1 or labels.shape != output_shape[:-1]:
                raise ValueError(
                    f"y: expected shape {output_shape} as the model's output has, "
                    f"got {labels.shape}"
                )
            labels = labels.reshape(output_shape)
        self.check_labels(labels)
        return labels

    # ---- one number ----

    def measure(
        self,
        y_true: np.ndarray,
        y_pred: np.ndarray,
        from_logits: bool = False,
        sample_weight: np.ndarray | None = None,
        mask: np.ndarray | None = None,
        factor: float | None = 1.0,
    ) -> tuple[float, np.ndarray | None]:
        """Return the loss and its gradient with respect to `y_pred`, for arrays that are checked.

        Parameters
        ----------
        y_true, y_pred : ndarray
            Labels as :meth:`prepare` returns them, and outputs.
        from_logits : bool, default False
            Whether `y_pred` are logits of an activation in `takes_logits_of`.
        sample_weight : ndarray, optional
            The weight of each value; fewer axes hold for all that follow.
        mask : ndarray of bool, optional
            The steps that count.
        factor : float, default 1.0
            What multiplies the gradient; None leaves it off.
        """
        if sample_weight is None and mask is None and not self.masks_labels:
            divisor = 1 if self.reduction == "sum" else y_pred.size // y_pred.shape[-1] or 1
            scale = None if factor is None else factor / divisor
            values, gradients = self.values(y_true, y_pred, from_logits, scale)
            return float(np.add.reduce(values, axis=None)) / divisor, gradients
        weights, total_weight = self.weights(y_true, y_pred.shape[:-1], sample_weight, mask)
        assert weights is not None
        weights = weights.astype(y_pred.dtype, copy=False)
        scales = None if factor is None else weights * (factor / total_weight)
        values, gradients = self.values(y_true, y_pred, from_logits, scales)
        return float(np.add.reduce(values * weights, axis=None)) / total_weight, gradients

    def weights(
        self,
        y_true: np.ndarray,
        shape: tuple[int, ...],
        sample_weight: np.ndarray | None,
        mask: np.ndarray | None,
    ) -> tuple[np.ndarray | None, float]:
        """Return the weight of each value, None for 1, and what divides their weighted sum."""
        valid = self.valid(y_true)
        if mask is not None:
            mask = spread(mask, shape)
            valid = mask if valid is None else mask & valid
        weights = None if sample_weight is None else spread(sample_weight, shape)
        count = float(valid.sum()) if valid is not None else float(np.prod(shape, dtype=np.int64))
        if valid is not None:
            weights = valid if weights is None else np.where(valid, weights, 0)
        if self.reduction == "sum":
            return weights, 1.0
        if self.reduction == "mean_with_sample_weight" and weights is not None:
            count = float(weights.sum(dtype=np.float64))
        return weights, count or 1.0  # nothing counts: a loss of 0

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Return the loss of outputs `y_pred`, anything that makes an array.

        With the reduction "none", an array of the weighted values.

        Raises
        ------
        ValueError, TypeError
            As :meth:`prepare`.
        """
        outputs = to_array("y_pred", y_pred)
        if outputs.dtype not in (np.float32, np.float64):
            outputs = outputs.astype(np.float32)
        labels = to_array("y_true", y_true)
        if outputs.ndim == 1 == labels.ndim and sample_weight is not None:  # a weight for each
            labels, outputs = labels[:, None], outputs[:, None]
        if outputs.ndim == 0 == labels.ndim:
            labels, outputs = labels.reshape(1, 1), outputs.reshape(1, 1)
        if outputs.ndim < 2 and labels.shape != self.label_shape(outputs.shape):
            outputs = np.atleast_2d(outputs)
        labels = self.prepare(labels, outputs.shape, outputs.dtype)
        weights = checked_weights("sample_weight", sample_weight, outputs.shape[:-1])
        if self.reduction not in ("none", None):
            return self.measure(labels, outputs, False, weights, factor=None)[0]
        values = self.values(labels, outputs)[0]
        weights, _ = self.weights(labels, values.shape, weights, None)
        return values if weights is None else values * weights


def spread(weights: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return weights of the first axes for all axes of a shape."""
    if weights.shape == shape:
        return weights
    return np.broadcast_to(
        weights.reshape(weights.shape + (1,) * (len(shape) - weights.ndim)), shape
    )


def checked_weights(name: str, given: Any, shape: tuple[int, ...]) -> np.ndarray | None:
    """Return the weights of values of a shape as floats; None for None.

    Their shape may be that of the values, with a last axis of 1 or without the last axes, as long
    as the number of samples agrees.

    Raises
    ------
    ValueError
        If the shape does not fit, or a weight is negative or not finite.
    TypeError
        If they are not numbers.
    """
    if given is None:
        return None
    weights = to_array(name, given)
    weights = weights.astype(np.float64 if weights.dtype == np.float64 else np.float32, copy=False)
    if weights.ndim == len(shape) + 1 and weights.shape[-1] == 1:
        weights = weights[..., 0]
    while weights.ndim > 1 and weights.shape != shape[: weights.ndim] and weights.shape[-1] == 1:
        weights = weights[..., 0]
    if not weights.ndim or weights.shape != shape[: weights.ndim]:
        raise ValueError(
            f"{name}: expected shape {shape[:1]}"
            + (f" or {shape}" if len(shape) > 1 else "")
            + f", a weight for each sample{' or step' if len(shape) > 1 else ''}, "
            f"got {weights.shape}"
        )
    wrong = ~((weights >= 0) & np.isfinite(weights))
    if wrong.any():
        where = first(wrong)
        raise misplaced(f"{name}: expected weights of at least 0, got {weights[where]}", where)
    return weights
