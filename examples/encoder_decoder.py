"""Sequence to sequence: write dates as computers do, "21st of March, 1997" as "1997-03-21".

    python examples/encoder_decoder.py "4 July 1976" "Oct 3, 2019"

One GRU, the encoder, reads a date letter by letter and keeps what it means in its state. A second
one, the decoder, begins with that state and writes: each letter from the one before. To learn, it
is told the right letter before (teacher forcing); to be used, it reads what it has written itself.
So there are three models of the same layers: one that is trained, and an encoder and a decoder
that are called step by step.
"""

import argparse
import calendar
import datetime
import time

import numpy as np

from fastgru import Input, Model
from fastgru.layers import GRU, Dense, Embedding
from fastgru.optimizers import Adam
from fastgru.preprocessing.sequence import pad_sequences
from fastgru.utils import set_random_seed

UNITS = 128
MONTHS = calendar.month_name[1:]
START = "^"  # what the decoder reads before its first letter
LENGTH = len("1997-03-21")


# ---- dates, as people write them and as computers do ---------------------------------------------


def ordinal(day):
    """Return 1st, 2nd, 3rd, 4th, …."""
    ending = "th" if 10 < day < 20 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
    return f"{day}{ending}"


def written(date, random):
    """Return a date as somebody might write it."""
    day, year, month = date.day, date.year, MONTHS[date.month - 1]
    ways = [
        f"{day} {month} {year}",
        f"{month} {day}, {year}",
        f"{month[:3]} {day}, {year}",
        f"{ordinal(day)} of {month}, {year}",
        f"{day:02}.{date.month:02}.{year}",
        f"{month} {ordinal(day)} {year}",
    ]
    return ways[random.integers(len(ways))].lower()


def make_dates(count, random):
    """Return dates from 1900 to 2099 as people write them, and the same as computers do."""
    first = datetime.date(1900, 1, 1).toordinal()
    days = random.choice(datetime.date(2100, 1, 1).toordinal() - first, count, replace=False)
    dates = [datetime.date.fromordinal(first + int(day)) for day in days]
    return [written(date, random) for date in dates], [date.isoformat() for date in dates]


# ---- letters as numbers; 0 stands for no letter --------------------------------------------------

LETTERS = " ,-.0123456789abcdefghijklmnopqrstuvwxyz" + START
NUMBER = {letter: i for i, letter in enumerate(LETTERS, 1)}


def numbers(texts):
    """Return texts as rows of numbers, the shorter ones filled up with zeros behind."""
    rows = [[NUMBER[letter] for letter in text if letter in NUMBER] for text in texts]
    return pad_sequences(rows, padding="post")


# ---- the models ----------------------------------------------------------------------------------


def make_models():
    """Return the model to train, the encoder and the decoder, all of the same layers."""
    table = Embedding(len(LETTERS) + 1, 32, mask_zero=True)  # both read the same letters
    encode = GRU(UNITS, return_state=True)
    decode = GRU(UNITS, return_sequences=True, return_state=True)
    choose = Dense(len(LETTERS) + 1, activation="softmax")

    date, before = Input((None,), name="date"), Input((None,), name="letters_before")
    _, meaning = encode(table(date))
    states, _ = decode(table(before), initial_state=[meaning])
    trained = Model([date, before], choose(states))

    state = Input((UNITS,), name="state")
    states, last = decode(table(before), initial_state=[state])
    return trained, Model(date, meaning), Model([before, state], [choose(states), last])


def write(encoder, decoder, texts):
    """Return the dates in texts as the models write them, letter by letter."""
    state = encoder.predict(numbers(texts), verbose=0)
    letters = np.full((len(texts), 1), NUMBER[START])
    found = []
    for _ in range(LENGTH):
        probabilities, state = decoder.predict([letters, state], verbose=0)
        letters = probabilities.argmax(axis=-1)
        found.append(letters[:, 0])
    return ["".join((" " + LETTERS)[n] for n in row) for row in np.transpose(found)]


# ---- training and use ----------------------------------------------------------------------------


def main(arguments=None):
    """Train, measure on dates that were held out, and write those of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    shown = ["4 July 1976", "October 3rd 2019"]
    parser.add_argument("dates", nargs="*", default=shown, help=f"to write (two: {shown})")
    parser.add_argument("--samples", type=int, default=12_000, help="dates to learn from (12000)")
    parser.add_argument("--epochs", type=int, default=10, help="how often to see them (10)")
    chosen = parser.parse_args(arguments)

    set_random_seed(1)
    texts, dates = make_dates(chosen.samples + 2_000, np.random.default_rng(1))
    trained, encoder, decoder = make_models()
    trained.compile(optimizer=Adam(3e-3), loss="sparse_categorical_crossentropy")
    y = numbers(dates)
    before = np.insert(y[:, :-1], 0, NUMBER[START], axis=1)
    x, held_out = numbers(texts), slice(chosen.samples, None)
    learn = slice(chosen.samples)
    begin = time.perf_counter()
    trained.fit([x[learn], before[learn]], y[learn], batch_size=64, epochs=chosen.epochs)
    seconds = time.perf_counter() - begin

    found = write(encoder, decoder, texts[held_out])
    right = np.mean([a == b for a, b in zip(found, dates[held_out], strict=True)])
    print(f"Trained for {seconds:.1f} s. Of {len(found):,} new dates, {right:.1%} are right.")
    given = [text.lower() for text in chosen.dates]
    for text, date in zip(given, write(encoder, decoder, given), strict=True):
        print(f"{text:>24} → {date}")
    return right


if __name__ == "__main__":
    main()
