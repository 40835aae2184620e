"""What is to be predicted: recognised from the targets, with the loss and the score that fit."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastgru._arrays import to_array
from fastgru._naming import did_you_mean

KINDS = ("binary", "classes", "regression")
_MOST_CLASSES = 100


class Task:
    """One kind of targets.

    Parameters
    ----------
    targets : ndarray
        All targets: numbers of classes, (N,), or values, (N, K).
    classes : ndarray or None
        What the numbers of classes stand for.

    Attributes
    ----------
    kind : {"binary", "classes", "regression"}
        What it is called.
    outputs : int
        The size of the model's output.
    activation, loss : str
        What ends the model and what trains it.
    score_name : str
        What is compared; `higher_is_better` tells which way.
    """

    kind: str
    activation: str
    loss: str
    score_name = "accuracy"
    higher_is_better = True

    def __init__(self, targets: np.ndarray, classes: np.ndarray | None = None) -> None:
        self.targets, self.classes = targets, classes
        self.outputs = 1

    def fit(self, rows: np.ndarray) -> None:
        """Learn from the targets of the training rows what scales them."""

    def prepared(self, rows: np.ndarray) -> np.ndarray:
        """Return the targets of some rows as the loss takes them."""
        return np.asarray(self.targets[rows])

    def restored(self, outputs: np.ndarray) -> np.ndarray:
        """Return outputs of the model as what the targets were."""
        raise NotImplementedError

    def score(self, outputs: np.ndarray, rows: np.ndarray) -> float:
        """Return how good outputs are for some rows."""
        assert self.classes is not None
        return float(np.mean(self.restored(outputs) == self.classes[self.targets[rows]]))

    def baseline(self, train: np.ndarray, held_out: np.ndarray) -> tuple[str, float]:
        """Return what the simplest guess scores, and its name."""
        assert self.classes is not None
        common = np.bincount(self.targets[train]).argmax()
        guess = f"always {self.classes[common]}"
        return guess, float(np.mean(self.targets[held_out] == common))


class Binary(Task):
    """Two classes."""

    kind, activation, loss = "binary", "sigmoid", "binary_crossentropy"

    def restored(self, outputs: np.ndarray) -> np.ndarray:
        """Return the class of each probability."""
        assert self.classes is not None
        return np.asarray(self.classes[(outputs[:, 0] > 0.5).astype(int)])


class Classes(Task):
    """Several classes."""

    kind, activation, loss = "classes", "softmax", "sparse_categorical_crossentropy"

    def __init__(self, targets: np.ndarray, classes: np.ndarray | None = None) -> None:
        super().__init__(targets, classes)
        assert classes is not None
        self.outputs = len(classes)

    def restored(self, outputs: np.ndarray) -> np.ndarray:
        """Return the class of the highest probability."""
        assert self.classes is not None
        return np.asarray(self.classes[outputs.argmax(axis=1)])


class Regression(Task):
    """Numbers: scaled to mean 0 and deviation 1 for the model, and back for the score."""

    kind, activation, loss = "regression", "linear", "mean_squared_error"
    score_name = "RMSE"
    higher_is_better = False

    def __init__(self, targets: np.ndarray) -> None:
        super().__init__(targets)
        self.outputs = targets.shape[1]

    def fit(self, rows: np.ndarray) -> None:
        """Take mean and deviation."""
        self._mean = self.targets[rows].mean(axis=0)
        self._scale = self.targets[rows].std(axis=0)
        self._scale = np.where(self._scale > 0, self._scale, 1)

    def prepared(self, rows: np.ndarray) -> np.ndarray:
        """Return scaled targets."""
        return np.asarray((self.targets[rows] - self._mean) / self._scale)

    def restored(self, outputs: np.ndarray) -> np.ndarray:
        """Return outputs in the units of the targets."""
        return np.asarray(outputs * self._scale + self._mean)

    def score(self, outputs: np.ndarray, rows: np.ndarray) -> float:
        """Return the root of the mean squared error, in the units of the targets."""
        return rmse(self.restored(outputs), self.targets[rows])

    def baseline(self, train: np.ndarray, held_out: np.ndarray) -> tuple[str, float]:
        """Return the score of the training mean."""
        return "always the mean", rmse(self.targets[train].mean(axis=0), self.targets[held_out])


def rmse(a: np.ndarray, b: np.ndarray) -> float:
    """Return the root of the mean squared difference."""
    return float(np.sqrt(np.mean((a - b) ** 2)))


def recognised(y: Any, kind: str | None = None) -> Task:
    """Return the task that targets stand for.

    Texts, bools and whole numbers of few different values are classes, as are rows with a single
    1 among zeros; everything else is regression.

    Parameters
    ----------
    y : array_like, shape (N,), (N, 1) or (N, K)
        The targets.
    kind : {"binary", "classes", "regression"}, optional
        What they are, instead.

    Raises
    ------
    ValueError, TypeError
        If they do not fit the kind, or can't be targets at all.
    """
    if kind is not None and kind not in KINDS:
        close = did_you_mean(str(kind), KINDS)
        raise ValueError(f"task: expected 'binary', 'classes' or 'regression', got {kind!r}{close}")
    labels = _labels(y)
    if kind is None:
        kind = _guess(labels)
    if kind == "regression":
        values = to_array("y", labels).astype(float)
        if not np.isfinite(values).all():
            raise ValueError(f"y: expected finite numbers, got {values[~np.isfinite(values)][0]}")
        return Regression(values.reshape(len(values), -1))
    if labels.ndim == 2 and labels.shape[1] > 1:
        labels = labels.argmax(axis=1)
    classes, numbers = np.unique(labels.ravel(), return_inverse=True)
    if len(classes) < 2:
        raise ValueError(f"y: expected at least two different values, got {classes.tolist()} only")
    if kind == "binary" and len(classes) > 2:
        raise ValueError(f"y: expected two classes, got {len(classes)}: {classes[:5].tolist()}, …")
    return (Binary if len(classes) == 2 else Classes)(numbers, classes)


def _labels(y: Any) -> np.ndarray:
    labels = np.asarray(y)
    if labels.dtype.kind == "O" and all(isinstance(label, str) for label in labels.ravel()):
        labels = labels.astype(str)
    if labels.dtype.kind not in "biufU":
        raise TypeError(f"y: expected numbers or texts, got an array of {labels.dtype}")
    if labels.ndim not in (1, 2) or not len(labels):
        raise ValueError(f"y: expected one target for each sequence, got shape {labels.shape}")
    return labels


def _guess(labels: np.ndarray) -> str:
    if labels.ndim == 2 and labels.shape[1] > 1:
        if labels.dtype.kind == "U":
            raise ValueError(f"y: expected one label for each sequence, got shape {labels.shape}")
        one_hot = bool(np.isin(labels, (0, 1)).all() and (labels.sum(axis=1) == 1).all())
        return "classes" if one_hot else "regression"
    if labels.dtype.kind in "bU":
        return "classes"
    values = np.unique(labels)
    if np.array_equal(values, [0, 1]):
        return "classes"
    whole = labels.dtype.kind in "iu"
    few = len(values) <= min(_MOST_CLASSES, max(2, len(labels) // 5))
    return "classes" if whole and few else "regression"
