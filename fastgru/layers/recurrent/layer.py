"""What the recurrent layers share: states, masks, lists of inputs and outputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from fastgru import _random
from fastgru._arrays import to_floats
from fastgru._configurable import constructor_arguments
from fastgru.backend import current_ops
from fastgru.layers.arguments import Shape, is_nested_shape
from fastgru.layers.base import Layer
from fastgru.layers.padding import own_steps, turned, turned_back, turning
from fastgru.layers.parameters import Weight
from fastgru.layers.recurrent.cell import Cell, added, check_states
from fastgru.layers.recurrent.inputs import depth, take


class Recurrent(Layer):
    """The base of `GRU`, `LSTM` and `SimpleRNN`: runs a cell over sequences.

    All steps are one call of an operation. The cell has the weights, and what it was made with the
    layer has in attributes of the same names.

    Parameters
    ----------
    cell : Cell
        What happens at a step.
    return_sequences, return_state, go_backwards, stateful, unroll, zero_output_for_mask : bool
        As those of `GRU`.
    **common
        name, dtype, trainable, input_shape, batch_input_shape, activity_regularizer: see
        :class:`Layer`.
    """

    supports_masking = True
    fixed_at_once = True
    use_cudnn: Any = "auto"
    units: int
    _states: list[np.ndarray] | None = None

    def __init__(
        self,
        cell: Cell,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        zero_output_for_mask: bool = False,
        **common: Any,
    ) -> None:
        if (features := common.pop("input_dim", None)) is not None:  # of any number of steps
            common.setdefault("input_shape", (None, features))
        super().__init__(**common)
        self.cell = cell
        self.hand_dtype("cell", cell, self.dtype)
        for argument in constructor_arguments(type(cell)):
            setattr(self, argument, getattr(cell, argument))
        self.return_sequences = bool(return_sequences)
        self.return_state = bool(return_state)
        self.go_backwards = bool(go_backwards)
        self.stateful = bool(stateful)
        self.unroll = unroll
        self._forward = f"{cell.operation}_forward"
        self._options = cell.options | {
            "go_backwards": self.go_backwards,
            "return_sequences": self.return_sequences,
        }
        self.zero_output_for_mask = zero_output_for_mask

    @classmethod
    def from_cell(cls, cell: Cell, **arguments: Any) -> Self:
        """Make a layer that runs, and shares the weights of, a given cell."""
        layer = cls.__new__(cls)
        settled = cell.dtype_given or cell.built
        common = {"dtype": cell.dtype if settled else None, "trainable": cell.trainable}
        Recurrent.__init__(layer, cell, **common | arguments)
        return layer

    @property
    def zero_output_for_mask(self) -> bool:
        """Whether the outputs of masked steps are zero; otherwise they repeat the output before."""
        return self._zero_output

    @zero_output_for_mask.setter
    def zero_output_for_mask(self, value: bool) -> None:
        self._zero_output = bool(value)
        self._options = self._options | {"masked_output": "zero" if value else "repeat"}

    # ---- shapes and weights ----

    def compute_output_shape(self, input_shape: Sequence[Any]) -> Any:
        """Return (B, T, H) with `return_sequences`, else (B, H); a list with `return_state`.

        The shape of the input may come in a list with those of initial states.
        """
        first, *states = input_shape if is_nested_shape(input_shape) else [input_shape]
        shape: Shape = tuple(first)
        hint = "; a recurrent layer before it needs return_sequences=True"
        self.expect_rank(shape, 3, "(batch, time, features)", hint)
        self.expect_features(shape)
        batch, time, _ = shape
        if time == 0:
            raise ValueError(f"{self.name}: expected at least one time step, got {shape}")
        if states:
            check_states(self, "initial_state", states, batch)
        output = (batch, time, self.units) if self.return_sequences else (batch, self.units)
        if not self.return_state:
            return output
        return [output, *[(batch, self.units)] * self.cell.state_count]

    def compute_mask(self, x: Any, mask: Any = None) -> Any:
        """Return the mask of the outputs: the input's with `return_sequences`, else None."""
        mask = mask[0] if isinstance(mask, list | tuple) else mask
        output = mask if self.return_sequences else None
        return [output, *[None] * self.cell.state_count] if self.return_state else output

    def build(self, input_shape: Sequence[Any]) -> None:
        """Make the weights for inputs of a shape, e.g. ``(None, None, 8)``; once only.

        Raises
        ------
        ValueError
            If the layer can't take inputs of this shape, or is stateful and the batch size is None
            or 0.
        """
        shape = tuple(input_shape[0] if is_nested_shape(input_shape) else input_shape)
        if self.stateful and self._states is None:
            if len(shape) == 3 and shape[0] is None:
                raise ValueError(
                    f"{self.name}: stateful=True needs a fixed batch size, got shape {shape}; give "
                    "batch_input_shape=(batch, time, features) or an Input(batch_shape=…)"
                )
            self.compute_output_shape(shape)
            if shape[0] == 0:
                raise ValueError(
                    f"{self.name}: stateful=True needs a batch of at least one sample, "
                    f"got shape {shape}"
                )
            self._states = self.cell.get_initial_state(shape[0])
        super().build(shape)

    def create_weights(self, input_shape: Shape) -> None:
        """Make the cell's weights, which are the layer's."""
        self.hand_dtype("cell", self.cell, self.dtype)
        if not self.cell.built:
            self.cell.build((input_shape[0], input_shape[2]))
        self.cell.expect_features(input_shape)
        for weight in self.cell.weights:
            weight.path = f"{self.name}/{weight.name}"
            self._weights.append(weight)

    @property
    def kernel(self) -> Weight:
        """The weights on the input."""
        return self.cell.kernel

    @property
    def recurrent_kernel(self) -> Weight:
        """The weights on the state."""
        return self.cell.recurrent_kernel

    @property
    def bias(self) -> Weight | None:
        """The biases, or None."""
        return self.cell.bias

    def adopt_dtype(self, dtype: str) -> None:
        """Take a model's dtype, which was checked."""
        self.hand_dtype("cell", self.cell, dtype)
        super().adopt_dtype(dtype)

    @property
    def seed_generators(self) -> list[_random.SeedGenerator]:
        """The generator of dropout's factors, if there is dropout."""
        return self.cell.seed_generators

    # ---- calling ----

    def __call__(
        self,
        sequences: Any,
        initial_state: Any = None,
        mask: Any = None,
        training: bool | None = None,
    ) -> Any:
        """Run the layer.

        Parameters
        ----------
        sequences : array_like, shape (B, T, I)
            The input; converted to the layer's dtype. A list of B sequences of different lengths,
            each (T_i, I), is padded at its end and masked. A list of the input and initial states,
            ``[x, h]``, is accepted too.
        initial_state : array_like, shape (B, H), or a list of states, optional
            The states before the first step: h, and c of an LSTM. Zeros by default, or what the
            last batch ended with if the layer is stateful.
        mask : bool array_like, shape (B, T), optional
            False marks steps to skip: they carry the states on, and their input is never looked at.
        training : bool, optional
            Whether dropout drops. Not by default; in a functional model, when the model trains.

        Returns
        -------
        ndarray, shape (B, T, H) or (B, H)
            The outputs; with `return_state`, a list of them and the last states, (B, H) each.

        Raises
        ------
        ValueError, TypeError
            If an input, a mask or a state does not fit; the message says which and how.
        """
        inputs, mask = take(self, sequences, initial_state, mask)
        return super().__call__(inputs, training=training, mask=mask)

    def _take_mask(self, mask: Any, x: Any) -> Any:
        """Return the mask of a call, which is that of the sequences."""
        return super()._take_mask(mask, x[0] if isinstance(x, list) else x)

    def _shape_met(self, shape: Any) -> Any:
        """Return the shape to be built for: if stateful, with the size of the first batch."""
        return shape if self.stateful else super()._shape_met(shape)

    def convert(self, name: str, x: Any) -> Any:
        """Return an input, or a list of it and initial states, in the layer's dtype."""
        if isinstance(x, list) and x and depth(x[0]) == 3:
            x, *states = x
            what = f"{self.name}: initial_state"
            converted = [to_floats(what, state, self._dtype) for state in states]
            return [to_floats(name, x, self._dtype), *converted]
        return to_floats(name, x, self._dtype)

    def reset_states(self, states: Any = None) -> None:
        """Let the next batch of a stateful layer begin with zeros, or with given states.

        Parameters
        ----------
        states : array_like, shape (B, H), or a list of states, optional
            What to begin with.

        Raises
        ------
        ValueError
            If states are given and the layer is not stateful, or not built, or they do not fit.
        """
        if states is None:
            if self._states is not None:
                self._states = self.cell.get_initial_state(len(self._states[0]))
            return
        if self._states is None:
            what = "built" if self.stateful else "stateful"
            raise ValueError(f"{self.name}: states: the layer is not {what}, got {states!r}")
        given = list(states) if depth(states) == 3 else [states]
        arrays = [to_floats(f"{self.name}: states", state, self._dtype) for state in given]
        check_states(self, "states", [a.shape for a in arrays], len(self._states[0]))
        self._states = [a.copy() for a in arrays]

    reset_state = reset_states

    @property
    def states(self) -> list[np.ndarray] | None:
        """What the last batch of a stateful layer ended with; set, what the next begins with."""
        return self._states

    @states.setter
    def states(self, states: Sequence[Any] | None) -> None:
        if states is None:  # as before the layer was built
            self._states = None
        else:
            self.reset_states(states)

    # ---- computation ----

    def forward(self, x: Any, *, training: bool = False, mask: Any = None) -> tuple[Any, Any]:
        """Return the output, or a list of it and the last states with `return_state`.

        `x` is the input or a list of it and initial states.
        """
        ops, cell, options = current_ops(), self.cell, self._options
        listed = isinstance(x, list)
        x, *states = x if listed else (x,)
        mask = mask[0] if isinstance(mask, list | tuple) else mask
        places = None if mask is None else self._turning(mask)
        if self.stateful:
            kept = self._kept_states(len(x))
            states = states or kept
        visible = None
        if mask is not None and not mask.all():
            options = options | {"mask": np.asarray(mask)}
            visible = None if self.return_sequences else self._visible(mask)
        if training and cell.drops:
            options = options | cell.draw_factors(len(x), x.shape[2])
        y, *after, cache = getattr(ops, self._forward)(
            x, *cell.arrays(ops, training), *states, training=training, **options
        )
        if self.stateful:
            self._states = [state.copy() for state in after]
        if not self.return_sequences:
            y = after[0] if visible is None else np.where(visible[:, None], after[0], 0)
        y = turned(y, places)
        output = [y, *after] if self.return_state else y
        return output, (ops, cache, visible, places, listed, len(x)) if training else None

    def _turning(self, mask: Any) -> np.ndarray | None:
        """Return the places that put samples, padded by a model and gone backwards, in order."""
        if not (self.go_backwards and self.return_sequences):
            return None
        own = own_steps(mask)
        return None if own is None or own.all() else turning(own)

    def _kept_states(self, batch: int) -> list[np.ndarray]:
        assert self._states is not None
        if batch != len(self._states[0]):
            raise ValueError(
                f"{self.name}: stateful, built for batches of {len(self._states[0])}, "
                f"got a batch of {batch}"
            )
        return self._states

    def _visible(self, mask: np.ndarray) -> np.ndarray | None:
        """Return which rows' last output shows the state, (B,): the others' is zero."""
        if self.zero_output_for_mask:
            visible = _last_step(mask, self.go_backwards)
        else:
            visible = np.any(np.asarray(mask), axis=1)
        return None if visible.all() else visible

    def backward(
        self, dy: Any, cache: Any, *, accumulate: bool = False, input_gradient: bool = True
    ) -> Any:
        """Return dx, or a list of it and the initial states' gradients if these were inputs.

        Writes the gradients of the weights. With `return_state` `dy` is a list, in which None
        stands for zeros. Without `input_gradient` dx is None.
        """
        ops, run, visible, places, listed, batch = cache
        dy, *dstates = dy if self.return_state else (dy, *[None] * self.cell.state_count)
        if not self.return_sequences:
            if visible is not None and dy is not None:
                dy = np.where(visible[:, None], dy, 0)
            dstates[0], dy = added(dy, dstates[0]), None
        elif dy is not None:
            dy = turned_back(dy, places)
        if dy is None and dstates[0] is None:
            dstates[0] = np.zeros((batch, self.units), self._dtype)
        dx, dinitial = self.cell.run_backward(ops, dy, run, dstates, accumulate, input_gradient)
        return [dx, *(d for d in dinitial if d is not None)] if listed else dx

    def backward_to_weights(self, dy: Any, cache: Any, *, accumulate: bool = False) -> None:
        """Do what :meth:`backward` does where nobody wants the gradient of the input."""
        self.backward(dy, cache, accumulate=accumulate, input_gradient=False)


def _last_step(mask: np.ndarray, go_backwards: bool) -> np.ndarray:
    """Return the mask of the step that is read last, (B,): never of one that a model has padded."""
    own = own_steps(mask)
    if own is None:
        own = np.ones_like(mask)
    last = own.argmax(axis=1) if go_backwards else own.shape[1] - 1 - own[:, ::-1].argmax(axis=1)
    read: np.ndarray = np.asarray(mask)[np.arange(len(mask)), last]
    return read


def checked_hint(name: str, value: Any) -> Any:
    """Return a hint that has no effect, as it is.

    Raises
    ------
    ValueError
        If it is none of "auto", True and False.
    """
    if value not in ("auto", True, False):
        raise ValueError(f"{name}: expected 'auto', True or False, got {value!r}")
    return value
