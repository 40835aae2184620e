"""What fit, evaluate and predict show of their progress."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

from fastgru.callbacks.base import Callback, Logs

_REFRESH = 0.1  # seconds between two updates of the numbers beside a bar


def for_verbosity(verbose: Any) -> list[Progress]:
    """Return what shows progress: nothing, a bar, or plain lines.

    Parameters
    ----------
    verbose : {0, 1, 2, "auto"}
        0 is silent, 1 a bar for each epoch (lines where stderr is no terminal), 2 a line for each.
    """
    verbose = checked_verbosity(verbose)
    if verbose == 0:
        return []
    return [ProgressBar() if verbose == 1 and _terminal() else ProgressLines()]


def checked_verbosity(verbose: Any) -> int:
    """Return the verbosity as a number.

    Raises
    ------
    ValueError
        If it is none of 0, 1, 2 and ``"auto"``.
    """
    if isinstance(verbose, str) and verbose == "auto":
        return 1
    if not isinstance(verbose, int) or verbose not in (0, 1, 2):
        raise ValueError(f"verbose: expected 0, 1, 2 or 'auto', got {verbose!r}")
    return int(verbose)


def _terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


def _columns() -> int:
    """Return the width of the terminal; 80 if it has none, as that of a container may."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or 80
    except (OSError, ValueError):
        return 80


def _numbers(logs: Logs | None) -> str:
    return "".join(f" - {name}: {_number(value)}" for name, value in (logs or {}).items())


def _number(value: Any) -> str:
    if getattr(value, "ndim", 0):
        return f"[{', '.join(map(_number, value))}]"
    return f"{value:.4f}" if value == 0 or abs(value) >= 1e-3 else f"{value:.4e}"


def _duration(seconds: float) -> str:
    return f"{seconds:.1f}s" if seconds >= 1 else f"{1e3 * seconds:.1f}ms"


class Progress(Callback):
    """What shows progress: that of epochs, of evaluate and of predict, each with a title.

    Subclasses say what begins, advances and ends; :meth:`close` is called whatever happens.
    """

    def __init__(self) -> None:
        super().__init__()
        self._training = False

    def begin(self, title: str) -> None:
        """Begin an epoch, evaluate or predict."""

    def advance(self, logs: Logs | None) -> None:
        """Take in a batch."""

    def end(self, logs: Logs | None) -> None:
        """End what was begun."""

    def close(self) -> None:
        """End what is open after an error."""

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Note that tests from now on are validations, which the line of the epoch tells of."""
        self._training = True

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Begin an epoch."""
        self.begin(f"Epoch {epoch + 1}/{self.params['epochs']}")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """End an epoch."""
        self.end(logs)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Begin evaluate."""
        if not self._training:
            self.begin("Evaluate")

    def on_test_end(self, logs: Logs | None = None) -> None:
        """End evaluate."""
        if not self._training:
            self.end(logs)


class ProgressLines(Progress):
    """Prints a line at the end of each epoch, and of evaluate."""

    def begin(self, title: str) -> None:
        """Take the time."""
        self._title, self._begun = title, time.perf_counter()

    def end(self, logs: Logs | None) -> None:
        """Print the line."""
        seconds = time.perf_counter() - self._begun
        print(f"{self._title} - {_duration(seconds)}{_numbers(logs)}", flush=True)


class ProgressBar(Progress):
    """Draws a bar on stderr for each epoch, for evaluate, and for the batches of predict."""

    def __init__(self) -> None:
        super().__init__()
        self._bar: Any = None

    def begin(self, title: str) -> None:
        """Open a bar as wide as the terminal, unless there is but one step."""
        self._title, self._steps = title, 0
        if self.params["steps"] != 1:
            from tqdm import tqdm  # type: ignore[import-untyped]

            self._bar = tqdm(
                total=self.params["steps"],
                desc=title,
                file=sys.stderr,
                ncols=_columns(),
                nrows=24,  # asked of the terminal otherwise, which may not know
                bar_format=_layout() if self.params["steps"] else "{desc} {n_fmt} steps",
            )
        self._begun = self._shown = time.perf_counter()

    def advance(self, logs: Logs | None) -> None:
        """Advance the bar, and now and then the numbers beside it."""
        self._steps += 1
        if self._bar is None:
            return
        now = time.perf_counter()
        if now - self._shown >= _REFRESH and self.params["steps"]:
            self._shown = now
            self._bar.bar_format = _layout(logs)
        self._bar.update()

    def end(self, logs: Logs | None) -> None:
        """Leave a short bar with all numbers, which may be wider than the terminal."""
        seconds = time.perf_counter() - self._begun
        if self._bar is not None:
            self._bar.leave = False
        self.close()
        steps = self.params["steps"] or self._steps
        line = f"{self._title} {steps}/{steps} |{10 * _block()}| {_duration(seconds)}"
        print(line + _numbers(logs), file=sys.stderr, flush=True)

    def close(self) -> None:
        """Close the bar where it stands, if one is open."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Advance."""
        self.advance(logs)

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Advance."""
        if not self._training:
            self.advance(logs)

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Open the bar of predict."""
        self.begin("Predict")

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Advance."""
        self.advance(None)

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """End predict, which leaves nothing if it took one batch."""
        if self._bar is not None:
            self.end(None)


def _layout(logs: Logs | None = None) -> str:
    """Return what tqdm calls a bar_format. The bar is what gives way where the line is short."""
    numbers = _numbers(logs).replace("{", "{{").replace("}", "}}")
    return "{desc} {n_fmt}/{total_fmt} |{bar}| {remaining} left" + numbers


def _block() -> str:
    """Return what a full bar is made of: a block, or what stands for it as in tqdm."""
    try:
        "█".encode(sys.stderr.encoding or "ascii")
    except (UnicodeEncodeError, AttributeError):
        return "#"
    return "█"
