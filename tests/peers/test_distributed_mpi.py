"""Training in two processes with MPI: gradients and result are those of one process."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fastgru

SCRIPT = Path(__file__).parents[2] / "examples" / "mpi_training.py"

# In double precision only the order of additions differs: 1e-12 of the largest is far above that,
# and far below any wrong weighting of unequal shares.
TOLERANCE = 1e-12

PROGRAM = """
import runpy, sys
import numpy as np
from mpi4py import MPI

page = runpy.run_path(sys.argv[1])
world = MPI.COMM_WORLD
# Batches of 33 rows fall into shares of 17 and 16; the last has one row: a share is empty.
x, y = page["make_data"](100, steps=9)
model = page["make_model"](units=17, dtype="float64")
batch = np.arange(33)
mine = batch[world.rank :: world.size]
loss = page["shared_gradients"](model, x[mine], y[mine], 33, world)
first = model.gradients.copy()
losses = page["train"](model, x, y, world, epochs=3, batch_size=33)
np.savez(
    f"{sys.argv[2]}_{world.rank}.npz", ranks=world.size, loss=loss, gradients=first,
    losses=losses, weights=np.concatenate([w.ravel() for w in model.get_weights()]),
)
"""


def mpirun(ranks, *command):
    """Run a command in some processes, with the mpirun that belongs to this Python."""
    folder = os.path.dirname(sys.executable)
    path = os.pathsep.join([folder, os.environ["PATH"]])
    launcher = shutil.which("mpirun", path=path)
    assert launcher is not None, "no mpirun: pip install mpich"
    environment = {
        **os.environ,
        "PATH": path,
        "PYTHONPATH": str(Path(fastgru.__file__).parents[1]),
        "FASTGRU_NUM_THREADS": "1",
        # Open MPI asks for these where users are root, or cores are few.
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
    }
    done = subprocess.run(
        [launcher, "-n", str(ranks), sys.executable, *map(str, command)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """What one process found, and each of two."""
    folder = tmp_path_factory.mktemp("mpi")
    program = folder / "program.py"
    program.write_text(PROGRAM)
    found = {}
    for ranks in (1, 2):
        mpirun(ranks, program, SCRIPT, folder / f"of_{ranks}")
        found[ranks] = [dict(np.load(folder / f"of_{ranks}_{r}.npz")) for r in range(ranks)]
    return found


def close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE * np.abs(expected).max())


def test_two_processes_took_part(runs):
    assert [int(run["ranks"]) for run in runs[1]] == [1]
    assert [int(run["ranks"]) for run in runs[2]] == [2, 2]


def test_gradients_and_loss_of_unequal_shares_are_those_of_one_process(runs):
    (alone,) = runs[1]
    assert np.count_nonzero(alone["gradients"]) > 0.9 * alone["gradients"].size
    for run in runs[2]:
        close(run["gradients"], alone["gradients"])
        close(run["loss"], alone["loss"])


def test_the_result_is_that_of_one_process(runs):
    (alone,) = runs[1]
    assert alone["losses"][-1] < alone["losses"][0]
    for run in runs[2]:
        close(run["losses"], alone["losses"])
        # Adam divides by the size of gradients: where they are near zero it magnifies rounding.
        np.testing.assert_allclose(run["weights"], alone["weights"], rtol=0, atol=1e-9)


def test_both_processes_hold_the_same_model(runs):
    a, b = runs[2]
    np.testing.assert_array_equal(a["weights"], b["weights"])


def test_the_example_runs_and_learns():
    output = mpirun(2, SCRIPT)
    assert "2 processes" in output
    error, baseline = (
        float(part.split()[-1]) for part in output.splitlines()[-1].split("error")[1].split(";")
    )
    assert error < baseline / 2
