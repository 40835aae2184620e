"""What all layers share: names, weights, building, calling."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastgru import activations
from fastgru._arrays import to_floats
from fastgru._configurable import Configurable, refuse, refuse_unknown
from fastgru._naming import auto_name
from fastgru.activations import Activation
from fastgru.backend import floatx
from fastgru.constraints import Constraint
from fastgru.initializers import Initializer
from fastgru.layers._parameters import Weight, gather
from fastgru.regularizers import Regularizer

Shape = tuple[int | None, ...]

_building = threading.RLock()


class Layer(Configurable):
    """The base of all layers.

    A layer holds parameters and calls operations. It is called with arrays, or put into a model.
    The first call (or the model) builds it: makes its weights for the shape that it meets.

    Subclasses say what their output's shape is, make their weights, and give a `forward` and a
    `backward`. Both are pure but for the gradients: what `backward` needs of the forward pass
    travels in a cache, so one layer can serve several threads and several places of a model.

    Parameters
    ----------
    name : str, optional
        Otherwise the class' name in snake case, numbered: ``gru``, ``gru_1``, ….
    dtype : {"float32", "float64"}, optional
        Otherwise that of the model, or float32.
    trainable : bool, default True
        Whether training moves the weights.
    input_shape, batch_input_shape : sequence of int, optional
        The shape of a sample (of a batch): as the first layer of a model, builds the model.

    Raises
    ------
    TypeError
        For an unknown argument; the message lists the close ones.
    NotImplementedError
        For one that Keras knows and fastgru does not serve yet.
    """

    #: Attributes that a pickle leaves out; the class has their first values.
    remade: tuple[str, ...] = ()

    def __init__(
        self,
        *,
        name: str | None = None,
        dtype: Any = None,
        trainable: bool = True,
        input_shape: Sequence[int | None] | None = None,
        batch_input_shape: Sequence[int | None] | None = None,
        activity_regularizer: Any = None,
        autocast: bool = True,
        **unknown: Any,
    ) -> None:
        kind = type(self)
        refuse_unknown(kind, unknown, Layer)
        refuse(kind.__name__, activity_regularizer=activity_regularizer)
        if not autocast:
            raise NotImplementedError(f"{kind.__name__}: the argument autocast=False is not served")
        if not isinstance(name, str | None):
            raise TypeError(f"name: expected a string, got {name!r}")
        self.name: str = name or auto_name(kind.__name__)
        self.dtype_given = dtype is not None
        self._dtype = checked_dtype(dtype)
        self.built = False
        self.input_shape: Shape | None = None
        self.output_shape: Shape | None = None
        self.first_shape = _first_shape(input_shape, batch_input_shape)
        self._weights: list[Weight] = []
        self.trainable = trainable

    # ---- what a layer computes ----

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Shape:
        """Return the shape of the output for that of an input, whose unknown sizes are None.

        Raises
        ------
        ValueError
            If the layer can't take inputs of this shape.
        """
        raise NotImplementedError

    def create_weights(self, input_shape: Shape) -> None:
        """Make the weights with :meth:`add_weight`; called once, by :meth:`build`."""

    def forward(self, x: Any, *, training: bool = False) -> tuple[Any, Any]:
        """Return the output for an input of the right dtype, and a cache for :meth:`backward`.

        The cache is None unless training.
        """
        raise NotImplementedError

    def backward(self, dy: Any, cache: Any, *, accumulate: bool = False) -> Any:
        """Return the gradient of the input from that of the output.

        Writes the gradients of the weights; adds them to what is there with `accumulate`, for
        layers that occur more than once in a model. An input of ids has no gradient: None.
        """
        raise NotImplementedError

    @property
    def output_activation(self) -> str | None:
        """The elementwise function that :meth:`forward` ends with, if it can be left off."""
        return None

    def forward_logits(self, x: Any, *, training: bool = False) -> tuple[Any, Any]:
        """Return what `forward` does, without the output activation."""
        raise NotImplementedError

    def convert(self, name: str, x: Any) -> np.ndarray:
        """Return an input as an array of the dtype that the layer takes, checked for its values."""
        return to_floats(name, x, self._dtype)

    # ---- building and calling ----

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Make the weights for inputs of a shape, e.g. ``(None, None, 8)``; once only.

        Raises
        ------
        ValueError
            If the layer can't take inputs of this shape.
        """
        shape = tuple(input_shape)
        output_shape = self.compute_output_shape(shape)
        with _building:
            if self.built:
                return
            self._weights = []
            self.create_weights(shape)
            gather(self._weights)
            self.input_shape, self.output_shape = shape, output_shape
            self.trainable = self._trainable
            self.built = True

    def add_weight(
        self,
        name: str,
        shape: tuple[int, ...],
        initializer: Initializer,
        regularizer: Regularizer | None = None,
        constraint: Constraint | None = None,
    ) -> Weight:
        """Make a weight; its initial values come from `initializer`."""
        values = np.asarray(initializer(shape, self._dtype))
        if values.shape != shape:
            raise ValueError(f"{self.name}: {name}: expected shape {shape}, got {values.shape}")
        weight = Weight(name, values)
        weight.regularizer, weight.constraint = regularizer, constraint
        self._weights.append(weight)
        return weight

    def __call__(self, inputs: Any, *, training: bool | None = False, mask: Any = None) -> Any:
        """Run the layer on arrays.

        Parameters
        ----------
        inputs : array_like
            The input; converted to the layer's dtype.
        training : bool, default False
            Whether dropout drops.
        mask : None
            Not served yet.
        """
        refuse(type(self).__name__, mask=mask)
        return self.forward(self._take(inputs), training=bool(training))[0]

    def _take(self, inputs: Any) -> np.ndarray:
        """Return the inputs of a call, converted and checked; the first call builds the layer."""
        if isinstance(inputs, Layer):
            raise NotImplementedError(
                f"{type(self).__name__}: calling layers on an Input is not served yet; "
                "list them in a Sequential"
            )
        x = self.convert("inputs", inputs)
        self.compute_output_shape(x.shape)
        if not self.built:
            self.build((None, *x.shape[1:]))
        return x

    # ---- weights ----

    @property
    def weights(self) -> list[Weight]:
        """All weights."""
        return list(self._weights)

    @property
    def trainable_weights(self) -> list[Weight]:
        """The weights that training moves."""
        return [w for w in self._weights if w.trainable]

    @property
    def non_trainable_weights(self) -> list[Weight]:
        """The weights that training leaves alone."""
        return [w for w in self._weights if not w.trainable]

    @property
    def trainable(self) -> bool:
        """Whether training moves the weights; a change holds from the next fit on."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = bool(value)
        for weight in self._weights:
            weight.trainable = self._trainable

    @property
    def learns(self) -> bool:
        """Whether the layer has weights that training moves."""
        return self._trainable and bool(self._weights)

    def get_weights(self) -> list[np.ndarray]:
        """Return copies of the weights."""
        return [w.numpy() for w in self._weights]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Replace the weights.

        Raises
        ------
        ValueError, TypeError
            If their number, a shape or a dtype does not fit; nothing is written then.
        """
        write_weights(self.name, [(self, w) for w in self._weights], weights)

    def count_params(self) -> int:
        """Return the number of parameters.

        Raises
        ------
        ValueError
            If the layer is not built.
        """
        if not self.built:
            raise ValueError(
                f"{self.name}: not built, so it has no weights to count; "
                "call it on data or build(input_shape)"
            )
        return sum(w.array.size for w in self._weights)

    def store_gradient(self, weight: Weight, gradient: np.ndarray, accumulate: bool) -> None:
        """Write, or add, a gradient to a weight's, unless the weight is frozen."""
        if not weight.trainable:
            return
        if accumulate:
            weight.gradient += gradient
        else:
            weight.gradient[...] = gradient

    # ---- names and types ----

    @property
    def dtype(self) -> str:
        """The name of the dtype of weights and outputs."""
        return self._dtype.name

    def check_dtype(self, dtype: str) -> None:
        """Require that the layer was not given, or built with, another dtype than a model's."""
        if dtype != self.dtype and (self.dtype_given or self.built):
            raise ValueError(
                f"dtype: the layers of a model share one dtype, but {self.name!r} has {self.dtype} "
                f"after a first layer of {dtype}; give the first layer the dtype of the model"
            )

    def adopt_dtype(self, dtype: str) -> None:
        """Take a model's dtype, which was checked."""
        self._dtype = np.dtype(dtype)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make an equal layer (its weights aside)."""
        settled = self.dtype_given or self.built  # otherwise a model may still decide
        config: dict[str, Any] = {
            "name": self.name,
            "trainable": self.trainable,
            "dtype": self.dtype if settled else None,
        }
        if self.first_shape is not None:
            config["batch_input_shape"] = list(self.first_shape)
        return config | super().get_config()

    def __getstate__(self) -> dict[str, Any]:
        """Pickle all but what is made again when it is needed."""
        return {name: value for name, value in vars(self).items() if name not in self.remade}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Gather the weights, which come one by one."""
        vars(self).update(state)
        gather(self._weights)

    def __repr__(self) -> str:
        """Return class, name and state."""
        return f"<{type(self).__name__} name={self.name} built={self.built}>"

    def expect_rank(
        self, shape: Sequence[int | None], rank: int, axes: str, hint: str = ""
    ) -> None:
        """Require a number of dimensions; a hint ends the message if there is one too few."""
        if len(shape) != rank:
            raise ValueError(
                f"{self.name}: expected {rank} dimensions {axes}, got shape {tuple(shape)}"
                + (hint if len(shape) == rank - 1 else "")
            )

    def expect_features(self, shape: Sequence[int | None]) -> int:
        """Require a known size of the last axis, the built one if the layer is built; return it."""
        features = shape[-1]
        if not features:
            raise ValueError(f"{self.name}: expected features on the last axis, got shape {shape}")
        if self.built and self.input_shape is not None and features != self.input_shape[-1]:
            raise ValueError(
                f"{self.name}: built for {self.input_shape[-1]} features, "
                f"got {features} in an input of shape {tuple(shape)}"
            )
        return features


def write_weights(
    owner: str, targets: Sequence[tuple[Layer, Weight]], values: Sequence[Any]
) -> None:
    """Write new values into weights: all of them, or none if one does not fit."""
    if not hasattr(values, "__len__"):
        raise TypeError(f"weights: expected a list of arrays, got {values!r}")
    if len(values) != len(targets):
        raise ValueError(
            f"weights: {owner} has {len(targets)} weights "
            f"({', '.join(f'{layer.name}/{w.name} {w.shape}' for layer, w in targets)}), "
            f"got {len(values)}"
        )
    checked = [
        w.checked(value, f"{layer.name}/{w.name}")
        for (layer, w), value in zip(targets, values, strict=True)
    ]
    for (_, weight), value in zip(targets, checked, strict=True):
        weight.write(value)


def checked_dtype(dtype: Any) -> np.dtype:
    """Return the dtype of a layer.

    Raises
    ------
    ValueError
        If it is neither float32 nor float64.
    """
    try:
        found = np.dtype(floatx() if dtype is None else dtype)
    except TypeError:
        found = None
    if found is None or found not in (np.float32, np.float64):
        raise ValueError(f"dtype: expected 'float32' or 'float64', got {dtype!r}")
    return np.dtype(found.name)


def for_operations(activation: Activation) -> str | Activation:
    """Return an activation as operations take it: the name of a known one, or one's own itself."""
    known = getattr(activations, activation.name, None) is activation
    return activation.name if known else activation


def checked_size(name: str, value: Any) -> int:
    """Return a size as an int.

    Raises
    ------
    TypeError
        If it is not an integer.
    ValueError
        If it is below 1, or more than any array could have.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name}: expected a positive integer, got {value!r}")
    if value < 1:
        raise ValueError(f"{name}: expected a positive integer, got {value}")
    if value >= 2**31:
        raise ValueError(f"{name}: expected an integer below 2**31, got {value}")
    return int(value)


def _first_shape(
    input_shape: Sequence[int | None] | None, batch_input_shape: Sequence[int | None] | None
) -> Shape | None:
    if batch_input_shape is not None:
        return checked_shape("batch_input_shape", batch_input_shape)
    if input_shape is not None:
        return (None, *checked_shape("input_shape", input_shape))
    return None


def checked_shape(name: str, shape: Any) -> Shape:
    """Return a shape as a tuple of positive ints and None.

    Raises
    ------
    TypeError, ValueError
        If it is not a sequence of these.
    """
    if isinstance(shape, str) or not isinstance(shape, Sequence):
        raise TypeError(f"{name}: expected a tuple of sizes such as (10, 8), got {shape!r}")
    return tuple(None if size is None else checked_size(name, size) for size in shape)
