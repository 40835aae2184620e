"""Where batches come from: arrays in memory or on disk, generators, objects that know batches."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgru import _random
from fastgru._arrays import to_array, told_of
from fastgru._numbers import checked_count
from fastgru.models.data import Arrays, Batch, Rows, Source
from fastgru.models.preparation import by_output, inputs_of, require_labels
from fastgru.models.preparation import prepare as prepare_arrays

if TYPE_CHECKING:
    from fastgru.models.model import Model

Prepare = Callable[[Any, Any, Any], Arrays]
BATCH = 32  # Keras' default
_FILES = ("h5py", "netCDF4", "tables", "zarr")  # whose arrays lie in files, as np.memmap does


def source_of(
    model: Model,
    x: Any,
    y: Any,
    sample_weight: Any = None,
    *,
    class_weight: Any = None,
    batch_size: Any = None,
    shuffle: bool = False,
    where: str = "",
    prepare: Callable[..., Arrays] = prepare_arrays,
) -> Source:
    """Return what `fit`, `evaluate` and `predict` were given as a source of batches, checked.

    Raises
    ------
    TypeError, ValueError
        If it does not fit the model; `where` begins the names of the arguments in the message.
    """

    def one_batch(x: Any, y: Any, weights: Any) -> Arrays:
        return prepare(model, x, y, weights, class_weight, None, where)

    if is_stream(x):
        for name, value in (("y", y), ("sample_weight", sample_weight), ("batch_size", batch_size)):
            if value is not None:
                raise ValueError(
                    f"{where}{name}: expected None where x gives batches ({type(x).__name__}): "
                    "each is x, (x, y) or (x, y, sample_weight)"
                )
        return Stream(f"{where}x", x, one_batch, shuffle)
    size = checked_count("batch_size", batch_size, BATCH)
    if type(x) is not np.ndarray and any(map(_on_disk, inputs_of(model, f"{where}x", x)[0])):
        return OnDisk(_beside_each_other(model, x, y, sample_weight, where), one_batch, size)
    return prepare(model, x, y, sample_weight, class_weight, size, where)


def require_even_batches(model: Model, source: Source, steps: int | None, where: str = "") -> None:
    """Require the batches of one size that stateful layers were built for, before a whole pass.

    Raises
    ------
    ValueError
        If there are others.
    """
    if steps is not None or not source.count:
        return
    size = min(source.batch_size, source.count)
    for layer in _layers(model):
        states = getattr(layer, "states", None)  # of stateful layers only
        if states and {size, source.count % size or size} != {len(states[0])}:
            raise ValueError(
                f"{where}x: {layer.name}: stateful, built for batches of {len(states[0])}, "
                f"got {source.count} samples in batches of {size}"
            )


def _layers(model: Any) -> Iterator[Any]:
    """Yield the layers of a model, and of models in it, that take its batches."""
    for layer in model.layers:
        yield layer
        yield from _layers(layer) if hasattr(layer, "layers") else ()


def _beside_each_other(model: Model, x: Any, y: Any, weights: Any, where: str) -> list[Any]:
    """Return samples, labels and weights: None, or an array (a list of them) with rows for each.

    What is not on a disk is an array in memory, so that its rows go by their places.
    """
    leaves, in_list = inputs_of(model, f"{where}x", x)
    leaves = [_array(f"{where}x", leaf) for leaf in leaves]
    counts = {len(leaf) for leaf in leaves}
    if len(counts) != 1 or not min(counts):
        raise ValueError(
            f"{where}x: expected samples, as many in every input, got {sorted(counts)}"
        )
    count, found = counts.pop(), [leaves if in_list else leaves[0]]
    for name, value in (("y", y), ("sample_weight", weights)):
        given = by_output(model, f"{where}{name}", value, count)
        listed = isinstance(value, Mapping | list | tuple) and len(model.output_names) > 1
        arrays = [_array(f"{where}{name}", one) for one in (given if listed else [given])]
        for array in arrays:
            if array is not None:
                require_labels(where, name, len(array), count)
        found.append(arrays if listed else arrays[0])
    return found


def _array(name: str, given: Any) -> Any:
    if given is None or _on_disk(given):
        return given
    array = to_array(name, given)
    if not array.ndim:
        raise ValueError(f"{name}: expected an array with a row for each sample, got {given!r}")
    return array


def _on_disk(x: Any) -> bool:
    """Tell whether only what is asked for should be read."""
    if isinstance(x, np.ndarray):
        return isinstance(x, np.memmap)
    return hasattr(x, "shape") and type(x).__module__.partition(".")[0] in _FILES


def is_stream(x: Any) -> bool:
    """Tell whether samples come in batches: from a generator, an iterable, or by number."""
    if isinstance(x, np.ndarray | Sequence | Mapping | set) or hasattr(x, "__array__"):
        return False
    if hasattr(x, "shape") or hasattr(x, "ndim"):
        return False
    return hasattr(x, "__iter__") or (hasattr(x, "__getitem__") and hasattr(x, "__len__"))


class OnDisk(Source):
    """Arrays of which only batches are read and converted.

    Parameters
    ----------
    given : list
        Samples, labels and weights: None, or an array (a list of them) with rows for each.
    prepare : callable
        Turns samples, labels and weights of a batch into arrays that are checked.
    batch_size : int
        Samples in a batch.
    """

    def __init__(self, given: list[Any], prepare: Prepare, batch_size: int) -> None:
        self._given, self._prepare, self.batch_size = given, prepare, batch_size
        x = given[0]
        self.count = len(x[0] if isinstance(x, list) else x)
        self.steps = -(-self.count // batch_size)

    def example(self) -> Arrays:
        """Return the first batch."""
        return self._arrays(slice(0, self.batch_size))

    def _arrays(self, rows: Rows) -> Arrays:
        try:
            return self._prepare(*(_read(given, rows) for given in self._given))
        except ValueError as error:
            places = range(*rows.indices(self.count)) if isinstance(rows, slice) else rows
            raise told_of(error, lambda place: (int(places[place[0]]), *place[1:])) from None

    def batches(self, shuffle: bool = False, by_length: bool = False) -> Iterator[Batch]:
        """Yield the batches of one pass, each in the order that it has on the disk."""
        count, size = self.count, self.batch_size
        order = _random.generator().permutation(count) if shuffle else None
        for start in range(0, count, size):
            stop = min(start + size, count)
            rows = slice(start, stop) if order is None else np.sort(order[start:stop])
            yield from self._arrays(rows).batches()


def _read(given: Any, rows: Rows) -> Any:
    """Return rows of an array, or of each of several."""
    if isinstance(given, list):
        return [_read(leaf, rows) for leaf in given]
    return None if given is None else np.asarray(given[rows])


class Stream(Source):
    """Batches from a generator, an iterable, or an object with ``__len__`` and ``__getitem__``.

    The latter may have `on_epoch_begin` and `on_epoch_end`, called around each pass.

    Parameters
    ----------
    name : str
        The name of the argument, for messages.
    given : object
        Gives samples, or tuples of samples, labels and (if there are) sample weights.
    prepare : callable
        Turns samples, labels and weights of a batch into arrays that are checked.
    shuffle : bool
        Whether to draw a new order of the batches for each pass, where they have numbers.
    """

    def __init__(self, name: str, given: Any, prepare: Prepare, shuffle: bool) -> None:
        self._name, self._given, self._prepare, self._shuffle = name, given, prepare, shuffle
        self._numbered = hasattr(given, "__getitem__") and hasattr(given, "__len__")
        self.restarts = not hasattr(given, "__next__")
        self.steps = len(given) if hasattr(given, "__len__") else None
        self._ahead: list[Any] = []  # what was taken from a generator to look at

    def example(self) -> Arrays:
        """Return the first batch."""
        if self._numbered and self.steps:
            return self._arrays(self._given[0])
        if not self._ahead:
            found = next(iter(self._given), None) if self.steps != 0 else None
            if found is None:
                raise ValueError(f"{self._name}: expected batches, but there are none")
            if self.restarts:
                return self._arrays(found)
            self._ahead = [found]
        return self._arrays(self._ahead[0])

    def _arrays(self, item: Any) -> Arrays:
        return self._prepare(*unpacked(self._name, item))

    def batches(self, shuffle: bool = False, by_length: bool = False) -> Iterator[Batch]:
        """Yield the batches of one pass."""
        for item in self._items():
            yield from self._arrays(item).batches()

    def _items(self) -> Iterator[Any]:
        if not self._numbered:
            while self._ahead:
                yield self._ahead.pop()
            yield from self._given
            return
        getattr(self._given, "on_epoch_begin", lambda: None)()
        count = len(self._given)
        order = _random.generator().permutation(count) if self._shuffle else np.arange(count)
        for number in order.tolist():
            yield self._given[number]
        getattr(self._given, "on_epoch_end", lambda: None)()


def unpacked(name: str, item: Any) -> tuple[Any, Any, Any]:
    """Return samples, labels and weights of a batch; None for what it does not hold.

    Raises
    ------
    ValueError
        If it holds more than three things.
    """
    if isinstance(item, list) and item and all(hasattr(part, "shape") for part in item):
        item = tuple(item)  # as Keras does: a data loader of torch gives lists
    if not isinstance(item, tuple):
        return item, None, None
    if not 1 <= len(item) <= 3:
        raise ValueError(
            f"{name}: expected batches (x, y) or (x, y, sample_weight), got {len(item)} things"
        )
    return (*item, None, None)[:3]


class EpochIterator:
    """The batches of one epoch after the other; with `steps`, each goes on where the last stopped.

    Parameters
    ----------
    source : Source
        The source.
    steps : int or None
        The batches in a pass; None for all that there are.
    """

    def __init__(self, source: Source, steps: int | None, shuffle: bool, by_length: bool) -> None:
        self.source, self.steps = source, steps
        self.ran_out = False
        self._how = shuffle, by_length
        self._going: Iterator[Batch] | None = None

    def __iter__(self) -> Iterator[Batch]:
        """Yield the batches of one pass."""
        if self.steps is None:
            return self.source.batches(*self._how)
        return self._some(self.steps)

    def _some(self, steps: int) -> Iterator[Batch]:
        for _ in range(steps):
            if self._going is None:
                self._going = self.source.batches(*self._how)
            batch = next(self._going, None)
            if batch is None and self.source.restarts:
                self._going = self.source.batches(*self._how)
                batch = next(self._going, None)
            if batch is None:
                self.warn()
                return
            yield batch

    def warn(self) -> None:
        """Tell that a generator has ended too early."""
        self.ran_out = True
        warnings.warn(
            "the generator ran out of batches: it must give steps_per_epoch times epochs of them",
            stacklevel=3,
        )
