"""Losses, with Keras' names and numerics.

A loss gives the mean over all elements and its gradient. Where a model ends in an activation whose
inverse the loss knows (sigmoid before binary cross-entropy), the loss is computed from the logits,
as TensorFlow does: exact where a probability would have been rounded to 0 or 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastgru._arrays import to_array, to_floats
from fastgru._configurable import Configurable, Registry, refuse, refuse_unknown
from fastgru._naming import snake_case
from fastgru.backend import current_ops

__all__ = ["BinaryCrossentropy", "Loss", "MeanSquaredError", "deserialize", "get", "serialize"]


class Loss(Configurable):
    """What losses have in common.

    Parameters
    ----------
    reduction : {"sum_over_batch_size"}
        How the losses of the elements become one number: their mean. Keras' other reductions are
        not served yet.
    name : str, optional
        Otherwise the class' name in snake case.
    """

    #: Activations whose logits the loss can take in place of their values.
    takes_logits_of: frozenset[str] = frozenset()

    def __init__(
        self, reduction: str = "sum_over_batch_size", name: str | None = None, **unknown: Any
    ) -> None:
        kind = type(self)
        refuse_unknown(kind, unknown)
        if reduction != "sum_over_batch_size":
            known = ("sum", "mean", "mean_with_sample_weight", "none", None)
            error = NotImplementedError if reduction in known else ValueError
            raise error(f"reduction: expected 'sum_over_batch_size', got {reduction!r}")
        self.reduction = reduction
        self.name = name or snake_case(kind.__name__)

    def prepare(self, y: Any, output_shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """Return labels in the shape and dtype of the outputs, checked.

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

    def check_labels(self, labels: np.ndarray) -> None:
        """Require that no label is NaN."""
        if np.isnan(labels).any():
            where = tuple(map(int, np.argwhere(np.isnan(labels))[0]))
            raise ValueError(f"y: expected numbers, got nan at {where}")

    def measure(
        self, y_true: np.ndarray, y_pred: np.ndarray, from_logits: bool = False
    ) -> tuple[float, np.ndarray]:
        """Return the loss and its gradient with respect to `y_pred`, for arrays that are checked.

        Parameters
        ----------
        y_true, y_pred : ndarray
            Labels and outputs, of one shape and dtype.
        from_logits : bool, default False
            Whether `y_pred` are logits of an activation in `takes_logits_of`.
        """
        raise NotImplementedError

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> float:
        """Return the loss of outputs `y_pred`, anything that makes an array.

        Raises
        ------
        ValueError, TypeError
            As :meth:`prepare`.
        """
        refuse(self.name, sample_weight=sample_weight)
        outputs = to_array("y_pred", y_pred)
        if outputs.dtype not in (np.float32, np.float64):
            outputs = outputs.astype(np.float32)
        labels = to_array("y_true", y_true)
        if labels.shape != outputs.shape:
            outputs = np.atleast_2d(outputs)
        return self.measure(self.prepare(labels, outputs.shape, outputs.dtype), outputs)[0]


class BinaryCrossentropy(Loss):
    """Cross-entropy of probabilities, or of logits, against labels in [0, 1].

    Probabilities are clipped to ``[1e-7, 1 - 1e-7]``. A model that ends in a sigmoid is trained
    from its logits instead, without clipping.

    Parameters
    ----------
    from_logits : bool, default False
        Whether the model's outputs are logits.
    label_smoothing : float, default 0
        Above 0 not served yet.
    axis : int, default -1
        Any other is not served.
    reduction, name
        See :class:`Loss`.

    Raises
    ------
    ValueError
        When labels are prepared: for a label outside [0, 1].
    """

    takes_logits_of = frozenset({"sigmoid"})
    label_smoothing = 0.0
    axis = -1

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str = "sum_over_batch_size",
        name: str | None = "binary_crossentropy",
        **unknown: Any,
    ) -> None:
        super().__init__(reduction, name, **unknown)
        refuse(self.name, label_smoothing=label_smoothing)
        if axis != -1:
            raise NotImplementedError(f"axis: expected -1, got axis={axis!r}")
        self.from_logits = bool(from_logits)
        if self.from_logits:  # the outputs are logits already: a sigmoid there is the user's own
            self.takes_logits_of = frozenset()

    def check_labels(self, labels: np.ndarray) -> None:
        """Require labels in [0, 1]."""
        super().check_labels(labels)
        outside = (labels < 0) | (labels > 1)
        if outside.any():
            where = tuple(map(int, np.argwhere(outside)[0]))
            raise ValueError(
                f"y: expected labels in [0, 1] for {self.name}, got {labels[where]} at {where}"
            )

    def measure(
        self, y_true: np.ndarray, y_pred: np.ndarray, from_logits: bool = False
    ) -> tuple[float, np.ndarray]:
        """Return the loss and its gradient."""
        losses, gradients = current_ops().binary_crossentropy(
            y_true, y_pred, from_logits=from_logits or self.from_logits
        )
        return _mean(losses, gradients)


class MeanSquaredError(Loss):
    """The mean of squared differences.

    Parameters
    ----------
    reduction, name
        See :class:`Loss`.
    """

    def __init__(
        self,
        reduction: str = "sum_over_batch_size",
        name: str | None = "mean_squared_error",
        **unknown: Any,
    ) -> None:
        super().__init__(reduction, name, **unknown)

    def measure(
        self, y_true: np.ndarray, y_pred: np.ndarray, from_logits: bool = False
    ) -> tuple[float, np.ndarray]:
        """Return the loss and its gradient."""
        difference = y_pred - y_true
        losses = difference * difference
        difference *= 2
        return _mean(losses, difference)


def _mean(losses: np.ndarray, gradients: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the mean loss and the gradient of the mean, which takes the place of `gradients`."""
    count = losses.size
    gradients *= 1 / count
    return float(np.add.reduce(losses, axis=None)) / count, gradients


_REGISTRY: Registry[Loss] = Registry(
    "loss",
    Loss,
    [BinaryCrossentropy, MeanSquaredError],
    {"bce": BinaryCrossentropy, "mse": MeanSquaredError},
    unserved=(
        "binary_focal_crossentropy",
        "categorical_crossentropy",
        "categorical_focal_crossentropy",
        "categorical_hinge",
        "circle",
        "cosine_similarity",
        "crossentropy",
        "ctc",
        "dice",
        "hinge",
        "huber",
        "kl_divergence",
        "kld",
        "log_cosh",
        "logcosh",
        "mae",
        "mape",
        "mean_absolute_error",
        "mean_absolute_percentage_error",
        "mean_squared_logarithmic_error",
        "msle",
        "poisson",
        "sparse_categorical_crossentropy",
        "squared_hinge",
        "tversky",
    ),
)


def get(identifier: Any) -> Loss:
    """Return the loss of a name, a configuration, a class, or an instance itself.

    Raises
    ------
    ValueError
        For an unknown name; the message lists the close ones.
    NotImplementedError
        For a name that Keras knows and fastgru does not serve yet.
    TypeError
        For anything else.
    """
    return _REGISTRY.get(identifier)


def serialize(loss: Loss) -> dict[str, Any]:
    """Return the class name and the configuration of a loss."""
    return {"class_name": type(loss).__name__, "config": loss.get_config()}


def deserialize(config: Any) -> Loss:
    """Return the loss that :func:`serialize` described."""
    return get(config)
