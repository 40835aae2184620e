"""The code cells of a Keras tutorial run as they stand, but for the name in their imports.

Asked for by name: ``FASTGRU_TUTORIAL=path pytest tests/seeds``. The document is plain text; a line
``In [n]:`` begins a cell, whose printed output follows its code.
"""

from __future__ import annotations

import ast
import os
import re
from pathlib import Path

import pytest

Replacements = dict[str, str]

CHANGES: dict[str, Replacements] = {
    "as it stands": {},
    "more hidden units": {"hidden_units = 32": "hidden_units = 64"},
    "two stacked GRUs": {
        "GRU(units=hidden_units),": (
            "GRU(units=hidden_units, return_sequences=True), GRU(units=hidden_units),"
        )
    },
    "more test sentences": {"X_test_raw = [": "X_test_raw = [[10, 0, 12, 5], [4, 3, 2, 1, 0],"},
    "a small input": {"x_t = 0.8": "x_t = 0.1"},
    "a strong memory": {"h_t_minus_1 = 0.2": "h_t_minus_1 = 0.9"},
}
PARAMETERS = {"more hidden units": "14,393", "two stacked GRUs": "10,521"}
STATES = {"a small input": "0.21", "a strong memory": "0.91"}


def is_output(statement: ast.stmt) -> bool:
    """Tell whether a statement is a line of printed output that happens to be valid Python."""
    bare_annotation = isinstance(statement, ast.AnnAssign) and statement.value is None
    bare_name = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Name)
    return bare_annotation or bare_name


def code_of(cell: str) -> str:
    """Return the code at the beginning of a cell: as many lines as are Python."""
    lines = cell.splitlines()
    for count in range(len(lines), 0, -1):
        try:
            statements = ast.parse("\n".join(lines[:count])).body
        except SyntaxError:
            continue
        while statements and is_output(statements[-1]):
            statements.pop()
        return "\n".join(lines[: statements[-1].end_lineno])
    raise ValueError("a cell without code")


def code_cells(document: str) -> list[str]:
    """Return the code of all cells, with fastgru in place of Keras."""
    _, *cells = re.split(r"^In \[\d+\]:$", document, flags=re.MULTILINE)
    code = [code_of(cell) for cell in cells]
    code = [re.sub(r"^import tensorflow.*$", "", cell, flags=re.MULTILINE) for cell in code]
    return [cell.replace("tensorflow.keras", "fastgru") for cell in code]


@pytest.fixture(scope="module")
def cells() -> list[str]:
    return code_cells(Path(os.environ["FASTGRU_TUTORIAL"]).read_text(encoding="utf-8"))


def test_the_cells_are_found(cells):
    assert len(cells) == 5
    together = "\n".join(cells)
    assert "tensorflow" not in together
    assert together.count("from fastgru") == 3
    assert "model.fit(" in together and "model.predict(" in together


@pytest.mark.parametrize("change", CHANGES)
def test_the_cells_run(operations, cells, change, capsys):
    code = list(cells)
    for old, new in CHANGES[change].items():
        assert sum(cell.count(old) for cell in code) == 1
        code = [cell.replace(old, new) for cell in code]
    namespace: dict[str, object] = {"__name__": "__main__"}
    for cell in code:
        exec(compile(cell, "cell", "exec"), namespace)

    printed = capsys.readouterr().out
    final = re.search(r"Final Hidden State \(h_t\) is: (\S+)", printed)
    assert final is not None and final[1] == STATES.get(change, "0.59")
    assert "[1 2 3 4 0 0 0 0 0 0]" in printed
    assert f"Total params: {PARAMETERS.get(change, '4,185')}" in printed
    assert re.findall(r"^Epoch (\d+)/20", printed, re.MULTILINE) == [str(i + 1) for i in range(20)]
    judged = re.findall(
        r"^Sequence: (\[.*\]) -> Predicted Sentiment: (?:Posi|Nega)tive \(Raw score: 0\.\d{4}\)$",
        printed,
        re.MULTILINE,
    )
    expected = ["[9, 9, 8, 7]", "[1, 1, 2, 3]"]
    if change == "more test sentences":
        expected = ["[10, 0, 12, 5]", "[4, 3, 2, 1, 0]", *expected]
    assert judged == expected
