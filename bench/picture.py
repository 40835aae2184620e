"""The picture of a run of the grid: for each cell, the time of the fastest peer over fastgru's."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt  # noqa: E402
from report import fastest_peer, ratio  # noqa: E402

COLORS = {
    "numpy": "#4c72b0",
    "torch": "#dd8452",
    "keras": "#c44e52",
    "jax": "#8172b3",
    "onnxruntime": "#55a868",
    "openvino": "#937860",
    "onednn": "#64b5cd",
}
NAMES = {"gru": "GRU", "lstm": "LSTM", "simple_rnn": "simple RNN"}
JOBS = {"infer": "inference", "train": "forward and backward"}


def draw(records: list[dict[str, Any]], path: Path) -> None:
    """Draw bars, a panel for each layer, job and number of threads; in the fastest peer's color."""
    rows = sorted({(record["cell"], record["threads"]) for record in records})
    jobs = sorted({record["job"] for record in records})
    shapes = list(dict.fromkeys(record["shape"] for record in records))
    figure, axes = plt.subplots(
        len(rows),
        len(jobs),
        figsize=(6 * len(jobs), 0.5 + (0.6 + 0.28 * len(shapes)) * len(rows)),
        squeeze=False,
        sharex=True,
        sharey=True,
        layout="constrained",
    )
    peers = dict.fromkeys(fastest_peer(record) for record in records)
    for (i, (cell, count)), (j, job) in itertools.product(enumerate(rows), enumerate(jobs)):
        panel = axes[i, j]
        threads = f"{count} thread{'s' if count > 1 else ''}"
        panel.set_title(f"{NAMES[cell]}, {JOBS[job]}, {threads}", fontsize=10)
        for record in records:
            if (record["cell"], record["threads"], record["job"]) == (cell, count, job):
                bar(panel, shapes.index(record["shape"]), record)
        panel.axvline(1, color="black", linewidth=1)
        panel.set_yticks(range(len(shapes)), shapes, fontsize=9)
        panel.spines[["top", "right"]].set_visible(False)
        panel.tick_params(axis="y", length=0)
    axes[0, 0].invert_yaxis()
    for panel in axes[-1]:
        panel.set_xlabel("time of the fastest peer / time of fastgru")
    handles = [plt.Rectangle((0, 0), 1, 1, color=COLORS.get(name, "gray")) for name in peers]
    figure.legend(
        handles, peers, title="fastest peer", loc="outside right upper", frameon=False, fontsize=9
    )
    machine = records[-1]["machine"]
    figure.suptitle(
        f"{machine['cpu']}, {machine['isa']}, fastgru {machine['fastgru']} at {machine['commit']}",
        fontsize=9,
        color="dimgray",
    )
    figure.savefig(path, dpi=120)
    plt.close(figure)


def bar(panel: Any, position: int, record: dict[str, Any]) -> None:
    """Draw one cell; a cell in which a peer is faster is hatched."""
    value = ratio(record)
    color = COLORS.get(fastest_peer(record), "gray")
    panel.barh(position, value, color=color, hatch="//" if value < 1 else None, edgecolor="white")
    panel.text(value, position, f" {value:.2f}", va="center", fontsize=8)
