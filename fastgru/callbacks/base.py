"""The base of callbacks, their list, and the two simplest: History and LambdaCallback."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from fastgru._naming import did_you_mean

Logs = dict[str, Any]


class Callback:
    """The base of callbacks: a method for each point, to override.

    `logs` are the loss and the metrics so far, by name; those of the validation data begin with
    ``val_`` and are there at the end of an epoch. Only methods that are overridden are called.

    Attributes
    ----------
    model : Model
        The model that runs.
    params : dict
        ``verbose``, ``epochs`` and ``steps`` (batches in an epoch) of the run.
    """

    def __init__(self) -> None:
        self.params: dict[str, Any] = {}
        self.model: Any = None

    def set_params(self, params: dict[str, Any]) -> None:
        """Take the parameters of the run."""
        self.params = params

    def set_model(self, model: Any) -> None:
        """Take the model."""
        self.model = model

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Begin fit."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """End fit."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Begin an epoch, counted from 0."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """End an epoch."""

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Begin a training step: an old name of `on_train_batch_begin`."""

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """End a training step: an old name of `on_train_batch_end`."""

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Begin a training step, counted from 0 in its epoch."""
        self.on_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """End a training step."""
        self.on_batch_end(batch, logs)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Begin evaluate, or a validation in fit."""

    def on_test_end(self, logs: Logs | None = None) -> None:
        """End evaluate, or a validation in fit."""

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Begin a batch of evaluate."""

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """End a batch of evaluate."""

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Begin predict."""

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """End predict."""

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Begin a batch of predict."""

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """End a batch of predict; `logs` hold its ``outputs``."""


class History(Callback):
    """Keeps the logs of every epoch; `fit` returns one.

    Attributes
    ----------
    history : dict of str to list
        For the loss and each metric, its values by epoch.
    epoch : list of int
        The epochs.
    """

    def __init__(self) -> None:
        super().__init__()
        self.history: dict[str, list[float]] = {}
        self.epoch: list[int] = []

    def __getstate__(self) -> dict[str, Any]:
        """Pickle the numbers, not the model."""
        return {**self.__dict__, "model": None}

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Begin the list of epochs."""
        self.epoch = []

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Keep an epoch's logs."""
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)


class LambdaCallback(Callback):
    """Calls functions.

    Parameters
    ----------
    on_epoch_begin, on_epoch_end, on_train_begin, on_train_end, on_train_batch_begin, \
on_train_batch_end : callable, optional
        Called with what the method of this name is called with.
    **hooks : callable
        The same for the other methods, such as ``on_test_end``.

    Raises
    ------
    TypeError
        If there is no method of such a name, or something can't be called.
    """

    def __init__(
        self,
        on_epoch_begin: Callable[..., Any] | None = None,
        on_epoch_end: Callable[..., Any] | None = None,
        on_train_begin: Callable[..., Any] | None = None,
        on_train_end: Callable[..., Any] | None = None,
        on_train_batch_begin: Callable[..., Any] | None = None,
        on_train_batch_end: Callable[..., Any] | None = None,
        **hooks: Callable[..., Any],
    ) -> None:
        super().__init__()
        hooks |= {
            name: function
            for name, function in {
                "on_epoch_begin": on_epoch_begin,
                "on_epoch_end": on_epoch_end,
                "on_train_begin": on_train_begin,
                "on_train_end": on_train_end,
                "on_train_batch_begin": on_train_batch_begin,
                "on_train_batch_end": on_train_batch_end,
            }.items()
            if function is not None
        }
        for name, function in hooks.items():
            if name not in _HOOKS:
                close = did_you_mean(name, _HOOKS) or f"; known: {', '.join(_HOOKS)}"
                raise TypeError(f"LambdaCallback: unknown argument {name!r}{close}")
            if not callable(function):
                raise TypeError(f"{name}: expected a function, got {function!r}")
            setattr(self, name, function)


_HOOKS = [name for name in vars(Callback) if name.startswith("on_")]


class CallbackList:
    """Several callbacks, called one after the other.

    Parameters
    ----------
    callbacks : Callback, or sequence of Callback, or None
        The callbacks.
    model : Model, optional
        Passed to each.
    **params
        Passed to each.

    Raises
    ------
    TypeError
        If one is not a Callback.
    """

    def __init__(
        self, callbacks: Callback | Sequence[Callback] | None, model: Any = None, **params: Any
    ) -> None:
        if callbacks is None or isinstance(callbacks, Callback):
            callbacks = [] if callbacks is None else [callbacks]
        if not isinstance(callbacks, Iterable):
            raise TypeError(f"callbacks: expected instances of Callback, got {callbacks!r}")
        self.callbacks = list(callbacks)
        for callback in self.callbacks:
            if not isinstance(callback, Callback):
                raise TypeError(f"callbacks: expected instances of Callback, got {callback!r}")
        self._methods = {h: self._overridden(h) for h in _HOOKS} if self.callbacks else {}
        self.params = params
        for callback in self.callbacks:
            callback.set_params(params)
            callback.set_model(model)

    def _overridden(self, hook: str) -> list[Callable[..., None]]:
        methods = []
        for callback in self.callbacks:
            old = hook.replace("on_train_batch", "on_batch")
            if _overrides(callback, hook) or _overrides(callback, old):
                methods.append(getattr(callback, hook))
        return methods

    def has(self, hook: str) -> bool:
        """Tell whether anyone listens to a hook, such as ``"on_train_batch_end"``."""
        return bool(self._methods.get(hook))

    def call(self, hook: str, *arguments: Any) -> None:
        """Call a hook of all that override it."""
        for method in self._methods.get(hook, ()):
            method(*arguments)


def _overrides(callback: Callback, hook: str) -> bool:
    return getattr(getattr(callback, hook), "__func__", None) is not getattr(Callback, hook)
