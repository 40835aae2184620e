"""Tell spoken words apart, from sound waves that are made here.

    pip install 'fastgru[sklearn]'
    python examples/speech.py

A vowel is a buzz of the vocal cords in which two bands are loud: the formants. Six words of two or
three vowels are spoken by voices of different pitch, at different speeds, with noise. Some words
have the same vowels in another order, so what counts is the sequence: how loud each band is in each
hundredth of a second. Words differ in length, and go to the classifier as they are.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from fastgru.sklearn import GRUClassifier

RATE = 8000  # samples in a second
FRAME = 160  # samples in a frame: a fiftieth of a second, begun every hundredth
FORMANTS = {"a": (730, 1090), "i": (270, 2290), "u": (300, 870)}  # hertz
WORDS = ["ai", "ia", "au", "ua", "aiu", "uia"]


def speak(word: str, rng: np.random.Generator) -> np.ndarray:
    """Return the sound of a word."""
    pitch = rng.uniform(90, 220)
    size = rng.uniform(0.9, 1.15)  # of the speaker's mouth: moves all formants
    sounds = []
    for vowel in word:
        t = np.arange(int(RATE * rng.uniform(0.08, 0.2))) / RATE
        harmonics = np.arange(1, int(0.45 * RATE / pitch))[:, None] * pitch
        loud = sum(np.exp(-(((harmonics / size - f) / 90) ** 2)) for f in FORMANTS[vowel]) + 0.02
        sounds.append((loud * np.sin(2 * np.pi * harmonics * t)).sum(axis=0))
    sound = np.concatenate(sounds)
    return sound / np.abs(sound).max() + rng.normal(0, 0.6, len(sound))


def listen(sound: np.ndarray, bands: int = 20) -> np.ndarray:
    """Return the loudness of bands in each frame, (frames, bands), around 0 and of size 1."""
    frames = np.lib.stride_tricks.sliding_window_view(sound, FRAME)[:: FRAME // 2]
    power = np.abs(np.fft.rfft(frames * np.hanning(FRAME), axis=1)[:, 1:]) ** 2
    edges = np.geomspace(1, power.shape[1], bands + 1).astype(int)
    edges = np.maximum(edges, np.arange(1, bands + 2))  # narrow low bands, wide high ones
    loudness = np.log(np.add.reduceat(power, edges[:-1] - 1, axis=1) + 1e-3)
    return (loudness - loudness.mean()) / loudness.std()


def make_words(count: int, seed: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Return what is heard of words, and the words."""
    rng = np.random.default_rng(seed)
    words = rng.choice(WORDS, count)
    return [listen(speak(word, rng)) for word in words], words


def without_order(x: list[np.ndarray], words: np.ndarray, x_test: list[np.ndarray]) -> np.ndarray:
    """Return the words whose average loudness is nearest: what one gets without the order."""
    means = np.array([frames.mean(axis=0) for frames in x])
    centers = np.array([means[words == word].mean(axis=0) for word in WORDS])
    tested = np.array([frames.mean(axis=0) for frames in x_test])
    return np.array(WORDS)[((tested[:, None] - centers) ** 2).sum(axis=2).argmin(axis=1)]


def recognize() -> tuple[float, float]:
    """Return the shares of words that are recognized: by the GRU, and without their order."""
    x, words = make_words(600, seed=0)
    x_test, spoken = make_words(300, seed=1)
    model = GRUClassifier(48, epochs=12, learning_rate=0.005, random_state=0).fit(x, words)
    return model.score(x_test, spoken), float((without_order(x, words, x_test) == spoken).mean())


def main() -> None:
    """Learn, then test on other voices."""
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    start = time.perf_counter()
    ours, orderless = recognize()
    print(f"words recognized: {ours:.1%}; by their average sound: {orderless:.1%}")
    print(f"{time.perf_counter() - start:.1f} s")


if __name__ == "__main__":
    main()
