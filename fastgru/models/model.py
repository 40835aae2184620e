"""What every model offers, whatever the way its layers are connected: training and use."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from fastgru import losses, metrics, optimizers
from fastgru._configurable import refuse
from fastgru.callbacks import Callback, History
from fastgru.models import loops, model_files
from fastgru.models.network import Network


class Compiled(NamedTuple):
    """What `compile` was given, looked up."""

    optimizer: optimizers.Optimizer
    loss: losses.Loss | None
    metrics: list[metrics.Metric | str]


class Model(Network):
    """The base of models: a network that can be trained.

    ``Model(inputs, outputs)`` makes a :class:`~fastgru.models.functional.Functional`, of layers
    called on each other; :class:`Sequential` stacks them.

    Parameters
    ----------
    name : str, optional
        Otherwise the class' name in snake case, numbered.

    Attributes
    ----------
    history : History
        Of the last fit; None before.
    stop_training : bool
        Set by a callback, it ends fit after the batch.
    """

    def __new__(cls, *arguments: Any, **named: Any) -> Any:
        """Make a functional model if this class itself is called."""
        if cls is Model:
            from fastgru.models.functional import Functional

            return super().__new__(Functional)
        return super().__new__(cls)

    def __init__(self, name: str | None = None) -> None:
        super().__init__(name)
        self.stop_training = False
        self.history: History | None = None
        self.compiled: Compiled | None = None

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: Any = "auto",
        auto_scale_loss: bool = True,
    ) -> None:
        """Say how the model is to be trained.

        Parameters
        ----------
        optimizer : str or Optimizer
            The optimizer. Keras' default, ``"rmsprop"``, is not served yet: name one.
        loss : str or Loss
            The loss.
        metrics : str or Metric, or a list of these, optional
            What to report beside the loss. ``"accuracy"`` becomes the one that fits the labels.
        loss_weights, weighted_metrics : None
            Not served yet.
        run_eagerly, steps_per_execution, jit_compile, auto_scale_loss
            Hints, without effect.

        Raises
        ------
        ValueError
            For an unknown name; the message lists the close ones.
        NotImplementedError
            For a name or an argument that Keras knows and fastgru does not serve yet.
        TypeError
            For anything that is no name and no object of the kind.
        """
        refuse("compile", loss_weights=loss_weights, weighted_metrics=weighted_metrics)
        self.compiled = Compiled(
            optimizers.get(optimizer),
            None if loss is None else losses.get(loss),
            _checked_metrics(metrics),
        )

    @property
    def optimizer(self) -> optimizers.Optimizer | None:
        """The optimizer, None before compile."""
        return None if self.compiled is None else self.compiled.optimizer

    @property
    def loss(self) -> losses.Loss | None:
        """The loss, None before compile."""
        return None if self.compiled is None else self.compiled.loss

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Callback | Sequence[Callback] | None = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: Any = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int = 1,
    ) -> History:
        """Train the model.

        Everything is checked before anything changes. When interrupted, the model keeps what it has
        learnt, and :attr:`history` the epochs that were completed.

        Parameters
        ----------
        x, y : array_like
            Samples and labels. Labels of shape (B,) are taken for (B, 1).
        batch_size : int, default 32
            Samples in a training step; the last step of an epoch may have fewer.
        epochs : int, default 1
            The epoch to end with.
        verbose : {"auto", 0, 1, 2}
            0 is silent; 1, the default, draws a bar for each epoch on a terminal; 2 prints lines.
        callbacks : Callback or list of Callback, optional
            Called on the way.
        validation_split : float, default 0
            The share of the samples, the last of them, to hold out and test after each epoch.
        validation_data : tuple (x, y), optional
            Samples and labels to test after each epoch.
        shuffle : bool, default True
            Whether to draw a new order of the samples for each epoch.
        initial_epoch : int, default 0
            The epoch to begin with.
        validation_batch_size : int, optional
            Otherwise `batch_size`.
        validation_freq : int, default 1
            The number of epochs from one test on the validation data to the next.
        class_weight, sample_weight, steps_per_epoch, validation_steps : None
            Not served yet.

        Returns
        -------
        History
            Loss and metrics of each epoch.

        Raises
        ------
        ValueError
            Before compile, and for data that do not fit the model or the loss.
        TypeError
            For data that are not numbers, and for arguments of wrong types.
        NotImplementedError
            For arguments that are not served yet.
        """
        refuse(
            "fit",
            class_weight=class_weight,
            sample_weight=sample_weight,
            steps_per_epoch=steps_per_epoch,
            validation_steps=validation_steps,
        )
        plan = loops.FitPlan(
            batch_size=batch_size,
            epochs=epochs,
            initial_epoch=initial_epoch,
            shuffle=shuffle,
            verbose=verbose,
            validation_batch_size=validation_batch_size,
            validation_freq=validation_freq,
        )
        return loops.fit(self, x, y, plan, callbacks, validation_split, validation_data)

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Callback | Sequence[Callback] | None = None,
        return_dict: bool = False,
    ) -> Any:
        """Return the loss and the metrics on labelled data.

        Parameters
        ----------
        x, y : array_like
            Samples and labels.
        batch_size : int, default 32
            Samples that are computed at once.
        verbose : {"auto", 0, 1, 2}
            1, the default, draws a bar on a terminal.
        callbacks : Callback or list of Callback, optional
            Called on the way.
        return_dict : bool, default False
            Whether to return a dict by name.
        sample_weight, steps : None
            Not served yet.

        Returns
        -------
        float, list of float, or dict
            The loss; with metrics, the loss and then the metrics.

        Raises
        ------
        ValueError, TypeError, NotImplementedError
            As :meth:`fit`.
        """
        refuse("evaluate", sample_weight=sample_weight, steps=steps)
        logs = loops.evaluate(self, x, y, batch_size, verbose, callbacks)
        return _as_keras_returns(logs, return_dict)

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: Any = "auto",
        steps: int | None = None,
        callbacks: Callback | Sequence[Callback] | None = None,
    ) -> np.ndarray:
        """Return the outputs for samples.

        Several threads may predict with one model at once.

        Parameters
        ----------
        x : array_like
            Samples; none at all are fine.
        batch_size : int, default 32
            Samples that are computed at once.
        verbose : {"auto", 0, 1, 2}
            1, the default, draws a bar on a terminal.
        callbacks : Callback or list of Callback, optional
            Called on the way.
        steps : None
            Not served yet.

        Raises
        ------
        ValueError
            If the model is not built, or the data do not fit it.
        TypeError
            For data that are not numbers.
        """
        refuse("predict", steps=steps)
        return loops.predict(self, x, batch_size, verbose, callbacks)

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """Take one training step; return loss and metrics of this batch, as :meth:`evaluate`."""
        refuse("train_on_batch", sample_weight=sample_weight, class_weight=class_weight)
        return _as_keras_returns(loops.train_on_batch(self, x, y), return_dict)

    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """Return loss and metrics of one batch, as :meth:`evaluate`."""
        refuse("test_on_batch", sample_weight=sample_weight)
        return _as_keras_returns(loops.test_on_batch(self, x, y), return_dict)

    def predict_on_batch(self, x: Any) -> np.ndarray:
        """Return the outputs for one batch."""
        count = len(x) if hasattr(x, "__len__") else 1
        return self.predict(x, batch_size=max(1, count), verbose=0)

    def save(
        self, filepath: str | os.PathLike[str], overwrite: bool = True, zipped: bool | None = None
    ) -> None:
        """Write the whole model into a file: see :func:`fastgru.saving.save_model`.

        Parameters
        ----------
        filepath : path
            Ends in ``.npz``, or in ``.safetensors`` where that package is installed.
        overwrite : bool, default True
            Whether a file that is there may be replaced.
        zipped : None
            Accepted for Keras' sake: the ending decides.
        """
        model_files.save_model(self, filepath, overwrite)

    def to_json(self, **options: Any) -> str:
        """Return the architecture as JSON, for :func:`fastgru.models.model_from_json`.

        Parameters
        ----------
        **options
            Passed to :func:`json.dumps`.
        """
        return model_files.to_json(self, **options)


def _checked_metrics(given: Any) -> list[metrics.Metric | str]:
    if given is None:
        return []
    found = [metrics.check(m) for m in (given if isinstance(given, list | tuple) else [given])]
    names = [m if isinstance(m, str) else m.name for m in found]
    if len(set(names)) < len(names) or "loss" in names:
        raise ValueError(f"metrics: expected names that differ, and none 'loss', got {names}")
    return found


def _as_keras_returns(logs: dict[str, float], return_dict: bool) -> Any:
    if return_dict:
        return logs
    values = list(logs.values())
    return values if len(values) > 1 else values[0]
