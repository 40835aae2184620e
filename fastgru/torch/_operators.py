"""The custom operators `fastgru::recurrent` and `fastgru::recurrent_backward`.

One call is one layer in one direction. PyTorch knows each operator's shapes (fake rules) and
derivative (autograd rule), so `torch.compile` takes them into its graphs as they are.

Operators may return tensors only, but a backward pass needs the activations, an object of the
core's. A forward pass therefore returns a ticket: a tensor of one byte whose memory owns the
activations. They live as long as anybody holds the ticket, which autograd does until the graph is
freed. Where a ticket has been copied (hooks that move saved tensors elsewhere), the backward pass
does not recognize it and runs the forward pass again.
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
from fastgru.torch._passes import Activations, Layer

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
    f"recurrent_backward({_LAYER}, Tensor ticket, Tensor? dy, Tensor? dh_n, Tensor? dc_n) -> "
    "(Tensor dx, Tensor dw_ih, Tensor dw_hh, Tensor db_ih, Tensor db_hh, Tensor dh0, Tensor dc0)",
    tags=(torch.Tag.pt2_compliant_tag,),
)
recurrent = torch.ops.fastgru.recurrent.default
recurrent_backward = torch.ops.fastgru.recurrent_backward.default


# ---- tickets -------------------------------------------------------------------------------------


class _TicketMemory(np.ndarray):
    """The byte behind a ticket. A tensor made of it keeps it alive, and it the activations."""

    activations: Activations


_issued: WeakValueDictionary[int, _TicketMemory] = WeakValueDictionary()


def _issue(activations: Activations | None) -> Tensor:
    if activations is None:
        return torch.empty(0, dtype=torch.uint8)
    memory = np.zeros(1, np.uint8).view(_TicketMemory)
    memory.activations = activations
    ticket = torch.from_numpy(memory)
    _issued[ticket.data_ptr()] = memory
    return ticket


def _redeem(ticket: Tensor) -> Activations | None:
    memory = _issued.get(ticket.data_ptr())
    return None if memory is None else memory.activations


# ---- the forward pass ----------------------------------------------------------------------------


def _array(tensor: Tensor | None) -> Any:
    return None if tensor is None else tensor.numpy(force=True)


def _layer(mode: str, *arguments: Any) -> Layer:
    return Layer._make((mode, *map(_array, arguments[:-1]), arguments[-1]))


def _tensor(array: Any, like: Tensor) -> Tensor:
    return like.new_empty(0) if array is None else torch.from_numpy(array)


def _forward(*arguments: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    *layer, training = arguments
    y, h_n, c_n, activations = _passes.forward(_layer(*layer), training)
    x = layer[1]
    return torch.from_numpy(y), torch.from_numpy(h_n), _tensor(c_n, x), _issue(activations)


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


# ---- the backward pass ---------------------------------------------------------------------------


def _backward(*arguments: Any) -> tuple[Tensor, ...]:
    *given, ticket, dy, dh_n, dc_n = arguments
    layer, x = _layer(*given), given[1]
    activations = _redeem(ticket)
    if activations is None:
        activations = _passes.forward(layer, True)[3]
        assert activations is not None
    gradients = _passes.backward(layer, activations, *map(_array, (dy, dh_n, dc_n)))
    return tuple(_tensor(g, x) for g in gradients)


torch.library.register_kernel("fastgru::recurrent_backward", "cpu", _backward, lib=_library)


@torch.library.register_fake("fastgru::recurrent_backward", lib=_library)
def _backward_fake(
    mode: str, x: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None, b_hh: Tensor | None,
    h0: Tensor | None, c0: Tensor | None, batch_sizes: Tensor | None, reverse: bool,
    ticket: Tensor, dy: Tensor | None, dh_n: Tensor | None, dc_n: Tensor | None,
) -> tuple[Tensor, ...]:  # fmt: skip
    def empty(like: Tensor | None) -> Tensor:
        return x.new_empty(0 if like is None else like.shape)

    if batch_sizes is None:
        T, B, I = x.shape
        dx = x.new_empty((B, T, I)).transpose(0, 1)
    else:
        dx = empty(x)
    return dx, *map(empty, (w_ih, w_hh, b_ih, b_hh, h0, c0))


# ---- derivatives ---------------------------------------------------------------------------------


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
    # Past the dispatcher if nobody is to see the call (see `run`).
    function = recurrent_backward if torch.is_grad_enabled() or _observed() else _backward
    gradients = function(ctx.mode, *tensors, ctx.reverse, ticket, dy, dh_n, dc_n)
    present = [None if t is None else g for t, g in zip(tensors[:7], gradients, strict=True)]
    return None, *present, None, None, None


torch.library.register_autograd("fastgru::recurrent", _derive, setup_context=_keep, lib=_library)


def _keep_backward(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    mode, *tensors, reverse, _, dy, dh_n, dc_n = inputs
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(*tensors, dy, dh_n, dc_n)
    ctx.mode, ctx.reverse = mode, reverse


def _derive_backward(ctx: Any, *received: Any) -> tuple[Any, ...]:
    """Return the gradients of the arguments of `recurrent_backward`."""
    *tensors, batch_sizes, dy, dh_n, dc_n = ctx.saved_tensors
    of_layer, of_given = _second_order.gradients(
        ctx.mode, tensors, batch_sizes, ctx.reverse, (dy, dh_n, dc_n), received
    )
    return None, *of_layer, None, None, None, *of_given


torch.library.register_autograd(
    "fastgru::recurrent_backward", _derive_backward, setup_context=_keep_backward, lib=_library
)


# ---- the way to the operators --------------------------------------------------------------------


class _Direct(torch.autograd.Function):
    """The operator `recurrent` without PyTorch's dispatcher."""

    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> tuple[Tensor, ...]:
        result = _forward(*arguments)
        ctx.mark_non_differentiable(result[3])
        _keep(ctx, arguments, result)
        return result

    backward = staticmethod(_derive)


def run(*arguments: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Call the operator `recurrent`; directly, where nobody looks on.

    PyTorch spends about 0.1 ms in calling a custom operator and its derivative. Compilers, dispatch
    modes and subclasses of tensors need that; the usual call does not.
    """
    if torch.compiler.is_compiling() or _observed(arguments):
        return recurrent(*arguments)
    return _Direct.apply(*arguments) if arguments[-1] else _forward(*arguments)


def _observed(arguments: tuple[Any, ...] = ()) -> bool:
    """Tell whether something is to see each operator that is called."""
    if torch._C._len_torch_dispatch_stack():
        return True
    # Where torch.compile broke its graph, it looks into each function that runs.
    if "torch._dynamo" in sys.modules and torch._C._dynamo.eval_frame.get_eval_frame_callback():
        return True
    return any(isinstance(a, Tensor) and type(a) not in _PLAIN for a in arguments)


_PLAIN = (Tensor, torch.nn.Parameter)
