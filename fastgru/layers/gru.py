"""The Gated Recurrent Unit as a layer."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np

from fastgru import _random, activations, initializers
from fastgru._arrays import to_floats
from fastgru._configurable import refuse
from fastgru.backend import current_ops
from fastgru.layers.base import Layer, Shape, checked_size, for_operations


class GRU(Layer):
    """Gated Recurrent Unit (Cho et al., 2014), with the arguments and defaults of Keras' layer.

    Parameters
    ----------
    units : int
        H, the size of the state.
    activation : str or Activation, default "tanh"
        Of the candidate.
    recurrent_activation : str or Activation, default "sigmoid"
        Of both gates.
    use_bias : bool, default True
        Whether there are biases.
    kernel_initializer : str or Initializer, default "glorot_uniform"
        Of the weights on the input: (I, 3H), gates in the order update, reset, candidate.
    recurrent_initializer : str or Initializer, default "orthogonal"
        Of the weights on the state: (H, 3H).
    bias_initializer : str or Initializer, default "zeros"
        Of the biases: (2, 3H), input and recurrent; (3H,) with ``reset_after=False``.
    kernel_regularizer, recurrent_regularizer, bias_regularizer, activity_regularizer : None
        Not served yet.
    kernel_constraint, recurrent_constraint, bias_constraint : None
        Not served yet.
    dropout, recurrent_dropout : float, default 0
        Above 0 not served yet.
    seed : int, optional
        For dropout.
    return_sequences : bool, default False
        Whether to return the outputs of all steps, (B, T, H), or of the last, (B, H).
    return_state : bool, default False
        Whether to return the last state too.
    go_backwards : bool, default False
        Read the sequence from its end; outputs come in the order of reading.
    stateful : bool, default False
        True is not served yet.
    unroll : bool, default False
        A hint, without effect.
    reset_after : bool, default True
        Whether the reset gate acts after the recurrent product (as cuDNN's) or before it (Cho's).
    use_cudnn : {"auto", True, False}, default "auto"
        A hint, without effect.
    zero_output_for_mask : bool, default False
        Needs a mask; True is not served yet.
    update_gate : {"keep", "replace"}, default "keep"
        What an update gate of 1 does: keep the old state, as in Keras, PyTorch and Cho's paper, or
        replace it by the candidate, as in Chung et al., 2014.
    implementation : int, optional
        A hint of Keras 2, without effect.
    time_major : bool, default False
        True is not served.
    **common
        name, dtype, trainable, input_shape: see :class:`Layer`.
    """

    kernel_regularizer = recurrent_regularizer = bias_regularizer = activity_regularizer = None
    kernel_constraint = recurrent_constraint = bias_constraint = None
    dropout = recurrent_dropout = 0.0
    stateful = zero_output_for_mask = time_major = False

    # For which operations and for which version of the weights, and the packed kernels.
    _packed: tuple[ModuleType | None, int, Any] = (None, 0, None)
    remade = ("_packed",)

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
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        reset_after: bool = True,
        use_cudnn: Any = "auto",
        *,
        zero_output_for_mask: bool = False,
        update_gate: str = "keep",
        implementation: int | None = None,
        time_major: bool = False,
        **common: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **common)
        refuse(
            type(self).__name__,
            kernel_regularizer=kernel_regularizer,
            recurrent_regularizer=recurrent_regularizer,
            bias_regularizer=bias_regularizer,
            kernel_constraint=kernel_constraint,
            recurrent_constraint=recurrent_constraint,
            bias_constraint=bias_constraint,
            dropout=dropout,
            recurrent_dropout=recurrent_dropout,
            stateful=stateful,
            zero_output_for_mask=zero_output_for_mask,
            time_major=time_major,
        )
        if update_gate not in ("keep", "replace"):
            raise ValueError(f"update_gate: expected 'keep' or 'replace', got {update_gate!r}")
        self.units = checked_size("units", units)
        self.activation = activations.get(activation)
        self.recurrent_activation = activations.get(recurrent_activation, "recurrent_activation")
        self.use_bias = bool(use_bias)
        self.kernel_initializer = initializers.get(kernel_initializer, "kernel_initializer")
        self.recurrent_initializer = initializers.get(
            recurrent_initializer, "recurrent_initializer"
        )
        self.bias_initializer = initializers.get(bias_initializer, "bias_initializer")
        self.seed = None if seed is None else _random.checked_seed(seed)
        self.return_sequences = bool(return_sequences)
        self.return_state = bool(return_state)
        self.go_backwards = bool(go_backwards)
        self.unroll, self.use_cudnn, self.implementation = unroll, use_cudnn, implementation
        self.reset_after = bool(reset_after)
        self.update_gate = update_gate
        self._options = {
            "reset_after": self.reset_after,
            "update_gate": update_gate,
            "activation": for_operations(self.activation),
            "recurrent_activation": for_operations(self.recurrent_activation),
            "go_backwards": self.go_backwards,
            "return_sequences": self.return_sequences,
        }

    # ---- shapes and weights ----

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Shape:
        """Return (B, T, H) with `return_sequences`, else (B, H)."""
        hint = "; a recurrent layer before it needs return_sequences=True"
        self.expect_rank(input_shape, 3, "(batch, time, features)", hint)
        self.expect_features(input_shape)
        batch, time, _ = input_shape
        if time == 0:
            raise ValueError(f"{self.name}: expected at least one time step, got {input_shape}")
        return (batch, time, self.units) if self.return_sequences else (batch, self.units)

    def create_weights(self, input_shape: Shape) -> None:
        """Make kernel, recurrent kernel and biases."""
        features = self.expect_features(input_shape)
        columns = 3 * self.units
        self.kernel = self.add_weight("kernel", (features, columns), self.kernel_initializer)
        self.recurrent_kernel = self.add_weight(
            "recurrent_kernel", (self.units, columns), self.recurrent_initializer
        )
        bias_shape = (2, columns) if self.reset_after else (columns,)
        self.bias = (
            self.add_weight("bias", bias_shape, self.bias_initializer) if self.use_bias else None
        )

    # ---- computation ----

    def __call__(
        self,
        sequences: Any,
        initial_state: Any = None,
        mask: Any = None,
        training: bool | None = False,
    ) -> Any:
        """Run the layer on arrays.

        Parameters
        ----------
        sequences : array_like, shape (B, T, I)
            The input; converted to the layer's dtype.
        initial_state : array_like, shape (B, H), or a list that holds it, optional
            The state before the first step; zeros by default.
        mask : None
            Not served yet.
        training : bool, default False
            Without effect as long as dropout is not served.

        Returns
        -------
        ndarray, shape (B, T, H) or (B, H)
            The outputs; with `return_state`, a tuple of them and the last state, (B, H).
        """
        refuse(type(self).__name__, mask=mask)
        x = self._take(sequences)
        state = None if initial_state is None else self._checked_state(initial_state, len(x))
        return self.forward(x, initial_state=state, training=bool(training))[0]

    def _checked_state(self, state: Any, batch: int) -> np.ndarray:
        array = to_floats("initial_state", state, self._dtype)
        if isinstance(state, list | tuple) and array.ndim == 3 and len(array) == 1:
            array = array[0]  # Keras passes states in a list
        if array.shape != (batch, self.units):
            raise ValueError(
                f"{self.name}: initial_state: expected shape {(batch, self.units)}, "
                f"got {array.shape}"
            )
        return array

    def forward(
        self, x: Any, *, training: bool = False, initial_state: Any = None
    ) -> tuple[Any, Any]:
        """Return the output, a tuple with `return_state`."""
        ops = current_ops()
        kernels = (
            (self.kernel.array, self.recurrent_kernel.array)
            if training
            else (self._pack(ops), None)
        )
        bias = None if self.bias is None else self.bias.array
        y, state, cache = ops.gru_forward(
            x, *kernels, bias, initial_state, training=training, **self._options
        )
        output = y if self.return_sequences else state
        return (output, state) if self.return_state else output, (ops, cache) if training else None

    def _pack(self, ops: ModuleType) -> Any:
        """Return the kernels as the operations like them best, made anew when they have changed.

        What is kept is replaced as a whole: threads that find it stale each pack and lose nothing.
        """
        packed_for, version, packed = self._packed
        current = self.kernel.buffer.version
        if packed_for is not ops or version != current:
            packed = ops.pack_gru(
                self.kernel.array, self.recurrent_kernel.array, reset_after=self.reset_after
            )
            self._packed = ops, current, packed
        return packed

    def backward(self, dy: Any, cache: Any, *, accumulate: bool = False) -> Any:
        """Return dx; write the gradients of kernels and biases."""
        ops, cache = cache
        if self.return_sequences:
            gradients = ops.gru_backward(dy, cache)
        else:
            gradients = ops.gru_backward(None, cache, dy)
        dx, dkernel, drecurrent_kernel, dbias, _ = gradients
        self.store_gradient(self.kernel, dkernel, accumulate)
        self.store_gradient(self.recurrent_kernel, drecurrent_kernel, accumulate)
        if self.bias is not None:
            self.store_gradient(self.bias, dbias, accumulate)
        return dx
