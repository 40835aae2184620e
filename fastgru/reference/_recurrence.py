"""What the three recurrent cells share: rows and steps, masks, dropout, gradients of the input.

All steps of all sequences are the rows of matrices (N, ...): the rows of the first step processed,
then those of the second, and so on. So each step is one slice, what does not depend on the
recurrence is one product over all rows, and sequences of different lengths need no padding.
"""

# mypy: disable-error-code="no-any-return"
# (NumPy's stubs give Any for many results.)

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import numpy as np

from .._arrays import Array
from .._checks import RecurrentShape

Given = TypeVar("Given", bound=tuple[Array | None, ...])


# ---- rows and steps ------------------------------------------------------------------------------


class Step(NamedTuple):
    """Where one step's rows are. States have B rows more: the initial ones, before all others."""

    size: int  # how many rows, B unless shorter sequences have ended
    rows: slice  # in arrays (N, ...)
    before: slice  # in states (B + N, H): the state that the step starts from
    after: slice  # in states: the one that it leaves


def _steps(batch: int, sizes: Sequence[int]) -> list[Step]:
    """Lay out steps of these sizes, none larger than the one before."""
    steps, start, before = [], 0, 0
    for size in sizes:
        after = batch + start
        rows = slice(start, start + size)
        steps.append(Step(size, rows, slice(before, before + size), slice(after, after + size)))
        start, before = start + size, after
    return steps


@dataclass(slots=True)
class Recurrence:
    """The sequences and weights of one pass, and what every cell does with them alike."""

    shape: RecurrentShape  # B, T, I, H, dtype
    steps: list[Step]
    ragged: bool
    x: Array  # (N, I)
    kernel: Array
    recurrent_kernel: Array
    has_bias: bool
    has_h0: bool
    mask: Array | None  # (N, 1), True where a step is valid
    visible: Array | None  # (N, 1), True where y shows the state, False where it is zero
    input_dropout: Array | None
    recurrent_dropout: Array | None
    go_backwards: bool

    def project(self) -> Array:
        """Return x @ kernel for all steps, (N, gates * H), with the input's dropout."""
        return product(self.x, self.kernel, self.spread(self.input_dropout))

    def new_states(self, initial: Array | None) -> Array:
        """Return states (B + N, H) that begin with the initial one, or zeros."""
        B, _, _, H, dtype = self.shape
        states = np.empty((B + len(self.x), H), dtype)
        states[:B] = 0 if initial is None else initial
        return states

    def carry(self, step: Step, states: Array) -> None:
        """Let the rows that are masked at a step keep the state they had."""
        if self.mask is not None:
            np.copyto(states[step.after], states[step.before], where=~self.mask[step.rows])

    def carry_back(self, step: Step, gradient: Array, before: Array) -> None:
        """Go back from the gradient of a step's state to `before`, where the step is valid."""
        valid = True if self.mask is None else self.mask[step.rows]
        np.copyto(gradient, before, where=valid)

    def previous(self, states: Array) -> Array:
        """Return the state that each of the N rows started from."""
        if not self.ragged:
            return states[: len(self.x)]
        return np.concatenate([states[step.before] for step in self.steps])

    def last(self, states: Array) -> Array:
        """Return each sequence's state after its own last step, (B, H)."""
        result, found = np.empty((self.shape[0], states.shape[1]), states.dtype), 0
        for step in reversed(self.steps):
            if step.size > found:
                result[found : step.size] = states[step.after][found:]
                found = step.size
        return result

    def outputs(self, states: Array) -> Array:
        """Return y: the states, or zero where masked steps have none to show."""
        y = states[self.shape[0] :]
        if self.visible is not None:
            y = np.where(self.visible, y, 0)
        return y.copy() if self.ragged else _from_rows(y, self.shape[1], backwards=False)

    def incoming(self, dy: Array | None) -> Array | None:
        """Return dy as rows (N, H), zero where y does not show the state."""
        if dy is None or self.ragged:
            return dy
        dy = _to_rows(dy, backwards=False)
        return dy if self.visible is None else np.where(self.visible, dy, 0)

    def spread(self, dropout: Array | None) -> Array | None:
        """Return a dropout mask (..., B, K) for all rows, (..., N, K)."""
        if dropout is None:
            return None
        return np.concatenate([dropout[..., : step.size, :] for step in self.steps], axis=-2)

    def input_gradient(self, d: Array) -> Array:
        """Return dx from the gradient d (N, gates * H) of what `project` gave."""
        dx = product_backward(d, self.kernel, self.spread(self.input_dropout))
        return dx if self.ragged else _from_rows(dx, self.shape[1], self.go_backwards)

    def kernel_gradient(self, d: Array) -> Array:
        """Return dkernel from the same."""
        return weight_gradient(self.x, d, self.spread(self.input_dropout))


def prepare(
    shape: RecurrentShape,
    x: Array,
    kernel: Array,
    recurrent_kernel: Array,
    bias: Array | None,
    h0: Array | None,
    mask: Array | None,
    masked_output: str,
    input_dropout: Array | None,
    recurrent_dropout: Array | None,
    go_backwards: bool,
    batch_sizes: Array | None,
) -> Recurrence:
    """Lay out the arguments of a forward pass as rows."""
    B, T, _, _, _ = shape
    visible = None
    ragged = batch_sizes is not None
    x = np.ascontiguousarray(x) if ragged else _to_rows(x, go_backwards)
    if mask is not None:
        visible = mask[:, ::-1] if go_backwards else mask
        if masked_output == "repeat":  # the first valid step and all after it
            visible = np.logical_or.accumulate(visible, axis=1)
        visible = _to_rows(visible[:, :, None], backwards=False)
        mask = _to_rows(mask[:, :, None], go_backwards)
        x = np.where(mask, x, 0)  # a masked x is never looked at: it may be NaN
    sizes = [B] * T if batch_sizes is None else batch_sizes.tolist()
    return Recurrence(
        shape, _steps(B, sizes), ragged, x, kernel, recurrent_kernel, bias is not None,
        h0 is not None, mask, visible, input_dropout, recurrent_dropout, go_backwards,
    )  # fmt: skip


def _to_rows(a: Array, backwards: bool) -> Array:
    """Return (B, T, K) as rows (T B, K), contiguous, in the order of processing."""
    B, T, K = a.shape
    time_major = np.swapaxes(a[:, ::-1] if backwards else a, 0, 1)
    return np.ascontiguousarray(time_major).reshape(T * B, K)


def _from_rows(a: Array, T: int, backwards: bool) -> Array:
    """Return rows (T B, K) as a new array (B, T, K)."""
    time_major = a.reshape(T, len(a) // T, a.shape[1])
    return np.swapaxes(time_major[::-1] if backwards else time_major, 0, 1).copy()


def deliver(gradients: Given, out: Any) -> Given:
    """Return gradients, or the arrays of `out` (None among them) with the gradients written in."""
    if out is None:
        return gradients
    for array, gradient in zip(out, gradients, strict=True):
        if array is not None:
            array[...] = gradient
    return tuple(out)  # type: ignore[return-value]


# ---- products with dropout -----------------------------------------------------------------------
#
# The weights' columns belong to one gate or several. A dropout mask (N, K) serves all of them, a
# stack (gates, N, K) has one for each, and then each gate has a product of its own.


def rows_of(dropout: Array | None, size: int) -> Array | None:
    """Return the part of a dropout mask that concerns the first rows, those of one step."""
    return None if dropout is None else dropout[..., :size, :]


def gates_of(dropout: Array | None, first: int, last: int) -> Array | None:
    """Return the part of a dropout mask that concerns gates first..last-1."""
    return dropout if dropout is None or dropout.ndim == 2 else dropout[first:last]


def product(a: Array, weights: Array, dropout: Array | None) -> Array:
    """Return (a * dropout) @ weights for a (N, K), in one product if it can be."""
    if dropout is not None and dropout.ndim == 3:
        parts = zip(dropout, np.split(weights, len(dropout), axis=1), strict=True)
        return np.concatenate([product(a, w, mask) for mask, w in parts], axis=1)
    return (a if dropout is None else a * dropout) @ weights


def product_backward(d: Array, weights: Array, dropout: Array | None) -> Array:
    """Return the gradient of `a` in `product`, from the gradient d of its result."""
    if dropout is not None and dropout.ndim == 3:
        gates = len(dropout)
        parts = zip(
            np.split(d, gates, axis=1), np.split(weights, gates, axis=1), dropout, strict=True
        )
        return np.sum([product_backward(*part) for part in parts], axis=0)
    da = d @ weights.T
    return da if dropout is None else da * dropout


def weight_gradient(a: Array, d: Array, dropout: Array | None) -> Array:
    """Return the gradient of `weights` in `product`."""
    if dropout is not None and dropout.ndim == 3:
        parts = zip(dropout, np.split(d, len(dropout), axis=1), strict=True)
        return np.concatenate([weight_gradient(a, part, mask) for mask, part in parts], axis=1)
    return (a if dropout is None else a * dropout).T @ d
