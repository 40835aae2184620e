"""Training the same model with each cell."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastgru import _random, layers
from fastgru._naming import did_you_mean
from fastgru._numbers import checked_count
from fastgru.callbacks import Callback, EarlyStopping
from fastgru.comparison import _inputs, _tasks
from fastgru.comparison._inputs import Inputs
from fastgru.comparison._result import Comparison, Result, Run
from fastgru.comparison._tasks import Task
from fastgru.models import Model, Sequential
from fastgru.optimizers import Adam

CELLS: dict[str, Callable[..., layers.Layer]] = {
    "simple_rnn": layers.SimpleRNN,
    "gru": layers.GRU,
    "lstm": layers.LSTM,
}


def compare(
    x: Any,
    y: Any,
    cells: Sequence[str] = ("simple_rnn", "gru", "lstm"),
    *,
    task: str | None = None,
    kind: str | None = None,
    units: int = 32,
    depth: int = 1,
    bidirectional: bool = False,
    dropout: float = 0.0,
    embedding_dim: int = 32,
    epochs: int = 20,
    batch_size: int = 32,
    learning_rate: float = 0.003,
    seeds: int | Sequence[int] = 3,
    validation_split: float = 0.2,
    shuffle: bool = True,
    verbose: int = 0,
) -> Comparison:
    """Train the same model with each cell, on the same data, and say which does best.

    All cells see the same training samples in the same order, are judged by the same held-out
    samples, and begin from the same seeds. Of each training the weights of the epoch with the
    lowest validation loss count. Numbers, and targets of regression, are scaled to mean 0 and
    deviation 1 by the training samples; scores are in the units of the targets.

    Parameters
    ----------
    x : array_like, shape (N, T) or (N, T, I), or a list of sequences of different lengths
        The sequences. Whole numbers, one a step, are taken for ids and get an Embedding.
    y : array_like, shape (N,), (N, 1) or (N, K)
        The targets. Texts, bools, whole numbers of few different values and one-hot rows are taken
        for classes, others for numbers to be predicted.
    cells : sequence of {"simple_rnn", "gru", "lstm"}, default all three
        What to compare.
    task : {"binary", "classes", "regression"}, optional
        What the targets are, instead.
    kind : {"ids", "numbers"}, optional
        What the sequences are, instead.
    units : int, default 32
        H, the size of the state.
    depth : int, default 1
        The number of recurrent layers.
    bidirectional : bool, default False
        Whether layers read from both ends.
    dropout : float, default 0
        The share of the last layer's output that training drops.
    embedding_dim : int, default 32
        The size of the vectors of ids.
    epochs : int, default 20
        How often each training goes through the samples.
    batch_size : int, default 32
        Samples in a step of training.
    learning_rate : float, default 0.003
        The step size of Adam.
    seeds : int or sequence of int, default 3
        The number of trainings of each cell, or their seeds.
    validation_split : float, default 0.2
        The share of the samples to hold out.
    shuffle : bool, default True
        Whether to draw them at random; otherwise the last are held out: for series.
    verbose : int, default 0
        1 prints a line after each training.

    Returns
    -------
    Comparison
        Prints as a table; has the `winner`, the `best` model, `plot()`, `to_markdown()`, `to_csv()`
        and `predict(x)`.

    Raises
    ------
    ValueError, TypeError
        If data or arguments do not fit; the message names them.

    Examples
    --------
    >>> import fastgru, numpy as np
    >>> x = np.random.default_rng(0).normal(size=(60, 8, 2))
    >>> result = fastgru.compare(x, x[:, 0, 0] > 0, epochs=2, seeds=1)
    >>> result.winner in ("simple_rnn", "gru", "lstm")
    True
    """
    cells = _checked_cells(cells)
    inputs, target = _inputs.recognised(x, kind), _tasks.recognised(y, task)
    if inputs.count != len(target.targets):
        raise ValueError(
            "x and y: expected as many targets as sequences, "
            f"got {inputs.count} sequences and {len(target.targets)} targets"
        )
    train, held_out = _split(target, validation_split, shuffle)
    inputs.fit(train)
    target.fit(train)
    epochs = checked_count("epochs", epochs, 20)
    batch_size = checked_count("batch_size", batch_size, 32)

    def build(cell: str) -> Model:
        model = _model(cell, inputs, target, units, depth, bidirectional, dropout, embedding_dim)
        model.compile(Adam(learning_rate), target.loss)
        return model

    results = {cell: Result(cell) for cell in cells}
    for seed in _checked_seeds(seeds):
        for cell in cells:  # in turn, so that a change of the machine's pace meets all alike
            run = _train(build, cell, seed, inputs, target, train, held_out, epochs, batch_size)
            results[cell].runs.append(run)
            if verbose:
                print(
                    f"{cell}, seed {seed}: {target.score_name} {run.score:.4g} "
                    f"in epoch {run.best_epoch} of {epochs}",
                    flush=True,
                )
    return Comparison(
        list(results.values()), inputs, target, (train, held_out),
        target.baseline(train, held_out),
    )  # fmt: skip


def _checked_cells(cells: Any) -> list[str]:
    if isinstance(cells, str) or not isinstance(cells, Sequence) or not cells:
        raise TypeError(f"cells: expected some of {', '.join(CELLS)}, got {cells!r}")
    for cell in cells:
        if cell not in CELLS:
            close = did_you_mean(str(cell), CELLS) or f"; known: {', '.join(CELLS)}"
            raise ValueError(f"cells: unknown cell {cell!r}{close}")
    return list(dict.fromkeys(cells))


def _checked_seeds(seeds: Any) -> list[int]:
    if isinstance(seeds, Sequence) and not isinstance(seeds, str):
        if not seeds:
            raise ValueError("seeds: expected at least one, got none")
        return [_random.checked_seed(seed) for seed in seeds]
    return list(range(checked_count("seeds", seeds, 3)))


def _split(target: Task, share: float, shuffle: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows to train on and those held out: the same for all cells and seeds."""
    count = len(target.targets)
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share < 1:
        raise ValueError(f"validation_split: expected a number between 0 and 1, got {share!r}")
    kept = count - round(count * share)
    if not 0 < kept < count:
        raise ValueError(
            f"validation_split: {share} of {count} samples leaves {kept} to train on "
            f"and {count - kept} to hold out"
        )
    order = np.random.default_rng(0).permutation(count) if shuffle else np.arange(count)
    return np.sort(order[:kept]), np.sort(order[kept:])


def _model(
    cell: str,
    inputs: Inputs,
    target: Task,
    units: int,
    depth: int,
    bidirectional: bool,
    dropout: float,
    embedding_dim: int,
) -> Model:
    depth = checked_count("depth", depth, 1)
    stack: list[Any] = []
    if inputs.ids:
        stack.append(layers.Embedding(inputs.size, embedding_dim, mask_zero=inputs.padded))
    for i in range(depth):
        layer: Any = CELLS[cell](units, return_sequences=i < depth - 1)
        stack.append(layers.Bidirectional(layer) if bidirectional else layer)
    if dropout:
        stack.append(layers.Dropout(dropout))
    stack.append(layers.Dense(target.outputs, activation=target.activation))
    model = Sequential(stack, name=cell)
    model.build((None, None) if inputs.ids else (None, None, inputs.size))
    return model


def _train(
    build: Callable[[str], Model],
    cell: str,
    seed: int,
    inputs: Inputs,
    target: Task,
    train: np.ndarray,
    held_out: np.ndarray,
    epochs: int,
    batch_size: int,
) -> Run:
    """Train a model once and judge it."""
    clock = _Clock()
    best = EarlyStopping("val_loss", patience=epochs, restore_best_weights=True)
    x, y = inputs.prepared(held_out), target.prepared(held_out)
    # Initial weights take more or fewer random numbers: orders of samples must not follow them.
    with _random.drawing_from(np.random.default_rng([seed, 0])):
        model = build(cell)
    with _random.drawing_from(np.random.default_rng([seed, 1])):
        history = model.fit(
            inputs.prepared(train),
            target.prepared(train),
            batch_size=batch_size,
            epochs=epochs,
            validation_data=(x, y),
            callbacks=[clock, best],
            verbose=0,
        ).history
    score = target.score(model.predict(x, verbose=0), held_out)
    losses = np.asarray(history["val_loss"], float)
    if not np.isfinite(losses).any():
        raise ValueError(
            f"{cell}, seed {seed}: no epoch ended with a finite validation loss; "
            "try a lower learning_rate"
        )
    return Run(seed, model, history, score, int(np.nanargmin(losses)) + 1, clock.seconds())


class _Clock(Callback):
    """Times the training of each epoch, without the validation."""

    def __init__(self) -> None:
        super().__init__()
        self._times: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._start = time.perf_counter()

    def on_test_begin(self, logs: Any = None) -> None:
        self._times.append(time.perf_counter() - self._start)

    def seconds(self) -> float:
        """Return the median time of an epoch; the first, which warms up, counts if it is alone."""
        return float(np.median(self._times[1:] or self._times))
