"""The compiled operations of fastgru."""

from __future__ import annotations

import fastgru
from fastgru import ops
from fastgru._bench.peers import numpy_gru
from fastgru._bench.peers.numpy_gru import Arrays, Job


def version() -> str:
    """Return the library's version."""
    return fastgru.__version__


def infer(arrays: Arrays, threads: int) -> Job:
    """Run forward, on packed kernels."""
    return numpy_gru.infer(arrays, threads, ops)


def train(arrays: Arrays, threads: int) -> Job:
    """Run forward and backward; the kernels are packed each time, for they would have changed."""
    return numpy_gru.train(arrays, threads, ops)


def step(arrays: Arrays, threads: int) -> Job:
    """Take a training step of a whole model."""
    return numpy_gru.step(arrays, threads, "compiled")
