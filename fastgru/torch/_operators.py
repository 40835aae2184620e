"""The custom operators `fastgru::recurrent` and `fastgru::recurrent_backward`, and a way past them.

One call of an operator is one layer in one direction. PyTorch knows each operator's shapes (fake
rules) and derivative (autograd rule), so `torch.compile` takes them into its graphs as they are.
Where nobody looks on, `run` computes all layers in one function of autograd instead.

Operators may return tensors only, but a backward pass needs the activations, objects of the core's.
A forward pass therefore makes a ticket: a tensor of one byte whose memory owns the activations.
They live as long as anybody holds the ticket, which autograd does until the graph is freed. Where a
ticket has been copied (hooks that move saved tensors elsewhere), the backward pass does not
recognize it and runs the forward pass again.
"""

# mypy: disable-error-code="no-any-return"
# (What torch returns is Any where it is not installed.)

from __future__ import annotations

import sys
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
import torch
from torch import Tensor

from fastgru.torch import _passes, _second_order
from fastgru.torch._passes import Activations, Kind, Layer, Stack

_library = torch.library.Library("fastgru", "DEF")
_LAYER = (
    "str mode, Tensor x, Tensor w_ih, Tensor w_hh, Tensor? b_ih, Tensor? b_hh, Tensor? h0, "
    "Tensor? c0, Tensor? batch_sizes, bool reverse"
)
_library.define(
    f"recurrent({_LAYER}, bool training) -> (Tensor y, Tensor h_n, Tensor c_n, Tensor ticket)",
    tags=(torch.Tag.pt2_compliant_tag,),
)
_library.define(
    f"recurrent_backward({_LAYER}, Tensor ticket, Tensor? dy, Tensor? dh_n, Tensor? dc_n, "
    "bool input_gradient) -> "
    "(Tensor dx, Tensor dw_ih, Tensor dw_hh, Tensor db_ih, Tensor db_hh, Tensor dh0, Tensor dc0)",
    tags=(torch.Tag.pt2_compliant_tag,),
)
recurrent = torch.ops.fastgru.recurrent.default
recurrent_backward = torch.ops.fastgru.recurrent_backward.default


# ---- tickets -------------------------------------------------------------------------------------


class _TicketMemory(np.ndarray):
    """The byte behind a ticket. A tensor made of it keeps it alive, and it the activations."""

    activations: list[Activations]


_issued: WeakValueDictionary[int, _TicketMemory] = WeakValueDictionary()


def _issue(activations: list[Activations]) -> Tensor:
    memory = _TicketMemory(1, np.uint8)
    memory[0] = 0
    memory.activations = activations
    ticket = torch.from_numpy(memory)
    _issued[ticket.data_ptr()] = memory
    return ticket


def _redeem(ticket: Tensor) -> list[Activations] | None:
    memory = _issued.get(ticket.data_ptr())
    return None if memory is None else memory.activations


# ---- the operators: forward ----------------------------------------------------------------------


def _array(tensor: Tensor | None) -> Any:
    return None if tensor is None else tensor.numpy(force=True)


def _layer(mode: str, *arguments: Any) -> Layer:
    return Layer._make((mode, *map(_array, arguments[:-1]), arguments[-1]))


def _tensor(array: Any, like: Tensor) -> Tensor:
    return like.new_empty(0) if array is None else torch.from_numpy(array)


def _forward(*arguments: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    *layer, training = arguments
    y, h_n, c_n, run = _passes.forward(_layer(*layer), training)
    y, x = np.ascontiguousarray(y), layer[1]
    ticket = x.new_empty(0, dtype=torch.uint8) if run is None else _issue([run])
    return torch.from_numpy(y), torch.from_numpy(h_n), _tensor(c_n, x), ticket


torch.library.register_kernel("fastgru::recurrent", "cpu", _forward, lib=_library)


@torch.library.register_fake("fastgru::recurrent", lib=_library)
def _forward_fake(
    mode: str, x: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None, b_hh: Tensor | None,
    h0: Tensor | None, c0: Tensor | None, batch_sizes: Tensor | None, reverse: bool, training: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    H = w_hh.shape[1]
    if h0 is not None:
        B = h0.shape[0]
    else:
        B = x.shape[1] if batch_sizes is None else torch.library.get_ctx().new_dynamic_size()
    y, h_n = x.new_empty((*x.shape[:-1], H)), x.new_empty((B, H))
    c_n = x.new_empty((B, H) if mode == "lstm" else 0)
    return y, h_n, c_n, x.new_empty(1 if training else 0, dtype=torch.uint8)


# ---- the operators: backward ---------------------------------------------------------------------


def _backward(*arguments: Any) -> tuple[Tensor, ...]:
    *given, ticket, dy, dh_n, dc_n, input_gradient = arguments
    runs, x = _redeem(ticket), given[1]
    run = runs[0] if runs else _passes.forward(_layer(*given), True)[3]
    assert run is not None
    dy, dh_n, dc_n = map(_array, (dy, dh_n, dc_n))
    dx, *gradients = _passes.backward(run, dy, dh_n, dc_n, input_gradient)
    if dx is not None and not run.packed:
        dx = np.ascontiguousarray(dx.swapaxes(0, 1)).swapaxes(0, 1)
    return tuple(_tensor(g, x) for g in (dx, *gradients))


torch.library.register_kernel("fastgru::recurrent_backward", "cpu", _backward, lib=_library)


@torch.library.register_fake("fastgru::recurrent_backward", lib=_library)
def _backward_fake(
    mode: str, x: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None, b_hh: Tensor | None,
    h0: Tensor | None, c0: Tensor | None, batch_sizes: Tensor | None, reverse: bool,
    ticket: Tensor, dy: Tensor | None, dh_n: Tensor | None, dc_n: Tensor | None,
    input_gradient: bool,
) -> tuple[Tensor, ...]:  # fmt: skip
    def empty(like: Tensor | None) -> Tensor:
        return x.new_empty(0 if like is None else like.shape)

    dx = empty(x if input_gradient else None)
    if input_gradient and batch_sizes is None:
        T, B, I = x.shape
        dx = x.new_empty((B, T, I)).transpose(0, 1)
    return dx, *map(empty, (w_ih, w_hh, b_ih, b_hh, h0, c0))


# ---- the operators: derivatives ------------------------------------------------------------------


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    """Save for the backward pass what it takes."""
    mode, *tensors, reverse, _ = inputs
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(*tensors, output[3])
    ctx.mode, ctx.reverse = mode, reverse


def _derive(ctx: Any, dy: Any, dh_n: Any, dc_n: Any, _: Any) -> tuple[Any, ...]:
    """Return the gradients of the arguments of `recurrent`."""
    *tensors, ticket = ctx.saved_tensors
    if ctx.mode != "lstm":
        dc_n = None
    if dy is dh_n is dc_n is None:
        return (None,) * 11
    input_gradient = ctx.needs_input_grad[1]
    dx, *gradients = recurrent_backward(
        ctx.mode, *tensors, ctx.reverse, ticket, dy, dh_n, dc_n, input_gradient
    )
    present = [None if t is None else g for t, g in zip(tensors[1:7], gradients, strict=True)]
    return None, dx if input_gradient else None, *present, None, None, None


torch.library.register_autograd("fastgru::recurrent", _derive, setup_context=_keep, lib=_library)


def _keep_backward(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    mode, *tensors, reverse, _, dy, dh_n, dc_n, _ = inputs
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(*tensors, dy, dh_n, dc_n)
    ctx.mode, ctx.reverse = mode, reverse


def _derive_backward(ctx: Any, *received: Any) -> tuple[Any, ...]:
    """Return the gradients of the arguments of `recurrent_backward`."""
    *tensors, batch_sizes, dy, dh_n, dc_n = ctx.saved_tensors
    of_layer, of_given = _second_order.gradients(
        ctx.mode, tensors, batch_sizes, ctx.reverse, (dy, dh_n, dc_n), received
    )
    return None, *of_layer, None, None, None, *of_given, None


torch.library.register_autograd(
    "fastgru::recurrent_backward", _derive_backward, setup_context=_keep_backward, lib=_library
)


def _run_by_operators(
    kind: Kind, x: Tensor, batch_sizes: Tensor | None, h0: Tensor | None, c0: Tensor | None,
    *weights: Tensor,
) -> tuple[Tensor, Tensor, Tensor | None]:  # fmt: skip
    """Do what `run` does, one operator for each layer and direction."""
    mode, directions, biased, batch_first = kind
    each = 4 if biased else 2
    training = differentiated(x, h0, c0, *weights)
    x = x.transpose(0, 1) if batch_first else x
    h_n, c_n = [], []
    for i in range(0, len(weights) // each, directions):
        outputs = []
        for n in range(i, i + directions):
            w_ih, w_hh, *biases = weights[n * each : (n + 1) * each]
            y, h, c, _ = recurrent(
                mode, x, w_ih, w_hh, *(biases or (None, None)), None if h0 is None else h0[n],
                None if c0 is None else c0[n], batch_sizes, n > i, training,
            )  # fmt: skip
            outputs.append(y)
            h_n.append(h)
            c_n.append(c)
        x = outputs[0] if directions == 1 else torch.cat(outputs, -1)
    y = x.transpose(0, 1) if batch_first else x
    return y, torch.stack(h_n), torch.stack(c_n) if mode == "lstm" else None


# ---- past the dispatcher -------------------------------------------------------------------------


def run(
    kind: Kind, x: Tensor, batch_sizes: Tensor | None, h0: Tensor | None, c0: Tensor | None,
    *weights: Tensor,
) -> tuple[Tensor, Tensor, Tensor | None]:  # fmt: skip
    """Run layers, each on the outputs of the one before; return y, h_n and c_n.

    PyTorch spends about 0.1 ms in calling a custom operator and its derivative. Compilers, dispatch
    modes and subclasses of tensors need that; the usual call does not, and goes through all layers
    at once.

    Parameters
    ----------
    kind : Kind
        Its mode is one of "gru", "lstm", "rnn_tanh", "rnn_relu".
    x : tensor (T, B, I), (B, T, I) or (N, I)
    batch_sizes : int64 tensor (T,), or None
    h0, c0 : tensors (layers * directions, B, H), or None
    weights : tensors
        As torch.nn orders them: of each layer and direction w_ih, w_hh and perhaps b_ih, b_hh.
    """
    given = kind, x, batch_sizes, h0, c0, *weights
    if torch.compiler.is_compiling() or _observed(given):
        return _run_by_operators(*given)
    if differentiated(x, h0, c0, *weights):
        return _Direct.apply(*given)
    y, h_n, c_n, _ = _passes.forward_stack(_stack(*given), False)
    return _results(y, h_n, c_n)


def differentiated(*tensors: Tensor | None) -> bool:
    """Tell whether a backward pass may follow."""
    return torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors)


def _observed(arguments: tuple[Any, ...] = ()) -> bool:
    """Tell whether something is to see each operator that is called."""
    if torch._C._len_torch_dispatch_stack():
        return True
    # Where torch.compile broke its graph, it looks into each function that runs.
    if "torch._dynamo" in sys.modules and torch._C._dynamo.eval_frame.get_eval_frame_callback():
        return True
    return any(isinstance(a, Tensor) and type(a) not in _PLAIN for a in arguments)


_PLAIN = (Tensor, torch.nn.Parameter)


def _stack(kind: Kind, *tensors: Tensor | None) -> Stack:
    x, batch_sizes, h0, c0, *weights = map(_array, tensors)
    return Stack(kind, x, batch_sizes, h0, c0, weights)


def _results(y: Any, h_n: Any, c_n: Any) -> tuple[Tensor, Tensor, Tensor | None]:
    return (
        torch.from_numpy(y),
        torch.from_numpy(h_n),
        None if c_n is None else torch.from_numpy(c_n),
    )


class _Direct(torch.autograd.Function):
    """All layers and directions as one function."""

    @staticmethod
    def forward(ctx: Any, *given: Any) -> tuple[Tensor, Tensor, Tensor | None]:
        y, h_n, c_n, runs = _passes.forward_stack(_stack(*given), True)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*given[1:], _issue(runs))
        ctx.kind = given[0]
        return _results(y, h_n, c_n)

    @staticmethod
    def backward(ctx: Any, *received: Tensor | None) -> tuple[Tensor | None, ...]:
        *tensors, ticket = ctx.saved_tensors
        if all(d is None for d in received):
            return (None,) * (1 + len(tensors))
        if torch.is_grad_enabled() or _observed(received):
            return None, *_derive_by_operators(ctx.kind, tensors, received)
        runs = _redeem(ticket)
        if runs is None:
            runs = _passes.forward_stack(_stack(ctx.kind, *tensors), True)[3]
        dy, dh_n, dc_n = map(_array, received)
        dx, dh0, dc0, weights = _passes.backward_stack(
            runs, ctx.kind, dy, dh_n, dc_n, ctx.needs_input_grad[1]
        )
        states = (None if d is None else torch.from_numpy(d) for d in (dh0, dc0))
        return (
            None, None if dx is None else torch.from_numpy(dx), None, *states,
            *map(torch.from_numpy, weights),
        )  # fmt: skip


def _derive_by_operators(
    kind: Kind, tensors: list[Tensor | None], received: tuple[Tensor | None, ...]
) -> list[Tensor | None]:
    """Return gradients that can be differentiated: those of the same layers, run by operators."""
    create_graph = torch.is_grad_enabled()
    with torch.enable_grad():
        x, batch_sizes, *others = tensors
        x, *others = map(_second_order.alias, (x, *others))
        results = _run_by_operators(kind, x, batch_sizes, *others)
        pairs = [(r, d) for r, d in zip(results, received, strict=True) if d is not None]
        dx, *found = _second_order.differentiate(pairs, [x, *others], create_graph)
    return [dx, None, *found]
