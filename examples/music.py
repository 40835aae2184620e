"""Learn from old tunes which note follows, then compose a new tune note by note.

    python examples/music.py

The network reads a tune and says after each note how probable every next note is. To compose, draw
one, give it back to the network, and go on. The tunes are traditional, or long out of copyright.
"""

from __future__ import annotations

import argparse

import numpy as np

import fastgru
from fastgru.layers import GRU, Dense, Dropout, Embedding

# Notes of C major: "G," lies below "C", "c" an octave above it.
TUNES = {
    "Star": "C C G G A A G F F E E D D C G G F F E E D G G F F E E D C C G G A A G F F E E D D C",
    "Frère Jacques": "C D E C C D E C E F G E F G G A G F E C G A G F E C C G, C C G, C",
    "Ode to Joy": "E E F G G F E D C C D E E D D E E F G G F E D C C D E D C C",
    "Mary had a little lamb": "E D C D E E E D D D E G G E D C D E E E E D D E D C",
    "London Bridge": "G A G F E F G D E F E F G G A G F E F G D G E C",
    "Row your boat": "C C C D E E D E F G c c c G G G E E E C C C G F E D C",
    "Jingle Bells": "E E E E E E E G C D E F F F F F E E E G G F D C",
    "Au clair de la lune": "C C C D E D C E D D C C C C D E D C E D D C D D D D A, A, D C B, A, G,",
    "Hänschen klein": "G E E F D D C D E F G G G G E E F D D C E G G C",
    "Alle meine Entchen": "C D E F G G A A A A G A A A A G F F F F E E D D D D C",
}
HELD_OUT = "Alle meine Entchen"
NOTES = sorted({note for tune in TUNES.values() for note in tune.split()})
PAUSE, BEGIN, END = 0, 1, 2  # PAUSE fills up short tunes and is masked
IDS = {note: i for i, note in enumerate(NOTES, start=3)}


def encode(tunes: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return what the network reads at each step, and what it is to say: the next note."""
    ids = [[BEGIN, *(IDS[note] for note in tune.split()), END] for tune in tunes]
    padded = fastgru.utils.pad_sequences(ids, padding="post", value=PAUSE)
    return padded[:, :-1], padded[:, 1:]


def train(epochs: int = 60, seed: int = 0) -> fastgru.Sequential:
    """Learn from all tunes but the one that is held out."""
    fastgru.set_random_seed(seed)
    outputs = 3 + len(NOTES)
    model = fastgru.Sequential(
        [
            Embedding(outputs, 16, mask_zero=True),
            Dropout(
                0.4
            ),  # nine tunes are soon known by heart: dropout makes it learn what is common
            GRU(48, return_sequences=True),
            Dropout(0.4),
            Dense(outputs, activation="softmax"),
        ]
    )
    model.compile(fastgru.optimizers.Adam(0.005), "sparse_categorical_crossentropy")
    heard, following = encode([tune for name, tune in TUNES.items() if name != HELD_OUT])
    model.fit(heard, following, batch_size=3, epochs=epochs, verbose=0)
    return model


def surprise(probabilities: np.ndarray, following: np.ndarray) -> float:
    """Return how surprising notes are on average, in bits."""
    return float(-np.log2(probabilities[np.arange(len(following)), following]).mean())


def test(model: fastgru.Sequential) -> tuple[float, float]:
    """Return the surprise at the tune held out: the network's, and by how common notes are."""
    heard, following = encode([TUNES[HELD_OUT]])
    _, known = encode([tune for name, tune in TUNES.items() if name != HELD_OUT])
    counts = np.bincount(known[known != PAUSE], minlength=3 + len(NOTES))
    common = np.tile(counts / counts.sum(), (following.shape[1], 1))
    ours = surprise(model.predict(heard, verbose=0)[0], following[0])
    return ours, surprise(common, following[0])


def compose(
    model: fastgru.Sequential, rng: np.random.Generator, longest: int = 40, daring: float = 0.8
) -> list[str]:
    """Draw a tune. Little `daring` keeps to the most probable notes."""
    tune = [BEGIN]
    while len(tune) <= longest:
        following = model.predict(np.array([tune]), verbose=0)[0, -1].astype(np.float64)
        following[[PAUSE, BEGIN]] = 0
        following **= 1 / daring
        tune.append(int(rng.choice(len(following), p=following / following.sum())))
        if tune[-1] == END:
            return [NOTES[i - 3] for i in tune[1:-1]]
    return [NOTES[i - 3] for i in tune[1:]]


def main() -> None:
    """Train, test, compose."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=0, help="another number, other tunes (0)")
    rng = np.random.default_rng(parser.parse_args().seed)
    model = train()
    ours, common = test(model)
    print(f"{HELD_OUT}, never heard: {ours:.2f} bits a note; by how common notes are: {common:.2f}")
    for _ in range(3):
        print("new tune:", " ".join(compose(model, rng)))


if __name__ == "__main__":
    main()
