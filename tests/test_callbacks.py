"""Callbacks and progress: who is called when, and what is shown."""

from __future__ import annotations

import io
import os
import re
import struct
import sys
import time

import numpy as np
import pytest

from fastgru import Sequential
from fastgru.callbacks import Callback, CallbackList, History
from fastgru.layers import Dense
from fastgru.metrics import BinaryAccuracy

X = np.random.default_rng(1).normal(size=(10, 3))
Y = (X.sum(axis=1) > 0).astype(int)


def make_model():
    model = Sequential([Dense(1, "sigmoid", input_shape=(3,))])
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return model


HOOKS = [name for name in vars(Callback) if name.startswith("on_") and "_batch" not in name]
HOOKS += [
    f"on_{run}_batch_{end}" for run in ("train", "test", "predict") for end in ("begin", "end")
]


class Recorder(Callback):
    """Writes down every call."""

    def __init__(self):
        super().__init__()
        self.calls = []
        self.logs = []


def record(hook):
    def method(self, *arguments):
        *number, logs = arguments
        self.calls.append((hook, *number))
        self.logs.append((hook, dict(logs)))

    return method


for _hook in HOOKS:
    setattr(Recorder, _hook, record(_hook))


def test_the_order_of_calls():
    model, recorder = make_model(), Recorder()
    model.fit(X, Y, batch_size=6, epochs=2, validation_data=(X, Y), callbacks=[recorder], verbose=0)
    batches = [
        (f"on_{run}_batch_{end}", b)
        for run in ("train", "test")
        for b in (0, 1)
        for end in ("begin", "end")
    ]
    epoch = [*batches[:4], ("on_test_begin",), *batches[4:], ("on_test_end",)]
    expected = [
        ("on_train_begin",),
        ("on_epoch_begin", 0), *epoch, ("on_epoch_end", 0),
        ("on_epoch_begin", 1), *epoch, ("on_epoch_end", 1),
        ("on_train_end",),
    ]  # fmt: skip
    assert recorder.calls == expected
    assert recorder.model is model
    assert recorder.params == {"verbose": 0, "epochs": 2, "steps": 2}


def test_the_logs():
    model, recorder = make_model(), Recorder()
    history = model.fit(
        X, Y, batch_size=6, epochs=2, validation_data=(X, Y), callbacks=recorder, verbose=0
    )
    epochs = [logs for hook, logs in recorder.logs if hook == "on_epoch_end"]
    for name, values in history.history.items():
        assert [logs[name] for logs in epochs] == values
        assert all(type(value) is float for value in values)
    batches = [logs for hook, logs in recorder.logs if hook == "on_train_batch_end"]
    assert all(set(logs) == {"loss", "accuracy"} for logs in batches)
    assert batches[1]["loss"] == epochs[0]["loss"] and batches[0]["loss"] != batches[1]["loss"]
    (end,) = [logs for hook, logs in recorder.logs if hook == "on_train_end"]
    assert end == epochs[-1]


def test_evaluate_and_predict_call_too():
    model, recorder = make_model(), Recorder()
    loss, _ = model.evaluate(X, Y, batch_size=6, callbacks=[recorder], verbose=0)
    outputs = model.predict(X, batch_size=6, callbacks=[recorder], verbose=0)
    hooks = [hook for hook, *_ in recorder.calls]
    assert hooks == [
        "on_test_begin", *["on_test_batch_begin", "on_test_batch_end"] * 2, "on_test_end",
        "on_predict_begin", *["on_predict_batch_begin", "on_predict_batch_end"] * 2,
        "on_predict_end",
    ]  # fmt: skip
    logs = dict(recorder.logs)
    assert logs["on_test_end"]["loss"] == loss
    np.testing.assert_array_equal(logs["on_predict_batch_end"]["outputs"], outputs[6:])


def test_old_names_of_the_batch_hooks():
    seen = []

    class Old(Callback):
        def on_batch_end(self, batch, logs=None):
            seen.append((batch, logs["loss"]))

    make_model().fit(X, Y, batch_size=6, callbacks=[Old()], verbose=0)
    assert [batch for batch, _ in seen] == [0, 1]


def test_a_hook_set_on_an_object_is_called():
    callback, seen = Callback(), []
    callback.on_epoch_end = lambda epoch, logs: seen.append(epoch)
    make_model().fit(X, Y, epochs=2, callbacks=[callback], verbose=0)
    assert seen == [0, 1]


def test_hooks_that_nobody_overrides_are_not_called():
    called = CallbackList([Callback(), History()])
    assert not called.has("on_train_batch_end") and called.has("on_epoch_end")


@pytest.mark.parametrize("hook", ["on_train_batch_end", "on_epoch_end"])
def test_stop_training(hook):
    class Stop(Callback):
        pass

    def stop(self, number, logs=None):
        self.model.stop_training = True

    setattr(Stop, hook, stop)
    model = make_model()
    history = model.fit(X, Y, batch_size=2, epochs=9, callbacks=[Stop()], verbose=0)
    assert history.epoch == [0]
    assert model.optimizer.iterations == (1 if hook == "on_train_batch_end" else 5)
    assert model.fit(X, Y, epochs=3, verbose=0).epoch == [0, 1, 2]


@pytest.mark.parametrize("callbacks", [[History], ["history"], [print]])
def test_what_is_no_callback_is_refused(callbacks):
    model = make_model()
    with pytest.raises(TypeError, match="callbacks: expected instances of Callback"):
        model.fit(X, Y, callbacks=callbacks, verbose=0)
    assert model.optimizer.iterations == 0


# ---------------------------------------------------------------- progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_lines_where_there_is_no_terminal(capsys):
    for verbose in ("auto", 1, 2):
        make_model().fit(X, Y, epochs=2, verbose=verbose, validation_data=(X, Y))
        out, err = capsys.readouterr()
        first, second = out.splitlines()
        assert first.startswith("Epoch 1/2 - ") and second.startswith("Epoch 2/2 - ")
        for name in ("loss", "accuracy", "val_loss", "val_accuracy"):
            assert f" - {name}: 0." in first or f" - {name}: 1." in first
        assert err == ""


def shown(terminal):
    """Return what was written, one entry for each time that the line was drawn anew."""
    return [line.rstrip() for line in terminal.getvalue().replace("\n", "\r").split("\r")]


def test_a_bar_on_a_terminal(capsys, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    model = make_model()
    logs = model.fit(X, Y, batch_size=2, epochs=2, validation_split=0.2).history
    for epoch in (0, 1):
        begun, ended = (line for line in shown(terminal) if f"Epoch {epoch + 1}/2" in line)
        assert begun.startswith(f"Epoch {epoch + 1}/2 0/4 |   ") and len(begun) <= 80
        assert re.search(r"/2 4/4 \|[█#]{10}\| [\d.]+m?s - loss: ", ended)
        numbers = [f" - {name}: {values[epoch]:.4f}" for name, values in logs.items()]
        assert len(numbers) == 4 and ended.endswith("".join(numbers))
    assert capsys.readouterr().out == ""

    terminal.truncate(0)
    model.fit(X, Y, epochs=2, verbose=2)
    assert terminal.getvalue().strip("\0") == ""
    assert capsys.readouterr().out.startswith("Epoch 1/2 - ")


def test_a_bar_shows_the_numbers_while_it_runs(monkeypatch):
    class Slow(Callback):
        def on_train_batch_end(self, batch, logs=None):
            time.sleep(0.11)

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    make_model().fit(X, Y, batch_size=4, callbacks=[Slow()])
    (line,) = (line for line in shown(terminal) if " 2/3 " in line)
    assert re.search(r"\| 00:00 left - loss: \d\.\d{4} - accuracy: \d\.\d{4}$", line)


def test_a_bar_of_a_generator_counts_its_steps(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    model = make_model()
    model.fit((X[i : i + 4], Y[i : i + 4]) for i in (0, 4, 8))
    model.predict(X[i : i + 4] for i in (0, 4, 8))
    lines = shown(terminal)
    assert any(re.fullmatch(r"Epoch 1/1 \d steps", line) for line in lines)
    assert any(re.match(r"Epoch 1/1 3/3 \|.* - accuracy: \d", line) for line in lines)
    assert any(line.startswith("Predict 3/3 |") for line in lines)


def test_an_epoch_of_one_step_is_a_bar_at_once(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    make_model().fit(X, Y, epochs=2)
    for epoch, line in enumerate(terminal.getvalue().splitlines()):
        assert re.fullmatch(rf"Epoch {epoch + 1}/2 1/1 \|[█#]{{10}}\| .* - accuracy: \S+", line)


def test_a_metric_may_have_any_name(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    model = make_model()
    model.compile("adam", "bce", metrics=[BinaryAccuracy("{share}", threshold=0.4)])
    model.fit(X, Y)
    assert " - {share}: " in terminal.getvalue()


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="a system without pseudo-terminals")
@pytest.mark.parametrize("columns", [0, 60])
def test_a_bar_fits_a_terminal_of_any_width(monkeypatch, columns):
    master, slave = os.openpty()
    fcntl = pytest.importorskip("fcntl")
    termios = pytest.importorskip("termios")
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 0, columns, 0, 0))
    with open(slave, "w") as terminal, open(master, "rb", buffering=0) as screen:
        monkeypatch.setattr(sys, "stderr", terminal)
        make_model().fit(X, Y, batch_size=5)
        terminal.flush()
        written = ""
        while not written.endswith("\n"):  # a terminal gives what there is
            written += screen.read(10_000).decode()
    begun, ended = (line.rstrip() for line in written.split("\r") if "Epoch 1/1" in line)
    assert begun.endswith("| ? left") and len(begun) == (columns or 80)
    assert re.search(r"accuracy: \d\.\d{4}$", ended)


def test_a_bar_is_closed_when_fit_is_interrupted(monkeypatch):
    class Interrupt(Callback):
        def on_train_batch_end(self, batch, logs=None):
            raise KeyboardInterrupt

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with pytest.raises(KeyboardInterrupt):
        make_model().fit(X, Y, batch_size=2, callbacks=[Interrupt()])
    assert terminal.getvalue().endswith("\n")


def test_evaluate_tells_its_numbers_and_predict_nothing(capsys, monkeypatch):
    model = make_model()
    for verbose in ("auto", 1, 2):
        loss, accuracy = model.evaluate(X, Y, verbose=verbose)
        model.predict(X, batch_size=2, verbose=verbose)
        out, err = capsys.readouterr()
        assert re.fullmatch(r"Evaluate - [\d.]+m?s - (.*)\n", out)[1] == (
            f"loss: {loss:.4f} - accuracy: {accuracy:.4f}"
        )
        assert err == ""


def test_bars_of_evaluate_and_predict(capsys, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    model = make_model()
    model.predict(X)
    assert terminal.getvalue() == ""  # one batch needs no bar
    model.predict(X, batch_size=2)
    loss, accuracy = model.evaluate(X, Y, batch_size=2)
    lines = shown(terminal)
    assert any(line.startswith("Predict 5/5 |") for line in lines)
    numbers = f"s - loss: {loss:.4f} - accuracy: {accuracy:.4f}"
    assert any(line.startswith("Evaluate 5/5 |") and line.endswith(numbers) for line in lines)
    assert capsys.readouterr().out == ""


def test_silence(capsys, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    model = make_model()
    model.fit(X, Y, batch_size=2, epochs=2, verbose=0, validation_split=0.2)
    model.evaluate(X, Y, batch_size=2, verbose=0)
    model.predict(X, batch_size=2, verbose=0)
    assert terminal.getvalue() == "" and capsys.readouterr().out == ""


@pytest.mark.parametrize("verbose", [3, -1, "loud", None, 1.5])
def test_bad_verbosity(verbose):
    with pytest.raises(ValueError, match="verbose: expected 0, 1, 2 or 'auto'"):
        make_model().fit(X, Y, verbose=verbose)
