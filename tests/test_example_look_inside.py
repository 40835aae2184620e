"""The example that looks inside a GRU learns its sentences and draws; it needs matplotlib."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pytest

matplotlib.use("agg")

SCRIPT = Path(__file__).parents[1] / "examples" / "look_inside.py"


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *map(str, arguments)])
    runpy.run_path(str(SCRIPT), run_name="__main__")


def test_it_learns_and_draws(monkeypatch, capsys, tmp_path):
    from matplotlib import pyplot

    run(monkeypatch, "--folder", tmp_path)
    pyplot.close("all")
    output = capsys.readouterr().out
    assert float(output.split("%")[0]) > 97  # of the held-out sentences
    probability = float(output.split("praise with probability ")[1].split()[0])
    assert probability > 0.9  # not dull
    words = "the film was not really so dull".split()  # noqa: SIM905
    counts = [int(line.split()[1]) for line in output.splitlines() if " of 16  " in line]
    assert len(counts) == len(words)
    assert counts[-1] > counts[3]  # what "not" has written is kept from then on
    assert {path.name for path in tmp_path.iterdir()} == {"gates.png", "history.png"}


def test_labels_say_what_the_words_do():
    page = runpy.run_path(str(SCRIPT))
    sentences, labels = page["make_sentences"](200, seed=3)
    for sentence, label in zip(sentences, labels, strict=True):
        words = set(sentence.split())
        assert label == (bool(words & {"not", "never"}) != bool(words & set(page["GOOD"])))
    ids = page["to_ids"](sentences)
    assert ids.shape == (200, 16) and np.array_equal(
        (ids > 0).sum(1), [len(s.split()) for s in sentences]
    )
    assert 0.4 < labels.mean() < 0.6


def test_words_that_it_does_not_know(monkeypatch, capsys):
    with pytest.raises(SystemExit):
        run(monkeypatch, "--sentence", "the film was terrific")
    error = capsys.readouterr().err
    assert "expected 1 to 16 of these words" in error and "the film was terrific" in error
