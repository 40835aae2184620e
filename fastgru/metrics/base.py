"""What metrics have in common: numbers accumulated over batches."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Self

import numpy as np

from fastgru import _custom_objects
from fastgru._arrays import to_array
from fastgru._configurable import Configurable, checked_config, plain, refuse_unknown
from fastgru._naming import checked_name, snake_case
from fastgru.losses.base import checked_weights

Result = Any  # a float; an array where a metric has one value for each class or threshold


class Metric(Configurable):
    """The base of metrics.

    A subclass takes in batches in :meth:`add`, and gives a :meth:`result`.

    Parameters
    ----------
    name : str, optional
        The key in logs and history; otherwise the class' name in snake case.
    dtype : None
        Accepted for Keras' sake: sums are kept in double precision.

    Attributes
    ----------
    direction : {"up", "down"}
        Which way is better, for callbacks that keep the best.
    takes_logits_of : frozenset of str
        Activations in front of which the metric may stand as well as behind them.
    held : bool
        Whether a caller may hold the object and read it: it was not made from a name.
    """

    direction = "up"
    held = True
    takes_logits_of: frozenset[str] = frozenset()

    def __init__(self, name: str | None = None, dtype: Any = None, **unknown: Any) -> None:
        refuse_unknown(type(self), unknown)
        self.name = checked_name(name) or snake_case(type(self).__name__)
        self.dtype = dtype
        self.reset_state()

    def reset_state(self) -> None:
        """Forget what was accumulated."""
        raise self._not_said("reset_state")

    def result(self) -> Result:
        """Return the value so far; 0 before the first update."""
        raise self._not_said("result")

    def add(
        self,
        y_true: np.ndarray,
        y_pred: np.ndarray,
        weights: np.ndarray | None = None,
        from_logits: bool = False,
    ) -> None:
        """Take in one batch, arrays whose shapes are known to fit.

        Parameters
        ----------
        y_true, y_pred : ndarray
            Labels and outputs.
        weights : ndarray, optional
            The weight of each sample, or of each step; False for what is masked.
        from_logits : bool, default False
            Whether `y_pred` are the logits of an activation in `takes_logits_of`.
        """
        raise self._not_said("add")

    def _not_said(self, what: str) -> NotImplementedError:
        return NotImplementedError(
            f"{type(self).__name__}.{what}: a metric says it, as reset_state(), "
            "add(y_true, y_pred, weights, from_logits) and result(); there is no add_weight"
        )

    def check_shapes(self, y_true: tuple[int, ...], y_pred: tuple[int, ...]) -> None:
        """Require that labels of a shape can be compared with outputs of a shape."""
        if y_true != y_pred:
            raise ValueError(f"{self.name}: expected labels of shape {y_pred}, got {y_true}")

    def prepared(self, y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
        """Return labels, of a shape that fits, as :meth:`add` takes them."""
        return y_true

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take in one batch of labels and outputs, anything that makes an array.

        Raises
        ------
        ValueError
            If the shapes do not fit, or a label is no class of the outputs where it should be.
        TypeError
            If they are not numbers.
        """
        labels, outputs = to_array("y_true", y_true), to_array("y_pred", y_pred)
        if labels.ndim + 1 == outputs.ndim and outputs.shape[-1] == 1:
            labels = labels[..., None]
        elif outputs.ndim == labels.ndim < 2:
            labels, outputs = labels.reshape(-1, 1), outputs.reshape(-1, 1)
        self.check_shapes(labels.shape, outputs.shape)
        weights = checked_weights("sample_weight", sample_weight, outputs.shape[:-1])
        self.add(self.prepared(labels, outputs), outputs, weights)

    def __call__(self, *batch: Any, **named: Any) -> Result:
        """Take in one batch and return the result so far."""
        self.update_state(*batch, **named)
        return self.result()


class MeanMetric(Metric):
    """A mean over samples of values that a subclass computes.

    As in Keras, a sample counts once, however many steps it has.
    """

    def reset_state(self) -> None:
        """Forget what was accumulated."""
        self._total = 0.0
        self._count = 0.0

    def result(self) -> Result:
        """Return the mean so far; 0 before the first update."""
        return self._total / self._count if self._count else 0.0

    def values(self, y_true: np.ndarray, y_pred: np.ndarray, from_logits: bool) -> np.ndarray:
        """Return a value for each sample (each step, each entry): numbers, or bool for hits."""
        raise NotImplementedError

    def add(
        self,
        y_true: np.ndarray,
        y_pred: np.ndarray,
        weights: np.ndarray | None = None,
        from_logits: bool = False,
    ) -> None:
        """Take in one batch."""
        self.take(self.values(y_true, y_pred, from_logits), weights)

    def take(self, values: np.ndarray, weights: np.ndarray | None) -> None:
        """Take in values, an axis of samples first."""
        if weights is None:
            steps = values.size // (len(values) or 1) or 1
            hits = values.dtype.kind == "b"
            total = np.count_nonzero(values) if hits else values.sum(dtype=np.float64)
            self._total += float(total) / steps
            self._count += len(values)
            return
        if values.ndim > weights.ndim:
            values = values.mean(axis=tuple(range(weights.ndim, values.ndim)), dtype=np.float64)
        steps = math.prod(weights.shape[1:])
        self._total += float((values * weights).sum(dtype=np.float64)) / steps
        self._count += float(weights.sum(dtype=np.float64)) / steps


class MeanMetricWrapper(MeanMetric):
    """The mean of a function of labels and outputs.

    Parameters
    ----------
    fn : callable
        Called with labels, outputs and `named`; returns a value for each sample.
    name : str, optional
        Otherwise the function's name.
    dtype : None
        See :class:`Metric`.
    **named
        Passed to the function.
    """

    def __init__(
        self, fn: Callable[..., Any], name: str | None = None, dtype: Any = None, **named: Any
    ) -> None:
        super().__init__(name or getattr(fn, "__name__", None), dtype)
        self.fn = fn
        self.named = named

    def check_shapes(self, y_true: tuple[int, ...], y_pred: tuple[int, ...]) -> None:
        """Leave it to the function."""

    def values(self, y_true: np.ndarray, y_pred: np.ndarray, from_logits: bool) -> np.ndarray:
        """Call the function."""
        values = np.asarray(self.fn(y_true, y_pred, **self.named))
        return values if values.ndim else values.reshape(1)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make an equal metric: the function by its name."""
        return super().get_config() | plain(self.named)  # type: ignore[no-any-return]

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Make a metric from what :meth:`get_config` returned.

        Raises
        ------
        ValueError
            If the function is not known here.
        """
        fn = checked_config(cls, config, "fn")["fn"]
        found = _custom_objects.find(fn) if isinstance(fn, str) else fn
        if not callable(found):
            raise ValueError(
                f"metrics: the function {fn!r} is not known here; register it, or pass "
                f"custom_objects={{{fn!r}: …}}"
            )
        return cls(**{**config, "fn": found})


class Mean(MeanMetric):
    """The mean of values."""

    direction = "down"

    def update_state(  # type: ignore[override]  # Keras' signature
        self, values: Any, sample_weight: Any = None
    ) -> None:
        """Take in values."""
        array = np.atleast_1d(to_array("values", values))
        weights = None
        if sample_weight is not None:
            weights = np.atleast_1d(to_array("sample_weight", sample_weight)).astype(np.float64)
            if weights.ndim > array.ndim or weights.size == 1:
                weights = np.broadcast_to(weights.reshape(-1)[0], array.shape)
            weights = checked_weights("sample_weight", weights, array.shape)
        self.take(array, weights)


class Sum(Metric):
    """The sum of values."""

    def reset_state(self) -> None:
        """Forget what was accumulated."""
        self._total = 0.0

    def result(self) -> Result:
        """Return the sum so far."""
        return self._total

    def update_state(  # type: ignore[override]  # Keras' signature
        self, values: Any, sample_weight: Any = None
    ) -> None:
        """Take in values."""
        array = np.atleast_1d(to_array("values", values))
        weights = checked_weights("sample_weight", sample_weight, array.shape)
        if weights is not None:
            array = array * weights.reshape(weights.shape + (1,) * (array.ndim - weights.ndim))
        self._total += float(array.sum(dtype=np.float64))
