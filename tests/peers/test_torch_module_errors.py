"""What fastgru.torch leaves to PyTorch, and what it refuses; imports."""

from __future__ import annotations

import copy
import subprocess
import sys
from typing import Any

import pytest
import torch
from torch_pairs import SEQUENCES, pack, pair

import fastgru.torch

# ---- what fastgru does not compute ---------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_other_dtypes_run_on_pytorch(dtype):
    theirs, ours = (m.to(dtype) for m in pair("GRU", 3, 4))
    x = torch.randn(5, 2, 3).to(dtype)
    for a, b in zip(ours(x), theirs(x), strict=True):
        assert torch.equal(a, b)


def test_meta_and_autocast_run_on_pytorch():
    theirs, ours = pair("LSTM", 3, 4)
    x = torch.randn(5, 2, 3)
    with torch.autocast("cpu", torch.bfloat16):
        for a, b in zip(ours(x)[1], theirs(x)[1], strict=True):
            assert a.dtype == b.dtype
            assert torch.equal(a, b)
    y, _ = copy.deepcopy(ours).to("meta")(x.to("meta"))
    assert y.device.type == "meta"


@pytest.mark.parametrize("name", SEQUENCES)
def test_the_same_errors(name):
    theirs, ours = pair(name, 3, 4, 2)
    x = torch.randn(5, 2, 3)

    def states(*shape: int, **kwargs: Any) -> Any:
        h = torch.zeros(shape, **kwargs)
        return (h, h) if name == "LSTM" else h

    packed = pack(x, [5, 2])
    for arguments in (
        (x.double(),),
        (x.long(),),
        (x[..., :2],),
        (x[None],),
        (x[0, 0],),
        (x[:0],),
        (x.numpy(),),
        (x.to_sparse(),),
        (x, states(2, 3, 4)),
        (x, states(1, 2, 4)),
        (x, states(2, 4)),
        (x, states(2, 2, 4, dtype=torch.float64)),
        (x, states(2, 2, 4, device="meta")),
        (x[:, 0], states(2, 2, 4)),
        (x[:, 0], states(2, 5)),
        (packed, states(2, 3, 4)),
        (packed, states(2, 2, 5)),
        (packed._replace(data=packed.data[:, :2]),),
        (packed._replace(data=packed.data.double()),),
    ):
        with pytest.raises(Exception) as expected:  # noqa: B017, PT011 - whatever it is
            theirs(*arguments)
        with pytest.raises(Exception) as found:  # noqa: B017, PT011
            ours(*arguments)
        assert found.type is expected.type
        assert str(found.value).splitlines()[0] == str(expected.value).splitlines()[0]


@pytest.mark.parametrize("count", [1, 3])
def test_an_lstm_has_two_states(count):
    for name, x, h in (
        ("LSTM", torch.randn(5, 2, 3), torch.zeros(1, 2, 4)),
        ("LSTMCell", torch.randn(2, 3), torch.zeros(2, 4)),
    ):
        theirs, ours = pair(name, 3, 4)
        with pytest.raises((RuntimeError, IndexError)) as expected:
            theirs(x, (h,) * count)
        with pytest.raises(expected.type) as found:
            ours(x, (h,) * count)
        assert str(found.value) == str(expected.value)


def test_wrong_constructions():
    for name in ("GRU", "RNN"):
        with pytest.raises(ValueError, match="proj_size"):
            getattr(fastgru.torch, name)(3, 4, proj_size=2)
    with pytest.raises(ValueError, match="nonlinearity"):
        fastgru.torch.RNN(3, 4, nonlinearity="sigmoid")
    with pytest.warns(UserWarning, match="dropout"):
        fastgru.torch.GRU(3, 4, dropout=0.5)


# ---- imports -------------------------------------------------------------------------------------


def test_torch_is_imported_only_when_asked_for():
    code = "import fastgru, sys; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_torch():
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "try: import fastgru.torch\n"
        "except ImportError as e: assert \"pip install 'fastgru[torch]'\" in str(e), e\n"
        "else: raise AssertionError"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
