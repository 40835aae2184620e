"""The music example learns what tunes have in common, and composes."""

import runpy
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).parents[1] / "examples" / "music.py"
page = runpy.run_path(str(SCRIPT))


@pytest.fixture(scope="module")
def model():
    return page["train"]()


def test_a_new_tune_surprises_less_than_by_how_common_notes_are(model):
    ours, common = page["test"](model)
    assert ours < 0.75 * common


def test_composed_tunes_are_new_and_of_known_notes(model):
    tunes = [page["compose"](model, np.random.default_rng(seed)) for seed in range(5)]
    known = [tune.split() for tune in page["TUNES"].values()]
    assert all(set(tune) <= set(page["NOTES"]) for tune in tunes)
    assert all(1 <= len(tune) <= 40 for tune in tunes)
    assert sum(tune not in known for tune in tunes) >= 4
    again = page["compose"](model, np.random.default_rng(0))
    assert again == tunes[0]


def test_padding_is_no_note():
    heard, following = page["encode"](["C D", "C D E F"])
    assert heard.tolist()[0][:3] == [page["BEGIN"], page["IDS"]["C"], page["IDS"]["D"]]
    assert following.tolist()[0] == [page["IDS"]["C"], page["IDS"]["D"], page["END"], 0, 0]
