"""The operator under torch.compile, opcheck, transforms, hooks and threads."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence
from torch.utils.checkpoint import checkpoint
from torch_pairs import SEQUENCES, assert_equal, differentiate, pack, pair, random

import fastgru.torch
from fastgru.torch import _operators, _passes

MODES = {"gru": 3, "lstm": 4, "rnn_tanh": 1, "rnn_relu": 1}


def operator_arguments(mode: str, batch_sizes: list[int] | None, reverse: bool, full: bool) -> Any:
    gates, T, B, I, H = MODES[mode], 4, 3, 2, 5
    x = random(T, B, I) if batch_sizes is None else random(sum(batch_sizes), I)
    weights = random(gates * H, I), random(gates * H, H)
    biases = (random(gates * H), random(gates * H)) if full else (None, None)
    states = [random(B, H) if full else None, random(B, H) if full and mode == "lstm" else None]
    sizes = None if batch_sizes is None else torch.tensor(batch_sizes)
    return mode, x, *weights, *biases, *states, sizes, reverse


OPERATOR_CASES = [
    (mode, sizes, reverse, full)
    for mode in MODES
    for sizes in (None, [3, 2, 2, 1])
    for reverse, full in ((False, True), (True, False))
    if full or sizes is None or mode == "gru"
]


@pytest.mark.parametrize(("mode", "sizes", "reverse", "full"), OPERATOR_CASES)
def test_opcheck(mode, sizes, reverse, full):
    arguments = operator_arguments(mode, sizes, reverse, full)
    # With ragged rows, and no state that tells their number, the number is known at run time only.
    unknown = sizes is not None and not full
    tests = ["test_schema", "test_autograd_registration", "test_faketensor"]
    tests += [] if unknown else ["test_aot_dispatch_dynamic"]
    torch.library.opcheck(_operators.recurrent, (*arguments, True), test_utils=tests)
    torch.library.opcheck(_operators.recurrent, (*arguments, False), test_utils=tests[:3:2])

    y, h_n, c_n, ticket = _operators.recurrent(*arguments, True)
    given = [a.detach() if isinstance(a, torch.Tensor) else a for a in arguments]
    gradients = [torch.randn_like(t) for t in (y, h_n)]
    gradients.append(torch.randn_like(c_n) if mode == "lstm" else None)
    for needed in (True, False):
        torch.library.opcheck(_operators.recurrent_backward, (*given, ticket, *gradients, needed))


@pytest.mark.parametrize(("mode", "sizes", "reverse", "full"), OPERATOR_CASES)
def test_derivatives(mode, sizes, reverse, full):
    arguments = list(operator_arguments(mode, sizes, reverse, full))
    places = [i for i, a in enumerate(arguments[:8]) if isinstance(a, torch.Tensor)]

    def function(*tensors: torch.Tensor) -> Any:
        for i, tensor in zip(places, tensors, strict=True):
            arguments[i] = tensor
        return _operators.recurrent(*arguments, True)[: 3 if mode == "lstm" else 2]

    check_derivatives(function, [arguments[i] for i in places])


def check_derivatives(function: Any, leaves: list[torch.Tensor]) -> None:
    assert torch.autograd.gradcheck(function, leaves)
    assert torch.autograd.gradgradcheck(function, leaves, fast_mode=True)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("sizes", [None, [3, 2, 2, 1]])
@pytest.mark.parametrize(("directions", "full"), [(1, True), (2, True), (2, False)])
def test_derivatives_of_layers(mode, sizes, directions, full):
    gates, B, I, H = MODES[mode], 3, 2, 5
    padded = (4, B, I) if directions == 1 else (B, 4, I)
    x = random(*padded) if sizes is None else random(sum(sizes), I)
    states = [random(2 * directions, B, H) for _ in range(2 if mode == "lstm" else 1)]
    weights = []
    for k in [I] * directions + [directions * H] * directions:
        weights += [random(gates * H, k), random(gates * H, H)]
        weights += [random(gates * H), random(gates * H)] if full else []
    batch_sizes = None if sizes is None else torch.tensor(sizes)
    kind = _passes.Kind(mode, directions, full, sizes is None and directions == 2)

    def function(x: torch.Tensor, *others: torch.Tensor) -> Any:
        given = [*others[: len(states)], None, None][:2] if full else [None, None]
        results = _operators.run(kind, x, batch_sizes, *given, *others[-len(weights) :])
        return results[: 3 if mode == "lstm" else 2]

    check_derivatives(function, [x, *(states if full else []), *weights])


# ---- compilers -----------------------------------------------------------------------------------


class Model(torch.nn.Module):
    """Whole layers and a cell between other modules."""

    def __init__(self, name: str = "GRU") -> None:
        super().__init__()
        kwargs = {"num_layers": 2, "bidirectional": True, "batch_first": True}
        self.layers = getattr(fastgru.torch, name)(3, 8, **kwargs)
        self.cell = fastgru.torch.GRUCell(16, 4)
        self.head = torch.nn.Linear(4, 1)

    def forward(self, x: torch.Tensor, hx: Any = None) -> torch.Tensor:
        y, h = self.layers(x, hx)
        state = h[0] if isinstance(h, tuple) else h
        return self.head(self.cell(torch.relu(y[:, -1]))) + state.sum()


@pytest.fixture(autouse=True)
def _fresh_compiler():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
@pytest.mark.parametrize(
    ("name", "backend"),
    [(name, "aot_eager") for name in SEQUENCES]
    + ([("GRU", "inductor")] if shutil.which("g++") else []),
)
def test_compile(name, backend):
    model = Model(name)
    compiled = torch.compile(model, fullgraph=True, backend=backend)
    x = random(6, 5, 3, dtype=torch.float32)
    expected, found = model(x), compiled(x)
    torch.testing.assert_close(found, expected)
    gradients = [differentiate(model, y, [x]) for y in (found, expected)]
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b)
    with torch.no_grad():
        torch.testing.assert_close(compiled(x), expected)


def test_compile_with_changing_shapes():
    model, seen = Model(), []

    def backend(graph: Any, inputs: Any) -> Any:
        seen.append([n for n in graph.graph.nodes if "fastgru" in str(n.target)])
        return graph.forward

    compiled = torch.compile(model, fullgraph=True, dynamic=True, backend=backend)
    for B, T in ((2, 4), (3, 7), (9, 5)):
        x = torch.randn(B, T, 3)
        torch.testing.assert_close(compiled(x), model(x))
    assert [len(nodes) for nodes in seen] == [5]


@pytest.mark.parametrize("enforce_sorted", [False, True])
def test_compile_with_packed_sequences(enforce_sorted):
    module = fastgru.torch.GRU(3, 8, bidirectional=True)
    packed = pack(torch.randn(6, 4, 3), [6, 4, 4, 1], enforce_sorted=enforce_sorted)
    h0 = torch.randn(2, 4, 8)
    compiled = torch.compile(lambda p, h: module(p, h), fullgraph=True, backend="aot_eager")
    found, expected = compiled(packed, h0), module(packed, h0)
    assert_equal(found, expected)
    torch.testing.assert_close(*(differentiate(module, y, []) for y in (found, expected)))


@pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning")
@pytest.mark.parametrize("with_states", [False, True])
def test_compile_around_graph_breaks(with_states):
    """PyTorch's packing breaks the graph; the compiler then looks into every function."""
    module = fastgru.torch.LSTM(3, 8, 2, bidirectional=True)
    h = torch.randn(4, 4, 8)

    def run(x: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        packed = pack_padded_sequence(x, lengths, enforce_sorted=False)
        y, (h_n, c_n) = module(packed, (h, h) if with_states else None)
        return y.data.sum() + h_n.sum() * c_n.sum()

    x, lengths = torch.randn(6, 4, 3, requires_grad=True), torch.tensor([3, 6, 1, 2])
    found, expected = torch.compile(run, backend="aot_eager")(x, lengths), run(x, lengths)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(*(differentiate(module, y, [x]) for y in (found, expected)))


@pytest.mark.filterwarnings("ignore:The tensor attributes:UserWarning")
def test_export_holds_pytorchs_operators():
    model = Model()
    x = torch.randn(6, 5, 3)
    program = torch.export.export(model, (x,))
    assert not [n for n in program.graph.nodes if "fastgru" in str(n.target)]
    torch.testing.assert_close(program.module()(x), model(x))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")
def test_trace_holds_pytorchs_operators():
    module = fastgru.torch.GRU(3, 4)
    x = torch.randn(6, 5, 3)
    traced = torch.jit.trace(module, (x,))
    assert "fastgru::" not in str(traced.graph)
    assert_equal(traced(x), module(x))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_function_transforms_run_pytorchs_own():
    theirs, ours = pair("GRU", 3, 4, dtype=torch.float64)
    x = torch.randn(5, 2, 3, dtype=torch.float64)

    def transforms(m: torch.nn.Module) -> list[torch.Tensor]:
        return [
            *torch.func.jvp(lambda a: m(a)[0], (x,), (x + 1,)),
            torch.func.grad(lambda a: m(a)[0].sum())(x),
            torch.func.jacrev(lambda a: m(a)[1])(x),
        ]

    torch.testing.assert_close(transforms(ours), transforms(theirs))


# ---- activations: who keeps them, and how long ---------------------------------------------------


def kept() -> int:
    return len(_operators._issued)


def test_activations_die_with_the_graph():
    module, x = fastgru.torch.GRU(3, 4, 2), torch.randn(5, 2, 3)
    before = kept()
    y, _ = module(x)  # no backward pass
    assert kept() == before + 1
    del y, _
    assert kept() == before
    y, _ = module(x)
    y.sum().backward()  # frees what it used, though y is alive
    assert kept() == before
    y, _ = module(x)
    y.sum().backward(retain_graph=True)
    assert kept() == before + 1
    del y, _
    assert kept() == before
    with torch.no_grad():
        y, _ = module(x)
    assert kept() == before


def test_backward_twice():
    module, x = fastgru.torch.LSTM(3, 4), torch.randn(5, 2, 3, requires_grad=True)
    y = module(x)[0].sum()
    first = torch.autograd.grad(y, x, retain_graph=True)[0]
    assert torch.equal(torch.autograd.grad(y, x)[0], first)
    with pytest.raises(RuntimeError, match="second time"):
        torch.autograd.grad(y, x)


def test_changed_weights_are_noticed():
    module = fastgru.torch.GRU(3, 4)
    y, _ = module(torch.randn(5, 2, 3))
    with torch.no_grad():
        module.weight_hh_l0.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_copied_tickets(monkeypatch):
    """Hooks that move saved tensors elsewhere: the forward pass runs again."""
    theirs, ours = pair("LSTM", 3, 4, dtype=torch.float64)
    count, forward = [0], _passes.forward

    def counted(*args: Any) -> Any:
        count[0] += 1
        return forward(*args)

    monkeypatch.setattr(_passes, "forward", counted)
    found = []
    for module in (ours, theirs):
        torch.manual_seed(0)
        x = random(5, 2, 3)
        with torch.autograd.graph.saved_tensors_hooks(torch.clone, lambda t: t):
            results = module(x)
        found.append(differentiate(module, results, [x]))
    torch.testing.assert_close(*found)
    assert count == [2]


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpoint(reentrant):
    module = fastgru.torch.GRU(3, 4, dropout=0.5, num_layers=2)
    x = torch.randn(5, 2, 3, requires_grad=True)
    found = []
    for run in (module, lambda x: checkpoint(module, x, use_reentrant=reentrant)):
        torch.manual_seed(0)
        loss = run(x)[0].square().sum()
        module.zero_grad()
        x.grad = None
        loss.backward()
        found.append([x.grad.clone(), *(p.grad.clone() for p in module.parameters())])
    torch.testing.assert_close(*found)


def test_selective_checkpoint():
    """A dispatch mode sees the operator, and may keep its results."""
    from torch.utils.checkpoint import CheckpointPolicy, create_selective_checkpoint_contexts

    seen = []

    def policy(context: Any, function: Any, *args: Any, **kwargs: Any) -> Any:
        seen.append(str(function))
        return CheckpointPolicy.MUST_SAVE

    module, x = fastgru.torch.GRU(3, 4), random(5, 2, 3, dtype=torch.float32)
    y = checkpoint(
        lambda x: module(x)[0], x, use_reentrant=False,
        context_fn=lambda: create_selective_checkpoint_contexts(policy),
    )  # fmt: skip
    torch.testing.assert_close(
        differentiate(module, y, [x]), differentiate(module, module(x)[0], [x])
    )
    assert any("fastgru.recurrent" in name for name in seen)


def test_threads():
    """Forward and backward passes of many threads at once."""
    module = fastgru.torch.GRU(8, 33, 2, bidirectional=True)
    inputs = [torch.randn(20, 4, 8, requires_grad=True) for _ in range(16)]

    def run(x: torch.Tensor) -> list[torch.Tensor]:
        y, h = module(x)
        return [y.detach(), *torch.autograd.grad(y.sum() + h.sum(), [x, *module.parameters()])]

    expected = [run(x) for x in inputs]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(run, inputs * 4))
    for a, b in zip(found, expected * 4, strict=True):
        assert all(map(torch.equal, a, b))
