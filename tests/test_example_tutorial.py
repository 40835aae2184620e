"""The tutorial example runs from top to bottom, and its model learns."""

import runpy
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[1] / "examples" / "tutorial.py"


def test_tutorial(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["tutorial.py"])
    page = runpy.run_path(str(SCRIPT))
    output = capsys.readouterr().out
    assert "Total params: 4,185" in output
    assert len(page["losses"]) == 20
    assert page["losses"][-1] < page["losses"][0]
    assert page["probabilities"].shape == (2, 1)
    friendly, unfriendly = page["probabilities"][:, 0]
    assert friendly > unfriendly
    assert output.count("probability of friendly") == 2
