"""What every model offers, whatever the way its layers are connected."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from fastgru import losses, metrics, optimizers
from fastgru._configurable import refuse
from fastgru._naming import auto_name, did_you_mean
from fastgru.callbacks import Callback, History
from fastgru.layers._parameters import Weight
from fastgru.layers.base import Layer, Shape, write_weights
from fastgru.models import loops, saving
from fastgru.models.summary import print_summary


class Compiled(NamedTuple):
    """What `compile` was given, looked up."""

    optimizer: optimizers.Optimizer
    loss: losses.Loss | None
    metrics: list[metrics.Metric | str]


class Model:
    """The base of models.

    A subclass connects layers: it says which there are, builds them, and runs them forward and
    backward.

    Parameters
    ----------
    name : str, optional
        Otherwise the class' name in snake case, numbered.
    """

    def __init__(self, name: str | None = None) -> None:
        self.name = name or auto_name(type(self).__name__)
        self.built = False
        self.stop_training = False
        self.history: History | None = None
        self.compiled: Compiled | None = None

    # ---- what a subclass says ----

    @property
    @abstractmethod
    def layers(self) -> list[Layer]:
        """The layers, inputs aside."""

    @property
    @abstractmethod
    def input_shape(self) -> Shape:
        """The shape of the input, with None for sizes that may vary."""

    @property
    @abstractmethod
    def output_shape(self) -> Shape:
        """The shape of the output, with None for sizes that may vary."""

    @property
    @abstractmethod
    def dtype(self) -> str:
        """The name of the dtype of weights and outputs."""

    @property
    @abstractmethod
    def output_activation(self) -> str | None:
        """The activation that :meth:`forward` can leave off."""

    @abstractmethod
    def build(self, input_shape: Sequence[int | None] | None = None) -> None:
        """Make the weights for inputs of a shape."""

    @abstractmethod
    def convert(self, name: str, x: Any) -> np.ndarray:
        """Return an input as the array that the first layer takes, checked for its values."""

    @abstractmethod
    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Shape:
        """Return the shape of the output for that of an input; refuse one that does not fit."""

    @abstractmethod
    def forward(
        self, x: Any, *, training: bool = False, logits: bool = False
    ) -> tuple[np.ndarray, Any]:
        """Return the output for a checked input, and what `backward` needs.

        With `logits`, the output activation is left off.
        """

    @abstractmethod
    def backward(self, dy: np.ndarray, caches: Any) -> None:
        """Write the gradients of all trainable weights, from that of the output."""

    # ---- training and use ----

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

    def train_on_batch(self, x: Any, y: Any = None, return_dict: bool = False) -> Any:
        """Take one training step; return loss and metrics of this batch, as :meth:`evaluate`."""
        return _as_keras_returns(loops.train_on_batch(self, x, y), return_dict)

    def test_on_batch(self, x: Any, y: Any = None, return_dict: bool = False) -> Any:
        """Return loss and metrics of one batch, as :meth:`evaluate`."""
        return _as_keras_returns(loops.test_on_batch(self, x, y), return_dict)

    def predict_on_batch(self, x: Any) -> np.ndarray:
        """Return the outputs for one batch."""
        return self.predict(x, batch_size=max(1, len(x)), verbose=0)

    def __call__(self, inputs: Any, *, training: bool | None = False, mask: Any = None) -> Any:
        """Return the output for one batch; build the model if this is the first call.

        Parameters
        ----------
        inputs : array_like
            The samples.
        training : bool, default False
            Whether dropout drops.
        mask : None
            Not served yet.
        """
        refuse(type(self).__name__, mask=mask)
        x = self.check_input("inputs", inputs)
        if not self.built:
            self.build((None, *x.shape[1:]))
        return self.forward(x, training=bool(training))[0]

    def check_input(self, name: str, x: Any) -> np.ndarray:
        """Return an input as an array, checked against the model's shape.

        Raises
        ------
        ValueError, TypeError
            If it does not fit.
        """
        array = self.convert(name, x)
        if 0 in array.shape[1:]:
            raise ValueError(f"{name}: expected at least one time step, got shape {array.shape}")
        self.compute_output_shape(array.shape)
        return array

    # ---- weights ----

    @property
    def weights(self) -> list[Weight]:
        """All weights, in the order of the layers."""
        return [weight for layer in self.layers for weight in layer.weights]

    @property
    def trainable_weights(self) -> list[Weight]:
        """The weights that training moves."""
        return [weight for weight in self.weights if weight.trainable]

    @property
    def non_trainable_weights(self) -> list[Weight]:
        """The weights that training leaves alone."""
        return [weight for weight in self.weights if not weight.trainable]

    def require_built(self, what: str) -> None:
        """Raise a ValueError if the model has no weights yet."""
        if not self.built:
            raise ValueError(
                f"{what}: the model {self.name!r} is not built yet, so it has no weights; fit it, "
                "call it on data, or give its first layer an Input(shape=…) or input_length"
            )

    def get_weights(self) -> list[np.ndarray]:
        """Return copies of the weights.

        Raises
        ------
        ValueError
            If the model is not built.
        """
        self.require_built("get_weights")
        return [weight.numpy() for weight in self.weights]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Replace the weights.

        Raises
        ------
        ValueError, TypeError
            If the model is not built, or the number of weights, a shape or a dtype does not fit;
            nothing is written then.
        """
        self.require_built("set_weights")
        write_weights(self.name, self._named_weights(), weights)

    def _named_weights(self) -> list[tuple[Layer, Weight]]:
        return [(layer, weight) for layer in self.layers for weight in layer.weights]

    def save_weights(self, filepath: str | os.PathLike[str], overwrite: bool = True) -> None:
        """Write the weights into an ``.npz`` file, whole or not at all.

        Parameters
        ----------
        filepath : path
            Ends in ``.npz``.
        overwrite : bool, default True
            Whether a file that is there may be replaced.

        Raises
        ------
        ValueError
            If the model is not built or the path ends otherwise.
        OSError
            If the file can't be written, or is there and `overwrite` is False (FileExistsError).
        """
        self.require_built("save_weights")
        saving.save_weights(self.layers, filepath, overwrite)

    def load_weights(self, filepath: str | os.PathLike[str]) -> None:
        """Read the weights from a file that :meth:`save_weights` wrote.

        The layers must be of the same classes in the same order; their names do not matter.

        Parameters
        ----------
        filepath : path
            Ends in ``.npz``.

        Raises
        ------
        ValueError
            If the model is not built, the file is none of fastgru's, or holds other weights; the
            model is then as it was.
        OSError
            If the file can't be read.
        """
        self.require_built("load_weights")
        values = saving.load_weights(self.layers, filepath)
        write_weights(self.name, self._named_weights(), values)

    def count_params(self) -> int:
        """Return the number of parameters.

        Raises
        ------
        ValueError
            If the model is not built.
        """
        self.require_built("count_params")
        return sum(weight.array.size for weight in self.weights)

    # ---- looking at it ----

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """Return a layer by its name or its place.

        Raises
        ------
        ValueError
            If there is none, or not exactly one of `name` and `index` is given.
        """
        if (name is None) == (index is None):
            raise ValueError(
                f"get_layer: expected a name or an index, got name={name!r}, index={index!r}"
            )
        layers = self.layers
        if index is not None:
            if not -len(layers) <= index < len(layers):
                raise ValueError(f"index: the model has {len(layers)} layers, got index {index}")
            return layers[index]
        for layer in layers:
            if layer.name == name:
                return layer
        names = [layer.name for layer in layers]
        hint = did_you_mean(str(name), names) or f"; its layers are {', '.join(names)}"
        raise ValueError(f"name: the model has no layer {name!r}{hint}")

    def summary(
        self, line_length: int | None = None, print_fn: Callable[[str], Any] | None = None
    ) -> None:
        """Print the layers with their output shapes and numbers of parameters.

        Parameters
        ----------
        line_length : int, default 65
            The width of the table.
        print_fn : callable, default print
            Called with each line.
        """
        print_summary(self, line_length or 65, print_fn or print)

    def __repr__(self) -> str:
        """Return class, name and state."""
        return f"<{type(self).__name__} name={self.name} built={self.built}>"


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
