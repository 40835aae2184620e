"""``python -m fastgru bench``: a short table for this machine, in less than a minute."""

from __future__ import annotations

import argparse
import importlib.util
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from fastgru._bench import machine
from fastgru._bench.compare import Libraries, Runs, compare, readable
from fastgru._bench.peers import numpy_layer
from fastgru._bench.workers import CELLS, PEERS

__all__ = ["add_arguments", "run"]

SHAPES = {  # B, T, I, H
    "tutorial": (5, 10, 8, 32),
    "keras-64": (32, 80, 128, 64),
    "mid-256": (64, 50, 256, 256),
    "b1-512": (1, 50, 512, 512),
}
JOBS = ("infer", "train")
ROUNDS, SECONDS = 3, 0.1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.description = (
        "Time one recurrent layer in float32, forward (infer), and forward and backward (train): "
        "fastgru, its NumPy reference, and what of PyTorch, Keras on TensorFlow, JAX, ONNX Runtime "
        "and OpenVINO this environment has. Each is verified before it is timed."
    )
    parser.add_argument("--cell", choices=CELLS, default="gru", help="which layer (default: gru)")
    parser.add_argument(
        "--threads", type=_count, default=1, help="threads of each library (default: 1)"
    )
    parser.add_argument(
        "--shapes", nargs="+", choices=SHAPES, default=list(SHAPES), metavar="SHAPE",
        help=f"some of {', '.join(SHAPES)} (default: all)",
    )  # fmt: skip
    parser.add_argument(
        "--libraries", nargs="+", choices=PEERS, metavar="LIBRARY",
        help=f"some of {', '.join(PEERS)} (default: all that are installed)",
    )  # fmt: skip


def _count(text: str) -> int:
    cores = len(machine.usable_cores())
    if not text.isdecimal() or not 1 <= int(text) <= cores:
        raise argparse.ArgumentTypeError(f"expected a number from 1 to {cores}, got {text!r}")
    return int(text)


def run(options: argparse.Namespace) -> int:
    """Print the table; return the exit status."""
    names = options.libraries or [n for n, p in PEERS.items() if _installed(p.module)]
    names = list(dict.fromkeys(["fastgru", *names]))
    facts = machine.facts()
    threads = f"{options.threads} thread{'s' if options.threads > 1 else ''}"
    print(f"fastgru {facts['fastgru']} ({facts['isa']}), {options.cell}, {threads}; {facts['cpu']}")
    print("Time of a run, and how many times that of fastgru it is:\n")
    print(f"{'':15}", *(f"{name:>18}" for name in names), sep="", flush=True)

    slower, reasons = [], dict[str, str]()
    peers = {name: PEERS[name] for name in names}
    with tempfile.TemporaryDirectory() as folder, Libraries(peers, options.threads) as libraries:
        for shape in options.shapes:
            inputs = Path(folder, "inputs.npz")
            right = _prepare(inputs, options.cell, *SHAPES[shape])
            for job in JOBS:
                runs = compare(
                    libraries, job, inputs, right, cell=options.cell, rounds=ROUNDS, seconds=SECONDS
                )
                print(f"{job} {shape:<9}", *(_cell(runs, name) for name in names), sep="")
                slower += [f"{name} in {job} {shape}" for name in names if _faster(runs, name)]
                reasons |= {name: run.left_out for name, run in runs.items() if run.left_out}

    print("\n" + ", ".join(f"{name} {v}" for name, v in libraries.versions().items()))
    for name, reason in reasons.items():
        print(f"-  {name}: {reason}")
    if slower:
        print(f"Faster than fastgru: {', '.join(slower)}.")
    return 1 if "fastgru" in reasons else 0


def _installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _prepare(path: Path, cell: str, B: int, T: int, I: int, H: int) -> Mapping[str, np.ndarray]:
    """Save the inputs of a case and return the right results, in float64."""
    random, G = np.random.default_rng((B, T, I, H)), CELLS[cell] * H
    sizes = {
        "x": (1.0, (B, T, I)),
        "kernel": (I**-0.5, (I, G)),
        "recurrent_kernel": (H**-0.5, (H, G)),
        "bias": (0.5, (2, G) if cell == "gru" else (G,)),
        "dy": (1.0, (B, T, H)),
    }
    arrays = {
        name: random.normal(0, scale, shape).astype(np.float32)
        for name, (scale, shape) in sizes.items()
    }
    np.savez(path, **arrays)  # type: ignore[arg-type]
    exact = {name: a.astype(np.float64) for name, a in arrays.items()}
    run, results = numpy_layer.train(cell, exact, threads=1)
    return results(run())


def _cell(runs: Mapping[str, Runs], name: str) -> str:
    if runs[name].left_out:
        return f"{'-':>18}"
    text = readable(runs[name].seconds)
    if name != "fastgru" and not runs["fastgru"].left_out:
        text += f" {runs[name].seconds / runs['fastgru'].seconds:6.2f}x"
    return f"{text:>18}"


def _faster(runs: Mapping[str, Runs], name: str) -> bool:
    if name == "fastgru" or runs[name].left_out or runs["fastgru"].left_out:
        return False
    return runs[name].seconds < runs["fastgru"].seconds
