"""Recurrent layers: a cell with the weights, run over whole sequences by one operation."""

from fastgru.layers.recurrent.bidirectional import Bidirectional
from fastgru.layers.recurrent.cells import GRUCell, LSTMCell, SimpleRNNCell
from fastgru.layers.recurrent.gru import GRU
from fastgru.layers.recurrent.layer import Recurrent
from fastgru.layers.recurrent.lstm import LSTM
from fastgru.layers.recurrent.rnn import RNN
from fastgru.layers.recurrent.simple_rnn import SimpleRNN

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "Bidirectional",
    "GRUCell",
    "LSTMCell",
    "Recurrent",
    "SimpleRNN",
    "SimpleRNNCell",
]
