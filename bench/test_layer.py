"""A recurrent layer and a small model in every library that is installed, a group for each case.

Forward (infer), forward and backward (train), and a training step of Embedding, the layer, Dense,
loss and Adam (step). All run in this process, on one thread. Each is verified against the NumPy
reference before it is timed.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable
from types import ModuleType
from typing import Any

import cells
import model_steps
import numpy as np
import pytest
from cases import run_recurrent

from fastgru import reference
from fastgru._bench.compare import RESULTS, TOLERANCE
from fastgru._bench.workers import PEERS

INSTALLED = [name for name, peer in PEERS.items() if importlib.util.find_spec(peer.module)]
TRAINING = [name for name in INSTALLED if PEERS[name].trains]
# What other libraries warn of is theirs.
pytestmark = pytest.mark.filterwarnings("ignore")

Arrays = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def library(request: pytest.FixtureRequest) -> ModuleType:
    """Import a library's adapter, and with it the library."""
    peer = PEERS[request.param]
    spec = importlib.util.spec_from_file_location(f"{request.param}_adapter", peer.adapter)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@functools.lru_cache(maxsize=1)  # the large ones are large
def layer(cell: str, shape: str) -> tuple[Arrays, Any]:
    """Return the arrays of a layer of a shape, and the right results, in float64."""
    case = cells.grid(cell)[shape]
    arrays = case.arrays() | {"dy": case.gradients()[0]}
    return arrays, run_recurrent(reference, case, "float64")


def prepared(
    library: ModuleType, job: str, cell: str, arrays: Arrays, right: Any
) -> Callable[[], Any]:
    """Return what runs a job, after it was seen to do it right."""
    try:
        run, results = getattr(library, job)(cell, arrays, threads=1)
    except NotImplementedError as reason:
        pytest.skip(str(reason))
    run()  # the second run is what counts: something may be kept between two
    got = results(run())
    for name in RESULTS[job]:
        assert got[name].shape == right[name].shape, name
        error = np.abs(got[name] - right[name]).max() / np.abs(right[name]).max()
        assert error <= TOLERANCE[job], f"{name} is wrong by {error:.1e} of the largest element"
    return run


@pytest.mark.parametrize("library", INSTALLED, indirect=True)
def test_forward(benchmark: Any, cell: str, shape: str, library: ModuleType) -> None:
    time_it(benchmark, library, "infer", cell, shape, *layer(cell, shape))


@pytest.mark.parametrize("library", TRAINING, indirect=True)
def test_forward_and_backward(benchmark: Any, cell: str, shape: str, library: ModuleType) -> None:
    time_it(benchmark, library, "train", cell, shape, *layer(cell, shape))


@pytest.mark.parametrize("library", TRAINING, indirect=True)
@pytest.mark.parametrize("model", model_steps.VOCABULARIES)
def test_training_step_of_a_model(
    benchmark: Any, cell: str, model: str, library: ModuleType
) -> None:
    arrays = model_steps.make_arrays(model, cell)
    right = {"loss": model_steps.right_loss(arrays, cell)}
    time_it(benchmark, library, "step", cell, model, arrays, right)


def time_it(
    benchmark: Any,
    library: ModuleType,
    job: str,
    cell: str,
    shape: str,
    arrays: Arrays,
    right: Any,
) -> None:
    """Benchmark a job of a library, in the group of its case, after it was verified."""
    benchmark.group = f"{cell} {job} {shape}"
    benchmark.extra_info["library"] = library.version()
    benchmark(prepared(library, job, cell, arrays, right))
