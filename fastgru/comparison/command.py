"""``python -m fastgru compare FILE.csv``: try the cells on a file of one's own."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from fastgru.comparison import _files
from fastgru.comparison._compare import CELLS, compare
from fastgru.comparison._result import Comparison
from fastgru.comparison._tasks import rmse

_DESCRIPTION = """\
Train the same model with each kind of cell on a CSV file, on the same data and from the same
seeds, and print a table: parameters, time per epoch, validation score with its spread.

A series: rows in the order of time, evenly spaced. What --target will be --horizon rows later is
predicted from the last --window rows; the last part of the file is held out.

    python -m fastgru compare power.csv --target demand --window 48

Texts: one in a row, with a label.

    python -m fastgru compare reviews.csv --text review --label sentiment --picture cells.png
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.description = _DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("file", metavar="FILE.csv", help="the data; the first line names columns")
    add = parser.add_argument
    add("--target", metavar="COLUMN", help="the column of a series to predict")
    add("--features", metavar="COLUMN", nargs="+",
        help="the columns to predict it from (default: all that hold numbers)")  # fmt: skip
    add("--window", type=_count, default=24, metavar="N", help="rows to predict from (default: 24)")
    add("--horizon", type=_count, default=1, metavar="N", help="rows ahead (default: 1)")
    add("--text", metavar="COLUMN", help="the column that holds texts")
    add("--label", metavar="COLUMN", help="the column that holds their labels")
    add("--vocabulary", type=_count, default=10_000, metavar="N",
        help="words that are told apart (default: 10000)")  # fmt: skip
    add("--steps", type=_count, default=100, metavar="N",
        help="words of a text that are read, the last ones (default: 100)")  # fmt: skip
    add("--cells", nargs="+", choices=CELLS, default=list(CELLS), metavar="CELL",
        help=f"some of {', '.join(CELLS)} (default: all)")  # fmt: skip
    add("--units", type=_count, default=32, metavar="N", help="size of the state (default: 32)")
    add("--depth", type=_count, default=1, metavar="N", help="recurrent layers (default: 1)")
    add("--bidirectional", action="store_true", help="read from both ends")
    add("--epochs", type=_count, default=20, metavar="N", help="of each training (default: 20)")
    add("--batch-size", type=_count, default=32, metavar="N", help="(default: 32)")
    add("--learning-rate", type=float, default=0.003, metavar="RATE", help="(default: 0.003)")
    add("--seeds", type=_count, default=3, metavar="N",
        help="trainings of each cell (default: 3)")  # fmt: skip
    add("--validation", type=float, default=0.2, metavar="SHARE",
        help="share of the data that is held out (default: 0.2)")  # fmt: skip
    add("--delimiter", metavar="CHARACTER", help="between columns (default: found out)")
    add("--picture", metavar="FILE", help="write a picture (needs matplotlib)")
    add("--markdown", metavar="FILE", help="write the table in Markdown")
    add("--csv", metavar="FILE", help="write the numbers of each training as CSV")
    add("--quiet", action="store_true", help="print the table only")


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, got {text!r}")
    return int(text)


def run(options: argparse.Namespace) -> int:
    """Compare, print the table, write what is wanted; return the exit status."""
    try:  # what is missing shall be known before the work is done
        for path in filter(None, (options.picture, options.markdown, options.csv)):
            if not Path(path).absolute().parent.is_dir():
                raise FileNotFoundError(f"{path}: there is no such folder")
        if options.picture:
            _require_drawable(options.picture)
        found = _compared(options)
        print(found)
        if options.picture:
            found.plot().savefig(options.picture, dpi=120)
        if options.markdown:
            _files.write(options.markdown, found.to_markdown())
        if options.csv:
            found.to_csv(options.csv)
    except (ValueError, OSError, ImportError) as error:
        print(f"python -m fastgru compare: {error}", file=sys.stderr)
        return 2
    return 0


def _require_drawable(path: str) -> None:
    """Raise an error unless matplotlib is installed and writes files of this kind."""
    from fastgru.plot import require_matplotlib

    require_matplotlib()
    from matplotlib.figure import Figure

    kinds = Figure().canvas.get_supported_filetypes()
    kind = Path(path).suffix.removeprefix(".").lower()
    if kind and kind not in kinds:
        raise ValueError(f"{path}: expected a picture's ending, one of {', '.join(sorted(kinds))}")


def _compared(options: argparse.Namespace) -> Comparison:
    table = _files.read_table(options.file, options.delimiter)
    settings = {
        "cells": options.cells,
        "units": options.units,
        "depth": options.depth,
        "bidirectional": options.bidirectional,
        "epochs": options.epochs,
        "batch_size": options.batch_size,
        "learning_rate": options.learning_rate,
        "seeds": options.seeds,
        "validation_split": options.validation,
        "verbose": 0 if options.quiet else 1,
    }
    names = list(table.columns)
    if (options.target or options.features) and (options.text or options.label):
        raise ValueError(
            "--target and --features name columns of a series, --text and --label those of texts"
        )
    if options.text or options.label or (options.target is None and {"text", "label"} <= {*names}):
        found = _files.texts(
            table, options.text or "text", options.label or "label",
            options.vocabulary, options.steps,
        )  # fmt: skip
        return compare(found.x, found.y, kind="ids", **settings)
    target = options.target or (names[0] if len(names) == 1 else None)
    if target is None:
        raise ValueError(
            "name the column to predict with --target, or give --text and --label; "
            f"the columns of {options.file}: {', '.join(names)}"
        )
    cut = _files.series(table, target, options.features, options.window, options.horizon)
    left_out = [name for name in names if name not in cut.features]
    if left_out and options.features is None and not options.quiet:
        print(f"left out, since they do not hold numbers only: {', '.join(left_out)}")
    result = compare(cut.x, cut.y, task="regression", kind="numbers", shuffle=False, **settings)
    held_out = result.held_out
    result.baseline = "the last value", rmse(cut.last[held_out], np.asarray(cut.y)[held_out])
    return result
