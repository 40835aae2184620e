"""The smallest whole job: teach a GRU to tell good sentences from bad ones, with numbers as words.

    python examples/tutorial.py

A network reads numbers, so each word of a language is given one. Here the numbers come first and
we make up what they mean: words from 8 up are friendly, those below are not. Five sentences are
far too few to learn a language from; they are enough to see each step of the work.
``examples/sentiment.py`` does the same with thousands of real sentences.
"""

import argparse

import numpy as np

from fastgru.layers import GRU, Dense, Embedding
from fastgru.models import Sequential
from fastgru.preprocessing.sequence import pad_sequences
from fastgru.utils import set_random_seed

parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
)
parser.add_argument("--epochs", type=int, default=20, help="times through the sentences (20)")
epochs = parser.parse_args().epochs

WORDS = 15  # the words are 1 to 14; 0 means "no word"
LENGTH = 10  # the longest sentence that the model reads

# 1. Five sentences and what we think of them: 1 is friendly, 0 is not.
sentences = [[9, 12, 8], [2, 5, 1, 4], [10, 3, 14, 11, 9, 13], [6, 1, 7], [13, 8, 12, 10]]
labels = np.array([1, 0, 1, 0, 1])

# A batch is a rectangle, sentences are not: fill them up with zeros behind.
ids = pad_sequences(sentences, maxlen=LENGTH, padding="post")
print(f"{sentences[0]} becomes {ids[0]}")

# 2. The model. Everything that it is made of starts at random; a seed makes it repeatable.
set_random_seed(1)
model = Sequential(
    [
        Embedding(WORDS, 8, input_length=LENGTH),  # each word becomes a vector of 8 numbers
        GRU(32),  # reads one vector after the other, keeps 32 numbers of memory
        Dense(1, activation="sigmoid"),  # turns the memory into a probability
    ]
)
model.summary()

# 3. Learn: go through the sentences 20 times, each time adjust the 4,185 numbers a little.
model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
history = model.fit(ids, labels, epochs=epochs)
losses = history.history["loss"]
print(f"The loss went from {losses[0]:.3f} to {losses[-1]:.3f}.")

# 4. Ask about sentences that it has not seen. It is unsure still: try --epochs 60.
new_sentences = [[11, 9, 14], [3, 2, 6, 5]]
probabilities = model.predict(pad_sequences(new_sentences, maxlen=LENGTH, padding="post"))
for sentence, probability in zip(new_sentences, probabilities[:, 0], strict=True):
    word = "friendly" if probability > 0.5 else "unfriendly"
    print(f"{sentence} is {word} (probability of friendly: {probability:.3f})")
