"""The compiled operations of fastgru."""

from __future__ import annotations

import fastgru
from fastgru import ops
from fastgru._bench.peers import numpy_layer
from fastgru._bench.peers.numpy_layer import Arrays, Job


def version() -> str:
    """Return the library's version."""
    return fastgru.__version__


def infer(cell: str, arrays: Arrays, threads: int) -> Job:
    """Run forward, on packed kernels."""
    return numpy_layer.infer(cell, arrays, threads, ops)


def train(cell: str, arrays: Arrays, threads: int) -> Job:
    """Run forward and backward; the kernels are packed each time, for they would have changed."""
    return numpy_layer.train(cell, arrays, threads, ops)


def train_recomputing(cell: str, arrays: Arrays, threads: int) -> Job:
    """Run forward and backward, keeping no gates between the two."""
    return numpy_layer.train(cell, arrays, threads, ops, recompute=True)


def step(cell: str, arrays: Arrays, threads: int) -> Job:
    """Take a training step of a whole model."""
    return numpy_layer.step(cell, arrays, threads, "compiled")
