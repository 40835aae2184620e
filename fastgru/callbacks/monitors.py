"""Callbacks that watch one number: they stop, keep the best, or slow down."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from fastgru._archive import checked_path
from fastgru._numbers import checked_count, is_number
from fastgru.callbacks.base import Callback, Logs


def _require_number(name: str, value: Any) -> None:
    if not is_number(value):
        raise TypeError(f"{name}: expected a number, got {value!r}")


class MonitorCallback(Callback):
    """What callbacks that watch one number have in common.

    Parameters
    ----------
    monitor : str
        The name of the number in the logs: ``"val_loss"``.
    mode : {"auto", "min", "max"}
        Which way is better; "auto" asks the metric.
    baseline : float, optional
        What the best so far is at first.
    min_delta : float, default 0
        By how much a number must be better to count.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        mode: str = "auto",
        baseline: float | None = None,
        min_delta: float = 0,
    ) -> None:
        super().__init__()
        if mode not in ("auto", "min", "max"):
            raise ValueError(f"mode: expected 'auto', 'min' or 'max', got {mode!r}")
        _require_number("min_delta", min_delta)
        if baseline is not None:
            _require_number("baseline", baseline)
        self.monitor = monitor
        self.mode = mode
        self.best = baseline
        self.min_delta = abs(min_delta)
        self._sign = 0  # 1 where more is better, -1 where less is

    def better(self, value: float, than: float | None) -> bool:
        """Tell whether a value is better than another, None being the worst."""
        if than is None:
            return True
        self._sign = self._sign or self._direction()
        return bool(self._sign * (value - than) > self.min_delta)

    def _direction(self) -> int:
        if self.mode != "auto":
            return 1 if self.mode == "max" else -1
        name = self.monitor.removeprefix("val_")
        if name == "loss" or name.endswith("_loss"):
            return -1
        direction = self.model.metric_directions.get(name)
        if direction not in ("up", "down"):
            raise ValueError(
                f"{type(self).__name__}: whether more or less of {self.monitor!r} is better is not "
                "known; pass mode='max' or mode='min'"
            )
        return 1 if direction == "up" else -1

    def monitored(self, logs: Logs, purpose: str) -> float | None:
        """Return the number in the logs; warn and return None if there is none."""
        value = logs.get(self.monitor)
        if value is None:
            warnings.warn(
                f"{purpose} metric `{self.monitor}` which is not available. "
                f"Available metrics are: {','.join(logs)}",
                stacklevel=4,
            )
        return value


class EarlyStopping(MonitorCallback):
    """Stops when a number has not become better for some epochs.

    Parameters
    ----------
    monitor : str, default "val_loss"
        The name of the number in the logs.
    min_delta : float, default 0
        By how much it must become better to count.
    patience : int, default 0
        How many epochs without progress there may be.
    verbose : {0, 1}
        Whether to tell.
    mode : {"auto", "min", "max"}
        Which way is better; "auto" asks the metric.
    baseline : float, optional
        What must be beaten.
    restore_best_weights : bool, default False
        Whether the model gets the weights of the best epoch in the end.
    start_from_epoch : int, default 0
        The first epoch that is watched.

    Attributes
    ----------
    stopped_epoch, best_epoch : int
        Where it stopped, 0 if it did not, and the best epoch; counted from 0.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta=min_delta)
        if baseline is not None:
            _require_number("baseline", baseline)
        self.patience = checked_count("patience", patience, least=0)
        self.verbose = verbose
        self.baseline = baseline
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = checked_count("start_from_epoch", start_from_epoch, least=0)
        self._begin()

    def _begin(self) -> None:
        self.wait = self.stopped_epoch = self.best_epoch = 0
        self.best = None
        self.best_weights: list[np.ndarray] | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Begin anew."""
        self._begin()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Look at the number."""
        value = self.monitored(logs or {}, "Early stopping conditioned on")
        if value is None or epoch < self.start_from_epoch:
            return
        if self.restore_best_weights and self.best_weights is None:
            self._keep(epoch)
        self.wait += 1
        if self.better(value, self.best):
            self.best = value
            self._keep(epoch)
            if self.better(value, self.baseline):
                self.wait = 0
            return
        if self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def _keep(self, epoch: int) -> None:
        self.best_epoch = epoch
        if self.restore_best_weights:
            self.best_weights = self.model.get_weights()

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Tell, and restore."""
        if self.stopped_epoch > 0 and self.verbose > 0:
            print(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.restore_best_weights and self.best_weights is not None:
            if self.verbose > 0:
                print(
                    "Restoring model weights from the end of the best epoch: "
                    f"{self.best_epoch + 1}."
                )
            self.model.set_weights(self.best_weights)


class ModelCheckpoint(MonitorCallback):
    """Saves the model, or its weights, on the way.

    Parameters
    ----------
    filepath : path
        May hold ``{epoch}``, ``{batch}`` (both counted from 1) and the names of the logs, with
        formats: ``"{epoch:02d}-{val_loss:.2f}.npz"``.
    monitor : str, default "val_loss"
        The name of the number in the logs that tells the best.
    verbose : {0, 1}
        Whether to tell.
    save_best_only : bool, default False
        Whether to save only what is better than all before.
    save_weights_only : bool, default False
        Whether to save the weights alone, without architecture and optimizer.
    mode : {"auto", "min", "max"}
        Which way is better; "auto" asks the metric.
    save_freq : "epoch" or int
        When to save: after each epoch, or after so many batches.
    initial_value_threshold : float, optional
        What must be beaten at first.

    Raises
    ------
    ValueError
        If `save_freq` is neither, or the path does not end as those of models do or is no format of
        names; when saving: if the path names what is not in the logs.
    """

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: Any = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        super().__init__(monitor, mode, initial_value_threshold)
        checked_path(filepath)  # now, not after an epoch
        self.filepath = _checked_format(os.fspath(filepath))
        self.verbose = verbose
        self.save_best_only = save_best_only
        self.save_weights_only = save_weights_only
        whole = isinstance(save_freq, int | np.integer) and not isinstance(save_freq, bool)
        if save_freq != "epoch" and not (whole and save_freq >= 1):
            raise ValueError(
                f"save_freq: expected 'epoch' or a number of batches, got {save_freq!r}"
            )
        self.save_freq = save_freq
        self._epoch = self._batches = 0

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Note the epoch."""
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Save if it is time."""
        if self.save_freq == "epoch":
            return
        self._batches += 1
        if self._batches >= self.save_freq:
            self._batches = 0
            self._save(self._epoch, batch, logs or {})

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Save if it is time."""
        if self.save_freq == "epoch":
            self._save(epoch, None, logs or {})

    def _save(self, epoch: int, batch: int | None, logs: Logs) -> None:
        path = self._path(epoch, batch, logs)
        if not self._wanted(epoch, logs, path):
            return
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        save = self.model.save_weights if self.save_weights_only else self.model.save
        save(path, overwrite=True)
        if self.verbose > 0:
            print(f"\nEpoch {epoch + 1}: finished saving model to {path}")

    def _path(self, epoch: int, batch: int | None, logs: Logs) -> str:
        names = {"epoch": epoch + 1, **({} if batch is None else {"batch": batch + 1}), **logs}
        try:
            return self.filepath.format(**names)
        except KeyError as error:
            raise ValueError(
                f"filepath: {self.filepath!r} names {error}, but there are only {', '.join(names)}"
            ) from None

    def _wanted(self, epoch: int, logs: Logs, path: str) -> bool:
        told, value = f"\nEpoch {epoch + 1}: ", None
        if self.save_best_only:
            value = self.monitored(logs, "Can save the best model only by")
        if value is None:
            if self.verbose > 0:
                print(f"{told}saving model to {path}")
            return True
        before = "None" if self.best is None else f"{self.best:.5f}"
        if not self.better(value, self.best):
            if self.verbose > 0:
                print(f"{told}{self.monitor} did not improve from {before}")
            return False
        if self.verbose > 0:
            print(
                f"{told}{self.monitor} improved from {before} to {value:.5f}, "
                f"saving model to {path}"
            )
        self.best = value
        return True


class _AnyNumber(dict[str, Any]):
    """Numbers for all names that logs may have."""

    def __missing__(self, name: str) -> float:
        return 0.5


def _checked_format(path: str) -> str:
    """Return a path that epoch, batch and numbers of logs can be written into by their names."""
    try:
        path.format_map(_AnyNumber(epoch=1, batch=1))
    except (ValueError, IndexError, AttributeError, TypeError, KeyError) as error:
        raise ValueError(f"filepath: {path!r} is no format of names of logs: {error}") from None
    return path


class ReduceLROnPlateau(MonitorCallback):
    """Reduces the learning rate when a number has not become better for some epochs.

    The logs get the ``learning_rate``.

    Parameters
    ----------
    monitor : str, default "val_loss"
        The name of the number in the logs.
    factor : float, default 0.1
        What multiplies the learning rate.
    patience : int, default 10
        How many epochs without progress there may be.
    verbose : {0, 1}
        Whether to tell.
    mode : {"auto", "min", "max"}
        Which way is better; "auto" asks the metric.
    min_delta : float, default 1e-4
        By how much the number must become better to count.
    cooldown : int, default 0
        How many epochs to wait after a reduction.
    min_lr : float, default 0.0
        The least learning rate.

    Raises
    ------
    ValueError
        If `factor` is not below 1.
    TypeError
        If `factor`, `min_delta` or `min_lr` is no number.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        super().__init__(monitor, mode, min_delta=min_delta)
        _require_number("factor", factor)
        _require_number("min_lr", min_lr)
        if not 0 <= factor < 1:
            raise ValueError(f"factor: expected a number of at least 0 and below 1, got {factor!r}")
        self.factor = factor
        self.patience = checked_count("patience", patience, least=0)
        self.verbose = verbose
        self.cooldown = checked_count("cooldown", cooldown, least=0)
        self.min_lr = min_lr
        self.wait = self.cooldown_counter = 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Begin anew."""
        self.best = None
        self.wait = self.cooldown_counter = 0

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Look at the number."""
        logs = {} if logs is None else logs
        logs["learning_rate"] = self.model.optimizer.learning_rate
        value = self.monitored(logs, "Learning rate reduction is conditioned on")
        if value is None:
            return
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.wait = 0
        if self.better(value, self.best):
            self.best = value
            self.wait = 0
        elif self.cooldown_counter <= 0:
            self.wait += 1
            if self.wait >= self.patience and self._reduce(epoch):
                self.cooldown_counter = self.cooldown
                self.wait = 0

    def _reduce(self, epoch: int) -> bool:
        optimizer = self.model.optimizer
        if optimizer.learning_rate <= self.min_lr:
            return False
        optimizer.learning_rate = max(optimizer.learning_rate * self.factor, self.min_lr)
        if self.verbose > 0:
            print(
                f"\nEpoch {epoch + 1}: ReduceLROnPlateau reducing learning rate to "
                f"{optimizer.learning_rate}."
            )
        return True
