"""Weights in files: whole or not at all, and nothing but weights."""

from __future__ import annotations

import os
import stat
import zipfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from fastgru import Sequential
from fastgru.layers import GRU, Dense, Embedding

IDS = np.random.default_rng(5).integers(0, 9, size=(4, 6))


def make_model(units=7, **first):
    model = Sequential(
        [
            Embedding(9, 4, input_length=6, **first),
            GRU(5, return_sequences=True),
            GRU(units),
            Dense(1),
        ]
    )
    rng = np.random.default_rng(units)
    model.set_weights([rng.normal(size=w.shape) for w in model.weights])
    return model


def same(a, b):
    return all(np.array_equal(v, w) for v, w in zip(a, b, strict=True))


def test_weights_come_back_whatever_the_layers_are_called(tmp_path):
    model = make_model()
    model.save_weights(tmp_path / "model.npz")
    again = make_model()
    again.set_weights([0 * w for w in again.get_weights()])
    before = again.predict(IDS)
    again.load_weights(str(tmp_path / "model.npz"))
    assert same(again.get_weights(), model.get_weights())
    assert not np.array_equal(again.predict(IDS), before)
    np.testing.assert_array_equal(again.predict(IDS), model.predict(IDS))
    assert os.listdir(tmp_path) == ["model.npz"]


def test_the_file_is_plain(tmp_path):
    make_model().save_weights(tmp_path / "model.npz")
    with np.load(tmp_path / "model.npz", allow_pickle=False) as file:
        assert sorted(file.files) == [
            "dense/bias", "dense/kernel", "embedding/embeddings", "gru/bias", "gru/kernel",
            "gru/recurrent_kernel", "gru_1/bias", "gru_1/kernel", "gru_1/recurrent_kernel",
        ]  # fmt: skip


def test_the_other_precision_is_converted(tmp_path):
    model = make_model(dtype="float64")
    model.save_weights(tmp_path / "model.npz")
    single = make_model()
    single.load_weights(tmp_path / "model.npz")
    assert same(single.get_weights(), [w.astype(np.float32) for w in model.get_weights()])
    assert single.dtype == "float32"


def test_the_file_has_the_usual_rights(tmp_path):
    (tmp_path / "other").write_bytes(b"")
    make_model().save_weights(tmp_path / "model.npz")
    rights = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("other", "model.npz")]
    assert rights[0] == rights[1]


def test_overwrite(tmp_path):
    path = tmp_path / "model.npz"
    make_model().save_weights(path)
    content = path.read_bytes()
    with pytest.raises(FileExistsError, match=r"model\.npz: exists"):
        make_model(8).save_weights(path, overwrite=False)
    assert path.read_bytes() == content
    make_model(8).save_weights(path)
    assert path.read_bytes() != content


@pytest.mark.parametrize("failure", [OSError("no space left"), KeyboardInterrupt()])
def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch, failure):
    path = tmp_path / "model.npz"
    make_model().save_weights(path)
    content = path.read_bytes()

    def fail(file, **arrays):
        file.write(b"half")
        raise failure

    monkeypatch.setattr(np, "savez", fail)
    with pytest.raises(type(failure)):
        make_model(8).save_weights(path)
    assert path.read_bytes() == content and os.listdir(tmp_path) == ["model.npz"]


def test_threads_may_save_at_once(tmp_path):
    model, path = make_model(), tmp_path / "model.npz"
    with ThreadPoolExecutor(4) as pool:
        for saved in [pool.submit(model.save_weights, path) for _ in range(40)]:
            saved.result()
    assert os.listdir(tmp_path) == ["model.npz"]
    model.load_weights(path)


def test_what_a_killed_save_left_does_not_stop_the_next(tmp_path, monkeypatch):
    """Not even one of the same number that drew the same name."""
    monkeypatch.setattr(os, "urandom", bytes)
    (tmp_path / f".model.npz.{os.getpid()}.00000000.tmp").write_bytes(b"half")
    make_model().save_weights(tmp_path / "model.npz")
    assert os.listdir(tmp_path) == ["model.npz"]
    make_model().load_weights(tmp_path / "model.npz")


def test_paths():
    for path in ("model.weights.h5", "model", "model.npz.gz"):
        with pytest.raises(ValueError, match=r"filepath: expected a path that ends in \.npz"):
            make_model().save_weights(path)
        with pytest.raises(ValueError, match=r"filepath: expected a path that ends in \.npz"):
            make_model().load_weights(path)


def test_a_missing_file_and_a_missing_folder(tmp_path):
    with pytest.raises(FileNotFoundError):
        make_model().load_weights(tmp_path / "nowhere.npz")
    with pytest.raises(FileNotFoundError):
        make_model().save_weights(tmp_path / "nowhere" / "model.npz")


def test_the_folder_that_is_missing_is_named_not_a_file_of_our_own(tmp_path):
    with pytest.raises(FileNotFoundError) as raised:
        make_model().save_weights(tmp_path / "nowhere" / "model.npz")
    assert raised.value.filename == str(tmp_path / "nowhere" / "model.npz")


def test_what_is_no_path():
    for path in (None, 5, b"model.npz"):
        with pytest.raises(
            TypeError, match=f"filepath: expected a path, got {type(path).__name__}"
        ):
            make_model().save_weights(path)


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_a_link_stays_and_what_it_leads_to_is_replaced(tmp_path):
    first = make_model()
    first.save_weights(tmp_path / "first.npz")
    link = tmp_path / "latest.npz"
    link.symlink_to("first.npz")
    first.set_weights([weight + 1 for weight in first.get_weights()])
    first.save_weights(link)
    assert link.is_symlink()
    second = make_model()
    second.load_weights(tmp_path / "first.npz")
    for got, expected in zip(second.get_weights(), first.get_weights(), strict=True):
        np.testing.assert_array_equal(got, expected)


def broken_files(folder):
    """Yield what a damaged or foreign file may hold."""
    good = folder / "good.npz"
    make_model().save_weights(good)
    content = good.read_bytes()
    with np.load(good) as file:
        arrays = dict(file)
    yield "empty", b""
    yield "text", b"these are no weights\n"
    yield "truncated", content[: len(content) // 2]
    flipped = bytearray(content)
    flipped[200] ^= 4
    yield "flipped bit", bytes(flipped)

    def saved(**changes):
        path = folder / "changed.npz"
        kept = {k: v for k, v in {**arrays, **changes}.items() if v is not None}
        np.savez(path, **kept)
        return path.read_bytes()

    yield "one missing", saved(**{"dense/bias": None})
    yield "one more", saved(**{"gru_2/kernel": arrays["gru/kernel"]})
    yield "another shape", saved(**{"gru/kernel": arrays["gru/kernel"].T})
    yield "text for numbers", saved(**{"dense/bias": np.array(["x"])})
    yield "a pickle", saved(**{"dense/bias": np.array([{}], dtype=object)})
    np.save(folder / "one.npy", arrays["gru/kernel"])
    yield "a single array", (folder / "one.npy").read_bytes()
    with zipfile.ZipFile(folder / "other.zip", "w") as other:
        other.writestr("readme.txt", "nothing")
    yield "another archive", (folder / "other.zip").read_bytes()


def test_a_bad_file_leaves_the_model_as_it_was(tmp_path):
    model = make_model()
    before = model.get_weights()
    path = tmp_path / "bad.npz"
    for name, content in broken_files(tmp_path):
        path.write_bytes(content)
        with pytest.raises((ValueError, TypeError)) as caught:
            model.load_weights(path)
        assert "bad.npz" in str(caught.value) or "expected" in str(caught.value), name
        assert same(model.get_weights(), before), name


def test_weights_of_another_model_are_named(tmp_path):
    make_model().save_weights(tmp_path / "model.npz")
    other = Sequential([Dense(3, input_shape=(4,)), Dense(2)])
    with pytest.raises(ValueError, match=r"expected dense/kernel.*dense_1/bias; got .*gru/kernel"):
        other.load_weights(tmp_path / "model.npz")
    wider = make_model(9)
    with pytest.raises(ValueError, match=r"model.npz: gru_1/kernel: expected shape \(5, 27\)"):
        wider.load_weights(tmp_path / "model.npz")
