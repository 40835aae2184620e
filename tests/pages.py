"""The repository's pages, and the code in them."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def text_of(page: str) -> str:
    """Return what stands in a page, such as "docs/saving.md"."""
    return (ROOT / page).read_text(encoding="utf-8")


def code_of(page: str) -> list[str]:
    """Return the blocks of Python in a page, at least one."""
    blocks = re.findall(r"^```python\n(.*?)^```$", text_of(page), re.M | re.S)
    assert blocks, page
    return blocks
