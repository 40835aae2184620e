"""Every gate of every recurrent layer, at every step: for learners and for debugging."""

from fastgru.tracing.recorder import trace
from fastgru.tracing.traces import GRUTrace, LayerTrace, LSTMTrace, SimpleRNNTrace, Trace

__all__ = ["GRUTrace", "LSTMTrace", "LayerTrace", "SimpleRNNTrace", "Trace", "trace"]
