"""Callbacks that schedule the learning rate, write a file, or end what has gone wrong."""

from __future__ import annotations

import csv
import inspect
import math
import os
from collections.abc import Callable, Iterable
from typing import Any

from fastgru._numbers import is_number
from fastgru.callbacks.base import Callback, Logs


class LearningRateScheduler(Callback):
    """Sets the learning rate at the beginning of each epoch.

    The logs get the ``learning_rate``.

    Parameters
    ----------
    schedule : callable
        Called with the epoch, counted from 0, and the learning rate, or with the epoch alone if it
        takes no more; returns the new one.
    verbose : {0, 1}
        Whether to tell.

    Raises
    ------
    TypeError
        If `schedule` can't be called, or takes neither one argument nor two.
    """

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        super().__init__()
        if not callable(schedule):
            raise TypeError(f"schedule: expected a function, got {schedule!r}")
        self.schedule = schedule
        self._takes_rate = _can_take(schedule, 2)
        if not self._takes_rate and not _can_take(schedule, 1):
            raise TypeError(
                "schedule: expected a function of the epoch and the learning rate, or of the epoch "
                f"alone, got {schedule!r}"
            )
        self.verbose = verbose

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Set the learning rate."""
        before = [self.model.optimizer.learning_rate] if self._takes_rate else []
        rate = self.schedule(epoch, *before)
        if not is_number(rate):
            raise TypeError(f"schedule: expected a function that returns a number, got {rate!r}")
        self.model.optimizer.learning_rate = rate
        if self.verbose > 0:
            print(f"\nEpoch {epoch + 1}: LearningRateScheduler setting learning rate to {rate}.")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Put the learning rate into the logs."""
        if logs is not None:
            logs["learning_rate"] = self.model.optimizer.learning_rate


def _can_take(function: Callable[..., Any], count: int) -> bool:
    """Tell whether a function can be called with so many arguments; True if it does not tell."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return True
    try:
        signature.bind(*range(count))
    except TypeError:
        return False
    return True


class CSVLogger(Callback):
    """Writes the logs of each epoch as a row of a CSV file.

    The columns are the epoch, counted from 0, and the names of the first epoch's logs in their
    alphabetic order; if these tell of no validation, columns for it follow. What is missing is
    written as ``NA``.

    Parameters
    ----------
    filename : path
        The file.
    separator : str, default ","
        What stands between two values.
    append : bool, default False
        Whether to write after what is there; otherwise the file begins anew with each fit.

    Raises
    ------
    ValueError, TypeError
        If `separator` is not one character that can separate values.
    """

    def __init__(
        self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False
    ) -> None:
        super().__init__()
        if not isinstance(separator, str):
            raise TypeError(f"separator: expected one character, got {separator!r}")
        if len(separator) != 1 or separator in '\r\n"':
            raise ValueError(f"separator: expected one character, got {separator!r}")
        self.filename = os.fspath(filename)
        self.separator = separator
        self.append = append
        self._columns: list[str] = []

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Begin the file."""
        self._columns = []
        if not self.append:
            with open(self.filename, "w", newline=""):
                pass

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Write a row; the file is closed in between, whatever happens."""
        logs = logs or {}
        with open(self.filename, "a", newline="") as file:
            writer = csv.writer(file, delimiter=self.separator)
            if not self._columns:
                names = sorted(logs)
                if not any(name.startswith("val_") for name in names):
                    names += [f"val_{name}" for name in names]
                self._columns = names
                if not file.tell():
                    writer.writerow(["epoch", *names])
            writer.writerow([epoch, *(_cell(logs.get(name, "NA")) for name in self._columns)])


def _cell(value: Any) -> Any:
    if isinstance(value, str) or not isinstance(value, Iterable):
        return value
    return f'"[{", ".join(map(str, value))}]"'


class TerminateOnNaN(Callback):
    """Stops when the loss is no longer a finite number.

    Parameters
    ----------
    raise_error : bool, default False
        Whether to raise a RuntimeError in place of stopping with a message.
    """

    def __init__(self, raise_error: bool = False) -> None:
        super().__init__()
        self.raise_error = raise_error

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Look at the loss."""
        loss = (logs or {}).get("loss")
        if loss is None or math.isfinite(loss):
            return
        if self.raise_error:
            raise RuntimeError(
                f"NaN or Inf loss encountered at batch {batch}. Loss value: {loss}. "
                "Terminating training immediately."
            )
        print(f"Batch {batch}: Invalid loss, terminating training")
        self.model.stop_training = True
