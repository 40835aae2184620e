"""Running a model while looking on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgru import backend
from fastgru.layers.nesting import held_by
from fastgru.tracing.traces import GRUTrace, LayerTrace, LSTMTrace, SimpleRNNTrace, Trace

if TYPE_CHECKING:
    from fastgru.layers.base import Layer
    from fastgru.models.network import Network


def trace(model: Network | Layer, x: Any, mask: Any = None) -> Trace:
    """Run a model and keep every gate and state of its recurrent layers.

    The layers run on `fastgru.reference`, step by step in NumPy; what they give differs from what
    the compiled operations give by rounding. Dropout does not drop. States that stateful layers
    keep are as they were before.

    Parameters
    ----------
    model : Model or Layer
        The model, or a layer alone. One that is not built is built by the shape of `x`.
    x : array_like
        What the model is called with: one batch of samples. Take few, since everything is kept:
        B T H numbers for each gate.
    mask : bool array_like, shape (B, T), optional
        For the first layer, as in a call.

    Returns
    -------
    Trace
        By the name of a recurrent layer, its gates and states; and the model's output.

    Raises
    ------
    ValueError, TypeError
        If `x` does not fit the model.

    Examples
    --------
    >>> import fastgru, numpy as np
    >>> from fastgru.layers import GRU, Dense, Embedding
    >>> model = fastgru.Sequential([Embedding(15, 8, input_length=10), GRU(32), Dense(1)])
    >>> trace = fastgru.trace(model, np.arange(10)[None])
    >>> trace["gru"].z.shape
    (1, 10, 32)
    """
    if not callable(model) or isinstance(model, type):
        raise TypeError(f"model: expected a model or a layer, got {model!r}")
    recorder = Recorder(named_cells(model))
    with unchanged_states(model), backend.using(recorder):
        output = model(x) if mask is None else model(x, mask=mask)
    # Layers may hold on to the recorder for a while, since it packed their kernels.
    layers, recorder.layers = recorder.layers, {}
    return Trace(layers, output)


class _Kernels:
    """Kernels as a layer keeps them, packed for nobody: it is known whose they are."""

    def __init__(self, kernel: np.ndarray, recurrent_kernel: np.ndarray) -> None:
        self.kernel, self.recurrent_kernel = kernel, recurrent_kernel


class Recorder:
    """The reference's operations, with an eye on the recurrent ones.

    Parameters
    ----------
    cells : list of (str, Cell)
        The cells of a model with the names of their layers.

    Attributes
    ----------
    layers : dict of str to LayerTrace
        What happened, in the order it did.
    """

    def __init__(self, cells: list[tuple[str, Any]]) -> None:
        from fastgru import reference

        self.reference = reference
        self.layers: dict[str, LayerTrace] = {}
        self._cells = cells
        self._times: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        """Return one of the reference's operations."""
        return getattr(self.reference, name)

    def keep(self, kernel: Any, made: LayerTrace) -> None:
        """Take in what happened in the layer that has a kernel."""
        used = kernel.kernel if isinstance(kernel, _Kernels) else kernel
        name = next((n for n, cell in self._cells if cell.kernel.array is used), "a layer")
        self._times[name] += 1
        made.name = name if self._times[name] == 1 else f"{name}:{self._times[name]}"
        self.layers[made.name] = made

    def pack_gru(self, kernel: np.ndarray, recurrent_kernel: np.ndarray, **_: Any) -> _Kernels:
        """Pack nothing."""
        return _Kernels(kernel, recurrent_kernel)

    pack_lstm = pack_simple_rnn = pack_gru

    def gru_forward(self, x: Any, kernel: Any, *arguments: Any, **options: Any) -> Any:
        """Run and keep a GRU."""
        y, h, cache = self._run("gru_forward", x, kernel, *arguments, **options)
        mask, gates = options.get("mask"), _by_time(cache, cache.gates)
        z, r, n = (_shown(gates[:, :, i], mask) for i in range(3))
        own = {"z": z, "r": r, "candidate": n, "update_gate": cache.update_gate}
        self.keep(kernel, GRUTrace(**_common(cache, x, mask), **own))
        return y, h, None

    def lstm_forward(self, x: Any, kernel: Any, *arguments: Any, **options: Any) -> Any:
        """Run and keep an LSTM."""
        y, h, c, cache = self._run("lstm_forward", x, kernel, *arguments, **options)
        mask, gates = options.get("mask"), _by_time(cache, cache.gates)
        i, f, g, o = (_shown(gates[:, :, k], mask) for k in range(4))
        c_after, c0 = _by_time(cache, cache.cells[len(x) :]), cache.cells[: len(x)].copy()
        own = {"i": i, "f": f, "candidate": g, "o": o, "c": c_after, "c0": c0}
        self.keep(kernel, LSTMTrace(**_common(cache, x, mask), **own))
        return y, h, c, None

    def simple_rnn_forward(self, x: Any, kernel: Any, *arguments: Any, **options: Any) -> Any:
        """Run and keep a simple recurrent layer."""
        y, h, cache = self._run("simple_rnn_forward", x, kernel, *arguments, **options)
        self.keep(kernel, SimpleRNNTrace(**_common(cache, x, options.get("mask"))))
        return y, h, None

    def _run(self, operation: str, x: Any, kernel: Any, *arguments: Any, **options: Any) -> Any:
        """Run an operation as in training, so that it leaves its cache."""
        if isinstance(kernel, _Kernels):
            arguments = (kernel.recurrent_kernel, *arguments[1:])
            kernel = kernel.kernel
        run = getattr(self.reference, operation)
        return run(x, kernel, *arguments, **{**options, "training": True})


def _by_time(cache: Any, rows: np.ndarray) -> np.ndarray:
    """Return rows in the order of processing, (T B, …), as (B, T, …) in that of the input."""
    batch, time = cache.recurrence.shape[:2]
    steps = rows.reshape(time, batch, *rows.shape[1:])
    ordered = steps[::-1] if cache.recurrence.go_backwards else steps
    return np.ascontiguousarray(np.swapaxes(ordered, 0, 1))


def _common(cache: Any, x: np.ndarray, mask: np.ndarray | None) -> dict[str, Any]:
    """Return what all traces have."""
    states, batch = cache.states, len(x)
    return {
        "x": x,
        "h": _by_time(cache, states[batch:]),
        "h0": states[:batch].copy(),
        "mask": mask,
        "go_backwards": cache.recurrence.go_backwards,
    }


def _shown(gate: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    """Return a gate with NaN where no step was taken."""
    return gate.copy() if mask is None else np.where(mask[:, :, None], gate, np.nan)


# ---- the layers of a model -----------------------------------------------------------------------


def named_cells(model: Any) -> list[tuple[str, Any]]:
    """Return the cells in a model with the names of their layers: ``"both/forward_gru"``."""
    return [(name, layer.cell) for name, layer in _recurrent(model)]


def _recurrent(thing: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if hasattr(thing, "cell"):
        yield prefix or thing.name, thing
        return
    for _, layer in held_by(thing):
        yield from _recurrent(layer, f"{prefix}/{layer.name}" if prefix else layer.name)


@contextmanager
def unchanged_states(model: Any) -> Iterator[None]:
    """Leave the states of stateful layers as they were."""
    kept = [(layer, layer.states) for _, layer in _recurrent(model) if layer.stateful]
    try:
        yield
    finally:
        for layer, states in kept:
            layer.states = states
