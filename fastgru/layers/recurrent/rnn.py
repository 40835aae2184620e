"""Layers made from cells."""

from __future__ import annotations

from typing import Any

from fastgru._configurable import constructor_arguments, refuse_unknown
from fastgru._naming import auto_name
from fastgru.layers.base import Layer
from fastgru.layers.recurrent.cells import GRUCell, LSTMCell, SimpleRNNCell
from fastgru.layers.recurrent.gru import GRU
from fastgru.layers.recurrent.layer import Recurrent
from fastgru.layers.recurrent.lstm import LSTM
from fastgru.layers.recurrent.simple_rnn import SimpleRNN

_LAYERS: dict[type, type[Recurrent]] = {GRUCell: GRU, LSTMCell: LSTM, SimpleRNNCell: SimpleRNN}


def RNN(  # noqa: N802 (Keras' name)
    cell: Any,
    return_sequences: bool = False,
    return_state: bool = False,
    go_backwards: bool = False,
    stateful: bool = False,
    unroll: bool = False,
    zero_output_for_mask: bool = False,
    *,
    name: str | None = None,
    **common: Any,
) -> Recurrent:
    """Return the layer that runs a cell over sequences: a `GRU`, `LSTM` or `SimpleRNN`.

    Parameters
    ----------
    cell : GRUCell, LSTMCell or SimpleRNNCell
        What happens at a step. The layer's weights are the cell's own.
    return_sequences, return_state, go_backwards, stateful, unroll, zero_output_for_mask
        As those of :class:`~fastgru.layers.GRU`.
    name : str, optional
        Otherwise ``rnn``, numbered.
    **common
        dtype, trainable, input_shape, batch_input_shape, activity_regularizer: see
        :class:`~fastgru.layers.Layer`.

    Raises
    ------
    TypeError
        If `cell` is none of the three cells, or an argument is unknown. Lists of cells are not
        served: stack layers.
    ValueError
        If the cell was given, or built with, another dtype.
    """
    kind = _LAYERS.get(type(cell))
    if kind is None:
        raise TypeError(
            "cell: expected a GRUCell, an LSTMCell or a SimpleRNNCell, "
            f"got {cell!r}" + ("; stack layers instead" if isinstance(cell, list | tuple) else "")
        )
    refuse_unknown(RNN, common.keys() - constructor_arguments(Layer), Layer)
    return kind.from_cell(
        cell,
        return_sequences=return_sequences,
        return_state=return_state,
        go_backwards=go_backwards,
        stateful=stateful,
        unroll=unroll,
        zero_output_for_mask=zero_output_for_mask,
        name=name or auto_name("RNN"),
        **common,
    )
