"""One model in use by many threads at once."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import fastgru
from fastgru.layers import GRU, Dense, Embedding


@pytest.fixture(scope="module")
def model():
    fastgru.set_random_seed(3)
    return fastgru.Sequential(
        [
            Embedding(50, 9, input_length=12),
            GRU(33, return_sequences=True),
            GRU(17),
            Dense(3, activation="sigmoid"),
        ]
    )


def test_threads_that_share_a_model_get_the_bits_of_one(model):
    rng = np.random.default_rng(4)
    requests = [rng.integers(0, 50, (size, 12)) for size in (1, 7, 8, 9, 31, 64, 100) * 20]
    expected = [model.predict(x, verbose=0) for x in requests]
    together = threading.Barrier(4)

    def serve(first):
        together.wait(timeout=60)
        return {i: model.predict(requests[i], verbose=0) for i in range(first, len(requests), 4)}

    # A new copy has not packed its kernels yet: the threads do it all at once.
    model.set_weights(model.get_weights())
    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(serve, range(4)))
    found = {i: y for part in parts for i, y in part.items()}
    assert len(found) == len(requests)
    for i, y in enumerate(expected):
        assert np.ptp(y) > 0
        np.testing.assert_array_equal(found[i], y)


def test_other_threads_run_while_a_model_computes():
    fastgru.set_random_seed(5)
    model = fastgru.Sequential([fastgru.Input((4000, 8)), GRU(128)])
    x = np.random.default_rng(6).normal(size=(64, 4000, 8)).astype(np.float32)
    ticks, begun, ended = 0, threading.Event(), threading.Event()

    def compute():
        begun.set()
        model.predict_on_batch(x)
        ended.set()

    worker = threading.Thread(target=compute)
    worker.start()
    assert begun.wait(timeout=60)
    while not ended.is_set():
        ticks += 1
        time.sleep(0.001)
    worker.join(timeout=60)
    # One call into the core takes a hundred milliseconds: with the lock held it would be one tick.
    assert ticks >= 5
