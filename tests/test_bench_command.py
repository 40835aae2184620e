"""`python -m fastgru bench`, and the processes in which it runs each library."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from fastgru.__main__ import main
from fastgru._bench import command, machine
from fastgru._bench.compare import Libraries, Runs, compare, readable
from fastgru._bench.quiet import Watch
from fastgru._bench.workers import CELLS, PEERS, LeftOut, Peer, Worker

ADAPTER = """
import os, sys
import numpy as np

def version():
    print("a library that prints")
    return "1.2"

def infer(cell, arrays, threads):
    {body}
    return lambda: None, lambda _: {{"y": {y}}}
"""
RIGHT = "arrays['x'][..., :3]"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "SECONDS", 0.001)
    monkeypatch.setattr(command, "ROUNDS", 2)


def library(folder: Path, name: str, body: str = "", y: str = RIGHT) -> Peer:
    """Return a library whose infer does `body` and gives `y`."""
    path = folder / f"{name}_adapter.py"
    path.write_text(ADAPTER.format(body=body or "pass", y=y))
    return Peer(path, name)


def inputs(folder: Path) -> Path:
    """Save an x (2, 4, 5) and return the file's path."""
    x = np.random.default_rng(1).normal(size=(2, 4, 5))
    np.savez(folder / "inputs.npz", x=x.astype(np.float32))
    return folder / "inputs.npz"


def run(folder: Path, **libraries: Peer) -> dict[str, Runs]:
    """Compare libraries whose right result is RIGHT."""
    path = inputs(folder)
    with np.load(path) as saved:
        right = {"y": saved["x"][..., :3].astype(np.float64)}
    with Libraries(libraries, 1) as started:
        return compare(started, "infer", path, right, rounds=3, seconds=0.001)


# ---- the command ---------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", CELLS)
def test_prints_a_table_of_what_is_asked_for(cell: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["bench", "--shapes", "tutorial", "--libraries", "numpy", "--cell", cell]
    assert main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    title, _, _, names, infer, train, _, versions, *_ = lines  # and what is faster, if anything
    assert f"{cell}, 1 thread" in title and machine.cpu_name() in title
    assert names.split() == ["fastgru", "numpy"]
    assert infer.startswith("infer tutorial") and train.startswith("train tutorial")
    assert infer.count("µs") + infer.count("ms") == 2
    assert infer.endswith("x") and train.endswith("x")
    assert f"numpy {np.__version__}" in versions


def test_names_what_is_faster(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    made = {"fastgru": Runs(rounds=[2.0]), "numpy": Runs(rounds=[1.0])}
    monkeypatch.setattr(command, "compare", lambda *args, **kwargs: made)
    assert main(["bench", "--shapes", "tutorial", "--libraries", "numpy"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == "Faster than fastgru: numpy in infer tutorial, numpy in train tutorial."


def test_a_library_that_is_not_installed_is_left_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "absent_adapter.py").write_text("import absent_library")
    absent = Peer(tmp_path / "absent_adapter.py", "absent_library")
    monkeypatch.setitem(command.PEERS, "absent", absent)
    assert main(["bench", "--shapes", "tutorial", "--libraries", "absent"]) == 0
    assert "No module named 'absent_library'" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "required: COMMAND"),
        (["bnech"], "invalid choice: 'bnech'"),
        (["bench", "--cell", "rnn"], "invalid choice: 'rnn'"),
        (["bench", "--shapes", "huge"], "invalid choice: 'huge'"),
        (["bench", "--libraries", "pytorch"], "invalid choice: 'pytorch'"),
        (["bench", "--threads", "0"], "expected a number from 1 to"),
        (["bench", "--threads", "99999"], "expected a number from 1 to"),
        (["bench", "--threads", "two"], "got 'two'"),
        (["bench", "--quick"], "unrecognized arguments: --quick"),
    ],
)
def test_refuses_unknown_arguments(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_runs_as_a_module() -> None:
    command = [sys.executable, "-m", "fastgru", "config"]
    assert "isa" in subprocess.run(command, capture_output=True, text=True, check=True).stdout


# ---- the processes -------------------------------------------------------------------------------


def test_times_what_is_right_and_leaves_out_the_rest(tmp_path: Path) -> None:
    runs = run(
        tmp_path,
        right=library(tmp_path, "right"),
        wrong=library(tmp_path, "wrong", y=f"1.01 * {RIGHT}"),
        shape=library(tmp_path, "shape", y="arrays['x']"),
        nan=library(tmp_path, "nan", y=f"np.nan * {RIGHT}"),
        refuses=library(tmp_path, "refuses", "raise NotImplementedError('not me')"),
        fails=library(tmp_path, "fails", "raise ValueError('oh')"),
        dies=library(tmp_path, "dies", "os.abort()"),
        leaves=library(tmp_path, "leaves", "os.write(2, b'out of luck'); os._exit(3)"),
    )
    right = runs.pop("right")
    assert right.version == "1.2" and len(right.rounds) == 3 and right.error < 1e-6
    assert all(run.rounds == [] for run in runs.values())
    assert "wrong by 1.0e-02" in runs["wrong"].left_out
    assert "another shape" in runs["shape"].left_out
    assert "wrong by nan" in runs["nan"].left_out
    assert runs["refuses"].left_out == "not me"
    assert runs["fails"].left_out == "ValueError: oh"
    assert "died (SIGABRT)" in runs["dies"].left_out
    assert "died (status 3): out of luck" in runs["leaves"].left_out


def test_a_library_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    slow = library(tmp_path, "slow", "import time; time.sleep(60)")
    with Worker(slow) as worker:
        where = {"inputs": str(inputs(tmp_path)), "outputs": str(tmp_path / "outputs.npz")}
        with pytest.raises(LeftOut, match="no answer in 0.2 s"):
            worker.ask("prepare", cell="gru", job="infer", timeout=0.2, **where)
        assert not worker.alive


@pytest.mark.skipif(sys.platform != "linux", reason="known on Linux only")
def test_no_process_outlives_a_parent_that_is_killed(tmp_path: Path) -> None:
    adapter = library(tmp_path, "any").adapter
    program = f"""
import pathlib, time
from fastgru._bench.workers import Peer, Worker
worker = Worker(Peer(pathlib.Path({str(adapter)!r}), "any"))
print(worker.id, flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        worker = Path("/proc", parent.stdout.readline().decode().strip())
        assert worker.exists()
        parent.kill()
    for _ in range(100):
        try:
            if (worker / "stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return  # dead, but nobody asked yet
        except FileNotFoundError:
            return
        time.sleep(0.05)
    raise AssertionError("it is still there")


def test_threads_and_cores_are_pinned(tmp_path: Path) -> None:
    body = "assert (threads, os.environ['OMP_NUM_THREADS']) == (1, '1'); "
    body += "assert len(os.sched_getaffinity(0)) == 1"
    runs = run(tmp_path, pinned=library(tmp_path, "pinned", body))
    assert runs["pinned"].left_out == ""


def test_more_threads_than_cores_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LeftOut, match="cores are usable"):
        Worker(library(tmp_path, "any"), threads=10_000)


def test_every_library_has_an_adapter() -> None:
    for name, peer in PEERS.items():
        text = peer.adapter.read_text()
        assert all(f"def {job}(" in text for job in ("version", "infer", "train")), name


def test_times_have_three_digits_and_a_unit() -> None:
    times = (1.5e-6, 12.84e-6, 999e-6, 1.2e-3, 0.1, 2.5)
    assert [readable(seconds) for seconds in times] == [
        "1.50 µs", "12.8 µs", "999 µs", "1.20 ms", "100 ms", "2.50 s",
    ]  # fmt: skip


def test_the_facts_of_the_machine() -> None:
    facts = machine.facts()
    assert facts["cpu"] and facts["isa"] and facts["numpy"] == np.__version__
    assert len(machine.usable_cores()) == facts["cores"]


@pytest.mark.skipif(sys.platform != "linux", reason="known on Linux only")
def test_sees_that_a_process_waits_for_its_core() -> None:
    core = machine.usable_cores()[0]
    spin = f"import os\nos.sched_setaffinity(0, [{core}])\nwhile True: pass"
    command = [sys.executable, "-c", spin]
    with subprocess.Popen(command) as one, subprocess.Popen(command) as other:
        time.sleep(0.3)
        watch = Watch(one.pid)
        time.sleep(1)
        waiting = watch.waiting()
        one.kill()
        other.kill()
    assert 0.2 < waiting < 1.1
