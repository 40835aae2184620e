"""The examples on top of scikit-learn beat what is simpler, and the page's code runs."""

import re
import runpy
import sys

import pytest
from pages import ROOT, code_of


@pytest.fixture
def printed(capsys, monkeypatch):
    """Run an example as a user does; return the pairs of figures that it prints."""

    def run(name):
        monkeypatch.setattr(sys, "argv", [name])
        runpy.run_path(str(ROOT / "examples" / name), run_name="__main__")
        output = capsys.readouterr().out
        pairs = re.findall(r": ([0-9.]+)%?; [^:]*: ([0-9.]+)", output)
        return [(float(ours), float(simple.rstrip("."))) for ours, simple in pairs]

    return run


def test_demand_and_price(printed):
    (demand, week_ago), (price, today) = printed("forecasting.py")
    assert demand < 0.4 * week_ago
    assert price < 0.99 * today


def test_anomalies(printed):
    ((f1, limit),) = printed("anomalies.py")
    assert f1 > 0.75 > 0.5 > limit


def test_speech(printed):
    ((percent, orderless),) = printed("speech.py")
    assert percent > 90 > 60 > orderless


def test_the_code_of_the_page(capsys):
    names = {}
    for block in code_of("docs/scikit-learn.md"):
        exec(block, names)  # one after the other, as a reader would
    assert capsys.readouterr().out
    assert names["search"].best_score_ > 0.8
    assert names["model"].score(names["documents"], names["longest"]) > 0.9
    error = abs(names["tomorrow"] - names["sales"][-24:]).mean()
    assert error < 10
