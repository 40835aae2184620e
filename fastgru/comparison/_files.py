"""CSV files as sequences and targets."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fastgru._naming import did_you_mean

_DELIMITERS = ",;\t|"


class Table(NamedTuple):
    """A file's columns of text by name.

    Attributes
    ----------
    columns : dict of str to list of str
        As many entries in each.
    lines : list of int
        The line of the file that each row ends on, for messages.
    """

    columns: dict[str, list[str]]
    lines: list[int]

    def column(self, name: str, argument: str) -> list[str]:
        """Return a column.

        Raises
        ------
        ValueError
            If there is none of this name.
        """
        if name not in self.columns:
            close = did_you_mean(name, self.columns)
            known = f"; the file's columns: {', '.join(self.columns)}"
            raise ValueError(f"{argument}: the file has no column {name!r}{close or known}")
        return self.columns[name]

    def is_numeric(self, name: str) -> bool:
        """Tell whether a column holds numbers only."""
        return all(_number(text) is not None for text in self.columns[name])

    def numbers(self, name: str, argument: str) -> np.ndarray:
        """Return a column as numbers, (rows,).

        Raises
        ------
        ValueError
            If there is none of this name, or an entry is no finite number; the message tells where.
        """
        values = [_number(text) for text in self.column(name, argument)]
        for line, text, value in zip(self.lines, self.columns[name], values, strict=True):
            if value is None:
                got = repr(text) if text.strip() else "nothing"
                raise ValueError(
                    f"{argument}: line {line}, column {name!r}: expected a number, got {got}"
                )
        return np.array(values, float)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if np.isfinite(value) else None


def read_table(path: str, delimiter: str | None = None) -> Table:
    """Read a CSV file, whose first line may name its columns; otherwise they are ``"1"``, ``"2"``.

    Parameters
    ----------
    path : str
        The file, in UTF-8.
    delimiter : str, optional
        What stands between the columns; otherwise the one of ``, ; tab |`` that the first line has
        most of.

    Raises
    ------
    ValueError
        If the file is empty, no text, or a line has too few or too many columns, or the delimiter
        is no character that can stand between them.
    OSError
        If it can't be read.
    """
    if delimiter is not None and (len(delimiter) != 1 or delimiter in '"\r\n'):
        raise ValueError(f"--delimiter: expected one character, got {delimiter!r}")
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            file.seek(0)
            if delimiter is None:
                delimiter = max(_DELIMITERS, key=first.count)
            reader = csv.reader(file, delimiter=delimiter)
            rows = [(reader.line_num, row) for row in reader if any(map(str.strip, row))]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path}: expected a CSV file in UTF-8 ({error})") from None
    if not rows:
        raise ValueError(f"{path}: the file is empty")
    header = [name.strip() for name in rows[0][1]]
    if all(_number(name) is not None for name in header):
        header = [str(i + 1) for i in range(len(header))]
    else:
        rows = rows[1:]
    if not rows:
        raise ValueError(f"{path}: the file has a line of names, and no rows below it")
    if len(set(header)) < len(header):
        raise ValueError(f"{path}: two columns have one name: {', '.join(header)}")
    for line, row in rows:
        if len(row) != len(header):
            raise ValueError(
                f"{path}: line {line}: expected {len(header)} columns "
                f"({', '.join(header)}), got {len(row)}"
            )
    columns = {name: [row[i] for _, row in rows] for i, name in enumerate(header)}
    return Table(columns, [line for line, _ in rows])


class Series(NamedTuple):
    """A series cut into windows.

    Attributes
    ----------
    x : ndarray, shape (N, window, features)
        Windows.
    y : ndarray, shape (N,)
        The target, `horizon` steps after each window's last.
    last : ndarray, shape (N,)
        The target at each window's last step: what the simplest forecast says.
    features : list of str
        The columns that `x` consists of.
    """

    x: np.ndarray
    y: np.ndarray
    last: np.ndarray
    features: list[str]


def series(
    table: Table, target: str, features: Sequence[str] | None, window: int, horizon: int
) -> Series:
    """Cut the rows of a table, evenly spaced in time, into windows.

    Parameters
    ----------
    table : Table
        The file.
    target : str
        The column to be predicted.
    features : sequence of str, optional
        The columns to predict from; otherwise all that hold numbers.
    window, horizon : int
        The steps that a window has, and how far after its end the target lies.

    Raises
    ------
    ValueError
        If a column is missing or holds no numbers, or there are too few rows.
    """
    wanted = table.numbers(target, "--target")
    if features is None:
        features = [name for name in table.columns if table.is_numeric(name)]
    values = np.stack([table.numbers(name, "--features") for name in features], axis=1)
    count = len(values) - window - horizon + 1
    if count < 10:
        raise ValueError(
            f"--window: {len(values)} rows give {max(0, count)} windows of {window} steps with a "
            f"target {horizon} later; at least 10 are needed"
        )
    x = np.lib.stride_tricks.sliding_window_view(values, window, axis=0)[:count]
    ends = np.arange(window - 1, window - 1 + count)
    return Series(x.transpose(0, 2, 1), wanted[ends + horizon], wanted[ends], list(features))


class Texts(NamedTuple):
    """Texts as ids of words.

    Attributes
    ----------
    x : list of ndarray
        The ids of each text's words; 0 for words that are not in the vocabulary.
    y : list of str
        The labels.
    words : list of str
        The words by id.
    """

    x: list[np.ndarray]
    y: list[str]
    words: list[str]


def texts(table: Table, text: str, label: str, vocabulary: int, steps: int) -> Texts:
    """Turn texts into the numbers of their words, the most frequent first.

    Parameters
    ----------
    table : Table
        The file.
    text, label : str
        The columns.
    vocabulary : int
        The number of words that get a number.
    steps : int
        The number of words of a text that are read, the last ones.

    Raises
    ------
    ValueError
        If a column is missing, or an entry is empty.
    """
    cut = [split_words(t)[-steps:] for t in table.column(text, "--text")]
    labels = [entry.strip() for entry in table.column(label, "--label")]
    for name, entries in ((text, cut), (label, labels)):
        for line, entry in zip(table.lines, entries, strict=True):
            if not entry:
                raise ValueError(f"line {line}, column {name!r}: expected a text, got nothing")
    counts = Counter(word for words in cut for word in words)
    known = ["(rare)", *(word for word, _ in counts.most_common(vocabulary))]
    number = {word: i for i, word in enumerate(known)}
    return Texts([np.array([number.get(w, 0) for w in words]) for words in cut], labels, known)


def split_words(text: str) -> list[str]:
    """Return the words and the punctuation marks of a text, in lower case."""
    return re.findall(r"\w+|[^\w\s]", text.lower())


def write(path: str, text: str) -> None:
    """Write a text into a file."""
    Path(path).write_text(text, encoding="utf-8")
