"""What the classifier and the regressor have in common: parameters, the model, its training."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, check_consistent_length, check_is_fitted

from fastgru import _random, layers, optimizers
from fastgru._numbers import checked_count, checked_rate
from fastgru.callbacks import EarlyStopping
from fastgru.losses import Loss
from fastgru.models import Sequential
from fastgru.sklearn._sequences import (
    Sequences,
    select,
    take_sequences,
    with_features,
    without_features,
)

_CELLS = {"gru": "GRU", "lstm": "LSTM", "simple_rnn": "SimpleRNN"}
_ROWS = 256  # how many sequences are predicted at once; the results do not depend on it


class SequenceEstimator(BaseEstimator):
    """A stack of recurrent layers under a dense one. Subclasses know the targets and the loss."""

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
        warm_start: bool = False,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.units = units
        self.cell = cell
        self.bidirectional = bidirectional
        self.dropout = dropout
        self.vocabulary = vocabulary
        self.embedding_dim = embedding_dim
        self.mask_value = mask_value
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.epochs = epochs
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose

    # ---- what a subclass says ----

    def _check_targets(self, y: Any) -> np.ndarray:
        """Return the targets as an array, checked."""
        raise NotImplementedError

    def _learn_targets(self, y: np.ndarray, weights: np.ndarray | None) -> None:
        """Remember what must be known of the targets."""
        raise NotImplementedError

    def _labels(self, y: np.ndarray) -> np.ndarray:
        """Return the targets as the loss takes them; refuse those that do not fit the first."""
        raise NotImplementedError

    def _weights(self, y: np.ndarray, sample_weight: np.ndarray | None) -> np.ndarray | None:
        """Return the weights of the samples."""
        return sample_weight

    def _head(self) -> tuple[int, Loss]:
        """Return the number of outputs and the loss."""
        raise NotImplementedError

    # ---- training ----

    def _train(
        self, X: Any, y: Any, sample_weight: Any, *, begins: bool, epochs: int, validate: bool
    ) -> Self:
        """Train for some epochs; `begins` says whether with a new model."""
        checked_count("epochs", epochs)
        x = self._sequences(X, reset=begins)
        y = self._check_targets(y)
        check_consistent_length(x, y)
        if sample_weight is not None:
            rows, sample_weight = _rows_that_count(sample_weight, y)
            x, y = select(x, rows), y[rows]
        weights = self._weights(y, sample_weight)
        if begins:
            self._learn_targets(y, weights)
        labels = self._labels(y)
        if begins:
            seed = check_random_state(self.random_state).randint(2**31)
            self._generator = np.random.default_rng(seed)
        with _random.drawing_from(self._generator):
            if begins:
                self.model_ = self._make_model(x)
                self.history_: dict[str, list[float]] = {}
            options: dict[str, Any] = {}
            if validate:
                strata = y if hasattr(self, "classes_") else None
                x, labels, weights, options = self._hold_out(x, labels, weights, strata)
            options |= {"batch_size": self.batch_size, "verbose": self.verbose}
            history = self.model_.fit(x, labels, sample_weight=weights, epochs=epochs, **options)
        for name, values in history.history.items():
            self.history_.setdefault(name, []).extend(values)
        self.n_iter_ = len(self.history_["loss"])
        return self

    def _hold_out(
        self, x: Sequences, labels: np.ndarray, weights: np.ndarray | None, strata: Any
    ) -> tuple[Sequences, np.ndarray, np.ndarray | None, dict[str, Any]]:
        """Return what to train on, and what `fit` needs to stop by the rest."""
        share = checked_rate("validation_fraction", self.validation_fraction)
        if share in (0, 1):
            raise ValueError(
                f"validation_fraction: expected more than 0 and less than 1, got {share}"
            )
        kept, held = train_test_split(
            np.arange(len(labels)),
            test_size=share,
            stratify=strata,
            random_state=int(self._generator.integers(2**31)),
        )
        stopping = EarlyStopping(
            "val_loss",
            min_delta=self.tol,
            patience=checked_count("n_iter_no_change", self.n_iter_no_change, 1),
            restore_best_weights=True,
        )
        held_out = (select(x, held), labels[held], *(() if weights is None else (weights[held],)))
        options = {"validation_data": held_out, "callbacks": [stopping]}
        return select(x, kept), labels[kept], None if weights is None else weights[kept], options

    def _make_model(self, x: Sequences) -> Sequential:
        if self.cell not in _CELLS:
            raise ValueError(f"cell: expected one of {', '.join(_CELLS)}, got {self.cell!r}")
        if not isinstance(self.optimizer, str):
            raise TypeError(f"optimizer: expected a name, got {self.optimizer!r}")
        outputs, loss = self._head()
        model = Sequential()
        if self.vocabulary is not None:
            model.add(layers.Embedding(self._n_ids, self.embedding_dim))
        dropout = checked_rate("dropout", self.dropout)
        units = self.units if isinstance(self.units, tuple | list) else [self.units]
        if not units:
            raise ValueError(f"units: expected at least one size, got {self.units!r}")
        for i, size in enumerate(units):
            cell = getattr(layers, _CELLS[self.cell])
            layer = cell(size, return_sequences=i + 1 < len(units))
            model.add(layers.Bidirectional(layer) if self.bidirectional else layer)
            if dropout:
                model.add(layers.Dropout(dropout))
        model.add(layers.Dense(outputs))
        model.build((None, None, *x[0].shape[1:]))
        config = {"learning_rate": self.learning_rate}
        model.compile(optimizers.get({"class_name": self.optimizer, "config": config}), loss)
        return model

    # ---- data ----

    def _sequences(self, X: Any, reset: bool) -> Sequences:
        if not isinstance(self.mask_value, int | float | np.number | None):
            raise TypeError(f"mask_value: expected a number or None, got {self.mask_value!r}")
        if self.vocabulary is None:
            x = take_sequences(self, X, np.float32, self.mask_value, reset)
            return with_features(x)
        x = without_features(take_sequences(self, X, np.float64, self.mask_value, reset))
        if reset:
            self._learn_vocabulary(x)
        return self._ids(x) if isinstance(x, np.ndarray) else [self._ids(s) for s in x]

    def _learn_vocabulary(self, x: Sequences) -> None:
        self.vocabulary_: np.ndarray | None = None
        if isinstance(self.vocabulary, str):
            if self.vocabulary != "auto":
                raise ValueError(
                    f"vocabulary: expected a number of ids, 'auto' or None, got {self.vocabulary!r}"
                )
            self.vocabulary_ = np.unique(np.concatenate([s.ravel() for s in x]))
            self._n_ids = len(self.vocabulary_) + 1  # the last is for ids that are not known
        else:
            self._n_ids = checked_count("vocabulary", self.vocabulary, 1)

    def _ids(self, x: np.ndarray) -> np.ndarray:
        if (x != np.floor(x)).any():
            raise ValueError(f"X: expected whole numbers as ids, got {x[x != np.floor(x)][0]}")
        if self.vocabulary_ is None:
            return x.astype(np.int64)
        rank = np.searchsorted(self.vocabulary_, x).clip(max=len(self.vocabulary_) - 1)
        known = self.vocabulary_[rank] == x
        return np.where(known, rank, len(self.vocabulary_))

    def _outputs(self, X: Any) -> np.ndarray:
        """Return the model's outputs, (B, O), in double precision."""
        check_is_fitted(self)
        x = self._sequences(X, reset=False)
        outputs: np.ndarray = self.model_.predict(x, batch_size=_ROWS, verbose=0)
        return outputs.astype(np.float64)

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn that sequences may be 3-D arrays."""
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.input_tags.allow_nan = self.mask_value is not None and bool(np.isnan(self.mask_value))
        return tags


def required(estimator: BaseEstimator, y: Any) -> Any:
    """Return targets that are not None."""
    if y is None:
        raise ValueError(
            f"y: this {type(estimator).__name__} estimator requires y to be passed, but the target "
            "y is None."
        )
    return y


def _rows_that_count(sample_weight: Any, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows whose weight is above 0, and their weights."""
    weights = _check_sample_weight(sample_weight, y, dtype=np.float64, ensure_non_negative=True)
    (rows,) = np.nonzero(weights)
    if not len(rows):
        raise ValueError("sample_weight: expected at least one non-zero number")
    return rows, weights[rows]
