"""What the cells of all recurrent layers share: weights, dropout, one step."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np

from fastgru import _random, activations, constraints, initializers, regularizers
from fastgru._arrays import to_floats
from fastgru._numbers import checked_rate
from fastgru.activations import Activation
from fastgru.backend import current_ops
from fastgru.initializers import Initializer
from fastgru.layers.arguments import Shape, checked_size, for_operations, is_nested_shape
from fastgru.layers.base import Layer
from fastgru.layers.parameters import Weight


class Cell(Layer):
    """One step of a recurrent layer, and the weights of all steps.

    Called as ``cell(inputs, states, training=False)`` with inputs (B, I) and states (B, H), it
    returns the output (B, H) and the new states. A recurrent layer holds a cell, but runs whole
    sequences in one operation.

    Subclasses say how many gates and states there are, what the operations are called, and, as
    `options`, what these get beside arrays.
    """

    fixed_at_once = True

    gates: int  # kernels have gates * units columns
    state_count: int
    operation: str  # the operations are "<operation>_forward" and so on
    options: dict[str, Any]
    pack_options: dict[str, Any]

    # For which operations and for which version of the weights, and the packed kernels.
    _packed: tuple[ModuleType | None, int, Any] = (None, 0, None)
    # The factors of a cell that is called step by step: kept until `reset_dropout_mask`.
    _factors: dict[str, np.ndarray] | None = None
    remade = ("_packed", "_factors")

    def __init__(
        self,
        units: int,
        use_bias: bool,
        kernel_initializer: Any,
        recurrent_initializer: Any,
        bias_initializer: Any,
        kernel_regularizer: Any,
        recurrent_regularizer: Any,
        bias_regularizer: Any,
        kernel_constraint: Any,
        recurrent_constraint: Any,
        bias_constraint: Any,
        dropout: float,
        recurrent_dropout: float,
        seed: int | None,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.units = checked_size("units", units)
        self.use_bias = bool(use_bias)
        self.kernel_initializer = initializers.get(kernel_initializer, "kernel_initializer")
        self.recurrent_initializer = initializers.get(
            recurrent_initializer, "recurrent_initializer"
        )
        self.bias_initializer = initializers.get(bias_initializer, "bias_initializer")
        self.kernel_regularizer = regularizers.get(kernel_regularizer, "kernel_regularizer")
        self.recurrent_regularizer = regularizers.get(
            recurrent_regularizer, "recurrent_regularizer"
        )
        self.bias_regularizer = regularizers.get(bias_regularizer, "bias_regularizer")
        self.kernel_constraint = constraints.get(kernel_constraint, "kernel_constraint")
        self.recurrent_constraint = constraints.get(recurrent_constraint, "recurrent_constraint")
        self.bias_constraint = constraints.get(bias_constraint, "bias_constraint")
        self.dropout = checked_rate("dropout", dropout)
        self.recurrent_dropout = checked_rate("recurrent_dropout", recurrent_dropout)
        self.drops = self.dropout > 0 or self.recurrent_dropout > 0
        self.seed = None if seed is None else _random.checked_seed(seed)
        self.seed_generator = _random.SeedGenerator(self.seed) if self.drops else None
        self.bias: Weight | None = None

    # ---- weights ----

    @property
    def bias_shape(self) -> tuple[int, ...]:
        """The shape of the biases."""
        return (self.gates * self.units,)

    def initial_biases(self) -> Initializer:
        """Return what the biases are made with."""
        return self.bias_initializer

    def create_weights(self, input_shape: Shape) -> None:
        """Make kernel, recurrent kernel and biases."""
        features = self.expect_features(input_shape)
        columns = self.gates * self.units
        self.kernel = self.add_weight(
            "kernel",
            (features, columns),
            self.kernel_initializer,
            self.kernel_regularizer,
            self.kernel_constraint,
        )
        self.recurrent_kernel = self.add_weight(
            "recurrent_kernel",
            (self.units, columns),
            self.recurrent_initializer,
            self.recurrent_regularizer,
            self.recurrent_constraint,
        )
        if self.use_bias:
            self.bias = self.add_weight(
                "bias",
                self.bias_shape,
                self.initial_biases(),
                self.bias_regularizer,
                self.bias_constraint,
            )

    def arrays(self, ops: ModuleType, training: bool) -> tuple[Any, Any, Any]:
        """Return kernel, recurrent kernel and biases as an operation takes them.

        Outside of training the kernels are packed, anew when they have changed. What is kept is
        replaced as a whole: threads that find it stale each pack and lose nothing.
        """
        bias = None if self.bias is None else self.bias.array
        if training:
            return self.kernel.array, self.recurrent_kernel.array, bias
        packed_for, version, packed = self._packed
        current = self.kernel.buffer.version
        if packed_for is not ops or version != current:
            pack = getattr(ops, f"pack_{self.operation}")
            packed = pack(self.kernel.array, self.recurrent_kernel.array, **self.pack_options)
            self._packed = ops, current, packed
        return packed, None, bias

    def run_backward(
        self,
        ops: ModuleType,
        dy: Any,
        cache: Any,
        dstates: Sequence[Any],
        accumulate: bool,
        input_gradient: bool = True,
    ) -> tuple[Any, list[Any]]:
        """Write the gradients of the weights; return those of the input and the initial states."""
        kernel, recurrent, bias = self.kernel, self.recurrent_kernel, self.bias
        trained = kernel.trainable and recurrent.trainable and (bias is None or bias.trainable)
        out = None
        if trained and not accumulate:
            out = kernel.gradient, recurrent.gradient, None if bias is None else bias.gradient
        operation = getattr(ops, f"{self.operation}_backward")
        dx, *gradients = operation(dy, cache, *dstates, out=out, input_gradient=input_gradient)
        if out is None:
            for weight, gradient in zip(self._weights, gradients, strict=False):
                self.store_gradient(weight, gradient, accumulate)
        return dx, gradients[3:]

    # ---- dropout ----

    def draw_factors(self, batch: int, features: int) -> dict[str, np.ndarray]:
        """Draw the factors of dropout for one batch of sequences, as the operations take them.

        As in Keras there is one mask for all gates, but with recurrent dropout one for each.
        """
        assert self.seed_generator is not None
        gates = (self.gates,) if self.recurrent_dropout and self.gates > 1 else ()
        factors = {}
        for name, rate, size in (
            ("input_dropout", self.dropout, features),
            ("recurrent_dropout", self.recurrent_dropout, self.units),
        ):
            if rate:
                shape = (*gates, batch, size)
                factors[name] = self.seed_generator.keep(shape, rate, self._dtype)
        return factors

    def reset_dropout_mask(self) -> None:
        """Let the next step that is called with ``training=True`` draw new factors."""
        self._factors = None

    reset_recurrent_dropout_mask = reset_dropout_mask

    # ---- one step ----

    @property
    def state_size(self) -> int | list[int]:
        """H; a list if there is more than one state."""
        return self.units if self.state_count == 1 else [self.units] * self.state_count

    @property
    def output_size(self) -> int:
        """H."""
        return self.units

    @property
    def seed_generators(self) -> list[_random.SeedGenerator]:
        """The generator of dropout's factors, if there is dropout."""
        return [] if self.seed_generator is None else [self.seed_generator]

    def get_initial_state(self, batch_size: int | None = None) -> list[np.ndarray]:
        """Return the states that a sequence begins with: zeros, (B, H)."""
        size = checked_size("batch_size", batch_size)
        return [np.zeros((size, self.units), self._dtype) for _ in range(self.state_count)]

    def compute_output_shape(self, input_shape: Sequence[Any]) -> Any:
        """Return (B, H), for the output and each state."""
        shape = tuple(input_shape[0] if is_nested_shape(input_shape) else input_shape)
        self.expect_rank(shape, 2, "(batch, features): a cell takes one step")
        self.expect_features(shape)
        return [(shape[0], self.units)] * (1 + self.state_count)

    def __call__(  # type: ignore[override]
        self, inputs: Any, states: Any, training: bool | None = False
    ) -> tuple[np.ndarray, Any]:
        """Run one step.

        Parameters
        ----------
        inputs : array_like, shape (B, I)
            The input; converted to the cell's dtype.
        states : array_like, shape (B, H), or a list of them
            The states before the step: h, and c of an LSTM.
        training : bool, default False
            Whether dropout drops. The factors stay the same until :meth:`reset_dropout_mask`.

        Returns
        -------
        ndarray, shape (B, H)
            The output.
        ndarray or list
            The states after the step; a list if `states` was one.

        Raises
        ------
        ValueError, TypeError
            If an input or a state has another shape or does not hold numbers.
        """
        x = to_floats("inputs", inputs, self._dtype)
        self.compute_output_shape(x.shape)
        nested = isinstance(states, list | tuple)
        given = [to_floats("states", s, self._dtype) for s in (states if nested else [states])]
        check_states(self, "states", [s.shape for s in given], len(x))
        if not self.built:
            self.build((None, x.shape[-1]))
        (output, *after), _ = self.forward([x, *given], training=bool(training))
        return output, after if nested else after[0]

    def forward(self, x: Any, *, training: bool = False, mask: Any = None) -> tuple[Any, Any]:
        """Return the output and the states after a step from [input, states…]."""
        ops = current_ops()
        x, *states = x
        options = self.options
        if training and self.drops:
            if self._factors is None:
                self._factors = self.draw_factors(*x.shape)
            options = options | self._factors
        _, *after, cache = getattr(ops, f"{self.operation}_forward")(
            x[:, None],
            *self.arrays(ops, training),
            *states,
            return_sequences=False,
            training=training,
            **options,
        )
        return [after[0], *after], (ops, cache, x.shape[0]) if training else None

    def backward(self, dy: Any, cache: Any, *, accumulate: bool = False) -> Any:
        """Return the gradients of input and states from those of output and states."""
        ops, cache, batch = cache
        doutput, *dstates = dy
        dstates[0] = added(doutput, dstates[0])
        if dstates[0] is None:
            dstates[0] = np.zeros((batch, self.units), self._dtype)
        dx, dinitial = self.run_backward(ops, None, cache, dstates, accumulate)
        return [dx[:, 0], *dinitial]


# ---- arguments -----------------------------------------------------------------------------------


def checked_activation(identifier: Any, argument: str) -> tuple[Activation, str | Activation]:
    """Return an activation, and as operations take it.

    Raises
    ------
    ValueError, TypeError
        If there is none of this name, it is a plain function, or it is one's own and its functions
        are not what `Activation` says: an operation would notice at its first run, or not at all.
    """
    activation = activations.get(identifier, argument)
    taken = for_operations(activation)
    if isinstance(taken, Activation):
        _try(activation, f"{argument}: {activation.name!r}")
    return activation, taken


def _try(activation: Activation, what: str) -> None:
    """Require that an activation of one's own keeps what `Activation` promises."""
    x = np.linspace(-1.0, 1.0, 6).reshape(2, 3)
    out = np.full_like(x, np.nan)
    try:
        y = np.asarray(activation.forward(x.copy()))
        activation.forward(x.copy(), out=out)
        slope = activation.derivative(None if activation.from_output else x, y)
        np.broadcast_to(slope, x.shape)
    except Exception as error:
        raise ValueError(
            f"{what}: expected functions forward(x, out=None) and derivative(x, y), "
            f"got {type(error).__name__}: {error}"
        ) from error
    if y.shape != x.shape or not np.array_equal(out, y):
        raise ValueError(
            f"{what}: expected a forward(x, out=None) that returns x's shape and writes into out, "
            f"got shape {y.shape} for {x.shape} and in out {out.tolist()}"
        )


def check_states(
    layer: Any, argument: str, shapes: Sequence[Sequence[int | None]], batch: int | None
) -> None:
    """Require as many states as a layer has, each of shape (batch, units); None fits any size."""
    cell = getattr(layer, "cell", layer)
    if len(shapes) != cell.state_count:
        what = "1 state" if cell.state_count == 1 else f"{cell.state_count} states"
        raise ValueError(
            f"{layer.name}: {argument}: expected {what} of shape {(batch, cell.units)}, "
            f"got {len(shapes)}: {[tuple(s) for s in shapes]}"
        )
    for shape in map(tuple, shapes):
        fits = len(shape) == 2 and shape[1] == cell.units
        if not fits or (None not in (batch, shape[0]) and shape[0] != batch):
            raise ValueError(
                f"{layer.name}: {argument}: expected shape {(batch, cell.units)}, got {shape}"
            )


def added(a: np.ndarray | None, b: np.ndarray | None) -> np.ndarray | None:
    """Return the sum of two gradients, of which None is none."""
    if a is None or b is None:
        return b if a is None else a
    return np.asarray(a + b)
