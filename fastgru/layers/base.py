"""What all layers share: names, weights, building, calling."""

from __future__ import annotations

import os
import threading
import warnings
import weakref
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from fastgru import regularizers
from fastgru._arrays import to_floats
from fastgru._configurable import (
    Configurable,
    constructor_arguments,
    describe,
    plain,
    refuse_unknown,
)
from fastgru._naming import auto_name, checked_name
from fastgru.constraints import Constraint
from fastgru.initializers import Initializer
from fastgru.layers.arguments import (
    Shape,
    checked_dtype,
    checked_mask,
    first_shape,
    is_nested_shape,
)
from fastgru.layers.parameters import Weight, gather, write_weights
from fastgru.layers.symbolic import Node, connect, is_symbolic
from fastgru.regularizers import Regularizer

_building = threading.RLock()


def _begin_anew() -> None:
    """Forget, in a forked child, that a thread of its parent is building a layer."""
    global _building
    _building = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)


class Layer(Configurable):
    """The base of all layers.

    A layer holds parameters and calls operations. It is called with arrays, or on the tensors of a
    functional model, or put into a model. The first call (or the model) builds it: makes its
    weights for the shape that it meets.

    Subclasses say what their output's shape is, make their weights, and give a `forward` and a
    `backward`. Both are pure but for the gradients: what `backward` needs of the forward pass
    travels in a cache, so one layer can serve several threads and several places of a model.

    A layer that takes a list of arrays finds lists wherever it meets inputs: of arrays in `forward`
    and `convert`, of masks (or None) there, of shapes in `compute_output_shape` and `build`; its
    `backward` returns a list. A layer that returns a list gives lists of shapes and masks, too, and
    its `backward` gets a list, in which None stands for an output that nothing depends on.

    What a layer of fastgru's was made with stays: once it is built these attributes can't be set,
    but for `name`, `trainable` and, of a recurrent layer, `zero_output_for_mask`.

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
    activity_regularizer : str or Regularizer, optional
        A penalty on the outputs that models add to the loss, divided by the batch size.
    autocast : bool, default True
        Accepted for Keras' sake; False is not served.

    Attributes
    ----------
    supports_masking : bool
        Whether masks travel on through the layer; otherwise they end there, with a warning.
    makes_mask : bool
        Whether the output may have a mask when no input has one.
    takes_ids : bool
        Whether the input consists of whole numbers, which are not converted to the layer's dtype.
    adds_loss : bool
        Whether layers inside have penalties on their outputs: :meth:`added_loss`.

    Raises
    ------
    ValueError
        If `dtype` is neither of the two, a size is not positive, or a name is unknown.
    TypeError
        For an argument of another kind, or an unknown one; the message lists the close ones.
    NotImplementedError
        For one that Keras knows and fastgru does not serve yet.
    """

    #: Attributes that a pickle leaves out; the class has their first values.
    remade: tuple[str, ...] = ()
    #: Attributes that stay as they are, beside what the constructor takes.
    fixed: tuple[str, ...] = ()
    #: Whether these stay from the beginning, since the constructor acts on them; else from `build`.
    fixed_at_once = False

    supports_masking = False
    makes_mask = False
    adds_loss = False
    takes_ids = False

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
        if not autocast:
            raise NotImplementedError(f"{kind.__name__}: the argument autocast=False is not served")
        self.name: str = checked_name(name) or auto_name(kind.__name__)
        self.dtype_given = dtype is not None
        self._dtype = checked_dtype(dtype)
        self.built = False
        self.input_shape: Shape | None = None
        self.output_shape: Shape | None = None
        self.first_shape = first_shape(input_shape, batch_input_shape)
        self.activity_regularizer: Regularizer | None = regularizers.get(
            activity_regularizer, "activity_regularizer"
        )
        self.calls: list[weakref.ref[Node]] = []
        self._weights: list[Weight] = []
        self.trainable = trainable

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute, but no option that has been acted on already.

        Raises
        ------
        AttributeError
            For such an option, unless it has this value.
        """
        kind: type = type(self)
        if name not in _options(kind) or not self._is_fixed(name):
            super().__setattr__(name, value)
        elif plain(value) != plain(now := getattr(self, name)):
            raise AttributeError(
                f"{self.name}: {name}: expected {now!r}, which the {kind.__name__} was "
                f"{'built' if self.built else 'made'} with, got {value!r}; make another layer: "
                f"{kind.__name__}.from_config({{**layer.get_config(), {name!r}: …}})"
            )

    def _is_fixed(self, name: str) -> bool:
        have = vars(self)
        return bool(have.get("built")) or (self.fixed_at_once and name in have)

    # ---- what a layer computes ----

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape of the output for that of an input, whose unknown sizes are None.

        Raises
        ------
        ValueError
            If the layer can't take inputs of this shape.
        """
        raise self._not_said("compute_output_shape")

    def create_weights(self, input_shape: Any) -> None:
        """Make the weights with :meth:`add_weight`; called once, by :meth:`build`."""

    def forward(self, x: Any, *, training: bool = False, mask: Any = None) -> tuple[Any, Any]:
        """Return the output for an input of the right dtype, and a cache for :meth:`backward`.

        The cache is None unless training. A layer that has no use for a mask ignores it.
        """
        raise self._not_said("forward")

    def backward(self, dy: Any, cache: Any, *, accumulate: bool = False) -> Any:
        """Return the gradient of the input from that of the output.

        Writes the gradients of the weights; adds them to what is there with `accumulate`, for
        layers that occur more than once in a model. An input of ids has no gradient: None.
        """
        raise self._not_said("backward")

    def _not_said(self, what: str) -> NotImplementedError:
        hint = "; a method `call`, as in Keras, is not used" if hasattr(self, "call") else ""
        return NotImplementedError(
            f"{type(self).__name__}.{what}: a layer says it, as compute_output_shape(input_shape), "
            "forward(x, *, training, mask) -> y, cache and backward(dy, cache, *, accumulate) -> dx"
            + hint
        )

    def backward_to_weights(self, dy: Any, cache: Any, *, accumulate: bool = False) -> None:
        """Do what :meth:`backward` does where nobody wants the gradient of the input."""
        self.backward(dy, cache, accumulate=accumulate)

    def compute_mask(self, x: Any, mask: Any = None) -> Any:
        """Return the mask of the output, (B, T) and True where a step is valid, or None."""
        return mask

    def mask_of_output(self, x: Any, mask: Any, cache: Any) -> Any:
        """Return what a model hands on as the mask of an output that `forward` has returned."""
        if self.supports_masking:
            return self.compute_mask(x, mask)
        warnings.warn(
            f"{self.name} ({type(self).__name__}) does not support masking: the mask of its input "
            "ends here, and the layers after it will not see it",
            stacklevel=2,
        )
        return None

    def added_loss(self, cache: Any) -> float:
        """Return the penalties of layers inside, from what `forward` left."""
        raise NotImplementedError

    @property
    def output_activation(self) -> Any:
        """The name of the function that :meth:`forward` ends with, if it can be left off."""
        return None

    def forward_logits(
        self, x: Any, *, training: bool = False, mask: Any = None
    ) -> tuple[Any, Any]:
        """Return what `forward` does, without the output activation."""
        raise NotImplementedError

    def convert(self, name: str, x: Any) -> Any:
        """Return an input as an array of the dtype that the layer takes, checked for its values."""
        return to_floats(name, x, self._dtype)

    # ---- building and calling ----

    def build(self, input_shape: Any) -> None:
        """Make the weights for inputs of a shape, e.g. ``(None, None, 8)``; once only.

        Raises
        ------
        ValueError
            If the layer can't take inputs of this shape.
        """
        shape = input_shape if is_nested_shape(input_shape) else tuple(input_shape)
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
        weight.path = f"{self.name}/{name}"
        weight.regularizer, weight.constraint = regularizer, constraint
        self._weights.append(weight)
        return weight

    def __call__(self, inputs: Any, *, training: bool | None = None, mask: Any = None) -> Any:
        """Run the layer on arrays, or connect it to tensors of a functional model.

        Parameters
        ----------
        inputs : array_like, KerasTensor, or a list of these
            The input; arrays are converted to the layer's dtype.
        training : bool, optional
            Whether dropout drops. Not by default; in a functional model, when the model trains.
        mask : array_like of bool, optional
            The valid steps, (B, T); a list of masks for a list of inputs.

        Returns
        -------
        ndarray or KerasTensor, or a list of these
            The output.
        """
        if is_symbolic(inputs):
            return connect(self, inputs, training, mask)
        x, mask = self._take(inputs, mask)
        return self.forward(x, training=bool(training), mask=mask)[0]

    def _take(self, inputs: Any, mask: Any) -> tuple[Any, Any]:
        """Return what a call gives, converted and checked; the first that fits builds."""
        x = self.convert("inputs", inputs)
        shape = [a.shape for a in x] if isinstance(x, list) else x.shape
        self.compute_output_shape(shape)
        mask = self._take_mask(mask, x)
        if not self.built:
            self.build(self._shape_met(shape))
        return x, mask

    def _shape_met(self, shape: Any) -> Any:
        """Return the shape to be built for, from that of a batch: others may have other sizes."""
        return [(None, *s[1:]) for s in shape] if isinstance(shape, list) else (None, *shape[1:])

    def _take_mask(self, mask: Any, x: Any) -> Any:
        """Return the mask of a call, checked: a list of masks for a list of inputs."""
        if isinstance(x, list) and isinstance(mask, list | tuple) and len(mask) == len(x):
            return [self._take_mask(m, a) for m, a in zip(mask, x, strict=True)]
        if mask is None:
            return None
        array = checked_mask(self.name, mask)
        self.expect_mask(array.shape, (x[0] if isinstance(x, list) else x).shape)
        return array

    @property
    def input(self) -> Any:
        """The tensor, or list of tensors, of a functional model that the layer was called on."""
        node = self._first_call("input")
        return list(node.inputs) if node.in_list else node.inputs[0]

    @property
    def output(self) -> Any:
        """The tensor, or list of tensors, that the layer returned in a functional model."""
        return self._first_call("output").outputs

    def _first_call(self, what: str) -> Node:
        for call in self.calls:
            node = call()
            if node is not None:
                return node
        raise AttributeError(f"{self.name}: {what}: the layer is not part of a model yet")

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
    def variables(self) -> list[Weight]:
        """All weights, by Keras' other name."""
        return self.weights

    @property
    def trainable_variables(self) -> list[Weight]:
        """The weights that training moves, by Keras' other name."""
        return self.trainable_weights

    @property
    def non_trainable_variables(self) -> list[Weight]:
        """The weights that training leaves alone, by Keras' other name."""
        return self.non_trainable_weights

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

    @property
    def seed_generators(self) -> list[Any]:
        """The generators that dropout draws from: a saved model holds their `state`."""
        return []

    # ---- names and types ----

    @property
    def dtype(self) -> str:
        """The name of the dtype of weights and outputs."""
        return self._dtype.type.__name__  # NumPy takes its time for the dtype's own name

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

    def hand_dtype(self, argument: str, inner: Layer, dtype: str) -> None:
        """Give a layer within this one its dtype, unless it was given, or built with, another."""
        if inner.dtype != dtype and (inner.dtype_given or inner.built):
            raise ValueError(
                f"{self.name}: {argument}: expected a layer of dtype {dtype}, as {self.name!r} is "
                f"to have, got {inner.name!r} of {inner.dtype}; give both the same dtype"
            )
        inner.adopt_dtype(dtype)

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
        if self.activity_regularizer is not None:
            config["activity_regularizer"] = describe(self.activity_regularizer)
        if type(self).__init__ is Layer.__init__:
            return config
        return config | super().get_config()

    def __getstate__(self) -> dict[str, Any]:
        """Pickle all but what is made again when it is needed."""
        remade = {*self.remade, "calls"}
        return {name: value for name, value in vars(self).items() if name not in remade}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Gather the weights, which come one by one."""
        vars(self).update(state, calls=[])
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

    def expect_mask(self, shape: Sequence[int | None], input_shape: Sequence[int | None]) -> None:
        """Require the shape of a mask to fit that of an input; sizes that are None fit any.

        A mask has the first axes of its input: (B, T) at least where there is a time axis, and
        never that of the features.
        """
        rank = len(input_shape)
        steps = rank if self.takes_ids else rank - 1
        least, most = max(1, min(2, steps)), min(rank, max(2, steps))
        pairs = zip(shape, input_shape, strict=False)
        if least <= len(shape) <= most and all(None in pair or len({*pair}) == 1 for pair in pairs):
            return
        fitting = " or ".join(str(tuple(input_shape[:n])) for n in range(least, most + 1))
        raise ValueError(f"{self.name}: mask: expected shape {fitting}, got {tuple(shape)}")

    def expect_features(self, shape: Sequence[int | None]) -> int:
        """Require a known size of the last axis, the built one if the layer is built; return it."""
        features = shape[-1]
        if not features or features < 0:
            raise ValueError(f"{self.name}: expected features on the last axis, got shape {shape}")
        if self.built and self.input_shape is not None and features != self.input_shape[-1]:
            raise ValueError(
                f"{self.name}: built for {self.input_shape[-1]} features, "
                f"got {features} in an input of shape {tuple(shape)}"
            )
        return features


@lru_cache(maxsize=256)
def _options(kind: type) -> frozenset[str]:
    """Return which attributes of a class of layers can't be set: what fastgru's own classes take.

    A class of the user's own reads its attributes itself. Properties do, or refuse, what they say.
    """
    own = [c for c in kind.__mro__ if c.__module__.startswith("fastgru.")]
    names = {n for c in own if issubclass(c, Layer) for n in (*constructor_arguments(c), *c.fixed)}
    found = {n for n in names if not isinstance(getattr(kind, n, None), property)}
    return frozenset(found - {"name", "input_shape"})
