"""What the documents show runs; those that draw need matplotlib."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import warnings

import matplotlib
import pytest
from pages import ROOT, code_of, text_of

import fastgru
from fastgru import _custom_objects

matplotlib.use("agg")

# Folders that begin with a dot hold environments, and pages of others.
PAGES = sorted(
    str(path.relative_to(ROOT)) for path in (*ROOT.glob("*.md"), *ROOT.glob("[!.]*/**/*.md"))
)


@pytest.mark.parametrize("name", ["saving", "seeing-inside", "comparing", "training"])
def test_the_code_of_a_document(name, tmp_path, monkeypatch, capsys):
    from matplotlib import pyplot

    blocks = code_of(f"docs/{name}.md")
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


def test_pages_are_found():
    assert {"README.md", "ARCHITECTURE.md", "bench/README.md", "docs/saving.md"} <= set(PAGES)
    assert any(links(page) for page in PAGES)


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files_and_pictures(page):
    for target in links(page):
        assert (ROOT / page).parent.joinpath(target).exists(), target


def links(page: str) -> list[str]:
    """Return what a page links to in the repository; what looks like a link in code is none."""
    text = re.sub(r"^```.*?^```$|`[^`\n]*`", "", text_of(page), flags=re.M | re.S)
    return re.findall(r"\]\((?!\w+:)([^)#\s]+)", text)


@pytest.mark.parametrize("folder", ["csrc", "fastgru"])
def test_architecture_names_every_file(folder):
    listing = text_of("ARCHITECTURE.md").split("## The folders")[1].split("\nDependencies")[0]
    files = {path.name for path in (ROOT / folder).iterdir() if path.is_file()}
    files = {name for name in files if not name.endswith((".so", ".pyd", "_core.c"))}  # built
    assert len(files) > 15
    assert files <= set(re.findall(r"[\w.]+", listing))


@pytest.mark.parametrize(
    "name", ["encoder_decoder", "look_inside", "music", "sentiment", "tutorial"]
)
def test_an_example_tells_what_it_shows(name):
    path = ROOT / "examples" / f"{name}.py"
    run = subprocess.run([sys.executable, path, "--help"], capture_output=True, text=True)
    assert run.returncode == 0
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) in run.stdout
