"""Cross-entropies: of two classes, of many with labels one-hot, of many with labels as integers.

Where a model ends in an activation whose inverse the loss knows (sigmoid, softmax), the loss is
computed from the logits, as TensorFlow does: exact where a probability would have been rounded to 0
or 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from fastgru._arrays import first, misplaced, to_array
from fastgru.backend import current_ops
from fastgru.losses.base import Loss

EPSILON = 1e-7  # probabilities are clipped to [EPSILON, 1 - EPSILON], as in Keras
_BLOCK = 1 << 15  # numbers that are worked on at once: they stay in a core's own cache


class _Crossentropy(Loss):
    """What the cross-entropies have in common."""

    label_smoothing = 0.0
    axis = -1
    _activation = "softmax"

    def __init__(
        self,
        from_logits: bool,
        label_smoothing: float,
        axis: int,
        reduction: str | None,
        name: str | None,
        dtype: Any,
        unknown: dict[str, Any],
    ) -> None:
        super().__init__(reduction, name, dtype, **unknown)
        if isinstance(label_smoothing, bool) or not isinstance(label_smoothing, int | float):
            raise TypeError(f"label_smoothing: expected a number, got {label_smoothing!r}")
        if not 0 <= label_smoothing <= 1:
            raise ValueError(
                f"label_smoothing: expected a number between 0 and 1, got {label_smoothing!r}"
            )
        if axis != -1:
            raise NotImplementedError(f"axis: expected -1, got axis={axis!r}")
        self.label_smoothing = label_smoothing
        self.from_logits = bool(from_logits)
        # If the outputs are logits already, an activation there is the user's own.
        self.takes_logits_of = frozenset() if from_logits else frozenset({self._activation})


class BinaryCrossentropy(_Crossentropy):
    """Cross-entropy of probabilities, or of logits, against labels in [0, 1].

    Probabilities are clipped to ``[1e-7, 1 - 1e-7]``. A model that ends in a sigmoid is trained
    from its logits instead, without clipping.

    Parameters
    ----------
    from_logits : bool, default False
        Whether the model's outputs are logits.
    label_smoothing : float, default 0
        How far labels are drawn towards 0.5: 0 not at all, 1 wholly.
    axis : int, default -1
        Any other is not served.
    reduction, name, dtype
        See :class:`Loss`.

    Raises
    ------
    ValueError
        When labels are prepared: for a label outside [0, 1].
    """

    _activation = "sigmoid"

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "binary_crossentropy",
        dtype: Any = None,
        **unknown: Any,
    ) -> None:
        super().__init__(from_logits, label_smoothing, axis, reduction, name, dtype, unknown)

    def check_labels(self, labels: np.ndarray) -> None:
        """Require labels in [0, 1]."""
        if labels.size and labels.min() >= 0 and labels.max() <= 1:  # which no NaN fulfils
            return
        super().check_labels(labels)
        outside = (labels < 0) | (labels > 1)
        if outside.any():
            where = first(outside)
            raise misplaced(
                f"y: expected labels in [0, 1] for {self.name}, got {labels[where]}", where
            )

    def values(
        self,
        y_true: np.ndarray,
        y_pred: np.ndarray,
        from_logits: bool = False,
        scale: Any = None,
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the mean over the last axis, and its gradient."""
        if self.label_smoothing:
            y_true = y_true * (1 - self.label_smoothing)
            y_true += 0.5 * self.label_smoothing
        losses, gradients = current_ops().binary_crossentropy(
            y_true, y_pred, from_logits=from_logits or self.from_logits
        )
        return mean_of_last_axis(losses, gradients, scale)


class CategoricalCrossentropy(_Crossentropy):
    """Cross-entropy of the probabilities of classes, or of logits, against labels one-hot.

    Probabilities are divided by their sum and clipped to ``[1e-7, 1 - 1e-7]``. A model that ends in
    a softmax is trained from its logits instead, without clipping.

    Parameters
    ----------
    from_logits : bool, default False
        Whether the model's outputs are logits.
    label_smoothing : float, default 0
        The share of a label that is spread over all classes.
    axis : int, default -1
        Any other is not served.
    reduction, name, dtype
        See :class:`Loss`.
    """

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "categorical_crossentropy",
        dtype: Any = None,
        **unknown: Any,
    ) -> None:
        super().__init__(from_logits, label_smoothing, axis, reduction, name, dtype, unknown)

    def values(
        self,
        y_true: np.ndarray,
        y_pred: np.ndarray,
        from_logits: bool = False,
        scale: Any = None,
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the cross-entropy of each row, and its gradient."""
        logits = from_logits or self.from_logits
        values, gradients, parts = _blocks(y_pred, scale)
        labels = y_true.reshape(-1, y_true.shape[-1])
        for rows, outputs, out, factor in parts:
            y = self._smooth(labels[rows])
            if logits:
                shifted, p, total = _softmax_parts(outputs, out)
                mass = np.add.reduce(y, axis=-1)
                values[rows] = np.log(total[:, 0]) * mass - np.einsum("nv,nv->n", y, shifted)
                if factor is not None:
                    p *= mass[:, None] / total * factor
                    p -= y * factor
                continue
            q, total, inside = _normalized(outputs)
            clipped = np.clip(q, EPSILON, 1 - EPSILON)
            values[rows] = -np.einsum("nv,nv->n", y, np.log(clipped))
            if factor is not None:
                slope = np.where(inside, -y / clipped, 0)
                slope -= np.einsum("nv,nv->n", slope, q)[:, None]
                np.multiply(slope, factor / total, out=out)
        return values.reshape(y_pred.shape[:-1]), gradients

    def _smooth(self, labels: np.ndarray) -> np.ndarray:
        if not self.label_smoothing:
            return labels
        share = self.label_smoothing
        smooth: np.ndarray = labels * (1 - share) + share / labels.shape[-1]
        return smooth


class SparseCategoricalCrossentropy(_Crossentropy):
    """Cross-entropy of the probabilities of classes, or of logits, against labels as integers.

    Probabilities are divided by their sum and clipped to ``[1e-7, 1 - 1e-7]``. A model that ends in
    a softmax is trained from its logits instead, without clipping.

    Parameters
    ----------
    from_logits : bool, default False
        Whether the model's outputs are logits.
    ignore_class : int, optional
        Steps with this label do not count: a mask in the labels.
    axis : int, default -1
        Any other is not served.
    reduction, name, dtype
        See :class:`Loss`.

    Raises
    ------
    ValueError
        When labels are prepared: for a label that is no class of the outputs.
    """

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        reduction: str | None = "sum_over_batch_size",
        axis: int = -1,
        name: str | None = "sparse_categorical_crossentropy",
        dtype: Any = None,
        **unknown: Any,
    ) -> None:
        super().__init__(from_logits, 0.0, axis, reduction, name, dtype, unknown)
        if isinstance(ignore_class, bool) or not isinstance(ignore_class, int | np.integer | None):
            raise TypeError(f"ignore_class: expected an integer, got {ignore_class!r}")
        self.ignore_class = ignore_class
        self.masks_labels = ignore_class is not None

    def label_shape(self, output_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape without the classes' axis."""
        return output_shape[:-1]

    def prepare(self, y: Any, output_shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """Return labels as integers in the shape of the outputs without the classes' axis.

        Raises
        ------
        ValueError, TypeError
            As :meth:`Loss.prepare`; for what is no class, too.
        """
        labels = to_array("y", y)
        shape, classes = output_shape[:-1], output_shape[-1]
        if labels.shape not in (shape, (*shape, 1)):
            raise ValueError(
                f"y: expected shape {shape}, a class for each output of shape {output_shape}, "
                f"got {labels.shape}"
            )
        labels = labels.reshape(shape)
        if labels.dtype.kind == "f":
            wrong = ~(np.floor(labels) == labels)
            if wrong.any():
                where = first(wrong)
                raise misplaced(
                    f"y: expected whole numbers for {self.name}, got {labels[where]}", where
                )
        wrong = (labels < 0) | (labels >= classes)
        if self.ignore_class is not None:
            wrong &= labels != self.ignore_class
        if wrong.any():
            where = first(wrong)
            raise misplaced(
                f"y: expected classes in [0, {classes}) for {self.name}, got {labels[where]}", where
            )
        return labels.astype(np.int64, copy=False)

    def valid(self, y_true: np.ndarray) -> np.ndarray | None:
        """Return which labels are not to be ignored."""
        if self.ignore_class is None:
            return None
        valid: np.ndarray = y_true != self.ignore_class
        return valid

    def values(
        self,
        y_true: np.ndarray,
        y_pred: np.ndarray,
        from_logits: bool = False,
        scale: Any = None,
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the cross-entropy of each row, and its gradient."""
        logits = from_logits or self.from_logits
        values, gradients, parts = _blocks(y_pred, scale)
        labels = y_true.reshape(-1)
        if self.ignore_class is not None:  # their weight is 0; any class will do
            labels = np.where(labels == self.ignore_class, 0, labels)
        for rows, outputs, out, factor in parts:
            chosen = np.arange(len(outputs)), labels[rows]
            if logits:
                shifted, p, total = _softmax_parts(outputs, out)
                values[rows] = np.log(total[:, 0]) - shifted[chosen]
                if factor is not None:
                    p *= factor / total
                    p[chosen] -= np.broadcast_to(factor, total.shape)[:, 0]
                continue
            total = np.add.reduce(outputs, axis=-1, keepdims=True)
            q = outputs[chosen] / total[:, 0]
            clipped = np.clip(q, EPSILON, 1 - EPSILON)
            values[rows] = -np.log(clipped)
            if factor is not None:
                moves = (clipped == q)[:, None] * (factor / total)
                out[...] = moves
                out[chosen] -= moves[:, 0] / clipped
        return values.reshape(y_pred.shape[:-1]), gradients


def mean_of_last_axis(
    losses: np.ndarray, gradients: np.ndarray, scale: Any
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the means of elementwise losses, and their gradients in place of `gradients`."""
    size = losses.shape[-1]
    values = losses[..., 0] if size == 1 else np.add.reduce(losses, axis=-1) * (1 / size)
    if scale is None:
        return values, None
    if isinstance(scale, np.ndarray):
        scale = scale[..., None]
    gradients *= scale * (1 / size) if size > 1 else scale
    return values, gradients


Part = tuple[slice, np.ndarray, np.ndarray, Any]


def _blocks(y_pred: np.ndarray, scale: Any) -> tuple[np.ndarray, np.ndarray | None, Iterator[Part]]:
    """Return space for values and gradients of rows of classes, and the rows in blocks.

    A block is a range of rows, their outputs, space for their gradients, and what multiplies these:
    None, a number, or a column. Blocks stay in a core's own cache from pass to pass.
    """
    outputs = y_pred.reshape(-1, y_pred.shape[-1])
    count, classes = outputs.shape
    values = np.empty(count, y_pred.dtype)
    gradients = None if scale is None else np.empty(outputs.shape, y_pred.dtype)
    size = max(1, _BLOCK // classes)
    column = scale.reshape(-1, 1) if isinstance(scale, np.ndarray) else None

    def parts() -> Iterator[Part]:
        scratch = np.empty((min(size, count), classes), y_pred.dtype) if gradients is None else None
        for start in range(0, count, size):
            rows = slice(start, start + size)
            block = outputs[rows]
            out = scratch[: len(block)] if scratch is not None else gradients[rows]  # type: ignore[index]
            yield rows, block, out, scale if column is None else column[rows]

    whole = None if gradients is None else gradients.reshape(y_pred.shape)
    return values, whole, parts()


def _softmax_parts(
    logits: np.ndarray, out: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return logits less their greatest, the exponentials of these (in `out`), and their sums."""
    shifted = logits - np.maximum.reduce(logits, axis=-1, keepdims=True)
    np.exp(shifted, out=out)
    return shifted, out, np.add.reduce(out, axis=-1, keepdims=True)


def _normalized(outputs: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return outputs divided by their sums, the sums, and which are in the range of the clip."""
    total = np.add.reduce(outputs, axis=-1, keepdims=True)
    q = outputs / total
    return q, total, (q >= EPSILON) & (q <= 1 - EPSILON)
