"""`fastgru.compare` and `python -m fastgru compare`: fair, right, and clear about bad input."""

from __future__ import annotations

import csv
import io
import os
import re
import subprocess
import sys

import numpy as np
import pytest

import fastgru
from fastgru import compare
from fastgru.__main__ import main
from fastgru.comparison import _inputs, _tasks

rng = np.random.default_rng(4)
FAST = {"units": 8, "epochs": 2, "seeds": 2, "batch_size": 16}


def memory_task(count=200, steps=10):
    """Return sequences whose class is the sign of their first number: the cell must remember."""
    x = rng.normal(size=(count, steps, 2))
    return x, x[:, 0, 0] > 0


@pytest.fixture(scope="module")
def found():
    x, y = memory_task()
    return compare(x, y, **FAST)


# ---- what comes out ------------------------------------------------------------------------------


def test_the_table(found):
    header, rule, *rows = str(found).splitlines()[:5]
    assert header.split()[:5] == ["cell", "gates", "states", "parameters", "time"]
    assert "validation accuracy (± over 2 seeds)" in header and set(rule) == {"-"}
    facts = [row.split()[:4] for row in rows]
    expected = {  # (I + H) times gates, and biases; then Dense
        "simple_rnn": ("0", "1", 8 * (2 + 8) + 8 + 9),
        "gru": ("2", "1", 24 * (2 + 8) + 48 + 9),
        "lstm": ("3", "2", 32 * (2 + 8) + 32 + 9),
    }
    assert facts == [[c, g, s, str(p)] for c, (g, s, p) in expected.items()]
    assert all(re.search(r"\d m?s +\d", row) and " ± " in row for row in rows)
    assert "160 to train on, 40 held out" in str(found) and "2 classes" in str(found)
    assert repr(found) == str(found)


def test_markdown_is_the_seeds_table(found):
    lines = found.to_markdown().splitlines()
    assert lines[0] == "| Feature | simple_rnn | gru | lstm |"
    assert lines[2] == "| Gates | none | 2: update, reset | 3: input, forget, output |"
    assert lines[3] == "| State | hidden state | hidden state | hidden state and cell state |"
    names = [line.split("|")[1].strip() for line in lines[4:8]]
    assert names[:3] == ["Parameters", "Time per epoch", "Best epoch"]
    assert names[3] == "Validation accuracy (± over 2 seeds)"
    assert len({line.count("|") for line in lines[:8]}) == 1


def test_csv(found, tmp_path):
    rows = list(csv.DictReader(io.StringIO(found.to_csv(tmp_path / "runs.csv"))))
    assert (tmp_path / "runs.csv").read_text() == found.to_csv()
    assert [(row["cell"], row["seed"]) for row in rows] == [
        (cell, seed) for cell in ("simple_rnn", "gru", "lstm") for seed in "01"
    ]
    for row in rows:
        run = found[row["cell"]].runs[int(row["seed"])]
        assert float(row["validation_accuracy"]) == run.score
        assert float(row["validation_loss"]) == min(run.history["val_loss"])
        assert float(row["seconds_per_epoch"]) > 0


def test_the_winner_is_the_best_and_its_model_is_trained(found):
    x, y = memory_task(64)
    means = {result.cell: result.mean for result in found.results}
    assert means[found.winner] == max(means.values())
    best = max(found[found.winner].runs, key=lambda run: run.score)
    assert found.best is best.model
    predicted = found.predict(x)
    assert predicted.dtype == bool and predicted.shape == (64,)
    np.testing.assert_array_equal(predicted, found.best.predict(found.prepare(x))[:, 0] > 0.5)
    assert f"Winner: {found.winner}." in str(found)
    with pytest.raises(KeyError, match="no cell 'elman' was compared; there are: simple_rnn, gru"):
        found["elman"]


def test_it_learns_and_tells_what_remembers():
    """Ten steps back is more than a guess away for gated cells, trained long enough."""
    x, y = memory_task(240, 6)
    found = compare(x, y, cells=["gru"], units=16, epochs=30, seeds=1, learning_rate=0.01)
    assert found.winner == "gru" and found["gru"].mean > 0.9
    assert np.mean(found.predict(x) == y) > 0.9
    name, score = found.baseline
    assert name in ("always True", "always False") and 0.4 < score < 0.75


# ---- fair ----------------------------------------------------------------------------------------


def test_a_comparison_can_be_repeated_and_leaves_the_random_state(found):
    x, y = memory_task(60)
    fastgru.set_random_seed(3)
    expected = fastgru._random.generator().random()
    fastgru.set_random_seed(3)
    runs = [compare(x, y, cells=["gru", "lstm"], **FAST) for _ in range(2)]
    assert fastgru._random.generator().random() == expected
    for one, other in zip(runs[0].results, runs[1].results, strict=True):
        assert [run.history for run in one.runs] == [run.history for run in other.runs]
    alone = compare(x, y, cells=["lstm"], **FAST)
    assert alone["lstm"].scores == runs[0]["lstm"].scores  # whatever else is compared
    first, second = runs[0]["gru"].runs
    assert first.history != second.history  # the seeds differ


def test_all_cells_see_the_same_samples_in_the_same_order(monkeypatch):
    x, y = memory_task(50)
    seen = {}
    fit = fastgru.Sequential.fit

    def watching(self, x, y, **options):
        order = fastgru._random.generator().bit_generator.state["state"]["state"]
        data = [x, y, *options["validation_data"]]
        seen.setdefault(self.name, []).append((order, *(part.tobytes() for part in data)))
        return fit(self, x, y, **options)

    monkeypatch.setattr(fastgru.Sequential, "fit", watching)
    found = compare(x, y, **FAST)
    assert seen["simple_rnn"] == seen["gru"] == seen["lstm"]
    (first, *train), (second, *again) = seen["gru"]  # of both seeds
    assert first != second and train == again
    rows = [*found.train, *found.held_out]
    assert sorted(rows) == list(range(50)) and len(found.held_out) == 10
    mean, scale = x[found.train].mean((0, 1)), x[found.train].std((0, 1))
    prepared = np.frombuffer(train[2], np.float32).reshape(10, 10, 2)
    expected = (x[found.held_out] - mean) / scale
    np.testing.assert_allclose(prepared, expected, rtol=1e-5, atol=1e-6)


def test_the_best_epochs_weights_count():
    x, y = memory_task(60)
    found = compare(x, y, cells=["gru"], units=8, epochs=6, seeds=1, learning_rate=0.2)
    (run,) = found["gru"].runs
    losses = run.history["val_loss"]
    assert len(losses) == 6 and run.best_epoch == int(np.argmin(losses)) + 1
    held_out = found.held_out
    run.model.compile("adam", "binary_crossentropy")
    again = run.model.evaluate(found.prepare(x[held_out]), y[held_out].astype(float), verbose=0)
    assert again == pytest.approx(min(losses), rel=1e-5)


# ---- what data stand for -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "y, kind, outputs",
    [
        ([0, 1, 1, 0], "binary", 1),
        ([0.0, 1.0, 1.0, 0.0], "binary", 1),
        ([True, False, True, True], "binary", 1),
        (["no", "yes", "no", "no"], "binary", 1),
        ([["no"], ["yes"], ["perhaps"], ["no"]], "classes", 3),
        (np.repeat([3, 5, 9], 10), "classes", 3),
        (np.eye(3)[[0, 1, 2, 1, 0]], "classes", 3),
        ([0.5, 1.5, 2.5, 1.0], "regression", 1),
        ([1, 20, 300, 4000], "regression", 1),
        (np.ones((5, 2)) * 0.5, "regression", 2),
        (np.arange(30), "regression", 1),
    ],
)
def test_targets_are_recognised(y, kind, outputs):
    target = _tasks.recognised(y)
    assert (target.kind, target.outputs) == (kind, outputs)


def test_targets_may_be_named_instead():
    assert _tasks.recognised(np.arange(30), "classes").outputs == 30
    assert _tasks.recognised([0, 1, 1], "regression").kind == "regression"
    with pytest.raises(ValueError, match="expected two classes, got 3"):
        _tasks.recognised([0, 1, 2], "binary")
    with pytest.raises(ValueError, match="task: expected .*did you mean 'regression'"):
        _tasks.recognised([0, 1, 2], "regresion")
    with pytest.raises(ValueError, match="at least two different values"):
        _tasks.recognised(["a", "a"])
    with pytest.raises(ValueError, match="finite numbers, got nan"):
        _tasks.recognised([0.5, np.nan])
    with pytest.raises(TypeError, match="numbers or texts"):
        _tasks.recognised([None, 1])


def test_sequences_are_recognised():
    take = _inputs.recognised
    ids = rng.integers(1, 9, size=(4, 5))
    assert take(ids).ids and not take(ids).padded
    ids[1:, 4] = 0
    assert take(ids).padded and take(ids).size == ids.max() + 1
    assert not take(ids.astype(float)).ids and not take(ids - 5).ids
    assert not take(ids, "numbers").ids and take(ids, "numbers").size == 1
    assert take(rng.normal(size=(4, 5, 3))).size == 3
    ragged = take([[1, 2, 3], [4, 5]])
    assert ragged.ragged and ragged.ids and ragged.size == 6
    assert "2 sequences of 2 to 3 steps" in ragged.describe()
    assert take([[0.5], [1.5, 2]]).size == 1
    assert take([np.ones((2, 3)), np.ones((4, 3))]).size == 3
    for bad, message in [
        (np.ones(4), "expected sequences of shape"),
        ([[1, 2], []], "with T > 0"),
        ([np.ones((2, 3)), np.ones((2, 4)), np.ones((3, 3))], "the same features"),
        (np.full((2, 3, 1), np.nan), r"finite numbers, got nan at \(0, 0, 0\)"),
    ]:
        with pytest.raises(ValueError, match=message):
            take(bad)
    with pytest.raises(ValueError, match="expected ids, whole numbers"):
        take(np.ones((2, 3)), "ids")
    with pytest.raises(TypeError, match="real numbers"):
        take(["text", "more"])


def test_ragged_ids_with_texts_as_labels():
    x = [rng.integers(0, 6, size=rng.integers(2, 7)) for _ in range(60)]
    y = ["none", "one", "many"]
    y = [y[min(2, int((ids == 3).sum()))] for ids in x]
    found = compare(x, y, cells=["gru"], dropout=0.1, depth=2, bidirectional=True, **FAST)
    assert found.task == "classes" and set(found.predict(x[:9])) <= set(y)
    assert "ids below 6" in str(found) and "2 to 6 steps" in str(found)
    with pytest.raises(ValueError, match="expected ids below 6, got 6"):
        found.predict([[6, 1]])


def test_regression_is_in_the_units_of_the_targets():
    x = rng.normal(size=(120, 5, 2)) * 100 + 1000
    y = 5000 + 3 * x[:, -1, 0]
    found = compare(x, y, cells=["gru"], units=16, epochs=30, seeds=1, learning_rate=0.01)
    assert found.score_name == "RMSE" and found.task == "regression"
    name, guess = found.baseline
    assert name == "always the mean" and guess == pytest.approx(300, rel=0.3)
    assert found["gru"].mean < 0.6 * guess
    error = found.predict(x[found.held_out])[:, 0] - y[found.held_out]
    assert np.sqrt(np.mean(error**2)) == pytest.approx(found["gru"].mean)
    with pytest.raises(ValueError, match="expected 2 features, got 3"):
        found.predict(np.ones((1, 5, 3)))


def test_wrong_arguments_are_named():
    x, y = memory_task(20)
    for options, error, message in [
        ({"cells": ["gru", "lstn"]}, ValueError, "unknown cell 'lstn'; did you mean 'lstm'"),
        ({"cells": "gru"}, TypeError, "cells: expected some of simple_rnn, gru, lstm"),
        ({"seeds": 0}, ValueError, "seeds: expected at least 1"),
        ({"seeds": []}, ValueError, "seeds: expected at least one"),
        ({"validation_split": 1.5}, ValueError, "validation_split: expected a number between"),
        ({"validation_split": 0.01}, ValueError, "leaves 20 to train on and 0"),
        ({"epochs": "many"}, TypeError, "epochs: expected an integer"),
        ({"kind": "ids"}, ValueError, "expected ids"),
    ]:
        with pytest.raises(error, match=message):
            compare(x, y, **{**FAST, **options})
    with pytest.raises(ValueError, match="got 20 sequences and 19 targets"):
        compare(x, y[:-1], **FAST)


# ---- the command ---------------------------------------------------------------------------------


@pytest.fixture
def series(tmp_path):
    path = tmp_path / "series.csv"
    t = np.arange(90)
    rows = [f"day {i},{10 + np.sin(i / 3):.4f},{np.cos(i / 5):.4f}" for i in t]
    path.write_text("\n".join(["date,demand,temperature", *rows]) + "\n")
    return path


OPTIONS = ["--epochs", "2", "--seeds", "2", "--units", "8"]


def run(capsys, *arguments):
    status = main(["compare", *map(str, arguments)])
    out, err = capsys.readouterr()
    return status, out, err


def test_a_series(series, capsys, tmp_path):
    files = ["--markdown", tmp_path / "t.md", "--csv", tmp_path / "t.csv"]
    status, out, err = run(capsys, series, "--target", "demand", "--window", 6, *OPTIONS, *files)
    assert status == 0 and not err
    assert "left out, since they do not hold numbers only: date" in out
    assert "84 sequences of 6 steps, each of 2 numbers; 67 to train on, 17 held out" in out
    demand = np.round(10 + np.sin(np.arange(90) / 3), 4)
    naive = np.sqrt(np.mean((demand[73:] - demand[72:-1]) ** 2))
    assert f"the last value: {naive:.4g}" in out
    assert "validation RMSE (± over 2 seeds)" in out and out.count("seed 1: RMSE") == 3
    assert (tmp_path / "t.md").read_text().startswith("| Feature |")
    assert (tmp_path / "t.csv").read_text().startswith("cell,gates,states")


def test_horizon_and_features(series, capsys):
    arguments = ["--target", "demand", "--features", "temperature", "--horizon", 3, "--quiet"]
    status, out, _ = run(capsys, series, *arguments, "--cells", "gru", "--window", 6, *OPTIONS)
    assert status == 0 and "82 sequences of 6 steps, each of 1 numbers" in out
    assert out.startswith("cell") and "lstm" not in out


def test_windows_end_before_their_targets(tmp_path):
    from fastgru.comparison import _files

    path = tmp_path / "s.csv"
    path.write_text("\n".join(str(i) for i in range(30)))
    cut = _files.series(_files.read_table(str(path)), "1", None, window=4, horizon=3)
    assert cut.x[0, :, 0].tolist() == [0, 1, 2, 3] and cut.y[0] == 6 and cut.last[0] == 3
    assert cut.x[-1, :, 0].tolist() == [23, 24, 25, 26] and cut.y[-1] == 29 and len(cut.x) == 24


def test_texts(tmp_path, capsys):
    path = tmp_path / "reviews.tsv"
    rows = [("A fine film!", "pos"), ('"Dull, dull."', "neg"), ("Not bad\tat all", "pos")] * 12
    rows = [(text.replace("\t", " "), label) for text, label in rows]
    path.write_text("\n".join(["text\tlabel", *("\t".join(row) for row in rows)]))
    status, out, err = run(capsys, path, "--cells", "gru", "--quiet", *OPTIONS)
    assert status == 0 and not err
    assert "36 sequences of 4 steps, each of ids below 12" in out
    assert "2 classes" in out and "validation accuracy" in out


def test_what_is_wrong_with_a_file_is_said(series, tmp_path, capsys):
    def content(text):
        folder = tmp_path / str(len(os.listdir(tmp_path)))
        folder.mkdir()
        path = folder / "bad.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    one = ["--target", "a"]
    for path, arguments, message in [
        (series, ["--target", "demnd"], "--target: the file has no column 'demnd'; did you mean"),
        (series, ["--target", "x"], "no column 'x'; the file's columns: date, demand, temperature"),
        (series, ["--target", "date"], "line 2, column 'date': expected a number, got 'day 0'"),
        (series, ["--target", "demand", "--features", "date"], "--features: line 2, column 'date'"),
        (series, [], "name the column to predict with --target"),
        (series, ["--target", "demand", "--text", "date"], "--target and --features name col"),
        (series, ["--features", "demand", "--label", "date"], "--target and --features name col"),
        (series, ["--text", "date"], "--label: the file has no column 'label'"),
        (series, ["--target", "demand", "--window", 85], "90 rows give 5 windows of 85 steps"),
        (tmp_path / "nowhere.csv", one, "No such file"),
        (series, [*one, "--delimiter", "ab"], "--delimiter: expected one character, got 'ab'"),
        (series, [*one, "--delimiter", ""], "--delimiter: expected one character, got ''"),
        (series, ["--target", "demand", "--csv", tmp_path / "no" / "a.csv"], "no such folder"),
        (content(""), one, "bad.csv: the file is empty"),
        (content("a,b\n"), one, "a line of names, and no rows below it"),
        (content("a,b\n1,2\n3\n"), one, "line 3: expected 2 columns (a, b), got 1"),
        (content("a,a\n1,2\n"), one, "two columns have one name: a, a"),
        (content("a,b\n1,2\n,4\n"), one, "line 3, column 'a': expected a number, got nothing"),
        (content("a,b\n1,2\nnan,4\n"), one, "line 3, column 'a': expected a number, got 'nan'"),
        (content(b"\xff\xfe\x00a"), one, "expected a CSV file in UTF-8"),
        (content("text,label\nyes,1\n,0\n"), [], "line 3, column 'text': expected a text, got n"),
    ]:
        status, out, err = run(capsys, path, *arguments)
        assert status == 2 and message in err and "Traceback" not in err, (message, err)
        assert err.startswith("python -m fastgru compare: ") and not out


def test_a_picture_of_an_unknown_kind_is_refused_before_the_work(series, capsys, tmp_path):
    wanted = ["--target", "demand", "--picture", tmp_path / "cells.xyz"]
    status, out, err = run(capsys, series, *wanted)
    assert status == 2 and not out and "expected a picture's ending, one of " in err


def test_options_are_checked(capsys):
    for arguments in (["x.csv", "--epochs", "0"], ["x.csv", "--cells", "elman"], []):
        with pytest.raises(SystemExit) as stopped:
            main(["compare", *arguments])
        assert stopped.value.code == 2
    with pytest.raises(SystemExit):
        main(["compare", "--help"])
    assert "--target COLUMN" in capsys.readouterr().out


def test_the_command_in_a_process_of_its_own(series):
    command = [sys.executable, "-m", "fastgru", "compare", str(series), "--target", "demand"]
    arguments = ["--cells", "gru", "--window", "6", *OPTIONS]
    done = subprocess.run(
        [*command, *arguments], capture_output=True, text=True, env={**os.environ}, check=True
    )
    assert "Winner: gru." in done.stdout
