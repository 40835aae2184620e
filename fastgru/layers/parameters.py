"""Where weights live: flat buffers, into which every weight is a view.

A layer that has just been built owns one buffer; a model gathers the weights of its layers into one
of its own. An optimizer then steps over whole ranges, whatever layers they belong to.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from fastgru._arrays import to_floats
from fastgru.constraints import Constraint
from fastgru.regularizers import Regularizer

# Versions are never used twice, so that a stale copy can't pass for one of another buffer.
_versions = itertools.count(1)


class ParameterBuffer:
    """One flat array of parameters and one of their gradients.

    Parameters
    ----------
    size : int
        The number of parameters.
    dtype : numpy.dtype
        float32 or float64.
    owner : object, optional
        The model that the buffer belongs to; the buffer does not keep it alive.

    Attributes
    ----------
    values, gradients : ndarray, shape (size,)
        The arrays.
    version : int
        Changes whenever the values do.
    """

    __slots__ = ("_owner", "gradients", "values", "version")

    def __init__(self, size: int, dtype: np.dtype, owner: object = None) -> None:
        self.values = np.empty(size, dtype)
        self.gradients = np.zeros(size, dtype)
        self._owner = None if owner is None else weakref.ref(owner)
        self.touch()

    def touch(self) -> None:
        """Mark what was made from the values as stale."""
        self.version = next(_versions)

    def belongs_to_another(self, owners: Iterable[object]) -> bool:
        """Tell whether a living model that is none of `owners` holds the buffer."""
        holder = None if self._owner is None else self._owner()
        return holder is not None and all(holder is not owner for owner in owners)


class Weight:
    """One weight of a layer: a view into a buffer.

    Parameters
    ----------
    name : str
        Its name in the layer: ``"kernel"``.
    values : ndarray
        The initial values; copied.

    Attributes
    ----------
    array, gradient : ndarray
        Views into the buffer, of the weight's shape. `array` is read-only: what is packed from the
        values must learn of a change, so :meth:`assign` writes.
    trainable : bool
        Whether an optimizer moves it.
    path : str
        The names of layer and weight: ``"gru/kernel"``.
    regularizer, constraint : Regularizer, Constraint or None
        What training adds to the loss, and what it does to the values after each step.
    """

    __slots__ = (
        "array",
        "buffer",
        "constraint",
        "gradient",
        "name",
        "offset",
        "path",
        "regularizer",
        "trainable",
    )

    def __init__(self, name: str, values: np.ndarray) -> None:
        self.name = self.path = name
        self.trainable = True
        self.regularizer: Regularizer | None = None
        self.constraint: Constraint | None = None
        self.array = values
        self.move_to(ParameterBuffer(values.size, values.dtype), 0)

    def move_to(self, buffer: ParameterBuffer, offset: int) -> None:
        """Copy the values to a place in a buffer and live there from now on."""
        values, shape = self.array, self.array.shape
        self.buffer, self.offset = buffer, offset
        self.gradient = buffer.gradients[self.place].reshape(shape)
        self.array = buffer.values[self.place].reshape(shape)
        self.array.flags.writeable = False
        self.writable()[...] = values

    def writable(self) -> np.ndarray:
        """Return a view to write through; whoever does calls the buffer's `touch`."""
        return self.buffer.values[self.place].reshape(self.array.shape)

    @property
    def place(self) -> slice:
        """The range of the buffer that is the weight's."""
        return slice(self.offset, self.offset + self.array.size)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape."""
        return self.array.shape

    @property
    def dtype(self) -> str:
        """The name of the dtype."""
        return self.array.dtype.name

    def numpy(self) -> np.ndarray:
        """Return a copy of the values."""
        return self.array.copy()

    def assign(self, value: Any) -> None:
        """Replace the values.

        Raises
        ------
        ValueError, TypeError
            If `value` has another shape or does not hold numbers; nothing is written then.
        """
        self.write(self.checked(value))

    def checked(self, value: Any, name: str | None = None) -> np.ndarray:
        """Return a new value in the weight's dtype if it fits, else raise as :meth:`assign`."""
        values = to_floats(name or self.name, value, self.array.dtype)
        if values.shape != self.array.shape:
            raise ValueError(
                f"{name or self.name}: expected shape {self.array.shape}, got {values.shape}"
            )
        return values

    def write(self, values: np.ndarray) -> None:
        """Write values that were checked."""
        try:
            self.writable()[...] = values
        finally:
            self.buffer.touch()

    def __getstate__(self) -> dict[str, Any]:
        """Pickle the values, without gradients and buffer: whoever holds weights gathers them."""
        elsewhere = ("buffer", "gradient", "offset")
        return {name: getattr(self, name) for name in self.__slots__ if name not in elsewhere}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Live in a buffer of its own."""
        for name, value in state.items():
            setattr(self, name, value)
        self.move_to(ParameterBuffer(self.array.size, self.array.dtype), 0)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Return a copy of the values."""
        return self.array.astype(dtype or self.array.dtype)

    def __repr__(self) -> str:
        """Return name, shape and dtype."""
        return f"<Weight {self.path} shape={self.shape} dtype={self.dtype}>"


def gather(weights: Sequence[Weight], owner: object = None, nested: Iterable[object] = ()) -> None:
    """Move weights into one new buffer, in their order.

    Weights that another model holds stay where they are: layers may be shared. The models `nested`
    in the owner hand theirs over.
    """
    owners = [owner, *nested]
    moving = [w for w in weights if not w.buffer.belongs_to_another(owners)]
    if not moving:
        return
    size = sum(w.array.size for w in moving)
    buffer = ParameterBuffer(size, moving[0].array.dtype, owner)
    offset = 0
    for weight in moving:
        weight.move_to(buffer, offset)
        offset += weight.array.size


class Span(NamedTuple):
    """A range of trainable parameters without a gap."""

    buffer: ParameterBuffer
    start: int
    stop: int


def trainable_spans(weights: Sequence[Weight]) -> list[Span]:
    """Return the ranges that an optimizer steps over: usually one."""
    spans: list[list[Any]] = []
    for weight in weights:
        if weight.trainable:
            stop = weight.offset + weight.array.size
            if spans and spans[-1][0] is weight.buffer and spans[-1][2] == weight.offset:
                spans[-1][2] = stop
            else:
                spans.append([weight.buffer, weight.offset, stop])
    return [Span(*span) for span in spans]


def write_weights(owner: str, targets: Sequence[tuple[Any, Weight]], values: Sequence[Any]) -> None:
    """Write new values into weights of layers: all of them, or none if one does not fit."""
    if not hasattr(values, "__len__") or getattr(values, "ndim", 1) == 0:
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
