"""PyTorch's own lists of what its recurrent modules take and refuse, put to fastgru.torch's."""

from __future__ import annotations

import copy
import io
from typing import Any

import pytest
import torch
from torch.testing._internal.common_modules import ModuleErrorEnum, module_db
from torch_pairs import CELLS, SEQUENCES, TOLERANCE, assert_equal, differentiate, tensors_of, twin

import fastgru.torch

KNOWN = {getattr(torch.nn, name): name for name in SEQUENCES + CELLS}
INFOS = [info for info in module_db if info.module_cls in KNOWN]
NAMES = [KNOWN[info.module_cls] for info in INFOS]
assert set(NAMES) == set(SEQUENCES + CELLS)

over_modules = pytest.mark.parametrize("info", INFOS, ids=NAMES)


def ours_of(info: Any) -> type[torch.nn.Module]:
    return getattr(fastgru.torch, KNOWN[info.module_cls])


def samples(info: Any, dtype: torch.dtype = torch.float64, requires_grad: bool = True) -> list[Any]:
    kwargs = {"device": "cpu", "dtype": dtype, "requires_grad": requires_grad, "training": True}
    return list(info.module_inputs_func(info, **kwargs))


@pytest.mark.filterwarnings("ignore:LSTM with projections:UserWarning")
@over_modules
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_samples(info, dtype):
    """Forward, gradients, the reference function of the sample, non-contiguous arguments."""
    for sample in samples(info, dtype):
        given, called = sample.constructor_input, sample.forward_input
        theirs = info.module_cls(*given.args, **given.kwargs, dtype=dtype)
        ours = twin(theirs)
        inputs = tensors_of((called.args, tuple(called.kwargs.values())))
        found = []
        for module in (ours, theirs):
            results = module(*called.args, **called.kwargs)
            found.append((results, differentiate(module, results, inputs)))
        assert_equal(found[0][0], found[1][0])
        for a, b in zip(found[0][1], found[1][1], strict=True):
            torch.testing.assert_close(a, b, **TOLERANCE[dtype])
        if sample.reference_fn is not None and not hasattr(called.args[0], "batch_sizes"):
            expected = sample.reference_fn(ours, *called.args)
            torch.testing.assert_close(found[0][0], expected, **TOLERANCE[dtype])
        apart = [spread(a) for a in called.args]
        assert_equal(ours(*apart, **called.kwargs), found[0][0])


def spread(value: Any) -> Any:
    """Return the same tensors, with gaps between their elements."""
    if isinstance(value, torch.Tensor):
        return torch.stack([value.detach(), value.detach() + 1], -1)[..., 0]
    if hasattr(value, "batch_sizes"):
        return value._replace(data=spread(value.data))
    return tuple(map(spread, value))


@over_modules
def test_gradients(info):
    """First and second derivatives against central differences."""
    for sample in samples(info)[:6]:
        given, called = sample.constructor_input, sample.forward_input
        ours = ours_of(info)(*given.args, **given.kwargs, dtype=torch.float64)
        inputs = tensors_of(called.args)
        names = [name for name, _ in ours.named_parameters()]

        def function(
            *values: torch.Tensor, ours=ours, args=called.args, names=names
        ) -> list[torch.Tensor]:
            swapped = dict(zip(names, values[-len(names) :], strict=True))
            return tensors_of(torch.func.functional_call(ours, swapped, refilled(args, values)))

        values = (*inputs, *ours.parameters())
        assert torch.autograd.gradcheck(function, values, fast_mode=True)
        assert torch.autograd.gradgradcheck(function, values, fast_mode=True)


def refilled(value: Any, tensors: Any) -> Any:
    """Return nested arguments with their tensors replaced, in order."""
    source = iter(tensors)

    def fill(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return next(source)
        if hasattr(value, "batch_sizes"):
            return value._replace(data=next(source))
        return tuple(map(fill, value))

    return fill(value)


@over_modules
def test_error_inputs(info):
    errors = info.module_error_inputs_func(
        info, device="cpu", dtype=torch.float64, requires_grad=False, training=True
    )
    assert errors
    for error in errors:
        given = error.module_error_input.constructor_input
        if error.error_on is ModuleErrorEnum.CONSTRUCTION_ERROR:
            with pytest.raises(error.error_type, match=error.error_regex):
                ours_of(info)(*given.args, **given.kwargs)
            continue
        called = error.module_error_input.forward_input
        module = ours_of(info)(*given.args, **given.kwargs)
        with pytest.raises(error.error_type, match=error.error_regex):
            module(*called.args, **called.kwargs)


@over_modules
def test_construction(info):
    """Device and dtype of the parameters, copies, and modes."""
    for sample in samples(info, requires_grad=False)[:4]:
        given, called = sample.constructor_input, sample.forward_input
        meta = ours_of(info)(*given.args, **given.kwargs, device="meta", dtype=torch.float64)
        assert {(p.device.type, p.dtype) for p in meta.parameters()} == {("meta", torch.float64)}
        module = ours_of(info)(*given.args, **given.kwargs, dtype=torch.float64)
        file = io.BytesIO()
        torch.save(module.state_dict(), file)
        file.seek(0)
        other = meta.to_empty(device="cpu")
        other.load_state_dict(torch.load(file))
        results = module(*called.args, **called.kwargs)
        assert_equal(other(*called.args, **called.kwargs), results)
        assert_equal(copy.deepcopy(module).eval()(*called.args, **called.kwargs), results)
        assert_equal(module.float().double().train()(*called.args, **called.kwargs), results, 1e-6)
