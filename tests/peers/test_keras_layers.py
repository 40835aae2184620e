"""Recurrent layers with arguments drawn at random, against Keras' own: outputs and all gradients.

Runs 500 configurations, or as many as FASTGRU_RANDOM_CASES says; a number names a configuration.
Results may differ by a tolerance times the largest number of the array that is compared: 1e-9 in
float64, 1e-5 in float32, and more where PyTorch itself is less exact (see LESS_EXACT) or where
gates that leave [0, 1] let states grow, and with them the rounding of float32 (1e-4).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from types import ModuleType
from typing import Any, NamedTuple

import keras
import numpy as np
import pytest
import torch
from cases import make_mask
from keras.src.backend.common import dtypes

import fastgru
from fastgru.layers import Layer

CASES = int(os.environ.get("FASTGRU_RANDOM_CASES", "500"))
TOLERANCE = {"float64": 1e-9, "float32": 1e-5}
# PyTorch's hard sigmoid multiplies by a sixth in single precision; its softplus is linear from 20.
LESS_EXACT = {"hard_sigmoid": 1e-6, "hard_silu": 1e-6, "softplus": 1e-8, "mish": 1e-8}
UNBOUNDED = ("linear", "relu6")  # as gates: states grow with every step, so there are but two

KINDS = ("GRU", "LSTM", "SimpleRNN")
GATES = {"GRU": 3, "LSTM": 4, "SimpleRNN": 1}
ACTIVATIONS = (
    "tanh", "sigmoid", "relu", "linear", "softsign", "elu", "selu", "gelu", "silu", "hard_sigmoid",
    "hard_tanh", "softplus", "leaky_relu", "relu6", "mish", "softmax", "hard_silu", "squareplus",
)  # fmt: skip
RECURRENT_ACTIVATIONS = ("sigmoid", "hard_sigmoid", "tanh", "softsign", "relu6", "linear")
MASKS = (None, None, "right", "left", "interior", "rows", "none", "all")
FORMS = ("layer", "layer", "bidirectional", "pair", "stacked", "stateful", "rnn", "cell")


@pytest.fixture(autouse=True)
def _products_in_double(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Keras compute products of float64 in float64: its rule of promotion says float32."""
    promote = dtypes.result_type

    def result_type(*given: Any) -> str:
        names = [str(d).removeprefix("torch.") for d in given]
        return "float64" if set(names) == {"float64"} else promote(*given)

    monkeypatch.setattr(dtypes, "result_type", result_type)


# ---- what is drawn -------------------------------------------------------------------------------


class Case(NamedTuple):
    """A layer, or several, of both libraries with equal weights, and what they are called with."""

    theirs: list[Any]
    ours: list[Layer]
    x: np.ndarray
    states: list[np.ndarray]
    mask: np.ndarray | None
    form: str
    tolerance: float


def pick(random: np.random.Generator, values: Any) -> Any:
    """Return one of some values, as Python has it."""
    return values[int(random.integers(len(values)))]


def flag(random: np.random.Generator, share: float = 0.5) -> bool:
    """Return True with a probability."""
    return bool(random.random() < share)


def draw_arguments(random: np.random.Generator, kind: str) -> dict[str, Any]:
    """Draw the arguments of a layer."""
    usual = flag(random)
    arguments: dict[str, Any] = {
        "units": pick(random, (1, 2, 3, 5, 7, 8, 9, 15, 16, 17)),
        "activation": "tanh" if usual else pick(random, ACTIVATIONS),
        "use_bias": flag(random, 0.8),
        "dropout": 0.5 * flag(random, 0.3),
        "recurrent_dropout": 0.5 * flag(random, 0.3),
    }
    if kind != "SimpleRNN":
        usual = flag(random)
        arguments["recurrent_activation"] = (
            "sigmoid" if usual else pick(random, RECURRENT_ACTIVATIONS)
        )
    if kind == "GRU":
        arguments["reset_after"] = flag(random)
    if kind == "LSTM":
        arguments["unit_forget_bias"] = flag(random)
    return arguments


def draw_options(random: np.random.Generator) -> dict[str, Any]:
    """Draw the arguments that a layer has and a cell has not."""
    names = ("return_sequences", "return_state", "go_backwards", "zero_output_for_mask")
    return {name: flag(random) for name in names}


def draw(number: int) -> Case:
    """Draw a configuration, always the same for a number."""
    random = np.random.default_rng((4, number))
    form = FORMS[number % len(FORMS)]
    dtype = "float32" if flag(random, 0.2) else "float64"
    B, T = pick(random, (1, 2, 3, 5, 8, 9)), pick(random, (1, 2, 3, 4, 7))
    I = pick(random, (1, 2, 4, 7, 8, 9, 16))
    kind = pick(random, KINDS)
    arguments = draw_arguments(random, kind)
    options = draw_options(random)
    stateful = {"stateful": True} if form == "stateful" else {}

    pairs = []
    for library in (keras.layers, fastgru.layers):
        again = np.random.default_rng((5, number))
        pairs.append(make(library, form, kind, arguments, options | stateful, dtype, again))
    theirs, ours = pairs
    shape: Any = (B, I) if form == "cell" else (B, T, I)
    for place, (their, our) in enumerate(zip(theirs, ours, strict=True)):
        their.build(shape)
        our.build(shape)
        set_weights(random, their, our)
        for pair in zip(cells(their), cells(our), strict=True):
            drop(random, *pair, B, shape[-1], dtype)
        if place + 1 < len(ours):
            shape = our.compute_output_shape(shape)

    given = form == "cell" or (form not in ("stacked", "stateful") and flag(random))
    if len({cell.state_count for cell in cells(ours[0])}) > 1:
        given = False  # Keras gives each direction half of the states, and an LSTM needs two
    units = [cell.units for cell in cells(ours[0]) for _ in range(cell.state_count)]
    states = [random.normal(0, 0.7, (B, n)).astype(dtype) for n in units if given]
    name = None if form == "cell" else pick(random, MASKS)
    mask = None if name is None else make_mask(name, B, T, random)
    x = random.normal(size=(B, I) if form == "cell" else (B, T, I)).astype(dtype)
    gates = set(names_of_functions(ours)[1::2])
    growing = dtype == "float32" and bool(gates - {"sigmoid", "hard_sigmoid"})
    if growing or set(names_of_functions(ours)) & {*UNBOUNDED}:
        x, mask = (x, None) if form == "cell" else (x[:, :2], None if mask is None else mask[:, :2])
    allowed = [LESS_EXACT.get(name, 0) for name in names_of_functions(ours)]
    tolerance = max(TOLERANCE[dtype], 1e-4 * growing, *allowed)
    return Case(theirs, ours, x, states, mask, form, tolerance)


def names_of_functions(layers: list[Layer]) -> list[str]:
    """Return the names of all activations in layers."""
    found = [
        (cell.options["activation"], cell.options.get("recurrent_activation", "sigmoid"))
        for layer in layers
        for cell in cells(layer)
    ]
    return [name for names in found for name in names]


def make(
    library: ModuleType,
    form: str,
    kind: str,
    arguments: dict[str, Any],
    options: dict[str, Any],
    dtype: str,
    random: np.random.Generator,
) -> list[Any]:
    """Make the layers of a configuration with one library, drawing alike for both."""
    arguments = arguments | {"dtype": dtype}
    if form == "cell":
        return [getattr(library, f"{kind}Cell")(**arguments)]
    if form == "rnn":
        cell = getattr(library, f"{kind}Cell")(**arguments)
        return [library.RNN(cell, dtype=dtype, **options)]
    if form == "bidirectional":
        options = options | {"go_backwards": False}  # both libraries refuse two that go backwards
    layer = getattr(library, kind)(**arguments, **options)
    if form == "bidirectional":
        mode = pick(random, ("concat", "sum", "mul", "ave", None))
        return [library.Bidirectional(layer, merge_mode=mode, dtype=dtype)]
    if form == "pair":
        other = pick(random, KINDS)
        backward = {**options, "go_backwards": not options["go_backwards"]}
        second = getattr(library, other)(
            **draw_arguments(random, other) | {"dtype": dtype}, **backward
        )
        mode = pick(random, ("concat", None))
        return [library.Bidirectional(layer, mode, backward_layer=second, dtype=dtype)]
    if form == "stacked":
        below = pick(random, KINDS)
        two = flag(random)
        first = getattr(library, below)(
            **draw_arguments(random, below) | {"dtype": dtype},
            return_sequences=True,
            go_backwards=not two and flag(random),
        )
        if two:
            first = library.Bidirectional(first, dtype=dtype)
        return [first, layer]
    return [layer]


def cells(layer: Any) -> list[Any]:
    """Return the cells of a layer: two if it reads in two directions."""
    if hasattr(layer, "forward_layer"):
        return [layer.forward_layer.cell, layer.backward_layer.cell]
    return [getattr(layer, "cell", layer)]


def set_weights(random: np.random.Generator, theirs: Any, ours: Layer) -> None:
    """Give both the same weights, scaled so that states stay of the size of one."""
    assert [tuple(w.shape) for w in theirs.weights] == [w.shape for w in ours.weights]
    weights = [random.normal(0, max(w.shape[0], 2) ** -0.5, w.shape) for w in ours.weights]
    ours.set_weights(weights)
    theirs.set_weights([w.astype(ours.dtype) for w in weights])


def drop(
    random: np.random.Generator, theirs: Any, ours: Any, B: int, features: int, dtype: str
) -> None:
    """Have both cells use the same factors of dropout."""
    if not ours.drops:
        return
    factors = ours.draw_factors(B, features)
    gates = GATES[type(ours).__name__.removesuffix("Cell")]
    stacked = ours.recurrent_dropout and gates > 1
    for name, rate, size in (
        ("input_dropout", ours.dropout, features),
        ("recurrent_dropout", ours.recurrent_dropout, ours.units),
    ):
        assert (name in factors) == bool(rate)
        if rate:
            shape = (gates, B, size) if stacked else (B, size)
            assert factors[name].shape == shape and set(np.unique(factors[name])) <= {0, 2}
            factors[name] = (2 * random.integers(0, 2, shape)).astype(dtype)
    ours.draw_factors = lambda batch, features: factors
    for name, method in (
        ("input_dropout", "get_dropout_mask"),
        ("recurrent_dropout", "get_recurrent_dropout_mask"),
    ):
        found = torch.from_numpy(factors[name]) if name in factors else None
        masks = list(found) if found is not None and stacked else found
        setattr(theirs, method, lambda _, masks=masks: masks)


# ---- running both --------------------------------------------------------------------------------


def flat(value: Any) -> Iterator[Any]:
    """Yield the arrays of nested lists and tuples."""
    if isinstance(value, list | tuple):
        for item in value:
            yield from flat(item)
    else:
        yield value


def call_keras(case: Case, x: torch.Tensor, states: list[torch.Tensor]) -> list[torch.Tensor]:
    """Return Keras' outputs."""
    if case.form == "cell":
        output, after = case.theirs[0](x, states, training=True)
        return [output, *after]
    mask = None if case.mask is None else torch.from_numpy(case.mask)
    y: Any = x
    for layer in case.theirs:
        given: dict[str, Any] = {"initial_state": states} if states else {}
        y = layer(y, training=True, mask=mask, **given)
        mask = layer.compute_mask(x, mask)
    return list(flat(y))


def go_on(case: Case, x: torch.Tensor) -> list[torch.Tensor]:
    """Return the outputs of a stateful layer's second batch.

    They are those of the layer that begins with the first batch's states: torch can't go back
    through states that were overwritten.
    """
    (layer,) = case.theirs
    with torch.no_grad():
        call_keras(case, torch.from_numpy(case.x[::-1].copy()), [])
        states = [state.value.clone() for state in layer.states]
        right = [y.clone() for y in call_keras(case, x, [])]
    layer.stateful = False
    outputs = call_keras(case, x, states)
    for y, expected in zip(outputs, right, strict=True):
        torch.testing.assert_close(y, expected)
    return outputs


def run_keras(case: Case) -> dict[str, np.ndarray]:
    """Return outputs and gradients by name, from Keras' layers, differentiated by torch."""
    x = torch.from_numpy(case.x).requires_grad_()
    states = [torch.from_numpy(s).requires_grad_() for s in case.states]
    outputs = go_on(case, x) if case.form == "stateful" else call_keras(case, x, states)
    weights = [w.value for layer in case.theirs for w in layer.weights]
    given = [x, *states, *weights]
    loss = sum(
        (y * torch.from_numpy(d)).sum() for y, d in zip(outputs, upstream(case), strict=True)
    )
    found = torch.autograd.grad(loss, given, allow_unused=True)
    gradients = [torch.zeros_like(v) if g is None else g for v, g in zip(given, found, strict=True)]
    return named(case, outputs, gradients)


def run_fastgru(case: Case) -> dict[str, np.ndarray]:
    """Return the same from fastgru's layers."""
    if case.form == "stateful":
        case.ours[0].forward(case.x[::-1].copy(), training=True, mask=case.mask)
    y: Any = [case.x, *case.states] if case.states else case.x
    mask, caches = case.mask, []
    for layer in case.ours:
        below = y
        y, cache = layer.forward(below, training=True, mask=mask)
        mask = layer.compute_mask(below, mask)
        caches.append(cache)
    outputs = list(flat(y))
    dy: Any = upstream(case)
    dy = dy if isinstance(y, list) else dy[0]
    for layer, cache in zip(reversed(case.ours), reversed(caches), strict=True):
        dy = layer.backward(dy, cache)
    gradients = [w.gradient for layer in case.ours for w in layer.weights]
    return named(case, outputs, [*flat(dy), *gradients])


def upstream(case: Case) -> list[np.ndarray]:
    """Return the gradients that the outputs get."""
    shape: Any = [case.x.shape, *(s.shape for s in case.states)] if case.states else case.x.shape
    for layer in case.ours:
        shape = layer.compute_output_shape(shape)
    shapes = shape if isinstance(shape, list) else [shape]
    random = np.random.default_rng(shapes[0])
    return [random.normal(size=s).astype(case.x.dtype) for s in shapes]


def named(case: Case, outputs: list[Any], gradients: list[Any]) -> dict[str, np.ndarray]:
    """Return outputs and gradients by name."""
    weights = [f"d {w.path}" for layer in case.ours for w in layer.weights]
    names = [f"output {i}" for i in range(len(outputs))]
    names += ["dx", *(f"d state {i}" for i in range(len(case.states))), *weights]
    arrays = [a.detach().numpy() if isinstance(a, torch.Tensor) else a for a in outputs + gradients]
    return dict(zip(names, arrays, strict=True))


def assert_equal(case: Case, actual: Any, expected: Any) -> None:
    """Require equal names and shapes, and numbers within the case's tolerance."""
    assert actual.keys() == expected.keys()
    for name, right in expected.items():
        assert actual[name].shape == right.shape, name
        scale = max(1.0, float(np.abs(right).max(initial=0)))
        error = float(np.abs(actual[name] - right).max(initial=0)) / scale
        assert error <= case.tolerance, f"{name}: off by {error:.2e} of {scale:.2g}"


@pytest.mark.filterwarnings("ignore:You are using a softmax over axis -1")  # of one unit
@pytest.mark.parametrize("number", range(CASES))
def test_random_layers(number: int):
    case = draw(number)
    expected = run_keras(case)
    assert all(np.isfinite(a).all() for a in expected.values())
    with fastgru.use_ops("compiled" if number % 10 else "reference"):
        assert_equal(case, run_fastgru(case), expected)
        if case.form not in ("cell", "stacked", "stateful") and not any(
            cell.drops for cell in cells(case.ours[0])
        ):
            outputs = case.ours[0](case.x, initial_state=case.states or None, mask=case.mask)
            for i, output in enumerate(flat(outputs)):
                scale = max(1.0, float(np.abs(output).max(initial=0)))
                right = expected[f"output {i}"]
                assert np.abs(output - right).max(initial=0) <= case.tolerance * scale


def test_the_layers_of_both_libraries_have_the_same_defaults():
    for kind in KINDS:
        theirs = getattr(keras.layers, kind)(3).get_config()
        ours = getattr(fastgru.layers, kind)(3).get_config()
        for name in set(theirs) & set(ours) - {"name", "dtype"}:
            right = theirs[name]
            found = ours[name]
            if isinstance(right, dict):
                right, found = right["class_name"], found["class_name"]
            assert found == right, name
        assert set(theirs) - set(ours) == set(), kind


@pytest.mark.parametrize("mask_given", [False, True])
def test_the_mask_beside_initial_states(mask_given: bool) -> None:
    """Keras heeds it if the call gives it; fastgru also where it comes with the input."""
    ids, states = np.array([[1, 2, 0, 0], [3, 0, 0, 0]]), np.ones((2, 3), np.float32)

    def model_of(face: Any) -> Any:
        x, h, mask = face.Input((None,)), face.Input((3,)), face.Input((None,), dtype="bool")
        given = {"mask": mask} if mask_given else {}
        vectors = face.layers.Embedding(5, 2, mask_zero=True)(x)
        y = face.layers.GRU(3, return_sequences=True)(vectors, initial_state=h, **given)
        return face.Model([x, h, mask] if mask_given else [x, h], y)

    theirs, ours = model_of(keras), model_of(fastgru)
    theirs.set_weights(ours.get_weights())
    data = [ids, states, ids != 0] if mask_given else [ids, states]
    expected = theirs([torch.from_numpy(a) for a in data]).detach().numpy()
    found = ours.predict(data)
    np.testing.assert_allclose(found[ids != 0], expected[ids != 0], atol=1e-6)
    np.testing.assert_array_equal(found[0, 2:], found[0, [1, 1]])
    assert np.allclose(found, expected, atol=1e-6) == mask_given
