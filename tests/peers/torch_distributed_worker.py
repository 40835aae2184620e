"""What each process of test_torch_distributed.py runs: gradients of one batch, averaged."""

from __future__ import annotations

import sys

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils.rnn import pack_padded_sequence

import fastgru.torch


class Model(nn.Module):
    """Packed sequences through two bidirectional layers."""

    def __init__(self) -> None:
        super().__init__()
        self.gru = fastgru.torch.GRU(3, 9, 2, bidirectional=True)
        self.lstm = fastgru.torch.LSTM(18, 5)

    def forward(self, x: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Return the last states of the LSTM."""
        packed = pack_padded_sequence(x, lengths, enforce_sorted=False)
        return self.lstm(self.gru(packed)[0])[1][0][0]


def main() -> None:
    """Write the gradients to the file that the command line names."""
    dist.init_process_group("gloo")
    rank, processes = dist.get_rank(), dist.get_world_size()
    torch.manual_seed(0)
    model = DistributedDataParallel(Model().double())
    x, lengths = torch.randn(7, 8, 3, dtype=torch.float64), torch.randint(1, 8, (8,))
    mine = slice(rank * 8 // processes, (rank + 1) * 8 // processes)
    model(x[:, mine], lengths[mine]).square().mean().backward()
    if rank == 0:
        torch.save({n: p.grad for n, p in model.module.named_parameters()}, sys.argv[1])
    del model  # its reducer works with the group
    dist.barrier()  # a process that ends while another still sends may abort
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
