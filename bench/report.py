"""Turn runs of bench/grid.py into Markdown tables and a picture.

    python bench/report.py run.jsonl > report.md
    python bench/report.py run.jsonl --picture ratios.png > report.md

The last record of a cell counts, so a run may be made in parts, and a part made anew. The picture
needs Matplotlib.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fastgru._bench.compare import readable

TINY = ("stream-h32", "stream-h96", "tutorial")
Record = dict[str, Any]


def read(paths: Iterable[Path]) -> list[Record]:
    """Return the last record of each cell, in the order of their first."""
    cells: dict[tuple[str, str, str, int], Record] = {}
    for path in paths:
        for line in path.read_text().splitlines():
            record = json.loads(line)
            cells[record["cell"], record["job"], record["shape"], record["threads"]] = record
    return list(cells.values())


def times(record: Record) -> dict[str, float]:
    """Return the seconds of each library that was timed."""
    found = record["libraries"].items()
    return {name: run["seconds"] for name, run in found if "seconds" in run}


def fastest_peer(record: Record) -> str:
    """Return the name of the fastest library that is not fastgru."""
    peers = {name: seconds for name, seconds in times(record).items() if name != "fastgru"}
    return min(peers, key=peers.__getitem__)


def ratio(record: Record) -> float:
    """Return the time of the fastest peer over fastgru's."""
    found = times(record)
    return found[fastest_peer(record)] / found["fastgru"]


def table(records: list[Record]) -> str:
    """Return the table of one job at one number of threads."""
    names = list(dict.fromkeys(name for record in records for name in times(record)))
    header = ["case", *names, "fastest peer / fastgru", "GFLOP/s", "of the vector peak"]
    memory = any(bound_by_memory(record) for record in records)
    header += ["of the least time"] if memory else []
    rows = [header, ["---"] * len(header)]
    for record in records:
        found = times(record)
        best = min(found, key=found.__getitem__)
        cells = (readable(found[name]) if name in found else "–" for name in names)
        cells = (f"**{t}**" if n == best else t for n, t in zip(names, cells, strict=True))
        rate = record["flop"] / found["fastgru"]
        behind = f"{ratio(record):.2f}" + (" **behind**" if ratio(record) < 1 else "")
        row = [record["shape"], *cells, behind, f"{rate / 1e9:.0f}", f"{rate / record['peak']:.0%}"]
        if memory:
            share = (record["least_seconds"] or 0) / found["fastgru"]
            row.append(f"{share:.0%}" if bound_by_memory(record) else "")
        rows.append(row)
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def bound_by_memory(record: Record) -> bool:
    """Whether a step waits for the recurrent kernel to be read, rather than for arithmetic."""
    few, wide = record["sizes"]["B"] <= 4, record["sizes"]["H"] >= 512
    return few and wide and record["least_seconds"] is not None


def means(records: list[Record]) -> str:
    """Return the geometric means of the ratios, with the tiny cells and without."""
    ratios = {record["shape"]: ratio(record) for record in records}
    larger = [value for shape, value in ratios.items() if shape not in TINY]
    text = f"Geometric mean of fastest peer / fastgru: **{geometric(ratios.values()):.2f}**"
    if larger and len(larger) < len(ratios):
        text += (
            f"; without {', '.join(s for s in TINY if s in ratios)}: **{geometric(larger):.2f}**"
        )
    return text + "."


def geometric(values: Iterable[float]) -> float:
    """Return the geometric mean."""
    return statistics.geometric_mean(values)


def behind(records: list[Record]) -> str:
    """Name every cell in which a peer is faster."""
    lost = [
        f"{fastest_peer(record)} is {1 / ratio(record):.2f} times as fast in "
        f"{record['job']} {record['shape']}"
        for record in records
        if ratio(record) < 1
    ]
    if not lost:
        return "No peer is faster in any cell."
    return "**Slower than the fastest peer**: " + "; ".join(lost) + "."


def spread(records: list[Record]) -> str:
    """Tell how much the rounds differ."""
    widths = [
        (run["high"] - run["low"]) / run["seconds"]
        for record in records
        for run in record["libraries"].values()
        if "seconds" in run
    ]
    timed = [run for r in records for run in r["libraries"].values() if "rounds" in run]
    rounds = sorted({run["rounds"] for run in timed})
    disturbed = sum(run["disturbed"] for run in timed) / sum(run["rounds"] for run in timed)
    return (
        f"Medians of {'/'.join(map(str, rounds))} rounds in turn; half of the rounds lie "
        f"within {statistics.median(widths):.1%} (the median cell), {max(widths):.0%} (the worst). "
        f"In {disturbed:.0%} of the rounds others used the same cores."
    )


def accuracy(records: list[Record]) -> str:
    """Return the largest errors of each cell, in millionths of the largest element."""
    names = list(dict.fromkeys(name for record in records for name in times(record)))
    rows = [["case", *names], ["---"] * (len(names) + 1)]
    for record in records:
        runs = record["libraries"]
        found = {n: run["error"] for n, run in runs.items() if "error" in run}
        errors = (f"{1e6 * found[n]:.2f}" if n in found else "–" for n in names)
        rows.append([f"{record['cell']} {record['job']} {record['shape']}", *errors])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def setting(records: list[Record]) -> str:
    """Return what was measured, and on what."""
    facts = {
        key: dict.fromkeys(str(r["machine"][key]) for r in records)
        for key in first_machine(records)
    }
    lines = [f"- {key}: {', '.join(values)}" for key, values in facts.items()]
    versions = {
        name: run["version"]
        for record in records
        for name, run in record["libraries"].items()
        if "version" in run
    }
    lines.append("- libraries: " + ", ".join(f"{name} {v}" for name, v in versions.items()))
    peak = statistics.median(record["peak"] / record["threads"] for record in records)
    lines.append(
        f"- vector peak of one core, multiply-adds in registers: {peak / 1e9:.0f} GFLOP/s; "
        "products on matrix tiles may pass it"
    )
    return "\n".join(lines)


def first_machine(records: list[Record]) -> list[str]:
    """Return the names of the facts."""
    return list(records[0]["machine"])


def left_out(records: list[Record]) -> str:
    """Name the libraries that were left out, and why."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for record in records:
        for name, run in record["libraries"].items():
            if "left_out" in run:
                cell = f"{record['cell']} {record['job']} {record['shape']}"
                reasons.setdefault((name, run["left_out"]), []).append(cell)
    return "\n".join(
        f"- {name}: {why} ({cells[0]}{f' and {len(cells) - 1} more' if cells[1:] else ''})"
        for (name, why), cells in reasons.items()
    )


def markdown(records: list[Record], picture: str | None) -> str:
    """Return the whole report."""
    parts = ["# The grid", setting(records)]
    if picture:
        parts.append(f"![Time of the fastest peer over fastgru's, by case]({picture})")
    groups: dict[tuple[str, int, str], list[Record]] = {}
    for record in sorted(records, key=lambda r: (r["cell"], r["threads"], r["job"])):
        groups.setdefault((record["cell"], record["threads"], record["job"]), []).append(record)
    for (cell, threads, job), group in groups.items():
        parts.append(f"## {cell}, {job}, {threads} thread{'s' if threads > 1 else ''}")
        parts += [table(group), means(group), behind(group), spread(group)]
    if reasons := left_out(records):
        parts += ["## Left out", reasons]
    parts.append("## Largest error against float64, in millionths of the largest element")
    one = min(record["threads"] for record in records)
    parts.append(accuracy([record for record in records if record["threads"] == one]))
    return "\n\n".join(parts)


def main() -> None:
    """Print the report and draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN.jsonl")
    parser.add_argument("--picture", type=Path, metavar="FILE.png")
    options = parser.parse_args()
    records = [record for record in read(options.runs) if len(times(record)) > 1]
    if options.picture:
        import picture

        picture.draw(records, options.picture)
    print(markdown(records, options.picture.name if options.picture else None))


if __name__ == "__main__":
    main()
