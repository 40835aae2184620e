"""The sentiment example's model in fastgru and in Keras: as accurate? how long an epoch?

    python bench/sentiment_against_keras.py

Both see the same texts, split, word ids, architecture, initial distributions (Keras' defaults),
optimizer (Adam), batch size and number of epochs, on one thread. Needs Keras 3 and PyTorch beside
fastgru. Ends with status 1 if the mean test accuracies are more than two points apart.
"""

import argparse
import importlib
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import one_thread  # noqa: F401  (before NumPy)

os.environ["KERAS_BACKEND"] = "torch"  # before Keras

import numpy as np  # noqa: E402

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
import sentiment  # noqa: E402

EPOCHS, UNITS, EMBEDDING, MAX_LENGTH, BATCH_SIZE, VOCABULARY = 3, 64, 64, 40, 32, 10_000
ALLOWED_DIFFERENCE = 0.02
SPLIT_SEED = 0

Part = tuple[np.ndarray, np.ndarray]


def load_parts(cache: Path) -> tuple[int, Part, Part]:
    """Return the table's length V, then ids and labels to train on and to test with."""
    texts, labels = sentiment.load_reviews(cache)
    rng = np.random.default_rng(SPLIT_SEED)
    rest, test_rows = sentiment.hold_out(np.arange(len(texts)), labels, 0.2, rng)
    train_rows, _ = sentiment.hold_out(rest, labels, 0.1, rng)
    vocabulary = sentiment.make_vocabulary([texts[row] for row in train_rows], VOCABULARY)
    ids = sentiment.encode(texts, vocabulary, MAX_LENGTH)
    train, test = ((ids[rows], labels[rows]) for rows in (train_rows, test_rows))
    return len(vocabulary) + 2, train, test


def run(library: Any, seed: int, table_length: int, train: Part, test: Part) -> tuple[float, float]:
    """Train one model with `library` (fastgru or keras): test accuracy and seconds an epoch."""

    class Stopwatch(library.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.started = time.perf_counter()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            times.append(time.perf_counter() - self.started)

    times: list[float] = []
    library.utils.set_random_seed(seed)
    model = library.Sequential(
        [
            library.layers.Embedding(table_length, EMBEDDING),
            library.layers.GRU(UNITS),
            library.layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
    settings = {"epochs": EPOCHS, "batch_size": BATCH_SIZE, "verbose": 0}
    model.fit(*train, callbacks=[Stopwatch()], **settings)
    _, accuracy = model.evaluate(*test, verbose=0)
    return float(accuracy), statistics.median(times)


def main() -> None:
    """Train with both libraries in turn, print the table, compare the means."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache-dir", type=Path, default=sentiment.default_cache())
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    options = parser.parse_args()

    table_length, train, test = load_parts(options.cache_dir)
    print(f"{len(train[1]):,} texts to train on, {len(test[1]):,} to test with")
    results: dict[str, list[tuple[float, float]]] = {"fastgru": [], "keras": []}
    for seed in options.seeds:  # in turn, so that a busy moment of the machine hits both
        for name, rows in results.items():
            rows.append(run(importlib.import_module(name), seed, table_length, train, test))

    seeds = " | ".join(f"seed {seed}" for seed in options.seeds)
    print(f"| test accuracy, {EPOCHS} epochs | {seeds} | mean | time per epoch |")
    print("|---" * (len(options.seeds) + 3) + "|")
    means = {}
    for name, rows in results.items():
        means[name] = statistics.mean(accuracy for accuracy, _ in rows)
        each = " | ".join(f"{accuracy:.1%}" for accuracy, _ in rows)
        seconds = statistics.median(seconds for _, seconds in rows)
        print(f"| {name} | {each} | {means[name]:.1%} | {seconds:.2f} s |")
    if abs(means["fastgru"] - means["keras"]) > ALLOWED_DIFFERENCE:
        sys.exit(f"the means are more than {ALLOWED_DIFFERENCE:.0%} apart")


if __name__ == "__main__":
    main()
