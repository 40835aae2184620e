"""What every network of layers is: weights, shapes, names."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastgru._configurable import refuse
from fastgru._naming import auto_name, did_you_mean
from fastgru.layers._parameters import Weight, gather
from fastgru.layers.base import Layer, Shape, write_weights
from fastgru.models import saving
from fastgru.models.summary import print_summary


class Network:
    """The base of models: a network of layers that can be built, run, looked at and saved.

    A subclass connects the layers: it says which there are, builds them, and runs them forward and
    backward.

    Parameters
    ----------
    name : str, optional
        Otherwise the class' name in snake case, numbered.
    """

    def __init__(self, name: str | None = None) -> None:
        self.name = name or auto_name(type(self).__name__)
        self.built = False

    # ---- what a subclass says ----

    @property
    def layers(self) -> list[Layer]:
        """The layers, inputs aside."""
        raise NotImplementedError

    @property
    def input_shape(self) -> Shape:
        """The shape of the input, with None for sizes that may vary."""
        raise NotImplementedError

    @property
    def output_shape(self) -> Shape:
        """The shape of the output, with None for sizes that may vary."""
        raise NotImplementedError

    @property
    def dtype(self) -> str:
        """The name of the dtype of weights and outputs."""
        raise NotImplementedError

    @property
    def output_activation(self) -> str | None:
        """The activation that :meth:`forward` can leave off."""
        raise NotImplementedError

    def build(self, input_shape: Sequence[int | None] | None = None) -> None:
        """Make the weights for inputs of a shape."""
        raise NotImplementedError

    def convert(self, name: str, x: Any) -> np.ndarray:
        """Return an input as the array that the first layer takes, checked for its values."""
        raise NotImplementedError

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Shape:
        """Return the shape of the output for that of an input; refuse one that does not fit."""
        raise NotImplementedError

    def forward(
        self, x: Any, *, training: bool = False, logits: bool = False
    ) -> tuple[np.ndarray, Any]:
        """Return the output for a checked input, and what :meth:`backward` needs.

        With `logits`, the output activation is left off.
        """
        raise NotImplementedError

    def backward(self, dy: np.ndarray, caches: Any) -> None:
        """Write the gradients of all trainable weights, from that of the output."""
        raise NotImplementedError

    # ---- computation ----

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
        try:
            self.compute_output_shape(array.shape)
        except ValueError as error:
            if self.built:  # so it is the input that does not fit, not one layer the other
                raise ValueError(f"{name}: {error}") from None
            raise
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

    @property
    def trainable(self) -> bool:
        """Whether training moves any layer; set, it holds for all layers."""
        return any(layer.trainable for layer in self.layers)

    @trainable.setter
    def trainable(self, value: bool) -> None:
        for layer in self.layers:
            layer.trainable = value

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

    def save_weights(
        self,
        filepath: str | os.PathLike[str],
        overwrite: bool = True,
        max_shard_size: float | None = None,
    ) -> None:
        """Write the weights into an ``.npz`` file, whole or not at all.

        Parameters
        ----------
        filepath : path
            Ends in ``.npz``.
        overwrite : bool, default True
            Whether a file that is there may be replaced.
        max_shard_size : None
            Not served yet.

        Raises
        ------
        ValueError
            If the model is not built or the path ends otherwise.
        OSError
            If the file can't be written, or is there and `overwrite` is False (FileExistsError).
        """
        refuse("save_weights", max_shard_size=max_shard_size)
        self.require_built("save_weights")
        saving.save_weights(self.layers, filepath, overwrite)

    def load_weights(self, filepath: str | os.PathLike[str], skip_mismatch: bool = False) -> None:
        """Read the weights from a file that :meth:`save_weights` wrote.

        The layers must be of the same classes in the same order; their names do not matter.

        Parameters
        ----------
        filepath : path
            Ends in ``.npz``.
        skip_mismatch : bool, default False
            True is not served yet.

        Raises
        ------
        ValueError
            If the model is not built, the file is none of fastgru's, or holds other weights; the
            model is then as it was.
        OSError
            If the file can't be read.
        """
        refuse("load_weights", skip_mismatch=skip_mismatch)
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
        TypeError
            If `index` is not an integer.
        """
        if (name is None) == (index is None):
            raise ValueError(
                f"get_layer: expected a name or an index, got name={name!r}, index={index!r}"
            )
        layers = self.layers
        if index is not None:
            if not isinstance(index, int):
                raise TypeError(f"index: expected an integer, got {index!r}")
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
        self,
        line_length: int | None = None,
        positions: Sequence[float] | None = None,
        print_fn: Callable[[str], Any] | None = None,
        expand_nested: bool = False,
        show_trainable: bool = False,
        layer_range: Sequence[str] | None = None,
    ) -> None:
        """Print the layers with their output shapes and numbers of parameters.

        Parameters
        ----------
        line_length : int, default 65
            The width of the table.
        print_fn : callable, default print
            Called with each line.
        positions, expand_nested, show_trainable, layer_range
            Not served yet.
        """
        refuse(
            "summary",
            positions=positions,
            expand_nested=expand_nested,
            show_trainable=show_trainable,
            layer_range=layer_range,
        )
        print_summary(self, line_length or 65, print_fn or print)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Gather the weights, which come layer by layer, into a buffer of the model's own."""
        vars(self).update(state)
        if self.built:
            gather(self.weights, owner=self)

    def __repr__(self) -> str:
        """Return class, name and state."""
        return f"<{type(self).__name__} name={self.name} built={self.built}>"
