"""The classifier and the regressor."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    assert_all_finite,
    check_array,
    check_is_fitted,
    column_or_1d,
)

from fastgru.losses import (
    BinaryCrossentropy,
    Loss,
    MeanSquaredError,
    SparseCategoricalCrossentropy,
)
from fastgru.sklearn._base import SequenceEstimator, required
from fastgru.sklearn._documentation import document


@document(
    outputs="logarithms of odds (two classes) or of unnormalized probabilities",
    parameters="""    class_weight : dict or "balanced", optional
        What each class counts; "balanced" makes up for classes that are rare.
""",
    attributes="""    classes_ : ndarray
        The classes, sorted.
""",
)
class GRUClassifier(ClassifierMixin, SequenceEstimator):
    """Tell classes of sequences.

    Recurrent layers read a sequence; a dense layer makes scores of their last state. Two classes
    are learnt by binary cross-entropy, more by categorical.
    """

    def __init__(
        self,
        units: Any = 32,
        *,
        cell: str = "gru",
        bidirectional: bool = False,
        dropout: float = 0.0,
        vocabulary: Any = None,
        embedding_dim: int = 32,
        mask_value: float | None = None,
        optimizer: str = "adam",
        learning_rate: float = 0.003,
        batch_size: int = 32,
        epochs: int = 50,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 5,
        tol: float = 1e-4,
        class_weight: Any = None,
        warm_start: bool = False,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        super().__init__(
            units,
            cell=cell,
            bidirectional=bidirectional,
            dropout=dropout,
            vocabulary=vocabulary,
            embedding_dim=embedding_dim,
            mask_value=mask_value,
            optimizer=optimizer,
            learning_rate=learning_rate,
            batch_size=batch_size,
            epochs=epochs,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            n_iter_no_change=n_iter_no_change,
            tol=tol,
            warm_start=warm_start,
            random_state=random_state,
            verbose=verbose,
        )
        self.class_weight = class_weight

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Learn.

        Parameters
        ----------
        X : sequences
            See above.
        y : array_like of shape (B,)
            Labels: numbers or strings.
        sample_weight : array_like of shape (B,), optional
            What each sequence counts; its loss is multiplied by this.

        Returns
        -------
        GRUClassifier
            Itself.

        Raises
        ------
        ValueError, TypeError
            If data or parameters do not fit, or all labels are the same.
        """
        begins = not (self.warm_start and hasattr(self, "model_"))
        if begins:
            self._given_classes: np.ndarray | None = None
        return self._train(
            X, y, sample_weight, begins=begins, epochs=self.epochs, validate=self.early_stopping
        )

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Go through some more data once.

        Parameters
        ----------
        X, y, sample_weight
            As in :meth:`fit`.
        classes : array_like, optional
            All classes; needed by the first call unless `y` holds them all.

        Returns
        -------
        GRUClassifier
            Itself.

        Raises
        ------
        ValueError, TypeError
            If data or parameters do not fit, or `classes` or a label are not those of the first
            call.
        """
        begins = not hasattr(self, "model_")
        if begins:
            self._given_classes = None if classes is None else np.unique(classes)
        elif classes is not None and not np.array_equal(np.unique(classes), self.classes_):
            raise ValueError(f"classes: expected those of the first call, {self.classes_}")
        return self._train(X, y, sample_weight, begins=begins, epochs=1, validate=False)

    def _check_targets(self, y: Any) -> np.ndarray:
        labels: np.ndarray = column_or_1d(required(self, y), warn=True)
        assert_all_finite(labels, input_name="y")
        check_classification_targets(labels)
        return labels

    def _learn_targets(self, y: np.ndarray, weights: np.ndarray | None) -> None:
        self.classes_ = np.unique(y) if self._given_classes is None else self._given_classes
        if len(self.classes_) < 2:
            raise ValueError(f"y: expected at least two classes, got one class: {y[0]!r}")

    def _weights(self, y: np.ndarray, sample_weight: np.ndarray | None) -> np.ndarray | None:
        if self.class_weight is None:
            return sample_weight
        weights: np.ndarray = compute_sample_weight(self.class_weight, y)
        return weights if sample_weight is None else weights * sample_weight

    def _labels(self, y: np.ndarray) -> np.ndarray:
        unknown = np.setdiff1d(y, self.classes_)
        if len(unknown):
            raise ValueError(f"y: expected the classes {self.classes_}, got {unknown} too")
        return np.searchsorted(self.classes_, y)

    def _head(self) -> tuple[int, Loss]:
        if len(self.classes_) == 2:
            return 1, BinaryCrossentropy(from_logits=True)
        return len(self.classes_), SparseCategoricalCrossentropy(from_logits=True)

    def decision_function(self, X: Any) -> np.ndarray:
        """Return scores, the logarithms of odds or of unnormalized probabilities.

        Parameters
        ----------
        X : sequences
            As :meth:`fit` takes them.

        Returns
        -------
        ndarray of float64, shape (B,) or (B, number of classes)
            For two classes, one number: above 0 for ``classes_[1]``.

        Raises
        ------
        NotFittedError
            Before :meth:`fit`.
        ValueError, TypeError
            If `X` is no such data, or does not fit what :meth:`fit` saw.
        """
        scores = self._outputs(X)
        return scores[:, 0] if len(self.classes_) == 2 else scores

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probabilities of the classes.

        Parameters
        ----------
        X : sequences
            As :meth:`fit` takes them.

        Returns
        -------
        ndarray of float64, shape (B, number of classes)
            In the order of ``classes_``.

        Raises
        ------
        NotFittedError
            Before :meth:`fit`.
        ValueError, TypeError
            If `X` is no such data, or does not fit what :meth:`fit` saw.
        """
        scores = self._outputs(X)
        if len(self.classes_) == 2:
            scores = np.hstack([np.zeros_like(scores), scores])
        scores -= scores.max(axis=1, keepdims=True)
        np.exp(scores, out=scores)
        return scores / scores.sum(axis=1, keepdims=True)

    def predict(self, X: Any) -> np.ndarray:
        """Return the most probable class of each sequence.

        Parameters
        ----------
        X : sequences
            As :meth:`fit` takes them.

        Returns
        -------
        ndarray, shape (B,)
            Of ``classes_``.

        Raises
        ------
        NotFittedError
            Before :meth:`fit`.
        ValueError, TypeError
            If `X` is no such data, or does not fit what :meth:`fit` saw.
        """
        scores = self.decision_function(X)
        index = (scores > 0).astype(int) if scores.ndim == 1 else scores.argmax(axis=1)
        return self.classes_[index]


@document(outputs="the targets, scaled")
class GRURegressor(RegressorMixin, SequenceEstimator):
    """Predict one or several numbers for a sequence.

    Recurrent layers read a sequence; a dense layer makes numbers of their last state. The loss is
    the mean squared error of the targets, each scaled to mean 0 and variance 1; predictions come
    back in the targets' own units. Inputs are not scaled: numbers far from ±1 should be.
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Learn.

        Parameters
        ----------
        X : sequences
            See above.
        y : array_like of shape (B,) or (B, outputs)
            What to predict.
        sample_weight : array_like of shape (B,), optional
            What each sequence counts; its loss is multiplied by this.

        Returns
        -------
        GRURegressor
            Itself.

        Raises
        ------
        ValueError, TypeError
            If data or parameters do not fit.
        """
        begins = not (self.warm_start and hasattr(self, "model_"))
        return self._train(
            X, y, sample_weight, begins=begins, epochs=self.epochs, validate=self.early_stopping
        )

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Go through some more data once; the first call decides how targets are scaled.

        Parameters
        ----------
        X, y, sample_weight
            As in :meth:`fit`.

        Returns
        -------
        GRURegressor
            Itself.

        Raises
        ------
        ValueError, TypeError
            If data or parameters do not fit.
        """
        begins = not hasattr(self, "model_")
        return self._train(X, y, sample_weight, begins=begins, epochs=1, validate=False)

    def _check_targets(self, y: Any) -> np.ndarray:
        values: np.ndarray = check_array(
            required(self, y), dtype=np.float64, ensure_2d=False, input_name="y"
        )
        return values

    def _learn_targets(self, y: np.ndarray, weights: np.ndarray | None) -> None:
        self._n_outputs = y.shape[1] if y.ndim == 2 else None
        columns = y.reshape(len(y), -1)
        self._mean = np.average(columns, axis=0, weights=weights)
        variance = np.average((columns - self._mean) ** 2, axis=0, weights=weights)
        self._scale = np.where(variance > 0, np.sqrt(variance), 1.0)

    def _labels(self, y: np.ndarray) -> np.ndarray:
        if (y.shape[1] if y.ndim == 2 else None) != self._n_outputs:
            raise ValueError(f"y: expected {self._n_outputs or 1} outputs, got shape {y.shape}")
        return (y.reshape(len(y), -1) - self._mean) / self._scale

    def _head(self) -> tuple[int, Loss]:
        return self._n_outputs or 1, MeanSquaredError()

    def predict(self, X: Any) -> np.ndarray:
        """Return what is predicted for each sequence.

        Parameters
        ----------
        X : sequences
            As :meth:`fit` takes them.

        Returns
        -------
        ndarray of float64, shape (B,) or (B, outputs)
            As `y` in :meth:`fit`.

        Raises
        ------
        NotFittedError
            Before :meth:`fit`.
        ValueError, TypeError
            If `X` is no such data, or does not fit what :meth:`fit` saw.
        """
        check_is_fitted(self)
        values = self._outputs(X) * self._scale + self._mean
        return values[:, 0] if self._n_outputs is None else values

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn that there may be several targets."""
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
