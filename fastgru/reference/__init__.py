"""The operations in plain NumPy: the oracle, the teaching page and the benchmarks' opponent.

`fastgru.ops` exports the same functions, compiled. Letters: B batch, T time steps, I input
features, H hidden units, V vocabulary, D or O output features. Start reading at `simple_rnn`, the
smallest cell; `_recurrence` holds what the three cells share.
"""

from ._packed import pack_gru, pack_lstm, pack_simple_rnn
from .dense import dense_backward, dense_forward
from .elementwise import exp, sigmoid, tanh
from .embedding import embedding_backward, embedding_forward
from .gru import gru_backward, gru_forward
from .losses import binary_crossentropy
from .lstm import lstm_backward, lstm_forward
from .optimizers import adam_update
from .simple_rnn import simple_rnn_backward, simple_rnn_forward

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
