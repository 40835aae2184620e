"""The input of a model: its shape, no computation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastgru._configurable import refuse
from fastgru.layers.arguments import Shape, checked_shape, checked_size
from fastgru.layers.base import Layer
from fastgru.layers.symbolic import KerasTensor, Node


class InputLayer(Layer):
    """States the shape of a model's input, so that the model is built before it sees data.

    Parameters
    ----------
    shape : sequence of int or None
        The shape of one sample; None where any size will do: ``(None, 8)``.
    batch_size : int, optional
        The number of samples in every batch.
    dtype : str, default "float32"
        The dtype of the data, for the record: data are converted to what the first layer takes.
    batch_shape : sequence of int or None
        Instead of `shape`: the batch size and the shape.
    name : str, optional
        The name.
    """

    supports_masking = True

    def __init__(
        self,
        shape: Sequence[int | None] | None = None,
        batch_size: int | None = None,
        dtype: Any = None,
        sparse: bool | None = None,
        ragged: bool | None = None,
        batch_shape: Sequence[int | None] | None = None,
        input_tensor: Any = None,
        optional: bool = False,
        name: str | None = None,
        **unknown: Any,
    ) -> None:
        super().__init__(name=name, **unknown)
        refuse(
            type(self).__name__,
            sparse=sparse,
            ragged=ragged,
            input_tensor=input_tensor,
            optional=optional,
        )
        if (shape is None) == (batch_shape is None):
            raise ValueError(
                f"shape: expected either shape or batch_shape, got shape={shape!r}, "
                f"batch_shape={batch_shape!r}"
            )
        if batch_shape is not None:
            self.batch_shape = checked_shape("batch_shape", batch_shape)
        else:
            batch = None if batch_size is None else checked_size("batch_size", batch_size)
            self.batch_shape = (batch, *checked_shape("shape", shape))
        self.data_dtype = _data_dtype(dtype)
        self.input_shape = self.output_shape = self.batch_shape
        self.built = True

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Shape:
        """Return the shape as it is.

        The number of samples may differ from the stated one: data come as a whole, and in batches.
        It is stateful layers that need batches of one size, and they see to it.

        Raises
        ------
        ValueError
            If it differs from the stated one.
        """
        given = tuple(input_shape)
        fits = len(given) == len(self.batch_shape) and all(
            stated is None or size is None or stated == size
            for stated, size in zip(self.batch_shape[1:], given[1:], strict=True)
        )
        if not fits:
            raise ValueError(f"{self.name}: expected shape {self.batch_shape}, got {given}")
        return given

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make an equal layer."""
        return {
            "batch_shape": list(self.batch_shape),
            "dtype": self.data_dtype,
            "name": self.name,
        }


def _data_dtype(dtype: Any) -> str:
    """Return the name of a dtype of real numbers."""
    try:
        found = np.dtype("float32" if dtype is None else dtype)
    except TypeError:
        found = None
    if found is None or found.kind not in "fiub":
        raise ValueError(f"dtype: expected real numbers such as 'int32', got {dtype!r}")
    return found.name


def Input(  # noqa: N802 (Keras' name)
    shape: Sequence[int | None] | None = None,
    batch_size: int | None = None,
    dtype: Any = None,
    sparse: bool | None = None,
    ragged: bool | None = None,
    batch_shape: Sequence[int | None] | None = None,
    name: str | None = None,
    tensor: Any = None,
    optional: bool = False,
) -> KerasTensor:
    """Return the input of a model: begin a `Sequential` with it, or call layers on it.

    See :class:`InputLayer` for the arguments.
    """
    layer = InputLayer(
        shape,
        batch_size=batch_size,
        dtype=dtype,
        sparse=sparse,
        ragged=ragged,
        batch_shape=batch_shape,
        input_tensor=tensor,
        optional=optional,
        name=name,
    )
    return as_tensor(layer)


def as_tensor(layer: InputLayer, shape: Shape | None = None) -> KerasTensor:
    """Return the tensor that an input layer stands for, of its shape or one within that."""
    tensor: KerasTensor = Node(layer, [], False, shape or layer.batch_shape).outputs
    return tensor
