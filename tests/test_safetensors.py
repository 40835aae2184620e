"""Models and weights in ``.safetensors`` files; needs that package."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import safetensors
import safetensors.numpy

from fastgru import Sequential, models
from fastgru.layers import GRU, Dense, Dropout, Embedding

rng = np.random.default_rng(5)
IDS = rng.integers(0, 9, size=(13, 6))
LABELS = rng.integers(0, 2, size=(13, 1))


def make_model(units=7):
    model = Sequential([Embedding(9, 4, input_length=6), GRU(units), Dropout(0.3), Dense(1)])
    model.compile("adam", "mse", metrics=["accuracy"])
    return model


def fit(model):
    return model.fit(IDS, LABELS, 4, epochs=2, shuffle=False, verbose=0).history


def same(a, b):
    return all(np.array_equal(v, w) for v, w in zip(a, b, strict=True))


def test_training_resumes_to_the_bit(tmp_path):
    model = make_model()
    fit(model)
    model.save(tmp_path / "model.safetensors")
    again = models.load_model(tmp_path / "model.safetensors")
    assert fit(again) == fit(model)
    assert same(again.get_weights(), model.get_weights())
    assert os.listdir(tmp_path) == ["model.safetensors"]


def test_other_programs_read_the_file(tmp_path):
    model = make_model()
    model.save(tmp_path / "model.safetensors")
    arrays = safetensors.numpy.load_file(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(arrays["gru/kernel"], model.layers[1].kernel.numpy())
    with safetensors.safe_open(tmp_path / "model.safetensors", "numpy") as file:
        header = json.loads(file.metadata()["config.json"])
    assert header["config"]["layers"][1]["config"]["units"] == 7


def test_weights(tmp_path):
    model, other = make_model(), make_model()
    model.save_weights(tmp_path / "weights.safetensors")
    other.load_weights(tmp_path / "weights.safetensors")
    assert same(other.get_weights(), model.get_weights())
    with pytest.raises(ValueError, match="holds no model, only arrays"):
        models.load_model(tmp_path / "weights.safetensors")
    with pytest.raises(
        ValueError, match=r"safetensors: gru/kernel: expected shape \(4, 24\), got \(4, 21\)"
    ):
        make_model(8).load_weights(tmp_path / "weights.safetensors")


def test_damaged_files(tmp_path):
    path = tmp_path / "model.safetensors"
    make_model().save(path)
    content = path.read_bytes()
    for bad in (b"", content[:5], content[: len(content) // 2], b"text" * 20):
        path.write_bytes(bad)
        with pytest.raises(ValueError, match=r"model\.safetensors: not a whole file"):
            models.load_model(path)


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "model.safetensors"
    make_model().save(path)
    content = path.read_bytes()

    def fail(arrays, aside, metadata):
        aside.write_bytes(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(safetensors.numpy, "save_file", fail)
    with pytest.raises(OSError, match="no space left"):
        make_model().save(path)
    assert path.read_bytes() == content and os.listdir(tmp_path) == ["model.safetensors"]


def test_without_the_package_the_extra_is_named(tmp_path, monkeypatch):
    path = tmp_path / "model.safetensors"
    make_model().save(path)
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    for use in (make_model().save, make_model().load_weights, models.load_model):
        with pytest.raises(ImportError, match=r"pip install 'fastgru\[safetensors\]'"):
            use(path)


@pytest.mark.skipif(os.name == "nt", reason="needs a limit on the size of files")
@pytest.mark.parametrize("ending", ["npz", "safetensors"])
def test_a_full_disk_is_an_oserror_and_the_old_file_stays(tmp_path, ending):
    script = f"""
import os, resource
from fastgru import Input, Sequential
from fastgru.layers import Dense
model = Sequential([Input((60,)), Dense(60)])
model.save("model.{ending}")
with open("model.{ending}", "rb") as file:
    before = file.read()
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, resource.RLIM_INFINITY))
try:
    model.save("model.{ending}")
except OSError:
    print("refused")
with open("model.{ending}", "rb") as file:
    assert file.read() == before
assert os.listdir() == ["model.{ending}"]
"""
    run = [sys.executable, "-c", script]
    out = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert out.stdout == "refused\n"
