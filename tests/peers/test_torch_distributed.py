"""DistributedDataParallel over gloo: two processes compute what one does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[1] / "examples"


def torchrun(processes: int, script: Path, *arguments: str) -> str:
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone",
        "--nproc-per-node", str(processes), str(script), *arguments,
    ]  # fmt: skip
    # The example imports its neighbour, which the tests' PYTHONSAFEPATH would prevent.
    folders = [str(EXAMPLES), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(folders)}
    for _ in range(2):
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        # Now and then a thread of PyTorch's own outlives its process' group and aborts the process.
        if "terminate called without an active exception" not in done.stderr:
            break
    assert done.returncode == 0, done.stderr
    return done.stdout


def run_both(script: Path, folder: Path, *options: str) -> list[Any]:
    """Return what the script saves when it runs in one process and in two."""
    found = []
    for processes in (1, 2):
        file = folder / f"{processes}.pt"
        arguments = [str(file)] if not options else [*options, "--save", str(file)]
        torchrun(processes, script, *arguments)
        found.append(torch.load(file))
    return found


def test_gradients(tmp_path):
    one, two = run_both(HERE / "torch_distributed_worker.py", tmp_path)
    assert len(one) == 20
    torch.testing.assert_close(two, one, rtol=1e-10, atol=1e-14)


def test_the_example_trains_to_the_same_weights(tmp_path):
    one, two = run_both(EXAMPLES / "torch_distributed.py", tmp_path, "--steps", "5", "--double")
    torch.testing.assert_close(two["losses"], one["losses"], rtol=1e-10, atol=0)
    torch.testing.assert_close(two["weights"], one["weights"], rtol=1e-7, atol=1e-9)
    assert one["losses"][-1] < one["losses"][0]
