"""What the documents show runs; those that draw need matplotlib."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import warnings
from pathlib import Path

import matplotlib
import pytest

import fastgru
from fastgru import _custom_objects

matplotlib.use("agg")

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


@pytest.mark.parametrize("name", ["saving", "seeing-inside", "comparing"])
def test_the_code_of_a_document(name, tmp_path, monkeypatch, capsys):
    from matplotlib import pyplot

    text = (DOCS / f"{name}.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)
    assert blocks
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(_custom_objects, "_registered", {})  # pages register classes of their own
    fastgru.clear_session()
    page = {"__name__": name}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for block in blocks:
            # Enough epochs to see that it runs.
            exec(re.sub(r"epochs=\d\d+", "epochs=2", block), page)
    pyplot.close("all")
    said = capsys.readouterr().out
    said += "".join(f"RuntimeWarning: {w.message}\n" for w in caught)
    for line in re.findall(r"^# (?!---)(.+)$", "\n".join(blocks), re.M):
        assert line in said, line  # a comment of a line of its own is what is printed


def test_pictures_are_there():
    for name in ("saving", "seeing-inside", "comparing"):
        text = (DOCS / f"{name}.md").read_text(encoding="utf-8")
        for target in re.findall(r"\]\(([^)#]+)\)", text):
            assert (DOCS / target).exists(), target


@pytest.mark.parametrize("name", ["encoder_decoder", "look_inside", "music", "sentiment"])
def test_an_example_tells_what_it_shows(name):
    path = ROOT / "examples" / f"{name}.py"
    run = subprocess.run([sys.executable, path, "--help"], capture_output=True, text=True)
    assert run.returncode == 0
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) in run.stdout
