"""What fit, evaluate and predict show of their progress."""

from __future__ import annotations

import sys
import time
from typing import Any

from fastgru.callbacks import Callback, Logs

_REFRESH = 0.1  # seconds between two updates of the numbers beside a bar


def for_verbosity(verbose: Any) -> list[Progress]:
    """Return what shows the progress of fit: nothing, a bar, or plain lines.

    Parameters
    ----------
    verbose : {0, 1, 2, "auto"}
        0 is silent, 1 a bar for each epoch (lines where stderr is no terminal), 2 a line for each.
    """
    verbose = checked_verbosity(verbose)
    if verbose == 0:
        return []
    return [ProgressBar() if verbose == 1 and _terminal() else ProgressLines()]


def for_batches(verbose: Any, steps: int) -> list[Progress]:
    """Return what shows the progress of evaluate and predict.

    That is a bar if there are several batches and stderr is a terminal, else nothing.
    """
    shown = checked_verbosity(verbose) == 1 and steps > 1 and _terminal()
    return [ProgressBar()] if shown else []


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


def _numbers(logs: Logs | None) -> str:
    return "".join(f" - {name}: {value:.4f}" for name, value in (logs or {}).items())


class Progress(Callback):
    """What shows progress; to be closed whatever happens."""

    def close(self, logs: Logs | None = None) -> None:
        """End what is open."""


class ProgressLines(Progress):
    """Prints a line at the end of each epoch."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Take the time."""
        self._begun = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Print the line."""
        seconds = time.perf_counter() - self._begun
        head = f"Epoch {epoch + 1}/{self.params['epochs']} - {_duration(seconds)}"
        print(head + _numbers(logs), flush=True)


def _duration(seconds: float) -> str:
    return f"{seconds:.1f}s" if seconds >= 1 else f"{1e3 * seconds:.1f}ms"


class ProgressBar(Progress):
    """Draws a bar on stderr, for each epoch or for the batches of evaluate or predict."""

    def __init__(self) -> None:
        super().__init__()
        self._bar: Any = None
        self._training = False

    def _open(self, title: str) -> None:
        from tqdm import tqdm  # type: ignore[import-untyped]

        self._bar = tqdm(total=self.params["steps"], desc=title, file=sys.stderr)
        self._refreshed = time.monotonic()

    def _advance(self, logs: Logs | None) -> None:
        now = time.monotonic()
        if now - self._refreshed >= _REFRESH:
            self._refreshed = now
            self._bar.set_postfix_str(_numbers(logs)[3:], refresh=False)
        self._bar.update()

    def close(self, logs: Logs | None = None) -> None:
        """Show the last numbers and end the bar, if one is open."""
        if self._bar is not None:
            if logs:
                self._bar.set_postfix_str(_numbers(logs)[3:], refresh=False)
            self._bar.close()
            self._bar = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Note that tests from now on are validations, without a bar of their own."""
        self._training = True

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Open the bar of an epoch."""
        self._open(f"Epoch {epoch + 1}/{self.params['epochs']}")

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Advance."""
        self._advance(logs)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Close the bar of an epoch."""
        self.close(logs)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Open the bar of evaluate."""
        if not self._training:
            self._open("Evaluate")

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Advance."""
        if not self._training:
            self._advance(logs)

    def on_test_end(self, logs: Logs | None = None) -> None:
        """Close the bar of evaluate."""
        if not self._training:
            self.close(logs)

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Open the bar of predict."""
        self._open("Predict")

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Advance."""
        self._advance(None)

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """Close the bar of predict."""
        self.close()
