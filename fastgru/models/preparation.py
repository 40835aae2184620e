"""What a user gives as samples, labels and weights, turned into what a model takes; checked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgru._arrays import renamed, to_floats, told_of
from fastgru._numbers import is_number
from fastgru.losses.base import checked_weights
from fastgru.models.data import Arrays, Leaf
from fastgru.models.objective import for_each_output
from fastgru.models.ragged import Ragged, as_list, is_ragged, to_ragged

if TYPE_CHECKING:
    from fastgru.models.model import Model


def inputs_of(model: Model, name: str, x: Any) -> tuple[list[Any], bool]:
    """Return what is given for each input, and whether the model takes a list."""
    names = getattr(model, "input_names", None)
    x = as_list(x)
    in_list = isinstance(model.input_shape, list) if model.built else False
    if isinstance(x, Mapping):
        if names is None or x.keys() != set(names):
            expected = ", ".join(names) if names else "one input, no dict"
            raise ValueError(f"{name}: {model.name} has {expected}; got {', '.join(map(str, x))}")
        return [as_list(x[key]) for key in names], in_list
    count = len(model.input_shape) if in_list else 1
    if count > 1:
        if not isinstance(x, list | tuple) or len(x) != count:
            got = f"{len(x)} of them" if isinstance(x, list | tuple) else type(x).__name__
            raise ValueError(
                f"{name}: {model.name} has {count} inputs ({', '.join(names or ())}); expected a "
                f"list of as many arrays, got {got}"
            )
        return [as_list(one) for one in x], in_list
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
    labels = _labels(model, y, leaves, output_shapes, where)
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
        arrays = model.convert(name, given if in_list else given[0])
        found = model.check_fit(name, arrays)
        leaves: list[Leaf] = arrays if in_list else [arrays]
    else:
        leaves = _ragged_inputs(model, name, given, in_list)
        shapes = [tuple(leaf.shape) for leaf in leaves]
        found = model.compute_output_shape(shapes if in_list else shapes[0])
    outputs = found if isinstance(found, list) else [found]
    sizes = [tuple(size or 0 for size in shape) for shape in outputs]
    return leaves, in_list, sizes, isinstance(found, list)


def _ragged_inputs(model: Model, name: str, given: list[Any], in_list: bool) -> list[Leaf]:
    """Return inputs, some of them ragged, checked as if all their steps were one sample each."""
    names = [name] if len(given) == 1 else [f"{name}[{i}]" for i in range(len(given))]
    leaves: list[Any] = [
        to_ragged(at, value) if is_ragged(value) else value
        for at, value in zip(names, given, strict=True)
    ]
    flat = [leaf.steps[:, None] if isinstance(leaf, Ragged) else leaf for leaf in leaves]
    try:
        converted = model.convert(name, flat if in_list else flat[0])
    except ValueError as error:
        for at, leaf in zip(names, leaves, strict=True):
            if isinstance(leaf, Ragged) and str(error).startswith(f"{at}:"):
                raise told_of(error, leaf.place_of) from None
        raise
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
    for extreme in (np.max, np.min):
        shapes = [
            (len(leaf), int(extreme(leaf.lengths)), *leaf.steps.shape[1:])
            if isinstance(leaf, Ragged)
            else leaf.shape
            for leaf in leaves
        ]
        try:
            model.compute_output_shape(shapes if in_list else shapes[0])
        except ValueError as error:
            raise ValueError(f"{name}: rows have different lengths; pad them ({error})") from None
    return leaves


def _labels(
    model: Model,
    y: Any,
    x: list[Leaf],
    output_shapes: list[tuple[int, ...]],
    where: str,
) -> list[Any]:
    if y is None:
        raise TypeError(f"{where}y: expected labels, got None")
    given = by_output(model, f"{where}y", y, len(x[0]))
    if len(output_shapes) == 1:
        return [_label(model, given, model.loss, x, output_shapes[0], where, "y")]
    names = model.output_names
    given = for_each_output(f"{where}y", given, names)
    each = for_each_output("loss", model.loss, names)
    return [
        _label(model, labels, loss, x, shape, where, f"y[{name!r}]")
        for labels, loss, shape, name in zip(given, each, output_shapes, names, strict=True)
    ]


def by_output(model: Model, name: str, given: Any, count: int) -> Any:
    """Return labels or weights as they were meant: one thing, or a list with one for each output.

    Raises
    ------
    ValueError
        If the list is too long or too short, or a dict names an output that there is not.
    """
    names = model.output_names
    if isinstance(given, Mapping) or (len(names) > 1 and isinstance(given, list | tuple)):
        found = for_each_output(name, given, names)
        given = found if len(names) > 1 else found[0]
    return given if len(names) > 1 else _unwrapped(given, count)


def require_labels(where: str, name: str, count: int, samples: int) -> None:
    """Require as many labels (or weights) as samples; `where` begins the message."""
    if count != samples:
        what = "labels" if name.startswith("y") else "weights"
        raise ValueError(
            f"{where}x and {name}: expected as many {what} as samples, got {samples} samples and "
            f"{count} {what}"
        )


def _unwrapped(given: Any, count: int) -> Any:
    """Return what is meant for the only output, which Keras allows in a list."""
    if isinstance(given, list | tuple) and len(given) == 1:
        only = given[0]
        if getattr(only, "ndim", 0) and len(only) == count:
            return only
    return given


def _label(
    model: Model, y: Any, loss: Any, x: list[Leaf], shape: tuple[int, ...], where: str, name: str
) -> Any:
    y = as_list(y)
    if y is None or not hasattr(y, "__len__"):
        if y is None and loss is None:
            return None
        raise TypeError(f"{where}{name}: expected an array of labels, got {y!r}")
    require_labels(where, name, len(y), len(x[0]))
    dtype = np.dtype(model.dtype)
    lengths = next((leaf.lengths for leaf in x if isinstance(leaf, Ragged)), None)
    try:
        if is_ragged(y):
            ragged = _ragged_beside("y", y, x, shape, "labels")
            shape = len(ragged.steps), *shape[2:]
            steps = ragged.checked(lambda steps: _prepared(loss, steps, shape, dtype))
            return Ragged(steps, ragged.lengths)
        labels = _prepared(loss, y, shape, dtype)
    except (TypeError, ValueError) as error:
        raise renamed(error, "y", where + name) from None
    if lengths is None or len(shape) < 3 or len(x) > 1:
        return labels
    if shape[1] == lengths.max():  # otherwise the axis is no longer that of the samples' steps
        return _without_padding(labels, lengths)
    return labels


def _ragged_beside(
    name: str, given: Any, beside: list[Leaf], shape: tuple[int, ...], what: str
) -> Ragged:
    """Return ragged labels (weights) of steps, as many as samples (labels) beside them have."""
    if len(shape) < 3:
        raise ValueError(f"{name}: expected shape {shape}, got {what} of different lengths")
    known = [leaf.lengths for leaf in beside if isinstance(leaf, Ragged)]
    if not known:
        raise ValueError(
            f"{name}: expected {shape[1]} {what} for each sample, as all have as many steps; "
            f"got {what} of different lengths"
        )
    ragged = to_ragged(name, given)
    if not any(np.array_equal(ragged.lengths, lengths) for lengths in known):
        raise ValueError(f"{name}: expected as many {what} as steps in each sample")
    return ragged


def _without_padding(padded: np.ndarray, lengths: np.ndarray) -> Ragged:
    """Return labels (weights) of steps that were given padded, beside ragged samples."""
    starts = np.arange(len(padded)) * padded.shape[1]
    return Ragged(padded.reshape(-1, *padded.shape[2:]), lengths, starts)


def _prepared(loss: Any, y: Any, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    if loss is None:
        return to_floats("y", y, dtype)
    labels: np.ndarray = loss.prepare(y, shape, dtype)
    return labels


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
    given = by_output(model, name, sample_weight, len(x[0]))
    if len(y) == 1 or not isinstance(sample_weight, Mapping | list | tuple):
        given = [given] * len(y)
    found: list[Any] = []
    for weights, labels, shape in zip(given, y, output_shapes, strict=True):
        weights = as_list(weights)
        if is_ragged(weights):
            beside: list[Leaf] = [labels] if isinstance(labels, Ragged) else x
            ragged = _ragged_beside(name, weights, beside, shape, "weights")
            steps = ragged.checked(lambda steps: checked_weights(name, steps, steps.shape))
            found.append(Ragged(steps, ragged.lengths))
            continue
        checked = checked_weights(name, weights, shape[:-1])
        if checked is not None and checked.ndim > 1 and isinstance(labels, Ragged):
            found.append(_without_padding(checked, labels.lengths))
        else:
            found.append(checked)
    if all(weights is None for weights in found):
        return None
    return found


def _of_classes(class_weight: Any, y: Any, shape: tuple[int, ...]) -> Any:
    """Return the weight of each label: of its class, or of that of its greatest entry."""
    if not isinstance(class_weight, Mapping):
        raise TypeError(f"class_weight: expected a dict of weights by class, got {class_weight!r}")
    for key, weight in class_weight.items():
        if not isinstance(key, int | float | np.number) or key != np.floor(key):
            raise TypeError(f"class_weight: expected classes as keys, integers, got {key!r}")
        if not is_number(weight):
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
