"""One list of operation cases, for correctness, gradients and speed: what is timed was checked.

A case says what to run; `arrays()` makes its inputs, always the same for the same sizes:
asymmetric, distinct, none zero, scaled so that no gate saturates. `run_gru(ops, case)` and its kin
run a case on a set of operations.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, fields, replace
from types import ModuleType
from typing import Any

import numpy as np

from fastgru.activations import Activation

Array = np.ndarray
Results = dict[str, Array | None]

# Around the lane counts of all instruction sets, and two sizes of several vectors.
SIZES = (1, 7, 8, 9, 15, 16, 17, 31, 33, 100, 130)


class _Case:
    """A dataclass of settings, named by how it differs from the default."""

    def __str__(self) -> str:
        default = type(self)()
        settings = ((f.name, getattr(self, f.name)) for f in fields(self))  # type: ignore[arg-type]
        different = (f"{k}={v}" for k, v in settings if v != getattr(default, k))
        return " ".join(different) or "default"


@dataclass(frozen=True)
class GRUCase(_Case):
    """One forward and backward pass of a GRU."""

    B: int = 3
    T: int = 4
    I: int = 5
    H: int = 6
    dtype: str = "float64"
    reset_after: bool = True
    update_gate: str = "keep"
    bias: bool = True
    h0: bool = True
    dy: bool = True  # which gradients come in
    dh_n: bool = True
    packed: bool = False
    go_backwards: bool = False
    strided: bool = False  # arrays that are neither contiguous nor in ascending order
    mask: str | None = None  # "right", "left", "interior", "rows", "none", "all"
    masked_output: str = "repeat"
    activation: str = "tanh"
    recurrent_activation: str = "sigmoid"
    input_dropout: int = 0  # masks: none, one, or one for each of 3 gates
    recurrent_dropout: int = 0

    def arrays(self) -> dict[str, Array]:
        """All of the arrays that `gru_forward` gets, by argument name."""
        B, T, I, H = sizes = self.B, self.T, self.I, self.H
        random = np.random.default_rng((1, *sizes))
        made = {
            "x": _normal(random, 1.0, B, T, I),
            "kernel": _normal(random, I**-0.5, I, 3 * H),
            "recurrent_kernel": _normal(random, H**-0.5, H, 3 * H),
        }
        if self.bias:
            made["bias"] = _normal(random, 0.5, *((2, 3 * H) if self.reset_after else (3 * H,)))
        if self.h0:
            made["h0"] = _normal(random, 0.5, B, H)
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
        return {name: stride(a) for name, a in made.items()} if self.strided else made

    def gradients(self) -> tuple[Array | None, Array | None]:
        """The gradients dy and dh_n of the case, or None."""
        random = np.random.default_rng((self.B, self.T, self.H))
        made = (
            _normal(random, 1.0, self.B, self.T, self.H) if self.dy else None,
            _normal(random, 1.0, self.B, self.H) if self.dh_n else None,
        )
        dy, dh_n = (None if a is None else a.astype(self.dtype) for a in made)
        if self.strided:
            dy, dh_n = (None if a is None else stride(a) for a in (dy, dh_n))
        return dy, dh_n

    def options(self) -> dict[str, Any]:
        """The other arguments of `gru_forward`."""
        names = ("reset_after", "update_gate", "go_backwards", "masked_output", "activation")
        return {name: getattr(self, name) for name in (*names, "recurrent_activation")}


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


def stride(a: Array) -> Array:
    """Return an equal array that is transposed in memory, with gaps, its first axis descending."""
    if a.ndim == 0:
        return a
    wide = np.full([2 * n + 1 for n in a.T.shape], 99, a.dtype)
    view = wide[tuple(slice(1, None, 2) for _ in a.shape)].T[::-1]
    view[...] = a
    return view


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

GRU_GRADIENTS = ("dx", "dkernel", "drecurrent_kernel", "dbias", "dh0")


def run_gru(ops: ModuleType, case: GRUCase, dtype: str | None = None) -> Results:
    """Run a case on a set of operations; return all outputs and gradients by name.

    The oracle for float32 is the same case with its float32 numbers run in dtype="float64".
    """
    arrays, (dy, dh_n) = case.arrays(), case.gradients()
    if dtype:
        arrays = {k: a if a.dtype == bool else a.astype(dtype) for k, a in arrays.items()}
        dy, dh_n = (None if a is None else a.astype(dtype) for a in (dy, dh_n))
    if case.packed:
        kernels = (arrays.pop("kernel"), arrays.pop("recurrent_kernel"))
        packed = ops.pack_gru(*kernels, reset_after=case.reset_after)
        arrays |= {"kernel": packed, "recurrent_kernel": None}
    y, h_n, cache = ops.gru_forward(**arrays, **case.options(), training=True)
    gradients = ops.gru_backward(dy, cache, dh_n)
    return {"y": y, "h_n": h_n} | dict(zip(GRU_GRADIENTS, gradients, strict=True))


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


def _around_the_lanes() -> list[GRUCase]:
    """Each size alone, around the lane counts; the options change from case to case."""
    shapes = [(n, 2, 5, 9) for n in SIZES] + [(5, 3, n, 7) for n in SIZES]
    shapes += [(5, 3, 6, n) for n in SIZES] + [(4, 1, 3, 8), (2, 37, 3, 8), (33, 9, 17, 31)]
    modes = itertools.product(_BOTH, _GATES)
    options = itertools.cycle(itertools.product(_INCOMING, _BOTH, _BOTH, _BOTH))
    return [
        GRUCase(
            *shape, reset_after=after, update_gate=gate, bias=bias, h0=h0, packed=packed,
            dy=dy, dh_n=dh_n,
        )
        for (after, gate), shape in itertools.product(modes, shapes)
        for (dy, dh_n), bias, h0, packed in [next(options)]
    ]  # fmt: skip


# What the compiled operations serve: every size, then every combination of options at one size.
GRU_SIZES = _around_the_lanes()
GRU_OPTIONS = [
    GRUCase(
        9, 3, 7, 17, reset_after=after, update_gate=gate, bias=bias, h0=h0, dy=dy, dh_n=dh_n,
        packed=packed, go_backwards=backwards, strided=strided,
    )
    for after, gate, bias, h0, (dy, dh_n), packed, backwards, strided in itertools.product(
        _BOTH, _GATES, _BOTH, _BOTH, _INCOMING, _BOTH, _BOTH, _BOTH
    )
]  # fmt: skip

# What the reference serves beyond: masks, dropout, activations; each with both resets and gates.
_MASKS = ("right", "left", "interior", "rows", "none", "all")
_DROPOUT = ((1, 0), (0, 1), (3, 0), (0, 3), (1, 3), (3, 3))
ACTIVATIONS = (
    "linear", "sigmoid", "tanh", "relu", "relu6", "leaky_relu", "elu", "selu", "softplus",
    "softsign", "squareplus", "exponential", "hard_sigmoid", "hard_tanh", "hard_silu", "silu",
    "gelu", "mish", "log_sigmoid", "tanh_shrink", "softmax", "log_softmax",
)  # fmt: skip


def _beyond() -> list[GRUCase]:
    small = GRUCase(4, 3, 2, 3)
    cases = [
        replace(small, mask=mask, masked_output=output, go_backwards=backwards)
        for mask, output, backwards in itertools.product(_MASKS, ("repeat", "zero"), _BOTH)
    ]
    cases += [replace(c, h0=False, bias=False) for c in cases if c.mask == "interior"]
    cases += [replace(c, dy=False) for c in cases if c.mask == "left"]
    cases += [replace(small, input_dropout=i, recurrent_dropout=r) for i, r in _DROPOUT]
    cases += [
        replace(small, mask="interior", input_dropout=i, recurrent_dropout=r, go_backwards=True)
        for i, r in _DROPOUT
    ]
    # Some run away: no more than two steps of them, and one of those that leave no gate a gate.
    cases += [replace(small, T=2, activation=name) for name in ACTIVATIONS]
    for name in ACTIVATIONS:
        T = 1 if name in ("exponential", "log_softmax") else 2
        cases += [replace(small, T=T, recurrent_activation=name)]
    cases += [replace(small, mask="right", activation="gelu", recurrent_activation="softmax")]
    cases += [replace(small, strided=True, mask="interior", input_dropout=3, recurrent_dropout=1)]
    modes = itertools.product(_BOTH, _GATES)
    return [replace(c, reset_after=a, update_gate=g) for a, g in modes for c in cases]


GRU_BEYOND = _beyond()

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
