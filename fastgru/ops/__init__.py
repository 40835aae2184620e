"""The operations, compiled: the functions of `fastgru.reference`, run by the C core.

Each allocates its results and makes one call of the bridge. Arguments that the bridge does not take
as they are get checked, to raise an error or to convert them, and the call is made again. What an
operation computes is documented once, in `fastgru.reference`.
"""

from .dense import dense_backward, dense_forward
from .elementwise import exp, sigmoid, tanh
from .embedding import embedding_backward, embedding_forward
from .recurrent import (
    gru_backward,
    gru_forward,
    lstm_backward,
    lstm_forward,
    pack_gru,
    pack_lstm,
    pack_simple_rnn,
    simple_rnn_backward,
    simple_rnn_forward,
)
from .training import adam_update, binary_crossentropy

__all__ = [
    "adam_update",
    "binary_crossentropy",
    "dense_backward",
    "dense_forward",
    "embedding_backward",
    "embedding_forward",
    "exp",
    "gru_backward",
    "gru_forward",
    "lstm_backward",
    "lstm_forward",
    "pack_gru",
    "pack_lstm",
    "pack_simple_rnn",
    "sigmoid",
    "simple_rnn_backward",
    "simple_rnn_forward",
    "tanh",
]
