"""Train one PyTorch model in several processes, on one machine or many.

    torchrun --nproc-per-node 2 examples/torch_distributed.py

fastgru's modules are PyTorch modules, so DistributedDataParallel works on them as on any other:
each process takes its rows of every batch, and the gradients are averaged (over gloo, PyTorch's
backend for CPUs). torchrun gives each process one thread unless OMP_NUM_THREADS says otherwise;
fastgru reads that, too.
"""

import argparse
import os

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch_training import NextCharacter, make_batches, read_text

import fastgru.torch


def train(model: nn.Module, text: str, steps: int, rank: int, processes: int) -> list[float]:
    """Train on this process' rows of each batch; return the loss over all rows, step by step."""
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    losses = []
    for _, (ids, following) in zip(range(steps), make_batches(text, 32, 60), strict=False):
        mine = slice(rank * 32 // processes, (rank + 1) * 32 // processes)
        logits = model(ids[mine])
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), following[mine].flatten())
        optimizer.zero_grad()
        loss.backward()  # here the processes exchange gradients
        optimizer.step()
        total = loss.detach()
        dist.all_reduce(total)
        losses.append(total.item() / processes)
    return losses


def main() -> None:
    """Train, and let the first process tell about it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=100, help="of training (100)")
    parser.add_argument("--double", action="store_true", help="compute in float64")
    parser.add_argument("--save", help="a file for the trained weights and the losses")
    options = parser.parse_args()
    dist.init_process_group("gloo")
    rank, processes = dist.get_rank(), dist.get_world_size()

    text = read_text()
    torch.manual_seed(0)
    model = NextCharacter(len(set(text)))
    model.gru.dropout = 0.0  # each process would draw its own
    fastgru.torch.replace(model)
    if options.double:
        model = model.double()
    losses = train(DistributedDataParallel(model), text, options.steps, rank, processes)

    if rank == 0:
        print(f"{processes} processes, {os.environ.get('OMP_NUM_THREADS', '?')} thread(s) each")
        for step in range(0, options.steps, max(1, options.steps // 10)):
            print(f"step {step:4}: loss {losses[step]:.4f}")
        if options.save:
            torch.save({"weights": model.state_dict(), "losses": losses}, options.save)
    dist.barrier()  # a process that ends while another still sends may abort
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
