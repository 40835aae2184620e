"""What docs/training.md shows runs."""

from __future__ import annotations

import re
from pathlib import Path


def test_the_code_of_the_document():
    text = (Path(__file__).parents[1] / "docs" / "training.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)
    assert len(blocks) == 2
    page = {}
    for block in blocks:
        exec(block, page)
    assert page["model"].history.history["val_top_2"]
