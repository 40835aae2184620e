"""A fully connected layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastgru import activations, constraints, initializers, regularizers
from fastgru._configurable import refuse
from fastgru.backend import current_ops
from fastgru.layers.arguments import Shape, checked_size, for_operations
from fastgru.layers.base import Layer


class Dense(Layer):
    """``activation(x · kernel + bias)`` over the last axis: (B, …, I) → (B, …, units).

    Parameters
    ----------
    units : int
        The size of the output's last axis.
    activation : str or Activation, optional
        Linear by default.
    use_bias : bool, default True
        Whether there is a bias.
    kernel_initializer : str or Initializer, default "glorot_uniform"
        The initial kernel, (I, units).
    bias_initializer : str or Initializer, default "zeros"
        The initial bias, (units,).
    kernel_regularizer, bias_regularizer : str or Regularizer, optional
        Penalties on the weights.
    activity_regularizer : str or Regularizer, optional
        A penalty on the outputs.
    kernel_constraint, bias_constraint : str or Constraint, optional
        What the weights are held to after each training step.
    lora_rank : None
        Not served.
    **common
        name, dtype, trainable, input_shape: see :class:`Layer`.

    Raises
    ------
    ValueError
        If `units` is less than 1, or a name is unknown.
    TypeError
        For an argument of another kind (an activation that is a plain function has no derivative),
        or an unknown one.
    NotImplementedError
        For a `lora_rank`.
    """

    lora_rank = None
    supports_masking = True

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        lora_rank: Any = None,
        **common: Any,
    ) -> None:
        if (features := common.pop("input_dim", None)) is not None:
            common.setdefault("input_shape", (features,))
        super().__init__(activity_regularizer=activity_regularizer, **common)
        refuse(type(self).__name__, lora_rank=lora_rank)
        self.units = checked_size("units", units)
        self.activation = activations.get(activation)
        self.use_bias = bool(use_bias)
        self.kernel_initializer = initializers.get(kernel_initializer, "kernel_initializer")
        self.bias_initializer = initializers.get(bias_initializer, "bias_initializer")
        self.kernel_regularizer = regularizers.get(kernel_regularizer, "kernel_regularizer")
        self.bias_regularizer = regularizers.get(bias_regularizer, "bias_regularizer")
        self.kernel_constraint = constraints.get(kernel_constraint, "kernel_constraint")
        self.bias_constraint = constraints.get(bias_constraint, "bias_constraint")

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Shape:
        """Return the shape with `units` as the last size."""
        shape = tuple(input_shape)
        if len(shape) < 2:
            raise ValueError(
                f"{self.name}: expected at least 2 dimensions (batch, …, features), "
                f"got shape {shape}"
            )
        self.expect_features(shape)
        return (*shape[:-1], self.units)

    def create_weights(self, input_shape: Shape) -> None:
        """Make kernel and bias."""
        self._function = for_operations(self.activation)
        features = self.expect_features(input_shape)
        self.kernel = self.add_weight(
            "kernel",
            (features, self.units),
            self.kernel_initializer,
            self.kernel_regularizer,
            self.kernel_constraint,
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                "bias",
                (self.units,),
                self.bias_initializer,
                self.bias_regularizer,
                self.bias_constraint,
            )

    @property
    def output_activation(self) -> str | None:
        """The name of the activation."""
        return self.activation.name

    def forward(self, x: Any, *, training: bool = False, mask: Any = None) -> tuple[Any, Any]:
        """Return the output."""
        return self._forward(x, self._function, training)

    def forward_logits(
        self, x: Any, *, training: bool = False, mask: Any = None
    ) -> tuple[Any, Any]:
        """Return the output before the activation."""
        return self._forward(x, "linear", training)

    def _forward(self, x: Any, activation: Any, training: bool) -> tuple[Any, Any]:
        ops = current_ops()
        bias = None if self.bias is None else self.bias.array
        y, cache = ops.dense_forward(
            x, self.kernel.array, bias, activation=activation, training=training
        )
        return y, (ops, cache) if training else None

    def backward(self, dy: Any, cache: Any, *, accumulate: bool = False) -> Any:
        """Return dx; write the gradients of kernel and bias."""
        ops, cache = cache
        kernel, bias = self.kernel, self.bias
        if accumulate or not (kernel.trainable and (bias is None or bias.trainable)):
            dx, dkernel, dbias = ops.dense_backward(dy, cache)
            self.store_gradient(kernel, dkernel, accumulate)
            if bias is not None:
                self.store_gradient(bias, dbias, accumulate)
            return dx
        out = kernel.gradient, None if bias is None else bias.gradient
        return ops.dense_backward(dy, cache, out=out)[0]
