"""The simple recurrent network."""

from __future__ import annotations

from typing import Any

from fastgru._configurable import refuse, taken_by
from fastgru.layers.recurrent.cells import SimpleRNNCell
from fastgru.layers.recurrent.layer import Recurrent


class SimpleRNN(Recurrent):
    """The network of Elman, 1990, as Keras' layer: ``h' = activation(x·W + h·U + b)``.

    Parameters
    ----------
    units : int
        H, the size of the state.
    activation : str or Activation, default "tanh"
        Of the state. softmax, log_softmax and functions of your own run on NumPy, slower.
    use_bias : bool, default True
        Whether there is a bias.
    kernel_initializer : str or Initializer, default "glorot_uniform"
        Of the weights on the input: (I, H).
    recurrent_initializer : str or Initializer, default "orthogonal"
        Of the weights on the state: (H, H).
    bias_initializer : str or Initializer, default "zeros"
        Of the bias: (H,).
    kernel_regularizer, recurrent_regularizer, bias_regularizer : str or Regularizer, optional
        Penalties on the weights.
    activity_regularizer : str or Regularizer, optional
        A penalty on the output.
    kernel_constraint, recurrent_constraint, bias_constraint : str or Constraint, optional
        Projections of the weights after every step of training.
    dropout : float, default 0
        The share of the input's features to drop in training, the same at all steps of a sequence.
    recurrent_dropout : float, default 0
        The share of the state to drop where it enters the product.
    return_sequences : bool, default False
        Whether to return the outputs of all steps, (B, T, H), or of the last, (B, H).
    return_state : bool, default False
        Whether to return the last state too.
    go_backwards : bool, default False
        Read the sequence from its end; outputs come in the order of reading.
    stateful : bool, default False
        Whether the states that a batch ends with are those that the next one begins with, row by
        row. The batch size is fixed then: give it with `batch_input_shape` or an `Input`.
    unroll : bool, default False
        A hint, without effect.
    seed : int, optional
        For dropout; otherwise drawn from the common generator.
    zero_output_for_mask : bool, default False
        Whether the outputs of masked steps are zero; otherwise they repeat the output before.
    time_major : bool, default False
        True is not served.
    **common
        name, dtype, trainable, input_shape, batch_input_shape: see :class:`Layer`.

    Raises
    ------
    ValueError
        If `units` is less than 1, a share lies outside [0, 1], `seed` is negative, or a name is
        unknown.
    TypeError
        For an argument of another kind (an activation that is a plain function has no derivative),
        or an unknown one.
    NotImplementedError
        For ``time_major=True``.

    Examples
    --------
    >>> import numpy as np
    >>> from fastgru.layers import SimpleRNN
    >>> SimpleRNN(5)(np.zeros((2, 7, 3), np.float32)).shape
    (2, 5)
    """

    time_major = False

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
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        seed: int | None = None,
        *,
        zero_output_for_mask: bool = False,
        time_major: bool = False,
        **common: Any,
    ) -> None:
        refuse(type(self).__name__, time_major=time_major)
        cell = SimpleRNNCell(**taken_by(SimpleRNNCell, locals()), name="simple_rnn_cell")
        arguments = taken_by(Recurrent, locals())
        super().__init__(**arguments, activity_regularizer=activity_regularizer, **common)
