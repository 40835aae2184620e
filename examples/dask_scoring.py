"""Score many sequences in several processes with Dask; on a cluster it is the same code.

    pip install 'dask[array,distributed]'
    python examples/dask_scoring.py

A model pickles small and computes outside Python's global lock, so Dask needs nothing of ours: send
it the model, map ``predict`` over parts of the data. The results have the same bits as in one
process, however the data is cut.
"""

from __future__ import annotations

import argparse
import os
import pickle
import time

# One thread for each process: they share the cores already. Workers inherit it.
os.environ.setdefault("FASTGRU_NUM_THREADS", "1")

import dask.array as da
import numpy as np
from dask import delayed
from dask.distributed import Client, LocalCluster

import fastgru
from fastgru.layers import GRU, Dense, Embedding

WORDS, LENGTH = 100, 30


def make_model() -> fastgru.Sequential:
    """Return a model that has learnt whether sequences hold more high ids than low ones."""
    fastgru.set_random_seed(1)
    rng = np.random.default_rng(0)
    ids = rng.integers(0, WORDS, (2000, LENGTH))
    labels = (ids >= WORDS // 2).mean(axis=1) > 0.5
    model = fastgru.Sequential(
        [Embedding(WORDS, 16, input_length=LENGTH), GRU(32), Dense(1, activation="sigmoid")]
    )
    model.compile(fastgru.optimizers.Adam(0.01), "binary_crossentropy")
    model.fit(ids, labels, epochs=8, verbose=0)
    return model


def score(block: np.ndarray, model: fastgru.Sequential) -> np.ndarray:
    """Score a part of the data: runs in a worker."""
    return model.predict(block, batch_size=256, verbose=0)


def main() -> None:
    """Train here, score in two processes."""
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    model = make_model()
    print(f"the model is {len(pickle.dumps(model)) / 1000:.0f} kB")
    data = np.random.default_rng(1).integers(0, WORDS, (20_000, LENGTH))
    expected = score(data, model)

    # Any array that Dask can read in parts will do: files, a database, another machine's memory.
    ids = da.from_array(data, chunks=(2_500, LENGTH))
    workers = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
    with workers, Client(workers):
        start = time.perf_counter()
        # delayed: the model travels once, not with each block.
        scores = ids.map_blocks(
            score, delayed(model), chunks=(ids.chunks[0], (1,)), meta=expected[:0]
        ).compute()
        seconds = time.perf_counter() - start
    same = np.array_equal(scores, expected)
    print(
        f"{len(scores)} sequences scored in {seconds:.2f} s: {np.mean(scores > 0.5):.0%} positive"
    )
    print(f"the same bits as in one process: {same}")


if __name__ == "__main__":
    main()
