"""Validation of the operations' arguments, shared by the compiled and the NumPy operations.

Every function here either returns what the operation needs to know or raises an error that names
the argument, what came and what was expected. The compiled operations come here only with what C
can't take as it is. The way without errors is kept short all the same: comparisons only; messages
are made after a comparison has failed.
"""

from .arrays import array, cache, floating, integers, writable
from .layers import (
    dense_forward,
    dense_gradients,
    embedding_backward,
    embedding_forward,
    id_out_of_range,
    ids_in_range,
)
from .recurrent import (
    RecurrentShape,
    gru_backward,
    gru_forward,
    lstm_backward,
    lstm_forward,
    pack_gru,
    pack_lstm,
    pack_simple_rnn,
    simple_rnn_backward,
    simple_rnn_forward,
    weight_gradients,
)
from .training import adam_update, binary_crossentropy, label_out_of_range, labels_in_range

__all__ = [
    "RecurrentShape",
    "adam_update",
    "array",
    "binary_crossentropy",
    "cache",
    "dense_forward",
    "dense_gradients",
    "embedding_backward",
    "embedding_forward",
    "floating",
    "gru_backward",
    "gru_forward",
    "id_out_of_range",
    "ids_in_range",
    "integers",
    "label_out_of_range",
    "labels_in_range",
    "lstm_backward",
    "lstm_forward",
    "pack_gru",
    "pack_lstm",
    "pack_simple_rnn",
    "simple_rnn_backward",
    "simple_rnn_forward",
    "weight_gradients",
    "writable",
]
