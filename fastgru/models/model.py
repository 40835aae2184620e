"""What every model offers, whatever the way its layers are connected: training and use."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from fastgru import optimizers
from fastgru.callbacks import Callback, History
from fastgru.metrics import Metric
from fastgru.models import loops, model_files, objective, prediction
from fastgru.models.network import Network
from fastgru.models.objective import Compiled, Target


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
    metrics : list of Metric
        Those of the last pass: an epoch's, a test's, a batch's.
    metric_directions : dict of str to str
        For these metrics, by name in the logs, which way is better.
    last_results : dict of str to float
        Loss and metrics of the last pass as far as it has been told of: see
        :meth:`get_metrics_result`.
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
        self.metrics: list[Metric] = []
        self.metric_directions: dict[str, str] = {}
        self.last_results: dict[str, Any] = {}

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
        optimizer : str or Optimizer, default "rmsprop"
            The optimizer.
        loss : str or Loss, or a list or dict of these, optional
            The loss; for several outputs that of each, or one for all. None for an output leaves
            it out. The keys of a dict are names of outputs, here and below.
        loss_weights : float, or a list or dict of these, optional
            What each loss counts in their sum.
        metrics : str, Metric or function, or a list of these, optional
            What to report beside the loss; for several outputs a list of lists, or a dict by
            outputs. ``"accuracy"`` becomes the one that fits the labels.
        weighted_metrics : str, Metric or function, or a list of these, optional
            The same, weighted by the weights of the samples.
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
        self.compiled = objective.checked(
            optimizers.get(optimizer),
            loss,
            loss_weights,
            metrics,
            weighted_metrics,
            self.output_names,
        )

    def targets(self) -> list[Target]:
        """Return what training aims at, output by output."""
        assert self.compiled is not None
        ends = self.output_activation
        if isinstance(ends, list) and len(ends) == 1:
            ends = ends[0]
        return objective.targets_of(self.compiled, ends, self.output_names)

    @property
    def trained(self) -> bool:
        """Whether an optimizer has begun to move the weights where they are."""
        return self.optimizer is not None and bool(self.optimizer.iterations)

    @property
    def optimizer(self) -> optimizers.Optimizer | None:
        """The optimizer, None before compile."""
        return None if self.compiled is None else self.compiled.optimizer

    @property
    def loss(self) -> Any:
        """The loss, a list or dict of them for several outputs, None before compile."""
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
        x : array_like, list, dict, or what gives batches
            Samples: an array; a list or dict of arrays for several inputs; a list of sequences of
            different lengths, which are padded batch by batch under a mask (and, shuffled, go by
            length); an array on a disk (np.memmap), of which only batches are read; a generator or
            iterable of batches ``(x, y)`` or ``(x, y, sample_weight)``; an object whose
            ``__getitem__`` returns such batches by number and that has a ``__len__`` (and may have
            `on_epoch_end`).
        y : array_like, list or dict, optional
            Labels; a list or dict for several outputs, none where `x` gives batches. Labels of
            shape (B,) are taken for (B, 1).
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
        validation_data : tuple (x, y) or (x, y, sample_weight), or what gives batches, optional
            What to test on after each epoch.
        shuffle : bool, default True
            Whether to draw a new order of the samples for each epoch.
        class_weight : dict of int to float, optional
            The weight of each class, 1 for those that are not in it.
        sample_weight : array_like, optional
            The weight of each sample, (B,), or of each step, (B, T); a list or dict for several
            outputs.
        steps_per_epoch : int, optional
            The batches of an epoch, which then goes on where the last one stopped.
        validation_steps : int, optional
            The batches of a test.
        initial_epoch : int, default 0
            The epoch to begin with.
        validation_batch_size : int, optional
            Otherwise `batch_size`.
        validation_freq : int, default 1
            The number of epochs from one test on the validation data to the next.

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

        Warns
        -----
        RuntimeWarning
            If the loss is no finite number: with the layer, the step and the gate that made it so.
        UserWarning
            If a generator ends before the last epoch does.
        """
        plan = loops.FitPlan(
            batch_size=batch_size,
            epochs=epochs,
            initial_epoch=initial_epoch,
            shuffle=shuffle,
            verbose=verbose,
            steps_per_epoch=steps_per_epoch,
            validation_steps=validation_steps,
            validation_batch_size=validation_batch_size,
            validation_freq=validation_freq,
        )
        return loops.fit(
            self,
            x,
            y,
            sample_weight,
            class_weight,
            plan,
            callbacks,
            validation_split,
            validation_data,
        )

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
        x, y
            Samples and labels, as :meth:`fit` takes them.
        batch_size : int, default 32
            Samples that are computed at once.
        verbose : {"auto", 0, 1, 2}
            1, the default, draws a bar on a terminal.
        callbacks : Callback or list of Callback, optional
            Called on the way.
        return_dict : bool, default False
            Whether to return a dict by name.
        sample_weight : array_like, optional
            As :meth:`fit` takes it.
        steps : int, optional
            The number of batches; otherwise all.

        Returns
        -------
        float, list of float, or dict
            The loss; with metrics, the loss and then the metrics. With several outputs, the sum of
            the losses, the loss of each, and then the metrics, sorted by name.

        Raises
        ------
        ValueError, TypeError
            As :meth:`fit`.
        """
        logs = loops.evaluate(self, x, y, sample_weight, batch_size, steps, verbose, callbacks)
        return _as_keras_returns(logs, return_dict)

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: Any = "auto",
        steps: int | None = None,
        callbacks: Callback | Sequence[Callback] | None = None,
    ) -> Any:
        """Return the outputs for samples.

        Several threads may predict with one model at once.

        Parameters
        ----------
        x
            Samples, as :meth:`fit` takes them; none at all are fine.
        batch_size : int, default 32
            Samples that are computed at once.
        verbose : {"auto", 0, 1, 2}
            1, the default, draws a bar on a terminal.
        callbacks : Callback or list of Callback, optional
            Called on the way.
        steps : int, optional
            The number of batches; otherwise all.

        Returns
        -------
        ndarray, or a list or dict
            The outputs in the order of the samples; a list for several outputs, a dict where the
            model was made with one. An output with a step for each step of samples of different
            lengths is a list of arrays, one for each; so is one of batches of different lengths.

        Raises
        ------
        ValueError
            If the model is not built, or the data do not fit it.
        TypeError
            For data that are not numbers.
        """
        return prediction.predict(self, x, batch_size, steps, verbose, callbacks)

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """Take one training step on a batch.

        Parameters
        ----------
        x, y, sample_weight, class_weight
            The batch, as :meth:`fit` takes arrays.
        return_dict : bool, default False
            Whether to return a dict by name.

        Returns
        -------
        float, list of float, or dict
            The loss and the metrics of this batch, as :meth:`evaluate` returns them.

        Raises
        ------
        ValueError
            If the model is not compiled, or the data do not fit it; nothing changes then.
        TypeError
            For data that are no arrays of numbers, and without labels.
        """
        logs = loops.on_batch(self, "train_on_batch", x, y, sample_weight, class_weight)
        return _as_keras_returns(logs, return_dict)

    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """Return loss and metrics of one batch.

        Parameters
        ----------
        x, y, sample_weight
            The batch, as :meth:`fit` takes arrays.
        return_dict : bool, default False
            Whether to return a dict by name.

        Returns
        -------
        float, list of float, or dict
            The loss and the metrics of this batch, as :meth:`evaluate` returns them.

        Raises
        ------
        ValueError
            If the model is not compiled or not built, or the data do not fit it.
        TypeError
            For data that are no arrays of numbers, and without labels.
        """
        logs = loops.on_batch(self, "test_on_batch", x, y, sample_weight)
        return _as_keras_returns(logs, return_dict)

    def predict_on_batch(self, x: Any) -> Any:
        """Return the outputs for one batch."""
        loops.require_arrays(x)
        return self.predict(x, batch_size=2**31, verbose=0)

    # ---- steps in two halves: what comes in between is the caller's ----

    def grads_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None) -> dict[str, Any]:
        """Write the gradients of a batch into :attr:`gradients`, and learn nothing from it yet.

        Returns
        -------
        dict of str to float
            The loss and the metrics of this batch.
        """
        return loops.on_batch(self, "grads_on_batch", x, y, sample_weight)

    def apply_gradients(self) -> None:
        """Let the optimizer take a step along :attr:`gradients`."""
        loops.require_compiled(self, "apply_gradients")
        self.require_built("apply_gradients")
        assert self.optimizer is not None
        self.optimizer.bind(self.weights)
        self.optimizer.step()

    @property
    def metrics_names(self) -> list[str]:
        """The names of what :meth:`evaluate` returns, in its order; empty before the first pass."""
        return list(self.last_results)

    def get_metrics_result(self) -> dict[str, Any]:
        """Return the loss and the metrics of the last pass by name; empty before the first."""
        return dict(self.last_results)

    def reset_metrics(self) -> None:
        """Do nothing, for Keras' sake: the metrics of a batch or a pass begin anew with it."""

    def reset_states(self) -> None:
        """Begin all stateful layers anew, with states of 0."""
        for layer in self.layers:
            if hasattr(layer, "reset_states"):
                layer.reset_states()

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

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Any:
        """Make a model from what `get_config` returned, with new weights."""
        if cls is not Model:
            return super().from_config(config)
        from fastgru.models.functional import Functional

        return Functional.from_config(config)

    def to_json(self, **options: Any) -> str:
        """Return the architecture as JSON, for :func:`fastgru.models.model_from_json`.

        Parameters
        ----------
        **options
            Passed to :func:`json.dumps`.
        """
        return model_files.to_json(self, **options)


def _as_keras_returns(logs: dict[str, float], return_dict: bool) -> Any:
    if return_dict:
        return logs
    values = list(logs.values())
    return values if len(values) > 1 else values[0]
