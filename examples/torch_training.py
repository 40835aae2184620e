"""Change one line of a PyTorch model: the same losses, sooner.

    python examples/torch_training.py

A model of two GRU layers learns to predict the next character of English text (the manual that
comes with Python). It is trained twice from the same start: as PyTorch has it, and after
`fastgru.torch.replace(model)`. Both see the same batches and draw the same dropout.

1. get the text and cut it into batches,
2. the model, nothing but PyTorch,
3. train it,
4. train both, and compare.
"""

import argparse
import time
from collections.abc import Iterator

import torch
from torch import nn

import fastgru.torch

# ------------------------------------------------------------------ 1. the text


def read_text() -> str:
    """Return the manual of Python's language that `help()` shows: half a million characters."""
    from pydoc_data.topics import topics

    return "\n".join(topics[name] for name in sorted(topics))


def make_batches(text: str, rows: int, steps: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield characters (rows, steps) as numbers, and for each the one that follows it."""
    numbers = {character: i for i, character in enumerate(sorted(set(text)))}
    data = torch.tensor([numbers[character] for character in text])
    starts = torch.Generator().manual_seed(1)
    while True:
        start = torch.randint(len(data) - steps - 1, (rows, 1), generator=starts)
        places = start + torch.arange(steps + 1)
        yield data[places[:, :-1]], data[places[:, 1:]]


# ------------------------------------------------------------------ 2. the model


class NextCharacter(nn.Module):
    """Embedding, two GRU layers with dropout between them, Linear."""

    def __init__(self, characters: int, units: int = 64) -> None:
        super().__init__()
        self.embedding = nn.Embedding(characters, 32)
        self.gru = nn.GRU(32, units, num_layers=2, dropout=0.1, batch_first=True)
        self.head = nn.Linear(units, characters)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Return logits (rows, steps, characters)."""
        y, _ = self.gru(self.embedding(ids))
        return self.head(y)


# ------------------------------------------------------------------ 3. train


def train(model: nn.Module, text: str, steps: int) -> list[float]:
    """Train for some steps and return the loss of each."""
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    losses = []
    torch.manual_seed(2)  # of the dropout
    for _, (ids, following) in zip(range(steps), make_batches(text, 32, 60), strict=False):
        loss = nn.functional.cross_entropy(model(ids).flatten(0, 1), following.flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    return losses


# ------------------------------------------------------------------ 4. compare


def main() -> None:
    """Train both ways and print both curves."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=200, help="of each training (200)")
    parser.add_argument("--threads", type=int, default=1, help="for both ways (1)")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    fastgru.set_num_threads(options.threads)

    text = read_text()
    curves, seconds = [], []
    for swap in (False, True):
        torch.manual_seed(0)
        model = NextCharacter(len(set(text)))
        if swap:
            print(fastgru.torch.replace(model))
        start = time.perf_counter()
        curves.append(train(model, text, options.steps))
        seconds.append(time.perf_counter() - start)

    print("step   nn.GRU  fastgru")
    for step in range(0, options.steps, max(1, options.steps // 10)):
        print(f"{step:4}   {curves[0][step]:.4f}   {curves[1][step]:.4f}")
    apart = max(abs(a - b) for a, b in zip(*curves, strict=True))
    print(f"the losses are at most {apart:.1e} apart")
    print(f"{seconds[0]:.1f} s with nn.GRU, {seconds[1]:.1f} s with fastgru")


if __name__ == "__main__":
    main()
