"""What every network of layers is: weights, shapes, names."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastgru._configurable import refuse
from fastgru._naming import auto_name, checked_name, did_you_mean
from fastgru.layers.base import Layer
from fastgru.layers.parameters import Weight, gather, write_weights
from fastgru.layers.symbolic import KerasTensor, connect, is_symbolic
from fastgru.models import weight_files
from fastgru.models._run import Run
from fastgru.models.summary import print_summary


class Network(Layer):
    """The base of models: a network of layers that can be built, run, looked at and saved.

    A subclass connects the layers: it says which there are, builds them, and runs them forward and
    backward. A network is a layer, too: it may be nested in another, which then trains it.

    Parameters
    ----------
    name : str, optional
        Otherwise the class' name in snake case, numbered.
    """

    activity_regularizer = None
    dtype_given = False
    first_shape: Any = None

    def __init__(self, name: str | None = None) -> None:
        self.name = checked_name(name) or auto_name(type(self).__name__)
        self.built = False
        self.calls = []

    # ---- what a subclass says ----

    @property
    def layers(self) -> list[Layer]:
        """The layers, inputs aside."""
        raise self._not_said("layers")

    @property
    def input_shape(self) -> Any:  # type: ignore[override]
        """The shape of the input, with None for sizes that may vary; a list for several inputs."""
        raise self._not_said("input_shape")

    @property
    def output_shape(self) -> Any:  # type: ignore[override]
        """The shape of the output, with None for sizes that may vary; a list for several."""
        raise self._not_said("output_shape")

    @property
    def inputs(self) -> list[KerasTensor]:
        """The tensors that a functional model begins with."""
        raise self._not_said("inputs")

    @property
    def outputs(self) -> list[KerasTensor]:
        """The tensors that a functional model ends with."""
        raise self._not_said("outputs")

    @property
    def output_names(self) -> list[str]:
        """The names of the outputs: how dicts of losses and labels call them; none if unknown."""
        return []

    @property
    def dtype(self) -> str:
        """The name of the dtype of weights and outputs."""
        raise self._not_said("dtype")

    @property
    def output_activation(self) -> Any:
        """The activation that :meth:`forward` can leave off; a list for several outputs."""
        raise self._not_said("output_activation")

    def build(self, input_shape: Any = None) -> None:
        """Make the weights for inputs of a shape."""
        raise self._not_said("build")

    def convert(self, name: str, x: Any) -> Any:
        """Return an input as the array that the first layer takes, checked for its values.

        Several inputs come and go as a list.
        """
        raise self._not_said("convert")

    def forward(
        self, x: Any, *, training: bool = False, mask: Any = None, logits: Any = False
    ) -> tuple[Any, Run]:
        """Return the output for a checked input, and what came up on the way.

        Several inputs (and their masks) and several outputs are lists. With `logits`, the output
        activation is left off; a list says it for each of several outputs.
        """
        raise self._not_said("forward")

    def forward_logits(
        self, x: Any, *, training: bool = False, mask: Any = None
    ) -> tuple[Any, Any]:
        """Return what `forward` does, without the output activation."""
        return self.forward(x, training=training, mask=mask, logits=True)

    def backward(
        self, dy: Any, cache: Run, *, accumulate: bool = False, input_gradient: bool = True
    ) -> Any:
        """Return the gradients of the inputs from those of the outputs; write those of the weights.

        Parameters
        ----------
        dy : ndarray, or a list of ndarray or None
            The gradients of the outputs; None for one that the loss does not depend on.
        cache : Run
            What :meth:`forward` returned in training.
        accumulate : bool, default False
            Whether to add to the gradients that are there.
        input_gradient : bool, default True
            Whether the gradients of the inputs are wanted; without, none are computed.
        """
        raise self._not_said("backward")

    def _not_said(self, what: str) -> NotImplementedError:
        return NotImplementedError(
            f"{type(self).__name__}.{what}: a model is a Sequential, or Model(inputs, outputs) of "
            "layers called on each other; a subclass with a method `call`, as in Keras, is not "
            "served"
        )

    def backward_to_weights(self, dy: Any, cache: Run, *, accumulate: bool = False) -> None:
        """Do what :meth:`backward` does where nobody wants the gradients of the inputs."""
        self.backward(dy, cache, accumulate=accumulate, input_gradient=False)

    @property
    def adds_loss(self) -> bool:  # type: ignore[override]
        """Whether a layer has an activity regularizer."""
        return any(layer.adds_loss or layer.activity_regularizer for layer in self.layers)

    def added_loss(self, cache: Any) -> float:
        """Return what the layers add to the loss."""
        found: float = cache.added_loss
        return found

    def mask_of_output(self, x: Any, mask: Any, cache: Any) -> Any:
        """Return the masks that the layers have left."""
        return cache.masks if len(cache.masks) > 1 else cache.masks[0]

    @property
    def makes_mask(self) -> bool:  # type: ignore[override]
        """Whether a layer makes a mask."""
        return any(layer.makes_mask for layer in self.layers)

    # ---- computation ----

    def __call__(self, inputs: Any, *, training: bool | None = None, mask: Any = None) -> Any:
        """Return the output for one batch; build the model if this is the first call.

        Parameters
        ----------
        inputs : array_like, KerasTensor, or a list of these
            The samples; or tensors of another model, which this one becomes a layer of.
        training : bool, optional
            Whether dropout drops. Not by default.
        mask : array_like of bool, optional
            The valid steps of the input, (B, T); a list of masks for several inputs.
        """
        if is_symbolic(inputs):
            return self.arranged(connect(self, inputs, training, mask))
        x = self.check_input("inputs", inputs)
        mask = self._take_mask(mask, x)
        if not self.built:
            self.build((None, *x.shape[1:]))
        y, _ = self.forward(x, training=bool(training), mask=mask)
        return self.arranged(y)

    def arranged(self, outputs: Any) -> Any:
        """Return what :meth:`forward` returns as a user is to see it: a list may become a dict."""
        return outputs

    def check_input(self, name: str, x: Any) -> Any:
        """Return an input as an array, checked against the model's shape; a list for several.

        Raises
        ------
        ValueError, TypeError
            If it does not fit.
        """
        given = self.convert(name, x)
        self.check_fit(name, given)
        return given

    def check_fit(self, name: str, given: Any) -> Any:
        """Require converted inputs to fit the model; return the shape of the output for them.

        Raises
        ------
        ValueError
            If they do not fit.
        """
        arrays = given if isinstance(given, list) else [given]
        shapes = [array.shape for array in arrays]
        for shape in shapes:
            if 0 in shape[1:]:
                raise ValueError(f"{name}: expected at least one time step, got shape {shape}")
        if len(shapes) > 1 and len({shape[:1] for shape in shapes}) > 1:
            raise ValueError(
                f"{name}: expected as many samples in every input, got shapes {shapes}"
            )
        try:
            return self.compute_output_shape(shapes if isinstance(given, list) else shapes[0])
        except ValueError as error:
            if self.built:  # so it is the input that does not fit, not one layer the other
                raise ValueError(f"{name}: {error}") from None
            raise

    # ---- weights ----

    @property
    def weights(self) -> list[Weight]:
        """All weights, in the order of the layers."""
        return list(dict.fromkeys(weight for layer in self.layers for weight in layer.weights))

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

    @property
    def learns(self) -> bool:
        """Whether any layer has weights that training moves."""
        return any(layer.learns for layer in self.layers)

    @property
    def seed_generators(self) -> list[Any]:
        """The generators that dropout draws from, in the order of the layers."""
        return [generator for layer in self.layers for generator in layer.seed_generators]

    @property
    def gradients(self) -> np.ndarray:
        """The gradients of all weights in their order, in one array that may be written to.

        Those of a step are there after `grads_on_batch`; `apply_gradients` takes them from there.
        Those of weights that are frozen have no meaning.

        Raises
        ------
        ValueError
            If the model is not built, or shares weights with another that holds them.
        """
        self.require_built("gradients")
        weights = self.weights
        if not weights:
            return np.zeros(0, self.dtype)
        buffer, start = weights[0].buffer, weights[0].offset
        stop = start
        for weight in weights:
            if weight.buffer is not buffer or weight.offset != stop:
                raise ValueError(
                    f"gradients: {self.name!r} has weights in several places, because it shares "
                    "layers with another model; see the gradients of its weights"
                )
            stop += weight.array.size
        return buffer.gradients[start:stop]

    def _gather(self) -> None:
        """Move the weights into one buffer of the model's own, unless they are trained already."""
        nested = [layer for layer in self._nested() if not layer.trained]
        gather(self.weights, self, nested)

    def _nested(self) -> list[Network]:
        found = []
        for layer in self.layers:
            inner = getattr(layer, "layer", layer)  # of a TimeDistributed
            if isinstance(inner, Network):
                found += [inner, *inner._nested()]
        return found

    @property
    def trained(self) -> bool:
        """Whether an optimizer has begun to move the weights where they are."""
        return False

    def check_dtype(self, dtype: str) -> None:
        """Require that no layer was given, or built with, another dtype than a model's."""
        for layer in self.layers:
            layer.check_dtype(dtype)

    def adopt_dtype(self, dtype: str) -> None:
        """Give the layers a dtype, which was checked."""
        for layer in self.layers:
            layer.adopt_dtype(dtype)

    def require_built(self, what: str) -> None:
        """Raise a ValueError if the model has no weights yet, or one that it never will."""
        if type(self).forward is Network.forward:
            raise self._not_said(what)
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
        """Return the weights, in their order, each with the first layer that has it."""
        firsts: dict[Weight, Layer] = {}
        for layer in self.layers:
            for weight in layer.weights:
                firsts.setdefault(weight, layer)
        return [(layer, weight) for weight, layer in firsts.items()]

    def save_weights(
        self,
        filepath: str | os.PathLike[str],
        overwrite: bool = True,
        max_shard_size: float | None = None,
    ) -> None:
        """Write the weights into a file, whole or not at all.

        Parameters
        ----------
        filepath : path
            Ends in ``.npz``, or in ``.safetensors`` where that package is installed.
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
        weight_files.save_weights(self.layers, filepath, overwrite)

    def load_weights(self, filepath: str | os.PathLike[str], skip_mismatch: bool = False) -> None:
        """Read the weights from a file that :meth:`save_weights` or `save` wrote.

        The layers must be of the same classes in the same order; their names do not matter.

        Parameters
        ----------
        filepath : path
            Ends in ``.npz`` or ``.safetensors``.
        skip_mismatch : bool, default False
            Whether a weight that the file does not hold in its shape keeps its values, with a
            warning; otherwise that is an error.

        Raises
        ------
        ValueError
            If the model is not built, the file is none of fastgru's, or holds other weights; the
            model is then as it was.
        OSError
            If the file can't be read.
        """
        self.require_built("load_weights")
        values = weight_files.load_weights(self.layers, filepath, skip_mismatch)
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
        line_length : int, optional
            The width of the table, to which long texts are cut. By default it is as wide as they
            need, and at least 65, or 98 for a functional model, which has a column for what each
            layer is called on.
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
        print_summary(self, line_length, print_fn or print)

    def connections(self, layer: Layer) -> list[str]:
        """Return the names of the tensors that a layer is called on, if summary shall show them."""
        return []

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Gather the weights, which come layer by layer, into a buffer of the model's own."""
        vars(self).update(state, calls=[])
        if self.built:
            self._gather()

    def __repr__(self) -> str:
        """Return class, name and state."""
        return f"<{type(self).__name__} name={self.name} built={self.built}>"
