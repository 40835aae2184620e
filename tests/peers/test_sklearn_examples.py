"""The examples on top of scikit-learn beat what is simpler, and the page's code runs."""

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def example(name):
    return runpy.run_path(str(ROOT / "examples" / name))


def test_demand_and_price():
    page = example("forecasting.py")
    ours, naive = page["forecast_demand"]()
    assert ours < 0.4 * naive
    ours, naive = page["forecast_price"]()
    assert ours < 0.99 * naive


def test_anomalies():
    ours, limit = example("anomalies.py")["detect"]()
    assert ours > 0.75 > 0.5 > limit


def test_speech():
    ours, orderless = example("speech.py")["recognize"]()
    assert ours > 0.9 > 0.6 > orderless


@pytest.mark.parametrize("page", ["scikit-learn.md"])
def test_the_code_of_a_page(page, capsys):
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert len(blocks) == 3
    names = {}
    for block in blocks:
        exec(block, names)  # one after the other, as a reader would
    assert capsys.readouterr().out
    assert names["search"].best_score_ > 0.8
    assert names["model"].score(names["documents"], names["longest"]) > 0.9
    error = abs(names["tomorrow"] - names["sales"][-24:]).mean()
    assert error < 10
