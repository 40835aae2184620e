"""Samples and labels in arrays: conversion, validation, batches."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastgru import _random
from fastgru._arrays import to_floats
from fastgru.losses.base import checked_weights
from fastgru.models.ragged import Ragged, is_ragged, to_ragged

if TYPE_CHECKING:
    from fastgru.models.model import Model

Leaf = np.ndarray | Ragged
Rows = np.ndarray | slice
_GROUP = 16  # batches whose samples are sorted by length together


class Batch(NamedTuple):
    """What a step takes in: lists for several inputs (outputs), else arrays.

    Attributes
    ----------
    x, mask : ndarray or list
        Samples, and which of their steps are valid; None if all are.
    y, weights : ndarray, list or None
        Labels, and the weights of samples or steps.
    size : int
        The number of samples.
    """

    x: Any
    y: Any
    weights: Any
    mask: Any
    size: int


class Source:
    """Where batches come from.

    Attributes
    ----------
    steps : int or None
        The number of batches in a pass; None if it is not known.
    restarts : bool
        Whether there can be another pass.
    """

    steps: int | None = None
    restarts = True

    def example(self) -> Arrays:
        """Return a batch, or all, as arrays: others have the same shapes but for their lengths."""
        raise NotImplementedError

    def batches(self, shuffle: bool = False, by_length: bool = False) -> Iterator[Batch]:
        """Yield the batches of one pass.

        Parameters
        ----------
        shuffle : bool, default False
            Whether to draw a new order.
        by_length : bool, default False
            Whether samples may be sorted by length.
        """
        raise NotImplementedError


class Arrays(Source):
    """Samples, labels and weights as a model takes them, checked.

    Parameters
    ----------
    x, y, weights : list of (ndarray, Ragged or None)
        What each input and output takes; `y` is None without labels, `weights` without weights.
    in_list, out_list : bool
        Whether the model takes its inputs (outputs) as a list.
    batch_size : int
        Samples in a batch; the last may have fewer.
    """

    def __init__(
        self,
        x: list[Leaf],
        y: list[Any] | None,
        weights: list[Any] | None,
        in_list: bool,
        out_list: bool,
        batch_size: int,
    ) -> None:
        self.x, self.y, self.weights = x, y, weights
        self.in_list, self.out_list = in_list, out_list
        self.batch_size = batch_size
        self.count = len(x[0])
        self.steps = -(-self.count // batch_size)
        self.lengths = next((leaf.lengths for leaf in x if isinstance(leaf, Ragged)), None)
        leaves = [*x, *(y or ()), *(weights or ())]
        self._simple = not in_list and not out_list and weights is None and y is not None
        self._simple = self._simple and all(isinstance(leaf, np.ndarray) for leaf in leaves)

    def example(self) -> Arrays:
        """Return the object itself."""
        return self

    def input_shape(self) -> Any:
        """Return the shape of a batch, with None for sizes that may vary."""
        shapes = [
            (None, None, *leaf.steps.shape[1:])
            if isinstance(leaf, Ragged)
            else (None, *leaf.shape[1:])
            for leaf in self.x
        ]
        return shapes if self.in_list else shapes[0]

    def part(self, rows: slice) -> Arrays:
        """Return a part of the samples with their labels and weights."""
        x, y, weights = (
            None if leaves is None else [_part(leaf, rows) for leaf in leaves]
            for leaves in (self.x, self.y, self.weights)
        )
        assert x is not None
        return Arrays(x, y, weights, self.in_list, self.out_list, self.batch_size)

    def batches(self, shuffle: bool = False, by_length: bool = False) -> Iterator[Batch]:
        """Yield the batches of one pass; ragged samples that are shuffled go by length."""
        for rows in self.rows(shuffle, by_length):
            yield self.batch(rows)

    def rows(self, shuffle: bool, by_length: bool) -> Iterator[Rows]:
        """Yield the samples of each batch."""
        count, size, lengths = self.count, self.batch_size, self.lengths
        if not shuffle and (lengths is None or not by_length):
            for start in range(0, count, size):
                yield slice(start, start + size)
            return
        order = _random.generator().permutation(count) if shuffle else np.arange(count)
        if lengths is None:
            for start in range(0, count, size):
                yield order[start : start + size]
            return
        group = _GROUP * size if shuffle else count
        found = []
        for start in range(0, count, group):
            rows = order[start : start + group]
            rows = rows[np.argsort(lengths[rows], kind="stable")]
            found += [rows[i : i + size] for i in range(0, len(rows), size)]
        places = _random.generator().permutation(len(found)) if shuffle else range(len(found))
        for place in places:
            yield found[place]

    def batch(self, rows: Rows, every_mask: bool = False) -> Batch:
        """Return some samples; with `every_mask`, masks of ragged inputs even if all is valid."""
        if self._simple:
            assert self.y is not None
            x: Any = _take(self.x[0], rows)
            return Batch(x, _take(self.y[0], rows), None, None, len(x))
        samples, masks = [], []
        for leaf in self.x:
            mask = None
            if isinstance(leaf, Ragged):
                array, mask = leaf.take(rows)
                if not every_mask and mask.all():
                    mask = None
            else:
                array = _take(leaf, rows)
            samples.append(array)
            masks.append(mask)
        y = self._of_outputs(self.y, rows)
        weights = self._of_outputs(self.weights, rows)
        every: Any = None if all(m is None for m in masks) else masks
        if self.in_list:
            return Batch(samples, y, weights, every, len(samples[0]))
        return Batch(samples[0], y, weights, masks[0], len(samples[0]))

    def _of_outputs(self, leaves: list[Any] | None, rows: Rows) -> Any:
        if leaves is None:
            return None
        taken = [_take(leaf, rows) for leaf in leaves]
        return taken if self.out_list else taken[0]


def _take(leaf: Any, rows: Rows) -> Any:
    if leaf is None:
        return None
    if isinstance(leaf, Ragged):
        return leaf.take(rows)[0]
    return leaf[rows] if isinstance(rows, slice) else leaf.take(rows, axis=0)


def _part(leaf: Any, rows: slice) -> Any:
    if leaf is None:
        return None
    return leaf.part(rows) if isinstance(leaf, Ragged) else leaf[rows]


# ---- what a user gives ---------------------------------------------------------------------------


def inputs_of(model: Model, name: str, x: Any) -> tuple[list[Any], bool]:
    """Return what is given for each input, and whether the model takes a list."""
    names = getattr(model, "input_names", None)
    in_list = isinstance(model.input_shape, list) if model.built else False
    if isinstance(x, Mapping):
        if names is None or x.keys() != set(names):
            expected = ", ".join(names) if names else "one input, no dict"
            raise ValueError(f"{name}: {model.name} has {expected}; got {', '.join(map(str, x))}")
        return [x[key] for key in names], in_list
    count = len(model.input_shape) if in_list else 1
    if count > 1:
        if not isinstance(x, list | tuple) or len(x) != count:
            got = f"{len(x)} of them" if isinstance(x, list | tuple) else type(x).__name__
            raise ValueError(
                f"{name}: {model.name} has {count} inputs ({', '.join(names or ())}); expected a "
                f"list of as many arrays, got {got}"
            )
        return list(x), in_list
    if isinstance(x, list | tuple) and len(x) == 1:  # Keras allows the only input in a list
        rank = len(model.input_shape[0] if in_list else model.input_shape) if model.built else -1
        if getattr(x[0], "ndim", None) == rank or (rank > 0 and is_ragged(x[0])):
            return [x[0]], in_list
    return [x], in_list


def prepare(
    model: Model,
    x: Any,
    y: Any,
    sample_weight: Any = None,
    class_weight: Any = None,
    batch_size: int | None = None,
    where: str = "",
) -> Arrays:
    """Return samples, labels and weights, checked against a model and its targets.

    Nothing is changed. Without `batch_size`, all are one batch.

    Raises
    ------
    TypeError, ValueError
        If they do not fit; `where` begins the names of the arguments in the message.
    """
    leaves, in_list, output_shapes, out_list = samples_of(model, where + "x", x)
    count = len(leaves[0])
    if not count:
        raise ValueError(f"{where}x: expected at least one sample, got shape {leaves[0].shape}")
    labels = _labels(model, y, leaves, output_shapes, out_list, where)
    weights = _weights(model, sample_weight, class_weight, labels, leaves, output_shapes, where)
    return Arrays(leaves, labels, weights, in_list, out_list, batch_size or count)


def samples_of(
    model: Model, name: str, x: Any
) -> tuple[list[Leaf], bool, list[tuple[int, ...]], bool]:
    """Return samples as the model takes them, checked, and the shapes of the outputs for all.

    Two bools tell whether the model takes, and returns, a list.
    """
    if x is None:
        raise TypeError(f"{name}: expected samples, got None")
    given, in_list = inputs_of(model, name, x)
    if not any(map(is_ragged, given)):
        arrays = model.check_input(name, x)
        leaves: list[Leaf] = arrays if isinstance(arrays, list) else [arrays]
        if not in_list and isinstance(arrays, list):
            in_list = True
    else:
        leaves = _ragged_inputs(model, name, given, in_list)
    shapes = [tuple(leaf.shape) for leaf in leaves]
    found = model.compute_output_shape(shapes if in_list else shapes[0])
    outputs = found if isinstance(found, list) else [found]
    sizes = [tuple(size or 0 for size in shape) for shape in outputs]
    return leaves, in_list, sizes, isinstance(found, list)


def _ragged_inputs(model: Model, name: str, given: list[Any], in_list: bool) -> list[Leaf]:
    """Return inputs, some of them ragged, checked as if all their steps were one sample each."""
    leaves: list[Any] = []
    for i, value in enumerate(given):
        at = name if len(given) == 1 else f"{name}[{i}]"
        leaves.append(to_ragged(at, value) if is_ragged(value) else value)
    flat = [leaf.steps[:, None] if isinstance(leaf, Ragged) else leaf for leaf in leaves]
    converted = model.convert(name, flat if in_list else flat[0])
    arrays = converted if isinstance(converted, list) else [converted]
    for i, (leaf, array) in enumerate(zip(leaves, arrays, strict=True)):
        if isinstance(leaf, Ragged):
            leaves[i] = Ragged(array[:, 0], leaf.lengths)
        else:
            leaves[i] = array
    counts = {len(leaf) for leaf in leaves}
    if len(counts) > 1:
        raise ValueError(
            f"{name}: expected as many samples in every input, got {sorted(counts)} of them"
        )
    shapes = [leaf.shape for leaf in leaves]
    try:
        model.compute_output_shape(shapes if in_list else shapes[0])
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    return leaves


def _labels(
    model: Model,
    y: Any,
    x: list[Leaf],
    output_shapes: list[tuple[int, ...]],
    out_list: bool,
    where: str,
) -> list[Any]:
    if y is None:
        raise TypeError(f"{where}y: expected labels, got None")
    several = len(output_shapes) > 1
    if several:
        given = _for_outputs(model, f"{where}y", y)
    elif isinstance(y, Mapping):
        given = list(y.values())
    else:
        wrapped = out_list and isinstance(y, list | tuple) and len(y) == 1 and np.ndim(y[0]) > 0
        given = [y[0] if wrapped else y]
    names = getattr(model, "output_names", None)
    return [
        _label(
            model,
            labels,
            i,
            x,
            shape,
            f"{where}y" + (f"[{names[i]!r}]" if names and several else ""),
        )
        for i, (labels, shape) in enumerate(zip(given, output_shapes, strict=True))
    ]


def _label(
    model: Model, y: Any, output: int, x: list[Leaf], shape: tuple[int, ...], name: str
) -> Any:
    target = model.targets()[output]
    if y is None or not hasattr(y, "__len__"):
        if y is None and target.loss is None:
            return None
        raise TypeError(f"{name}: expected an array of labels, got {y!r}")
    if len(y) != len(x[0]):
        raise ValueError(
            f"{name.removesuffix('y')}x and y: expected as many labels as samples, "
            f"got {len(x[0])} samples and {len(y)} labels"
        )
    dtype = np.dtype(model.dtype)
    lengths = next((leaf.lengths for leaf in x if isinstance(leaf, Ragged)), None)
    try:
        if is_ragged(y):
            if len(shape) < 3:
                raise ValueError(f"y: expected shape {shape}, got labels of different lengths")
            ragged = to_ragged("y", y)
            y, shape = ragged.steps, (len(ragged.steps), *shape[2:])
            return Ragged(_prepared(target.loss, y, shape, dtype), ragged.lengths)
        labels = _prepared(target.loss, y, shape, dtype)
    except (TypeError, ValueError) as error:
        message = str(error)
        raise type(error)(name + message.removeprefix("y")) from None
    if lengths is not None and len(shape) > 2 and len(x) == 1:  # padded labels, ragged samples
        starts = np.arange(len(labels)) * labels.shape[1]
        return Ragged(labels.reshape(-1, *labels.shape[2:]), lengths, starts)
    return labels


def _prepared(loss: Any, y: Any, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    if loss is None:
        return to_floats("y", y, dtype)
    labels: np.ndarray = loss.prepare(y, shape, dtype)
    return labels


def _for_outputs(model: Model, name: str, given: Any) -> list[Any]:
    """Return what is given for each of several outputs."""
    names: list[str] = model.output_names  # type: ignore[attr-defined]
    if isinstance(given, Mapping):
        unknown = [key for key in given if key not in names]
        if unknown:
            raise ValueError(
                f"{name}: the model has no output {unknown[0]!r}; "
                f"its outputs are {', '.join(names)}"
            )
        return [given.get(key) for key in names]
    if not isinstance(given, list | tuple) or len(given) != len(names):
        got = f"{len(given)} of them" if isinstance(given, list | tuple) else type(given).__name__
        raise ValueError(
            f"{name}: expected a list of an array for each of the {len(names)} outputs "
            f"({', '.join(names)}), got {got}"
        )
    return list(given)


def _weights(
    model: Model,
    sample_weight: Any,
    class_weight: Any,
    y: list[Any],
    x: list[Leaf],
    output_shapes: list[tuple[int, ...]],
    where: str,
) -> list[Any] | None:
    if class_weight is not None:
        if sample_weight is not None:
            raise ValueError(f"{where}class_weight: expected it or sample_weight, got both")
        if len(y) > 1:
            raise ValueError(
                f"{where}class_weight: expected a model with one output, got {len(y)} outputs"
            )
        return [_of_classes(class_weight, y[0], output_shapes[0])]
    if sample_weight is None:
        return None
    name = f"{where}sample_weight"
    several = len(y) > 1
    if several and isinstance(sample_weight, list | tuple | Mapping):
        given = _for_outputs(model, name, sample_weight)
    elif isinstance(sample_weight, Mapping):
        given = list(sample_weight.values())
    else:
        given = [sample_weight] * len(y)
    found: list[Any] = []
    for weights, shape in zip(given, output_shapes, strict=True):
        if is_ragged(weights):
            ragged = to_ragged(name, weights)
            steps = checked_weights(name, ragged.steps, ragged.steps.shape)
            assert steps is not None
            found.append(Ragged(steps, ragged.lengths))
        else:
            found.append(checked_weights(name, weights, shape[:-1]))
    if all(weights is None for weights in found):
        return None
    return found


def _of_classes(class_weight: Any, y: Any, shape: tuple[int, ...]) -> Any:
    """Return the weight of each label: of its class, or of that of its greatest entry."""
    if not isinstance(class_weight, Mapping):
        raise TypeError(f"class_weight: expected a dict of weights by class, got {class_weight!r}")
    for key, weight in class_weight.items():
        if isinstance(weight, bool) or not isinstance(weight, int | float | np.number):
            raise TypeError(f"class_weight: expected numbers, got {weight!r} for class {key!r}")
        if not 0 <= weight < math.inf:
            raise ValueError(
                f"class_weight: expected weights of at least 0, got {weight!r} for class {key!r}"
            )
    labels = y.steps if isinstance(y, Ragged) else y
    rank = len(shape) - isinstance(y, Ragged)
    if labels.ndim == rank:
        labels = labels[..., 0] if labels.shape[-1] == 1 else labels.argmax(axis=-1)
    classes, places = np.unique(np.round(labels), return_inverse=True)
    weights = np.array([class_weight.get(int(c), 1.0) for c in classes], np.float64)
    found = weights[places].reshape(labels.shape)
    return Ragged(found, y.lengths, y.starts) if isinstance(y, Ragged) else found


# ---- numbers -------------------------------------------------------------------------------------


def split(data: Arrays, share: float) -> tuple[Arrays, Arrays]:
    """Return all but the last samples, and the last ones, a share of all.

    Raises
    ------
    TypeError
        If the share is not a number.
    ValueError
        If it does not lie between 0 and 1, or leaves one part empty.
    """
    if isinstance(share, bool) or not isinstance(share, int | float | np.number):
        raise TypeError(f"validation_split: expected a number between 0 and 1, got {share!r}")
    if not 0 < share < 1:
        raise ValueError(f"validation_split: expected a number between 0 and 1, got {share!r}")
    count = data.count
    kept = math.floor(count * (1 - share))
    if not 0 < kept < count:
        raise ValueError(
            f"validation_split: {share} of {count} samples leaves {kept} to train on "
            f"and {count - kept} to hold out"
        )
    return data.part(slice(None, kept)), data.part(slice(kept, None))


def checked_count(name: str, value: Any, default: int, least: int = 1) -> int:
    """Return a number of things, or the default for None.

    Raises
    ------
    TypeError
        If it is not an integer.
    ValueError
        If it is too small.
    """
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name}: expected an integer, got {value!r}")
    if value < least:
        raise ValueError(f"{name}: expected at least {least}, got {value}")
    return int(value)


def optional_count(name: str, value: Any) -> int | None:
    """Return a number of things or None; raises as :func:`checked_count`."""
    return None if value is None else checked_count(name, value, 1)
