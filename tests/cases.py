"""One list of operation cases, for correctness, gradients and speed: what is timed was checked.

A case says what to run; `arrays()` makes its inputs, always the same for the same sizes:
asymmetric, distinct, none zero, scaled so that no gate saturates. `run_recurrent(ops, case)` and
its kin run a case on a set of operations.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
from layouts import stride

from fastgru.activations import Activation

Array = np.ndarray
Results = dict[str, Array | None]

# Around the lane counts of all instruction sets, and two sizes of several vectors.
SIZES = (1, 7, 8, 9, 15, 16, 17, 31, 33, 100, 130)


# Largest errors, relative to the largest number of the array or 1, where the oracle computes in
# float64 from the same numbers: for float32 only the operation's own rounding remains.
TOLERANCE = {"float32": 2e-6, "float64": 1e-14}
DTYPES = list(TOLERANCE)


class _Case:
    """A dataclass of settings, named by how it differs from the default."""

    def __str__(self) -> str:
        default = type(self)()
        settings = ((f.name, getattr(self, f.name)) for f in fields(self))  # type: ignore[arg-type]
        different = (f"{k}={v}" for k, v in settings if v != getattr(default, k))
        return " ".join(different) or "default"


@dataclass(frozen=True)
class RecurrentCase(_Case):
    """One forward and backward pass of a cell: of the subclass that names it."""

    B: int = 3
    T: int = 4
    I: int = 5
    H: int = 6
    dtype: str = "float64"
    bias: bool = True
    h0: bool = True
    dy: bool = True  # which gradients come in
    dh_n: bool = True
    packed: bool = False
    go_backwards: bool = False
    strided: bool = False  # arrays that are neither contiguous nor in ascending order
    mask: str | None = None  # "right", "left", "interior", "rows", "none", "all"
    masked_output: str = "repeat"
    ragged: bool = False  # sequences of different lengths, in rows (batch_sizes)
    activation: str | Activation = "tanh"
    input_dropout: int = 0  # masks: none, one, or one for each gate
    recurrent_dropout: int = 0
    recompute: bool = False
    out: bool = False  # the weights' gradients go into given arrays

    cell: ClassVar[str]
    gates: ClassVar[int]
    states: ClassVar[tuple[str, ...]] = ("h0",)
    choices: ClassVar[tuple[str, ...]] = ()  # options that not all cells have

    def __str__(self) -> str:
        return f"{self.cell} {super().__str__()}"

    def bias_shape(self) -> tuple[int, ...]:
        """The shape of the biases."""
        return (self.gates * self.H,)

    def lengths(self) -> list[int]:
        """The sequences' lengths if they are ragged, the longest first."""
        return [self.T - row * self.T // self.B for row in range(self.B)]

    def arrays(self) -> dict[str, Array]:
        """All of the arrays that the forward pass gets, by argument name."""
        B, T, I, H = sizes = self.B, self.T, self.I, self.H
        random = np.random.default_rng((1, *sizes))
        x_shape = (sum(self.lengths()), I) if self.ragged else (B, T, I)
        made = {
            "x": _normal(random, 1.0, *x_shape),
            "kernel": _normal(random, I**-0.5, I, self.gates * H),
            "recurrent_kernel": _normal(random, H**-0.5, H, self.gates * H),
        }
        if self.bias:
            made["bias"] = _normal(random, 0.5, *self.bias_shape())
        for name in self.states:
            if getattr(self, name):
                made[name] = _normal(random, 0.5, B, H)
        for name, masks, size in (
            ("input_dropout", self.input_dropout, I),
            ("recurrent_dropout", self.recurrent_dropout, H),
        ):
            if masks:
                shape = (B, size) if masks == 1 else (masks, B, size)
                made[name] = 2.0 * random.integers(0, 2, shape) + _normal(random, 0.1, *shape)
        made = {name: a.astype(self.dtype) for name, a in made.items()}
        if self.mask:
            made["mask"] = make_mask(self.mask, B, T, random)
        if self.ragged:
            made["batch_sizes"] = np.array([sum(n > t for n in self.lengths()) for t in range(T)])
        return {name: stride(a) for name, a in made.items()} if self.strided else made

    def gradients(self) -> list[Array | None]:
        """The gradients dy, dh_n (and an LSTM's dc_n) of the case, or None."""
        B, T, H = self.B, self.T, self.H
        random = np.random.default_rng((B, T, H))
        steps = (sum(self.lengths()),) if self.ragged else (B, T)
        made: list[Array | None] = [_normal(random, 1.0, *steps, H).astype(self.dtype)]
        made += [_normal(random, 1.0, B, H).astype(self.dtype) for _ in self.states]
        wanted = self.dy, *(getattr(self, f"d{name[0]}_n") for name in self.states)
        made = [a if want else None for a, want in zip(made, wanted, strict=True)]
        return [a if a is None or not self.strided else stride(a) for a in made]

    def options(self) -> dict[str, Any]:
        """The other arguments of the forward pass."""
        names = "go_backwards", "masked_output", "recompute", "activation", *self.choices
        return {name: getattr(self, name) for name in names}

    def output_names(self) -> tuple[str, ...]:
        """What the forward pass returns before its cache."""
        return "y", *(f"{name[0]}_n" for name in self.states)

    def gradient_names(self) -> tuple[str, ...]:
        """What the backward pass returns."""
        return "dx", "dkernel", "drecurrent_kernel", "dbias", *(f"d{name}" for name in self.states)


@dataclass(frozen=True)
class GRUCase(RecurrentCase):
    """One forward and backward pass of a GRU."""

    reset_after: bool = True
    update_gate: str = "keep"
    recurrent_activation: str | Activation = "sigmoid"
    gate_order: str = "zrn"

    cell, gates = "gru", 3
    choices = ("reset_after", "update_gate", "recurrent_activation", "gate_order")

    def bias_shape(self) -> tuple[int, ...]:
        """The shape of the biases."""
        return (2, 3 * self.H) if self.reset_after else (3 * self.H,)


@dataclass(frozen=True)
class LSTMCase(RecurrentCase):
    """One forward and backward pass of an LSTM."""

    c0: bool = True
    dc_n: bool = True
    recurrent_activation: str | Activation = "sigmoid"

    cell, gates = "lstm", 4
    states = ("h0", "c0")
    choices = ("recurrent_activation",)


@dataclass(frozen=True)
class SimpleRNNCase(RecurrentCase):
    """One forward and backward pass of a simple recurrent layer."""

    cell, gates = "simple_rnn", 1


@dataclass(frozen=True)
class DenseCase(_Case):
    """One forward and backward pass of a dense layer."""

    leading: tuple[int, ...] = (3,)
    I: int = 5
    O: int = 4
    dtype: str = "float64"
    bias: bool = True
    activation: str | Activation = "linear"
    strided: bool = False

    def arrays(self) -> dict[str, Array]:
        """The arrays of `dense_forward`, and dy."""
        random = np.random.default_rng((*self.leading, self.I, self.O))
        made = {
            "x": _normal(random, 1.0, *self.leading, self.I),
            "kernel": _normal(random, self.I**-0.5, self.I, self.O),
            "dy": _normal(random, 1.0, *self.leading, self.O),
        }
        if self.bias:
            made["bias"] = _normal(random, 0.5, self.O)
        made = {name: a.astype(self.dtype) for name, a in made.items()}
        return {name: stride(a) for name, a in made.items()} if self.strided else made


@dataclass(frozen=True)
class EmbeddingCase(_Case):
    """One lookup and the gradient of its table."""

    shape: tuple[int, ...] = (3, 4)
    V: int = 15
    D: int = 8
    dtype: str = "float64"
    ids_dtype: str = "int32"
    strided: bool = False

    def arrays(self) -> dict[str, Array]:
        """The arrays of both embedding operations. Ids repeat, and some rows go without."""
        random = np.random.default_rng((*self.shape, self.V, self.D))
        made = {
            "ids": random.integers(0, self.V, self.shape).astype(self.ids_dtype),
            "table": _normal(random, 1.0, self.V, self.D).astype(self.dtype),
            "dy": _normal(random, 1.0, *self.shape, self.D).astype(self.dtype),
        }
        return {name: stride(a) for name, a in made.items()} if self.strided else made


def _normal(random: np.random.Generator, scale: float, *shape: int) -> Array:
    """Normal numbers without zeros, even after rounding to float32."""
    a = random.normal(0.0, scale, shape)
    return np.where(np.abs(a) < 1e-3 * scale, scale, a)


def make_mask(kind: str, B: int, T: int, random: np.random.Generator) -> Array:
    """A mask (B, T) of a kind; row lengths differ, the first row of most kinds is wholly masked."""
    steps, lengths = np.arange(T), np.arange(B)[:, None] % (T + 1)
    if kind == "right":
        return steps < lengths
    if kind == "left":
        return steps >= T - lengths
    if kind == "interior":
        return (random.random((B, T)) < 0.6) & (lengths > 0)
    if kind == "rows":
        return np.broadcast_to(lengths % 2 == 1, (B, T)).copy()
    return np.full((B, T), {"none": False, "all": True}[kind])


# ---- running a case ------------------------------------------------------------------------------


def run_recurrent(ops: ModuleType, case: RecurrentCase, dtype: str | None = None) -> Results:
    """Run a case on a set of operations; return all outputs and gradients by name.

    The oracle for float32 is the same case with its float32 numbers run in dtype="float64".
    """

    def cast(a: Array | None) -> Array | None:
        return a.astype(dtype) if dtype and a is not None and a.dtype.kind == "f" else a

    arrays: dict[str, Any] = {k: cast(a) for k, a in case.arrays().items()}
    gradients = [cast(a) for a in case.gradients()]
    weights = [arrays.get(name) for name in ("kernel", "recurrent_kernel", "bias")]
    if case.packed:
        pack = getattr(ops, f"pack_{case.cell}")
        mode: dict[str, Any] = {}
        if isinstance(case, GRUCase):
            mode = {"reset_after": case.reset_after, "gate_order": case.gate_order}
        packed = pack(arrays.pop("kernel"), arrays.pop("recurrent_kernel"), **mode)
        arrays |= {"kernel": packed, "recurrent_kernel": None}
    *outputs, cache = forward(ops, case)(**arrays, **case.options(), training=True)
    out = None
    if case.out:
        out = tuple(None if a is None else np.full(a.shape, np.nan, a.dtype) for a in weights)
    found = backward(ops, case)(
        gradients[0], cache, *gradients[1:], **({"out": out} if out else {})
    )
    assert out is None or all(a is b for a, b in zip(out, found[1:4], strict=True))
    names = *case.output_names(), *case.gradient_names()
    return dict(zip(names, (*outputs, *found), strict=True))


def forward(ops: ModuleType, case: RecurrentCase) -> Callable[..., Any]:
    """Return the forward pass of a case's cell."""
    return getattr(ops, f"{case.cell}_forward")


def backward(ops: ModuleType, case: RecurrentCase) -> Callable[..., Any]:
    """Return the backward pass of a case's cell."""
    return getattr(ops, f"{case.cell}_backward")


def run_dense(ops: ModuleType, case: DenseCase, dtype: str | None = None) -> Results:
    """Run a case on a set of operations; return output and gradients by name."""
    arrays = {k: a.astype(dtype) if dtype else a for k, a in case.arrays().items()}
    dy = arrays.pop("dy")
    y, cache = ops.dense_forward(**arrays, activation=case.activation, training=True)
    gradients = ops.dense_backward(dy, cache)
    return {"y": y} | dict(zip(("dx", "dkernel", "dbias"), gradients, strict=True))


def run_embedding(ops: ModuleType, case: EmbeddingCase, dtype: str | None = None) -> Results:
    """Run a case on a set of operations; return output and gradient by name."""
    arrays = case.arrays()
    table, dy = (arrays[k].astype(dtype) if dtype else arrays[k] for k in ("table", "dy"))
    return {
        "y": ops.embedding_forward(arrays["ids"], table),
        "dtable": ops.embedding_backward(dy, arrays["ids"], case.V),
    }


def same_results(a: Results, b: Results) -> None:
    """Require the same bits."""
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name, strict=True)


def assert_close(actual: Results, expected: Results, tolerance: float) -> None:
    """Require each result to differ by less than tolerance times the largest expected one."""
    assert actual.keys() == expected.keys()
    for name, right in expected.items():
        got = actual[name]
        if right is None:
            assert got is None, f"{name}: expected None, got an array"
            continue
        assert got is not None and got.shape == right.shape, f"{name}: wrong shape"
        scale = max(1.0, float(np.abs(right).max(initial=0)))
        error = float(np.abs(got - right).max(initial=0)) / scale
        assert error <= tolerance, f"{name}: off by {error:.2e} of {scale:.2g}, not {tolerance:.0e}"


# ---- the cases -----------------------------------------------------------------------------------

_BOTH = (True, False)
_GATES = ("keep", "replace")
_INCOMING = ((True, True), (True, False), (False, True))  # dy, dh_n


# Every cell at one small size; a GRU in all of its four forms.
CELLS: list[RecurrentCase] = [
    *(GRUCase(4, 3, 2, 3, reset_after=a, update_gate=g) for a in _BOTH for g in _GATES),
    LSTMCase(4, 3, 2, 3),
    SimpleRNNCase(4, 3, 2, 3),
]


def _around_the_lanes() -> list[RecurrentCase]:
    """Each size alone, around the lane counts; the options change from case to case."""
    shapes = [(n, 2, 5, 9) for n in SIZES] + [(5, 3, n, 7) for n in SIZES]
    shapes += [(5, 3, 6, n) for n in SIZES] + [(4, 1, 3, 8), (2, 37, 3, 8), (33, 9, 17, 31)]
    options = itertools.cycle(itertools.product(_INCOMING, _BOTH, _BOTH, _BOTH))
    return [
        replace(
            cell, B=B, T=T, I=I, H=H, bias=bias, h0=h0, packed=packed, dy=dy, dh_n=dh_n
        )
        for cell, (B, T, I, H) in itertools.product(CELLS, shapes)
        for (dy, dh_n), bias, h0, packed in [next(options)]
    ]  # fmt: skip


# Every size; then every combination of the plain options at one size.
RECURRENT_SIZES = _around_the_lanes()
RECURRENT_OPTIONS = [
    replace(
        cell, B=9, T=3, I=7, H=17, bias=bias, h0=h0, dy=dy, dh_n=dh_n, packed=packed,
        go_backwards=backwards, strided=strided,
    )
    for cell, bias, h0, (dy, dh_n), packed, backwards, strided in itertools.product(
        CELLS, _BOTH, _BOTH, _INCOMING, _BOTH, _BOTH, _BOTH
    )
]  # fmt: skip
RECURRENT_OPTIONS += [
    LSTMCase(9, 3, 7, 17, h0=h0, c0=c0, dy=dy, dh_n=dh_n, dc_n=dc_n)
    for h0, c0, dy, dh_n, dc_n in itertools.product(_BOTH, repeat=5)
    if dy or dh_n or dc_n
]
RECURRENT_OPTIONS += [
    GRUCase(9, 3, 7, 17, reset_after=after, gate_order="rzn", bias=bias, packed=packed, out=out)
    for after, bias, packed, out in itertools.product(_BOTH, repeat=4)
]

# Masks, ragged rows, dropout, activations; small, for central differences.
MASKS = ("right", "left", "interior", "rows", "none", "all")
ACTIVATIONS = (
    "linear", "sigmoid", "tanh", "relu", "relu6", "leaky_relu", "elu", "selu", "softplus",
    "softsign", "squareplus", "exponential", "hard_sigmoid", "hard_tanh", "hard_silu", "silu",
    "gelu", "mish", "log_sigmoid", "tanh_shrink", "softmax", "log_softmax",
)  # fmt: skip


def dropouts(cell: RecurrentCase) -> list[tuple[int, int]]:
    """How many dropout masks a cell may get for its input and its state, but none at all."""
    some = (0, 1) if cell.gates == 1 else (0, 1, cell.gates)
    return [pair for pair in itertools.product(some, some) if any(pair)]


def masked(cell: RecurrentCase) -> list[RecurrentCase]:
    """All kinds of masks, ragged rows, and what meets them."""
    cases = [
        replace(cell, mask=mask, masked_output=output, go_backwards=backwards)
        for mask, output, backwards in itertools.product(MASKS, ("repeat", "zero"), _BOTH)
    ]
    cases += [replace(c, h0=False, bias=False) for c in cases if c.mask == "interior"]
    cases += [replace(c, dy=False) for c in cases if c.mask == "left"]
    ragged = replace(cell, ragged=True)
    return [
        *cases, ragged, replace(ragged, h0=False, bias=False), replace(ragged, dy=False),
        replace(ragged, dh_n=False), replace(ragged, B=1),
    ]  # fmt: skip


def dropped(cell: RecurrentCase) -> list[RecurrentCase]:
    """All kinds of dropout, alone, with a mask and in ragged rows."""
    return [
        replace(cell, input_dropout=i, recurrent_dropout=r, **more)
        for i, r in dropouts(cell)
        for more in ({}, {"mask": "interior", "go_backwards": True}, {"ragged": True})
    ]


def activated(cell: RecurrentCase) -> list[RecurrentCase]:
    """All activations.

    Some run away: no more than two steps of them, and one of those that leave no gate a gate.
    """
    cases = [
        replace(cell, T=1 if name == "exponential" else 2, activation=name) for name in ACTIVATIONS
    ]
    if "recurrent_activation" in cell.choices:
        for name in ACTIVATIONS:
            T = 1 if name in ("exponential", "log_softmax") else 2
            cases += [replace(cell, T=T, recurrent_activation=name)]  # type: ignore[call-arg]
    coupled = {"activation": "softmax"} | {k: "softmax" for k in cell.choices if "activation" in k}
    return [
        *cases, replace(cell, mask="right", activation="gelu"),
        replace(cell, ragged=True, activation="softsign"),
        replace(cell, mask="interior", **coupled), replace(cell, ragged=True, **coupled),
    ]  # fmt: skip


RECURRENT_BEYOND = [
    case for cell in CELLS for case in (*masked(cell), *dropped(cell), *activated(cell))
]


def _sizes_beyond() -> list[RecurrentCase]:
    """Each size alone again, with an option that changes from case to case."""
    shapes = [(n, 3, 5, 9) for n in (2, *SIZES)] + [(5, 3, n, 7) for n in SIZES]
    shapes += [(5, 3, 6, n) for n in SIZES] + [(5, 1, 3, 8), (2, 37, 3, 8), (33, 9, 17, 31)]
    options: list[dict[str, Any]] = [
        {"mask": "interior"},
        {"ragged": True, "out": True},
        {"mask": "right", "input_dropout": 1},
        {"recompute": True, "recurrent_dropout": 1, "packed": True},
        {"ragged": True, "activation": "relu", "recompute": True},
        {"mask": "left", "masked_output": "zero", "recurrent_dropout": "all", "strided": True},
        {"ragged": True, "input_dropout": "all", "recurrent_dropout": "all"},
        {"activation": "gelu", "recurrent_activation": "hard_sigmoid", "go_backwards": True},
        {"mask": "interior", "activation": "softsign", "input_dropout": "all", "packed": True},
    ]
    cases, chosen = [], itertools.cycle(options)
    for cell, (B, T, I, H) in itertools.product(CELLS, shapes):
        option = {k: cell.gates if v == "all" else v for k, v in next(chosen).items()}
        if "recurrent_activation" not in cell.choices:
            option.pop("recurrent_activation", None)
        cases.append(replace(cell, B=B, T=T, I=I, H=H, **option))
    return cases


def _medium(case: RecurrentCase) -> RecurrentCase:
    """A small case at sizes that are whole vectors and remainders."""
    if case.activation == "exponential" and case.cell == "lstm":
        return case  # the exponential of an exponential goes past float32
    return replace(case, B=1 if case.B == 1 else 9, T=case.T if case.T < 3 else 5, I=7, H=17)


# The same options at a larger size, and one option at every size.
RECURRENT_COMPILED = [*map(_medium, RECURRENT_BEYOND), *_sizes_beyond()]

DENSE = [
    DenseCase(leading, I, O, bias=bias, activation=activation, strided=strided)
    for (leading, I, O), bias, activation, strided in itertools.chain(
        itertools.product(
            [((n,), 5, 3) for n in SIZES]
            + [((3,), n, 4) for n in SIZES]
            + [((3,), 5, n) for n in SIZES]
            + [((), 5, 3), ((2, 3), 4, 5), ((2, 3, 4), 5, 2), ((9, 17), 33, 31)],
            _BOTH, ("linear", "sigmoid"), (False,),
        ),
        itertools.product([((2, 3), 9, 7), ((3,), 5, 1)], _BOTH, ACTIVATIONS, _BOTH),
    )
]  # fmt: skip

EMBEDDING = [
    EmbeddingCase(shape, V, D, ids_dtype=ids_dtype, strided=strided)
    for (shape, V, D), ids_dtype, strided in itertools.product(
        [((3, 4), 15, n) for n in SIZES]
        + [((), 3, 4), ((7,), 1, 3), ((40,), 5, 8), ((2, 3, 4), 100, 5), ((0, 4), 5, 3)],
        ("int32", "int64"),
        _BOTH,
    )
]

# The shapes that speed is judged by, in float32, with biases and no initial state.
GRID = {
    name: GRUCase(B, T, I, H, dtype="float32", h0=False, dh_n=False)
    for name, (B, T, I, H) in {
        "stream-h32": (1, 100, 32, 32),
        "stream-h96": (1, 100, 64, 96),
        "tutorial": (5, 10, 8, 32),
        "keras-64": (32, 80, 128, 64),
        "imdb-128": (32, 200, 128, 128),
        "gru4rec": (32, 20, 100, 100),
        "mid-256": (64, 50, 256, 256),
        "mid-512": (64, 50, 512, 512),
        "b1-512": (1, 50, 512, 512),
        "b1-1024": (1, 50, 1024, 1024),
        "b4-1536": (4, 50, 1536, 1536),
        "b16-1536": (16, 50, 1536, 1536),
        "train-2048": (32, 8, 2048, 2048),
    }.items()
}
