"""What does a GRU keep in mind along a sentence? Train one, and look at its gates.

    pip install 'fastgru[plot]'
    python examples/look_inside.py
    python examples/look_inside.py --sentence "the long story was never really dull"

The sentences are made up: film reviews of a few words, in which "not" or "never" turns the word
that follows later into its opposite. To get them right, the GRU must keep the negation in mind over
the words between. What it keeps, and where it lets go, stands in its update gate: the page prints
it and draws two pictures, gates.png and history.png.

1. make sentences and their labels,
2. build and train the model: Embedding -> GRU -> Dense,
3. trace a sentence: every gate at every word,
4. draw what the update gate keeps, and the training curves.
"""

import argparse
from pathlib import Path

import numpy as np

import fastgru
from fastgru.layers import GRU, Dense, Embedding, Input

# ------------------------------------------------------------------- 1. sentences and their labels

SUBJECTS = ["the film", "the long story", "this music", "a play about love", "the end of it"]
VERBS = ["was", "is", "seemed"]
NEGATIONS = ["not", "never"]
BETWEEN = ["really", "very", "so", "to me", "on the whole"]
GOOD = ["good", "fine", "funny", "moving"]
BAD = ["bad", "dull", "empty", "boring"]
STEPS = 16


def make_sentences(count: int, seed: int) -> tuple[list[str], np.ndarray]:
    """Return sentences, and 1 for those that praise, 0 for the others."""
    rng = np.random.default_rng(seed)
    sentences, labels = [], []
    for _ in range(count):
        negated, good = rng.integers(2, size=2)
        words = [rng.choice(SUBJECTS), rng.choice(VERBS)]
        words += [rng.choice(NEGATIONS)] * negated
        words += list(rng.choice(BETWEEN, size=rng.integers(0, 4)))
        words += [rng.choice(GOOD if good else BAD)]
        sentences.append(" ".join(words))
        labels.append(good != negated)
    return sentences, np.array(labels, np.float32)


PARTS = [*SUBJECTS, *VERBS, *NEGATIONS, *BETWEEN, *GOOD, *BAD]
VOCABULARY = sorted({word for part in PARTS for word in part.split()})
NUMBER = {word: i for i, word in enumerate(VOCABULARY, start=1)}  # 0 is for what is not there


def to_ids(sentences: list[str]) -> np.ndarray:
    """Return the words' numbers, (B, STEPS), with zeros after each sentence's end."""
    ids = np.zeros((len(sentences), STEPS), int)
    for row, sentence in zip(ids, sentences, strict=True):
        numbers = [NUMBER[word] for word in sentence.split()]
        row[: len(numbers)] = numbers
    return ids


# ------------------------------------------------------------------------------ 2. build and train


def train() -> tuple[fastgru.Model, fastgru.History]:
    """Return a trained model and its history."""
    fastgru.set_random_seed(1)
    model = fastgru.Sequential(
        [
            Input((STEPS,)),
            Embedding(len(VOCABULARY) + 1, 8, mask_zero=True),
            GRU(16, name="gru"),
            Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(fastgru.Adam(0.01), "binary_crossentropy", metrics=["accuracy"])
    sentences, labels = make_sentences(1200, seed=0)
    history = model.fit(to_ids(sentences), labels, epochs=20, validation_split=0.25, verbose=0)
    return model, history


# ------------------------------------------------------------------------- 3. look at one sentence


def look(model: fastgru.Model, sentence: str) -> fastgru.tracing.Trace:
    """Print what the update gate keeps at each word; return the trace."""
    traced = fastgru.trace(model, to_ids([sentence]))
    gates = traced["gru"]
    print(f'\n"{sentence}": praise with probability {traced.output[0, 0]:.2f}\n')
    print("word        units that keep more than 9/10 of what they knew")
    for step, word in enumerate(sentence.split()):
        count = int((gates.kept[0, step] > 0.9).sum())
        print(f"{word:<12}{count:2} of {gates.units}  {'#' * count}")
    return traced


def main() -> None:
    """Do all four steps."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = "the film was not really so dull"
    parser.add_argument("--sentence", default=default, help=f"words that it knows ({default!r})")
    parser.add_argument("--folder", type=Path, default=Path(), help="for the pictures (here)")
    options = parser.parse_args()
    words = options.sentence.split()
    unknown = [word for word in words if word not in NUMBER]
    if unknown or not 0 < len(words) <= STEPS:
        known = ", ".join(VOCABULARY)
        parser.error(f"expected 1 to {STEPS} of these words: {known}; got {options.sentence!r}")

    model, history = train()
    accuracy = history.history["val_accuracy"][-1]
    print(f"{accuracy:.1%} of the held-out sentences are judged rightly")
    traced = look(model, options.sentence)

    # ------------------------------------------------------------------------------------- 4. draw
    for name, figure in {
        "gates.png": fastgru.plot.gates(traced, words=words, show=["kept", "h"]),
        "history.png": fastgru.plot.history(history),
    }.items():
        figure.savefig(options.folder / name, dpi=100)
        print(f"drawn: {options.folder / name}")


if __name__ == "__main__":
    main()
