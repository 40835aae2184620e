"""A training step of one PyTorch model, with nn.GRU and with fastgru.torch.GRU in it.

    python bench/torch_module.py
    python bench/torch_module.py --shapes tutorial keras-64 --threads 1 --seconds 0.5

The model: Embedding (100 characters), a GRU of two layers, Linear at each step; binary
cross-entropy, backward pass, Adam (fused, PyTorch's fastest). Padded: all sequences are T long.
Packed: lengths drawn between 1 and T, as a PackedSequence. Before a cell is timed, the losses and
all gradients of both models are compared. Then both are timed in turn, round by round, in one
process that is pinned to as many cores as it has threads; the tables, one for each number of
threads, hold medians, and the median of the rounds' ratios.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

CHARACTERS = 100
COLUMNS = "| shape | B | T | I | H | nn.GRU | fastgru | × | packed: nn.GRU | fastgru | × |"


def make_step(gru: type, sizes: tuple[int, ...], packed: bool) -> Callable:
    """Return a function that trains one step and returns the loss; `parameters` are beside it."""
    import torch
    from torch import nn
    from torch.nn.utils.rnn import pack_padded_sequence

    B, T, I, H = sizes
    torch.manual_seed(1)
    embedding, head = nn.Embedding(CHARACTERS, I), nn.Linear(H, 1)
    layers = gru(I, H, num_layers=2, batch_first=True)
    model = nn.ModuleList([embedding, layers, head])
    optimizer = torch.optim.Adam(model.parameters(), 1e-3, fused=True)
    ids = torch.randint(CHARACTERS, (B, T))
    lengths = torch.randint(1, T + 1, (B,))
    lengths[0] = T
    labels = torch.randint(2, (int(lengths.sum()), 1) if packed else (B, T, 1)).float()

    def step() -> torch.Tensor:
        x = embedding(ids)
        if packed:
            x = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        y, _ = layers(x)
        logits = head(y.data if packed else y)
        loss = nn.functional.binary_cross_entropy_with_logits(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    step.parameters = list(model.parameters())
    return step


def verify(steps: list[Callable]) -> None:
    """Compare both models' losses and gradients in their first step."""
    import torch

    losses = [step() for step in steps]
    torch.testing.assert_close(*losses, rtol=1e-4, atol=1e-5)
    for a, b in zip(steps[0].parameters, steps[1].parameters, strict=True):
        scale = float(a.grad.abs().max())
        torch.testing.assert_close(b.grad, a.grad, rtol=1e-3, atol=1e-4 * scale)


def measure(steps: list[Callable], rounds: int, seconds: float) -> tuple[float, float, float]:
    """Return the medians of both times, and of their ratio."""
    from timing import median_of_runs

    verify(steps)
    for step in steps:
        median_of_runs(step, seconds / 4)
    turns = [[median_of_runs(step, seconds) for step in steps] for _ in range(rounds)]
    theirs, ours = (statistics.median(t) for t in zip(*turns, strict=True))
    return theirs, ours, statistics.median(a / b for a, b in turns)


def worker(options: argparse.Namespace) -> None:
    """Print the rows of one number of threads."""
    import torch
    from cases import GRID
    from timing import pinned

    threads = options.threads[0]
    with pinned(threads):
        torch.set_num_threads(threads)
        for shape in options.shapes or GRID:
            case = GRID[shape]
            print(row(shape, (case.B, case.T, case.I, case.H), options), flush=True)


def row(shape: str, sizes: tuple[int, ...], options: argparse.Namespace) -> str:
    """Return a row of the table: both models' times, padded and packed."""
    from torch import nn

    from fastgru import torch
    from fastgru._bench.compare import readable

    found = f"| {shape} | {' | '.join(map(str, sizes))} |"
    for packed in (False, True):
        if packed and sizes[0] == 1:
            found += " – | – | – |"
            continue
        steps = [make_step(layer, sizes, packed) for layer in (nn.GRU, torch.GRU)]
        theirs, ours, ratio = measure(steps, options.rounds, options.seconds)
        found += f" {readable(theirs)} | {readable(ours)} | **{ratio:.1f}** |"
    return found


def heading(threads: int) -> str:
    """Return what stands above a table: what was measured on, and the names of the columns."""
    import torch

    from fastgru._bench import machine

    facts = machine.facts()
    number = {1: "One thread", 2: "Two threads"}.get(threads, f"{threads} threads")
    software = f"PyTorch {torch.__version__}, {facts['compiler']}, commit {facts['commit']}"
    return f"{number} ({facts['cpu']}, {facts['isa']}; {software}):\n\n{COLUMNS}\n|{'---|' * 11}"


def main() -> None:
    """Print the tables, each number of threads measured in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shapes", nargs="+", help="names of the grid's shapes (default: all)")
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.3, help="of each model in a round")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        return worker(options)

    from fastgru._bench.workers import environment

    for threads in options.threads:
        print(heading(threads), flush=True)
        command = [sys.executable, __file__, "--worker", "--threads", str(threads)]
        command += ["--rounds", str(options.rounds), "--seconds", str(options.seconds)]
        command += ["--shapes", *options.shapes] if options.shapes else []
        subprocess.run(command, check=True, env=environment(threads))
        print(flush=True)
    return None


if __name__ == "__main__":
    main()
