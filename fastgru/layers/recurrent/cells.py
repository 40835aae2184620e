"""The cells of the three kinds of recurrent layers, with Keras' names, arguments and defaults."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastgru._configurable import taken_by
from fastgru.initializers import Initializer
from fastgru.layers.recurrent.cell import Cell, checked_activation


class GRUCell(Cell):
    """One step of a :class:`~fastgru.layers.GRU`; see there for the arguments.

    Parameters
    ----------
    units : int
        H, the size of the state.
    activation, recurrent_activation, use_bias, kernel_initializer, recurrent_initializer, \
    bias_initializer, kernel_regularizer, recurrent_regularizer, bias_regularizer, \
    kernel_constraint, recurrent_constraint, bias_constraint, dropout, recurrent_dropout, \
    reset_after, seed, update_gate
        As the layer's.
    **common
        name, dtype, trainable: see :class:`~fastgru.layers.Layer`.

    Raises
    ------
    ValueError, TypeError
        As the layer.
    """

    gates, state_count, operation = 3, 1, "gru"

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        reset_after: bool = True,
        seed: int | None = None,
        *,
        update_gate: str = "keep",
        implementation: int | None = None,
        **common: Any,
    ) -> None:
        super().__init__(**taken_by(Cell, locals()), **common)
        if update_gate not in ("keep", "replace"):
            raise ValueError(f"update_gate: expected 'keep' or 'replace', got {update_gate!r}")
        self.activation, function = checked_activation(activation, "activation")
        self.recurrent_activation, gate = checked_activation(
            recurrent_activation, "recurrent_activation"
        )
        self.reset_after = bool(reset_after)
        self.update_gate = update_gate
        self.implementation = implementation
        self.pack_options = {"reset_after": self.reset_after}
        self.options = {
            "reset_after": self.reset_after,
            "update_gate": update_gate,
            "activation": function,
            "recurrent_activation": gate,
        }

    @property
    def bias_shape(self) -> tuple[int, ...]:
        """(2, 3H), of the input and of the state; (3H,) if the reset comes before the product."""
        columns = 3 * self.units
        return (2, columns) if self.reset_after else (columns,)


class LSTMCell(Cell):
    """One step of an :class:`~fastgru.layers.LSTM`; see there for the arguments.

    Parameters
    ----------
    units : int
        H, the size of each of the two states.
    activation, recurrent_activation, use_bias, kernel_initializer, recurrent_initializer, \
    bias_initializer, unit_forget_bias, kernel_regularizer, recurrent_regularizer, \
    bias_regularizer, kernel_constraint, recurrent_constraint, bias_constraint, dropout, \
    recurrent_dropout, seed
        As the layer's.
    **common
        name, dtype, trainable: see :class:`~fastgru.layers.Layer`.

    Raises
    ------
    ValueError, TypeError
        As the layer.
    """

    gates, state_count, operation = 4, 2, "lstm"

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        unit_forget_bias: bool = True,
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        *,
        implementation: int | None = None,
        **common: Any,
    ) -> None:
        super().__init__(**taken_by(Cell, locals()), **common)
        self.unit_forget_bias = bool(unit_forget_bias)
        self.activation, function = checked_activation(activation, "activation")
        self.recurrent_activation, gate = checked_activation(
            recurrent_activation, "recurrent_activation"
        )
        self.implementation = implementation
        self.pack_options = {}
        self.options = {"activation": function, "recurrent_activation": gate}

    def initial_biases(self) -> Initializer:
        """Return what the biases are made with: ones for the forget gate, if it is wished."""
        return (
            _ForgetOnes(self.bias_initializer) if self.unit_forget_bias else self.bias_initializer
        )


class _ForgetOnes(Initializer):
    """The biases of an LSTM: ones for the second of four gates, another initializer's elsewhere."""

    def __init__(self, others: Initializer) -> None:
        self.others = others

    def draw(self, shape: tuple[int, ...]) -> np.ndarray:
        """Return the biases, (4H,)."""
        units = shape[0] // 4
        return np.concatenate(
            [self.others.draw((units,)), np.ones(units), self.others.draw((2 * units,))]
        )


class SimpleRNNCell(Cell):
    """One step of a :class:`~fastgru.layers.SimpleRNN`; see there for the arguments.

    Parameters
    ----------
    units : int
        H, the size of the state.
    activation, use_bias, kernel_initializer, recurrent_initializer, bias_initializer, \
    kernel_regularizer, recurrent_regularizer, bias_regularizer, kernel_constraint, \
    recurrent_constraint, bias_constraint, dropout, recurrent_dropout, seed
        As the layer's.
    **common
        name, dtype, trainable: see :class:`~fastgru.layers.Layer`.

    Raises
    ------
    ValueError, TypeError
        As the layer.
    """

    gates, state_count, operation = 1, 1, "simple_rnn"

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        **common: Any,
    ) -> None:
        super().__init__(**taken_by(Cell, locals()), **common)
        self.activation, function = checked_activation(activation, "activation")
        self.pack_options = {}
        self.options = {"activation": function}
