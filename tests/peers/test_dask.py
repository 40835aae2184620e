"""Scoring under Dask: the example, and every kind of scheduler."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import dask
import dask.array as da
import dask.bag as db
import numpy as np
import pytest

import fastgru
from fastgru.layers import GRU, Dense, Embedding

SCRIPT = Path(__file__).parents[2] / "examples" / "dask_scoring.py"


@pytest.fixture(scope="module")
def model():
    fastgru.set_random_seed(7)
    return fastgru.Sequential([Embedding(31, 9, input_length=8), GRU(17), Dense(2)])


def score(block, model):
    return model.predict(block, verbose=0)


@pytest.mark.parametrize("scheduler", ["synchronous", "threads", "processes"])
def test_parts_of_an_array_have_the_bits_of_the_whole(model, scheduler):
    ids = np.random.default_rng(8).integers(0, 31, (100, 8))
    blocks = da.from_array(ids, chunks=(33, 8))
    expected = score(ids, model)
    scores = blocks.map_blocks(
        score, dask.delayed(model), chunks=(blocks.chunks[0], (2,)), meta=expected[:0]
    )
    with dask.config.set(scheduler=scheduler, num_workers=2):
        found = scores.compute()
    assert np.ptp(expected) > 0
    np.testing.assert_array_equal(found, expected)


def test_a_bag_of_records(model):
    ids = np.random.default_rng(9).integers(0, 31, (40, 8))
    bag = db.from_sequence(list(ids), npartitions=3)
    scored = bag.map_partitions(lambda rows: list(score(np.stack(rows), model)))
    found = scored.compute(scheduler="threads")
    np.testing.assert_array_equal(np.stack(found), score(ids, model))


def test_the_example_on_a_cluster_of_two_processes():
    package = str(Path(fastgru.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, str(SCRIPT)],
        env={**os.environ, "PYTHONPATH": package},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "20000 sequences scored" in done.stdout
    assert "the same bits as in one process: True" in done.stdout


def test_the_example_model_has_learnt():
    page = runpy.run_path(str(SCRIPT))
    ids = np.random.default_rng(2).integers(0, page["WORDS"], (500, page["LENGTH"]))
    labels = (ids >= page["WORDS"] // 2).mean(axis=1) > 0.5
    right = (page["score"](ids, page["make_model"]())[:, 0] > 0.5) == labels
    assert right.mean() > 0.8
