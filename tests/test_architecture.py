"""Who may import whom inside of fastgru: see ARCHITECTURE.md."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from pages import text_of

import fastgru

ROOT = Path(fastgru.__file__).parent


def module_of(path: Path) -> list[str]:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ["fastgru", *(parts[:-1] if parts[-1] == "__init__" else parts)]


def is_module(parts: list[str]) -> bool:
    path = ROOT.joinpath(*parts[1:])
    return path.is_dir() or path.with_suffix(".py").is_file()


def imported(path: Path) -> Iterator[list[str]]:
    """Yield the modules of fastgru that a file imports anywhere, but for type checkers."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    unseen = [
        n.body for n in ast.walk(tree) if isinstance(n, ast.If) and "TYPE_CHECK" in ast.dump(n.test)
    ]
    skipped = {id(node) for body in unseen for node in body}
    here = module_of(path)
    package = here if path.name == "__init__.py" else here[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and id(node) not in skipped:
            base = package[: len(package) - node.level + 1] if node.level else []
            base = base + (node.module.split(".") if node.module else [])
            if base[:1] == ["fastgru"]:
                for alias in node.names:
                    whole = [*base, alias.name]
                    yield whole if is_module(whole) else base


FILES = sorted(ROOT.rglob("*.py"))
IMPORTS = [(module_of(path), other) for path in FILES for other in imported(path)]


def test_private_files_are_imported_inside_of_their_folders_alone():
    for module, other in IMPORTS:
        for depth, name in enumerate(other):
            if name.startswith("_"):
                assert module[:depth] == other[:depth], f"{'.'.join(module)}: {'.'.join(other)}"


PARTS: dict[str, set[str]] = {}  # and the other parts that each imports
for module, other in IMPORTS:
    if len(module) > 1 and len(other) > 1 and module[1] != other[1]:
        PARTS.setdefault(module[1], set()).add(other[1])


def test_dependencies_between_the_parts_point_the_way_that_the_page_says():
    face = re.search(r"In the face: (.*?)\.\n", text_of("ARCHITECTURE.md"), re.S)[1]
    order = [re.findall(r"`(\w+)`", group) for group in face.split("→")]
    place = {name: i for i, group in enumerate(order) for name in group}
    place |= {path.stem: len(order) - 1 for path in ROOT.glob("_[!_]*.py*")}
    place |= dict.fromkeys(("ops", "reference", "_checks"), len(order) - 1.5)  # before the last
    assert place["models"] < place["layers"] < place["ops"] < place["activations"]

    for part in place.keys() & PARTS.keys():
        for need in PARTS[part]:
            assert place[part] <= place.get(need, -1), f"{part} imports {need}"


def test_dependencies_between_the_parts_have_no_cycle():
    parts = PARTS.copy()
    while parts:
        free = [name for name, needs in parts.items() if not needs & parts.keys()]
        assert free, f"a cycle among {sorted(parts)}"
        for name in free:
            del parts[name]
