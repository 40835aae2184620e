"""Ids to vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastgru import constraints, initializers, regularizers
from fastgru._arrays import to_array, to_ids
from fastgru._configurable import refuse
from fastgru.backend import current_ops
from fastgru.layers.arguments import Shape, checked_size
from fastgru.layers.base import Layer
from fastgru.layers.masking import NotEqual
from fastgru.layers.padding import own_steps, with_own
from fastgru.layers.symbolic import is_symbolic


class Embedding(Layer):
    """Replaces each id by its row of a trained table: (B, T) → (B, T, D).

    Parameters
    ----------
    input_dim : int
        The number of ids: valid ones are 0 … input_dim - 1.
    output_dim : int
        D, the size of a vector.
    embeddings_initializer : str or Initializer, default "uniform"
        The initial table; uniform in ±0.05 by default.
    embeddings_regularizer : str or Regularizer, optional
        A penalty on the table.
    embeddings_constraint : str or Constraint, optional
        What the table is held to after each training step.
    mask_zero : bool, default False
        Whether id 0 stands for padding: the mask is true where ids differ from 0.
    weights : array_like, shape (input_dim, output_dim), optional
        The initial table itself; a list that holds it is accepted, as in Keras 2.
    lora_rank : None
        Not served.
    input_length : int, optional
        T. As the first layer of a model it builds the model at once.
    **common
        name, dtype, trainable, input_shape: see :class:`Layer`.

    Raises
    ------
    ValueError
        If a size is less than 1, a name is unknown, or `weights` have another shape. When called:
        for ids below 0 or of at least `input_dim`, and for fractions.
    TypeError
        For an argument of another kind, or an unknown one.
    NotImplementedError
        For a `lora_rank`.
    """

    supports_masking = takes_ids = True
    lora_rank = None

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        embeddings_constraint: Any = None,
        mask_zero: bool = False,
        weights: Any = None,
        lora_rank: Any = None,
        *,
        input_length: int | None = None,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        refuse(type(self).__name__, lora_rank=lora_rank)
        self.input_dim = checked_size("input_dim", input_dim)
        self.output_dim = checked_size("output_dim", output_dim)
        self.embeddings_initializer = initializers.get(
            embeddings_initializer, "embeddings_initializer"
        )
        self.embeddings_regularizer = regularizers.get(
            embeddings_regularizer, "embeddings_regularizer"
        )
        self.embeddings_constraint = constraints.get(embeddings_constraint, "embeddings_constraint")
        self.mask_zero = bool(mask_zero)
        self._table = None if weights is None else self._checked_table(weights)
        self.input_length = input_length
        if input_length is not None:
            self.input_length = checked_size("input_length", input_length)
            self.first_shape = self.first_shape or (None, self.input_length)

    @property
    def makes_mask(self) -> bool:  # type: ignore[override]
        """Whether zeros are masked."""
        return self.mask_zero

    def _checked_table(self, weights: Any) -> initializers.Constant:
        if isinstance(weights, list | tuple) and len(weights) == 1:
            weights = weights[0]
        table = to_array("weights", weights)
        if table.shape != (self.input_dim, self.output_dim):
            raise ValueError(
                f"weights: expected shape {(self.input_dim, self.output_dim)}, got {table.shape}"
            )
        return initializers.Constant(table)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Shape:
        """Return the shape with the size of a vector appended."""
        shape = tuple(input_shape)
        if self.input_length is not None:
            self.expect_rank(shape, 2, "(batch, time)")
            if shape[1] not in (None, self.input_length):
                raise ValueError(
                    f"{self.name}: expected input_length={self.input_length} time steps, "
                    f"got shape {shape}"
                )
        if not shape:
            raise ValueError(f"{self.name}: expected ids of shape (batch, time), got one number")
        return (*shape, self.output_dim)

    def create_weights(self, input_shape: Shape) -> None:
        """Make the table."""
        self.embeddings = self.add_weight(
            "embeddings",
            (self.input_dim, self.output_dim),
            self._table or self.embeddings_initializer,
            self.embeddings_regularizer,
            self.embeddings_constraint,
        )
        self._table = None

    def compute_mask(self, x: Any, mask: Any = None) -> Any:
        """Return the mask of the ids; with `mask_zero`, only what differs from 0 is valid.

        That of a tensor of a functional model is such a tensor.

        Raises
        ------
        NotImplementedError
            For such a tensor with a mask.
        """
        if not self.mask_zero:
            return mask
        if is_symbolic(x):
            if mask is not None:
                raise NotImplementedError(
                    f"{self.name}: compute_mask: a mask is not served beside a tensor without "
                    f"numbers, got {mask!r}"
                )
            return NotEqual(0, of_ids=True, dtype=self.dtype)(x)
        x = to_array(f"{self.name}: inputs", x)
        if mask is None:
            return x != 0
        given = np.asarray(mask)
        given = given.reshape(given.shape + (1,) * (x.ndim - given.ndim))
        return with_own(given & (x != 0), own_steps(mask))

    def convert(self, name: str, x: Any) -> np.ndarray:
        """Return ids as integers that lie in the table."""
        return to_ids(name, x, self.input_dim)

    def forward(self, x: Any, *, training: bool = False, mask: Any = None) -> tuple[Any, Any]:
        """Return the vectors of ids."""
        ops = current_ops()
        if x.dtype.kind == "f":  # an input that other layers take, too, comes in their dtype
            x = self.convert("inputs", x)
        y = ops.embedding_forward(x, self.embeddings.array)
        return y, (ops, x) if training else None

    def backward(self, dy: Any, cache: Any, *, accumulate: bool = False) -> Any:
        """Sum the gradients of each id's vectors; ids have no gradient."""
        ops, ids = cache
        if not self.embeddings.trainable:
            return
        if accumulate:
            self.embeddings.gradient += ops.embedding_backward(dy, ids, self.input_dim)
        else:
            ops.embedding_backward(dy, ids, self.input_dim, out=self.embeddings.gradient)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make an equal layer (its weights aside)."""
        config = super().get_config()
        del config["weights"]
        return config
