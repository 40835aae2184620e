"""fastgru inside PyTorch: modules that take the place of torch.nn's recurrent ones.

>>> import fastgru.torch
>>> gru = fastgru.torch.GRU(16, 32, num_layers=2, batch_first=True)
>>> report = fastgru.torch.replace(model)  # doctest: +SKIP

The modules have the constructors, parameters, state_dicts and results of `torch.nn.GRU`, `LSTM`,
`RNN` and their cells. See docs/pytorch.md for what runs on fastgru and what on PyTorch's own code.
"""

try:
    import torch as _torch  # noqa: F401
except ModuleNotFoundError as error:
    if error.name != "torch":
        raise
    raise ImportError("fastgru.torch needs PyTorch: pip install 'fastgru[torch]'") from None

from fastgru.torch.cells import GRUCell, LSTMCell, RNNCell
from fastgru.torch.modules import GRU, LSTM, RNN
from fastgru.torch.swapping import Report, replace, restore

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "GRUCell",
    "LSTMCell",
    "RNNCell",
    "Report",
    "replace",
    "restore",
]
