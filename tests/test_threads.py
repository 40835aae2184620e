"""The number of threads: setting it, its default, and that the results don't depend on it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import fastgru
from fastgru import _random, _threads, layers, ops
from fastgru.layers import base


@pytest.fixture(autouse=True)
def same_number_afterwards():
    before = fastgru.get_num_threads()
    yield
    fastgru.set_num_threads(before)


def problem(batch: int, steps: int, inputs: int, units: int):
    rng = np.random.default_rng(7)

    def draw(*shape: int):
        return (rng.standard_normal(shape) / np.sqrt(shape[-1])).astype(np.float32)

    x, h0, dy = draw(batch, steps, inputs), draw(batch, units), draw(batch, steps, units)
    return x, draw(inputs, 3 * units), draw(units, 3 * units), draw(2, 3 * units), h0, dy


def run(*arguments):
    *arrays, dy = arguments
    y, h_n, cache = ops.gru_forward(*arrays, training=True)
    inference, _, _ = ops.gru_forward(*arrays)
    return y, h_n, inference, *ops.gru_backward(dy, cache)


# The first shares its rows among the threads, the second its units.
SHAPES = [(23, 20, 17, 41), (2, 40, 50, 300)]


def test_many_callers_at_once():
    fastgru.set_num_threads(2)
    problems = [problem(*shape) for shape in SHAPES * 2]
    expected = [[a.tobytes() for a in run(*arguments)] for arguments in problems]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            for results, right in zip(pool.map(lambda a: run(*a), problems), expected, strict=True):
                assert [a.tobytes() for a in results] == right


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_starts_threads_of_its_own():
    fastgru.set_num_threads(2)
    arguments = problem(*SHAPES[0])
    expected = run(*arguments)[0].tobytes()
    child = os.fork()
    if child == 0:
        os._exit(0 if run(*arguments)[0].tobytes() == expected else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_waits_for_no_thread_of_its_parent():
    """Locks that another thread holds while a process forks stay locked in the child for ever."""
    fastgru.set_random_seed(5)
    x, y = np.ones((4, 3, 2), np.float32), np.ones((4, 1), np.float32)
    model = fastgru.Sequential(
        [layers.Input((3, 2)), layers.Dropout(0.5), layers.GRU(4), layers.Dense(1)]
    )
    model.compile("adam", "mse")
    model.fit(x, y, verbose=0)
    own = model.layers[0].seed_generator.generator
    held = [_random.generator().bit_generator.lock, own.bit_generator.lock, base._building]
    locked, done = threading.Event(), threading.Event()

    def hold() -> None:
        with held[0], held[1], held[2]:
            locked.set()
            done.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    locked.wait()
    place = _random.generator().bit_generator.state
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        same = _random.generator().bit_generator.state == place
        model.fit(x, y, verbose=0)
        layers.GRU(4)(x)
        os._exit(0 if same else 1)
    done.set()
    thread.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="needs Linux' /proc")
def test_importing_starts_no_thread():
    script = "import fastgru.ops, os; print(len(os.listdir('/proc/self/task')))"
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    out = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=True
    )
    assert int(out.stdout) == 1


@pytest.mark.parametrize("count", [0, -3])
def test_a_number_below_one_is_refused(count: int):
    before = fastgru.get_num_threads()
    with pytest.raises(ValueError, match=f"count: expected at least 1, got {count}"):
        fastgru.set_num_threads(count)
    assert fastgru.get_num_threads() == before


def test_more_than_the_pool_has_count_as_all():
    fastgru.set_num_threads(_threads.MOST_THREADS + 36)
    assert fastgru.get_num_threads() == _threads.MOST_THREADS
    pool = (Path(__file__).parents[1] / "csrc" / "team.c").read_text(encoding="utf-8")
    assert f"MOST_MEMBERS = {_threads.MOST_THREADS}," in pool


def test_a_fraction_is_refused():
    with pytest.raises(TypeError, match="count: expected an integer, got float"):
        fastgru.set_num_threads(1.5)  # type: ignore[arg-type]


def threads_with(**environment: str) -> subprocess.CompletedProcess[str]:
    unset = {"FASTGRU_NUM_THREADS", "OMP_NUM_THREADS"}
    clean = {name: value for name, value in os.environ.items() if name not in unset}
    return subprocess.run(
        [sys.executable, "-c", "import fastgru; print(fastgru.get_num_threads())"],
        capture_output=True,
        text=True,
        env={**clean, **environment},
    )


def test_the_environment_sets_the_default():
    assert threads_with(FASTGRU_NUM_THREADS="3").stdout == "3\n"
    assert threads_with(OMP_NUM_THREADS="5,2").stdout == "5\n"
    assert threads_with(FASTGRU_NUM_THREADS="2", OMP_NUM_THREADS="5").stdout == "2\n"
    refused = threads_with(FASTGRU_NUM_THREADS="many")
    assert refused.returncode != 0
    assert "FASTGRU_NUM_THREADS: expected a positive integer, got 'many'" in refused.stderr


def test_the_default_is_what_the_process_may_use():
    if hasattr(os, "sched_getaffinity"):
        assert 1 <= int(threads_with().stdout) <= len(os.sched_getaffinity(0))
