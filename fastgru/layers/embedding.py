"""Ids to vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastgru import initializers
from fastgru._arrays import to_array, to_ids
from fastgru._configurable import refuse
from fastgru.backend import current_ops
from fastgru.layers.base import Layer, Shape, checked_size


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
    embeddings_regularizer, embeddings_constraint : None
        Not served yet.
    mask_zero : bool, default False
        True is not served yet.
    weights : array_like, shape (input_dim, output_dim), optional
        The initial table itself; a list that holds it is accepted, as in Keras 2.
    input_length : int, optional
        T. As the first layer of a model it builds the model at once.
    **common
        name, dtype, trainable, input_shape: see :class:`Layer`.

    Raises
    ------
    ValueError
        When called: for ids below 0 or of at least `input_dim`, and for fractions.
    """

    mask_zero = False
    embeddings_regularizer = embeddings_constraint = lora_rank = None

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
        refuse(
            type(self).__name__,
            embeddings_regularizer=embeddings_regularizer,
            embeddings_constraint=embeddings_constraint,
            mask_zero=mask_zero,
            lora_rank=lora_rank,
        )
        self.input_dim = checked_size("input_dim", input_dim)
        self.output_dim = checked_size("output_dim", output_dim)
        self.embeddings_initializer = initializers.get(
            embeddings_initializer, "embeddings_initializer"
        )
        self._table = None if weights is None else self._checked_table(weights)
        self.input_length = input_length
        if input_length is not None:
            self.input_length = checked_size("input_length", input_length)
            self.first_shape = self.first_shape or (None, self.input_length)

    def _checked_table(self, weights: Any) -> initializers.Constant:
        if isinstance(weights, list | tuple) and len(weights) == 1:
            weights = weights[0]
        table = to_array("weights", weights)
        if table.shape != (self.input_dim, self.output_dim):
            raise ValueError(
                f"weights: expected shape {(self.input_dim, self.output_dim)}, got {table.shape}"
            )
        return initializers.Constant(table)

    takes_ids = True

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
        )
        self._table = None

    def convert(self, name: str, x: Any) -> np.ndarray:
        """Return ids as integers that lie in the table."""
        return to_ids(name, x, self.input_dim)

    def forward(self, x: Any, *, training: bool = False, mask: Any = None) -> tuple[Any, Any]:
        """Return the vectors of ids."""
        ops = current_ops()
        y = ops.embedding_forward(x, self.embeddings.array)
        return y, (ops, x) if training else None

    def backward(self, dy: Any, cache: Any, *, accumulate: bool = False) -> Any:
        """Sum the gradients of each id's vectors; ids have no gradient."""
        ops, ids = cache
        if self.embeddings.trainable:
            gradient = ops.embedding_backward(dy, ids, self.input_dim)
            self.store_gradient(self.embeddings, gradient, accumulate)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make an equal layer (its weights aside)."""
        config = super().get_config()
        del config["weights"]
        return config
