"""The Gated Recurrent Unit."""

from __future__ import annotations

from typing import Any

from fastgru._configurable import refuse, taken_by
from fastgru.layers.recurrent.cells import GRUCell
from fastgru.layers.recurrent.layer import Recurrent, checked_hint


class GRU(Recurrent):
    """Gated Recurrent Unit (Cho et al., 2014), with the arguments and defaults of Keras' layer.

    Parameters
    ----------
    units : int
        H, the size of the state.
    activation : str or Activation, default "tanh"
        Of the candidate. softmax, log_softmax and functions of your own run on NumPy, slower.
    recurrent_activation : str or Activation, default "sigmoid"
        Of both gates; the same holds.
    use_bias : bool, default True
        Whether there are biases.
    kernel_initializer : str or Initializer, default "glorot_uniform"
        Of the weights on the input: (I, 3H), gates in the order update, reset, candidate.
    recurrent_initializer : str or Initializer, default "orthogonal"
        Of the weights on the state: (H, 3H).
    bias_initializer : str or Initializer, default "zeros"
        Of the biases: (2, 3H), input and recurrent; (3H,) with ``reset_after=False``.
    kernel_regularizer, recurrent_regularizer, bias_regularizer : str or Regularizer, optional
        Penalties on the weights.
    activity_regularizer : str or Regularizer, optional
        A penalty on the output.
    kernel_constraint, recurrent_constraint, bias_constraint : str or Constraint, optional
        Projections of the weights after every step of training.
    dropout : float, default 0
        The share of the input's features to drop in training, the same at all steps of a sequence.
    recurrent_dropout : float, default 0
        The share of the state to drop where it enters the products. With it, each gate has factors
        of its own, for the input too.
    seed : int, optional
        For dropout; otherwise drawn from the common generator.
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
    reset_after : bool, default True
        Whether the reset gate acts after the recurrent product (as cuDNN's) or before it (Cho's).
    use_cudnn : {"auto", True, False}, default "auto"
        A hint, without effect.
    zero_output_for_mask : bool, default False
        Whether the outputs of masked steps are zero; otherwise they repeat the output before.
    update_gate : {"keep", "replace"}, default "keep"
        What an update gate of 1 does: keep the old state, as in Keras, PyTorch and Cho's paper, or
        replace it by the candidate, as in Chung et al., 2014.
    implementation : int, optional
        A hint, without effect.
    time_major : bool, default False
        True is not served.
    **common
        name, dtype, trainable, input_shape, batch_input_shape: see :class:`Layer`.

    Raises
    ------
    ValueError
        If `units` is less than 1, a share lies outside [0, 1], `seed` is negative, or a name,
        `update_gate` or `use_cudnn` is unknown.
    TypeError
        For an argument of another kind (an activation that is a plain function has no derivative),
        or an unknown one.
    NotImplementedError
        For ``time_major=True``.

    Examples
    --------
    >>> import numpy as np
    >>> from fastgru.layers import GRU
    >>> x = np.zeros((2, 7, 3), np.float32)
    >>> outputs, state = GRU(5, return_sequences=True, return_state=True)(x)
    >>> outputs.shape, state.shape
    ((2, 7, 5), (2, 5))
    """

    time_major = False

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
        refuse(type(self).__name__, time_major=time_major)
        cell = GRUCell(**taken_by(GRUCell, locals()), name="gru_cell")
        arguments = taken_by(Recurrent, locals())
        super().__init__(**arguments, activity_regularizer=activity_regularizer, **common)
        self.use_cudnn = checked_hint("use_cudnn", use_cudnn)
