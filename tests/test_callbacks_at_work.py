"""The callbacks that stop, save, slow down and write: what they do to a fit."""

from __future__ import annotations

import csv
import os
import signal
import threading
import time

import numpy as np
import pytest

import fastgru
from fastgru import Sequential
from fastgru.callbacks import (
    Callback,
    CSVLogger,
    EarlyStopping,
    LambdaCallback,
    LearningRateScheduler,
    ModelCheckpoint,
    ReduceLROnPlateau,
    TerminateOnNaN,
)
from fastgru.layers import Dense
from fastgru.optimizers import SGD
from fastgru.optimizers.schedules import ExponentialDecay

X = np.random.default_rng(1).normal(size=(10, 3))
Y = (X.sum(axis=1) > 0).astype(int)


def make_model(optimizer=None, **compiled):
    fastgru.utils.set_random_seed(1)
    model = Sequential([Dense(1, "sigmoid", input_shape=(3,))])
    compiled.setdefault("metrics", ["accuracy"])
    model.compile(optimizer or SGD(0.1), "binary_crossentropy", **compiled)
    return model


class Script(Callback):
    """Gives a number of the logs the values of a script, epoch by epoch."""

    def __init__(self, values, name="val_loss"):
        super().__init__()
        self.values, self.name = values, name
        self.weights = []

    def on_epoch_end(self, epoch, logs=None):
        logs[self.name] = self.values[epoch]
        self.weights.append(self.model.get_weights())


def run(values, callback, name="val_loss", model=None, **arguments):
    """Fit as long as a script goes; return the model, the history and the script."""
    script, model = Script(values, name), model or make_model()
    arguments = {"epochs": len(values), "verbose": 0, **arguments}
    return model, model.fit(X, Y, callbacks=[script, callback], **arguments), script


# ---- EarlyStopping -------------------------------------------------------------------------------

# After how many epochs Keras 3 stops, and which epoch it takes for the best.
STOPS = [
    ({}, [3, 2, 2.5, 1], 3, 1),
    ({"patience": 1}, [3, 2, 2.5, 1], 3, 1),
    ({"patience": 2}, [3, 2, 2.5, 1], 4, 3),
    ({"patience": 2}, [3, 2, 2.5, 2.2, 1], 4, 1),
    ({"patience": 1, "min_delta": 0.5}, [3, 2.7, 2.4, 1], 2, 0),
    ({"patience": 1, "min_delta": -0.5}, [3, 2.7, 2.4, 1], 2, 0),
    ({"patience": 2, "baseline": 1.5}, [3, 3.5, 1], 2, 0),
    ({"patience": 2, "baseline": 2.5}, [3, 2, 1.8, 1], 4, 3),
    ({"patience": 1, "start_from_epoch": 2}, [1, 5, 4, 3, 3.5, 1], 5, 3),
    ({"patience": 1, "mode": "max"}, [3, 4, 3.5, 5], 3, 1),
    ({"patience": 0}, [3, 3, 3], 2, 0),
]


@pytest.mark.parametrize("restore", [False, True])
@pytest.mark.parametrize(("arguments", "values", "epochs", "best"), STOPS)
def test_early_stopping(arguments, values, epochs, best, restore, capsys):
    stop = EarlyStopping(restore_best_weights=restore, verbose=1, **arguments)
    model, history, script = run(values, stop)
    assert len(history.epoch) == epochs and stop.best_epoch == best
    assert stop.stopped_epoch == (epochs - 1 if epochs < len(values) else 0)
    kept = script.weights[best if restore else -1]
    for a, b in zip(model.get_weights(), kept, strict=True):
        np.testing.assert_array_equal(a, b)
    told = capsys.readouterr().out
    assert (f"Epoch {epochs}: early stopping" in told) == (epochs < len(values))
    assert (f"from the end of the best epoch: {best + 1}." in told) == restore


@pytest.mark.parametrize(
    ("name", "values", "epochs"),
    [("val_accuracy", [0.1, 0.2, 0.15, 1], 3), ("accuracy", [0.1, 0.2, 0.15, 1], 3)],
)
def test_which_way_is_better_the_metric_tells(name, values, epochs):
    _, history, _ = run(values, EarlyStopping(name), name)
    assert len(history.epoch) == epochs


def test_a_number_that_nobody_knows_needs_a_mode():
    with pytest.raises(ValueError, match="EarlyStopping: whether more or less of 'mine' is better"):
        run([1, 2, 3], EarlyStopping("mine"), "mine")
    _, history, _ = run([1, 2, 1], EarlyStopping("mine", mode="min"), "mine")
    assert len(history.epoch) == 2


@pytest.mark.parametrize("make", [EarlyStopping, ReduceLROnPlateau])
def test_numbers_of_epochs_are_checked(make):
    for name in ("patience", "start_from_epoch" if make is EarlyStopping else "cooldown"):
        with pytest.raises(ValueError, match=f"{name}: expected at least 0, got -1"):
            make(**{name: -1})
        with pytest.raises(TypeError, match=f"{name}: expected an integer, got '3'"):
            make(**{name: "3"})
    with pytest.raises(TypeError, match="min_delta: expected a number, got 'a'"):
        make(min_delta="a")


def test_other_arguments_of_monitors_are_checked():
    with pytest.raises(TypeError, match="baseline: expected a number, got 'a'"):
        EarlyStopping(baseline="a")
    with pytest.raises(TypeError, match="factor: expected a number, got 'a'"):
        ReduceLROnPlateau(factor="a")
    with pytest.raises(TypeError, match="min_lr: expected a number, got 'a'"):
        ReduceLROnPlateau(min_lr="a")
    with pytest.raises(TypeError, match="separator: expected one character, got 5"):
        CSVLogger("a.csv", separator=5)
    with pytest.raises(TypeError, match="filepath: expected a path, got int"):
        ModelCheckpoint(5)
    with pytest.raises(ValueError, match=r"such as '\{epoch\}-\{loss:\.2f\}\.npz', got .*Keras'"):
        ModelCheckpoint("{epoch}-{loss:.2f}.keras")


def test_a_number_that_is_not_there_warns():
    with pytest.warns(UserWarning, match="conditioned on metric `val_los` which is not available"):
        run([1, 2, 3], EarlyStopping("val_los"))


def test_early_stopping_can_be_used_again():
    stop = EarlyStopping()
    for _ in range(2):
        assert len(run([3, 2, 2.5, 1], stop)[1].epoch) == 3


# ---- ModelCheckpoint -----------------------------------------------------------------------------


def test_a_checkpoint_for_each_epoch(tmp_path, capsys):
    path = tmp_path / "deeper" / "{epoch:02d}-{val_loss:.1f}.npz"
    model, _, script = run([3, 2, 2.5], ModelCheckpoint(path, save_weights_only=True, verbose=1))
    assert sorted(os.listdir(tmp_path / "deeper")) == ["01-3.0.npz", "02-2.0.npz", "03-2.5.npz"]
    model.load_weights(tmp_path / "deeper" / "02-2.0.npz")
    for a, b in zip(model.get_weights(), script.weights[1], strict=True):
        np.testing.assert_array_equal(a, b)
    assert capsys.readouterr().out.count("saving model to") == 6


def test_the_best_model_goes_on(tmp_path, capsys):
    path = tmp_path / "best.npz"
    best = ModelCheckpoint(path, save_best_only=True, verbose=1)
    _, _, script = run([3, 2, 2.5], best)
    again = fastgru.models.load_model(path)
    for a, b in zip(again.get_weights(), script.weights[1], strict=True):
        np.testing.assert_array_equal(a, b)
    assert again.optimizer.iterations == 2 and best.best == 2
    told = capsys.readouterr().out
    for text in (
        "improved from None to 3.00000",
        "improved from 3.00000 to 2.0",
        "not improve fro",
    ):
        assert text in told
    path.unlink()
    run([5], ModelCheckpoint(path, save_best_only=True, initial_value_threshold=4))
    assert not path.exists()


def test_checkpoints_after_batches(tmp_path):
    saved = ModelCheckpoint(tmp_path / "{epoch}-{batch}.npz", save_weights_only=True, save_freq=3)
    make_model().fit(X, Y, batch_size=2, epochs=2, callbacks=[saved], verbose=0)
    assert sorted(os.listdir(tmp_path)) == ["1-3.npz", "2-1.npz", "2-4.npz"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ModelCheckpoint("a.npz", save_freq="batch"), "save_freq: .*got 'batch'"),
        (lambda: ModelCheckpoint("a.h5"), "filepath: .*'a.h5'"),
        (lambda: ModelCheckpoint("a.npz", save_freq=0), "save_freq: .*got 0"),
        (lambda: ModelCheckpoint("a.npz", mode="most"), "mode: expected .*got 'most'"),
        (lambda: run([1], ModelCheckpoint("{mae}.npz")), "filepath: .*names 'mae'"),
        (lambda: ReduceLROnPlateau(factor=1), "factor: .*below 1, got 1"),
        (lambda: ModelCheckpoint("d/{}.npz"), "filepath: 'd/{}.npz' is no format of names"),
        (lambda: ModelCheckpoint("{loss:zz}.npz"), "filepath: '{loss:zz}.npz' is no format of na"),
        (lambda: ModelCheckpoint("{loss:02d}.npz"), "filepath: '{loss:02d}.npz' is no format of "),
        (lambda: ModelCheckpoint("{loss.npz"), "filepath: '{loss.npz' is no format of names"),
        (lambda: CSVLogger("a.csv", separator="ab"), "separator: expected one character, got 'ab"),
        (lambda: CSVLogger("a.csv", separator=""), "separator: expected one character, got ''"),
        (lambda: CSVLogger("a.csv", separator="\n"), "separator: expected one character"),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# ---- the learning rate ---------------------------------------------------------------------------

# The learning rates that Keras 3 logs.
PLATEAUS = [
    ({"patience": 1}, [3, 2, 2.5, 2.5], [1, 1, 1, 0.1]),
    ({"patience": 2, "factor": 0.5}, [3, 3, 3, 3, 3], [1, 1, 1, 0.5, 0.5]),
    (
        {"patience": 1, "factor": 0.5, "cooldown": 2},
        [3, 3, 3, 3, 3, 3],
        [1, 1, 0.5, 0.5, 0.25, 0.25],
    ),
    ({"patience": 1, "factor": 0.5, "min_lr": 0.3}, [3, 3, 3, 3], [1, 1, 0.5, 0.3]),
    ({"patience": 1, "min_delta": 0.2}, [3, 2.9, 2.7, 2.6], [1, 1, 0.1, 0.1]),
]


@pytest.mark.parametrize(("arguments", "values", "rates"), PLATEAUS)
def test_reduction_on_a_plateau(arguments, values, rates):
    _, history, _ = run(values, ReduceLROnPlateau(**arguments), model=make_model(SGD(1.0)))
    assert history.history["learning_rate"] == pytest.approx(rates)


def test_a_scheduler(capsys):
    schedule = LearningRateScheduler(lambda epoch, rate: rate / (epoch + 1), verbose=1)
    model, history, _ = run([1, 1, 1], schedule, model=make_model(SGD(0.6)))
    assert history.history["learning_rate"] == pytest.approx([0.6, 0.3, 0.1])
    assert model.optimizer.learning_rate == pytest.approx(0.1)
    assert "Epoch 2: LearningRateScheduler setting learning rate to 0.3" in capsys.readouterr().out
    with pytest.raises(TypeError, match="schedule: expected a function that returns a number"):
        run([1], LearningRateScheduler(lambda epoch, rate: "slow"))
    with pytest.raises(TypeError, match="schedule: expected a function, got 0.1"):
        LearningRateScheduler(0.1)
    with pytest.raises(TypeError, match="schedule: expected a function of the epoch and the lea"):
        LearningRateScheduler(lambda: 0.1)
    with pytest.raises(TypeError, match="learning_rate: sgd has a schedule"):
        run([1], schedule, model=make_model(SGD(ExponentialDecay(0.1, 5, 0.5))))


@pytest.mark.parametrize(
    "schedule", [lambda epoch: 0.5**epoch, lambda epoch, *, base=0.5: base**epoch]
)
def test_a_schedule_of_the_epoch_alone(schedule):
    _, history, _ = run([1, 1, 1], LearningRateScheduler(schedule), model=make_model(SGD(0.6)))
    assert history.history["learning_rate"] == pytest.approx([1, 0.5, 0.25])


def test_an_error_in_a_schedule_is_told_as_it_is():
    with pytest.raises(TypeError, match="unsupported operand"):
        run([1], LearningRateScheduler(lambda epoch, rate: epoch + "a"))


# ---- CSVLogger, LambdaCallback, TerminateOnNaN ---------------------------------------------------


def test_a_csv_file(tmp_path):
    path = tmp_path / "log.csv"
    _, history, _ = run([3, 2], CSVLogger(path))
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert list(rows[0]) == ["epoch", "accuracy", "loss", "val_loss"]
    assert [float(row["loss"]) for row in rows] == history.history["loss"]
    assert [row["epoch"] for row in rows] == ["0", "1"]
    run([5], CSVLogger(path, append=True))
    rows = list(csv.reader(path.read_text().splitlines()))
    assert len(rows) == 4 and rows[3][0] == "0" and rows[3][3] == "5"
    run([5], CSVLogger(path, separator=";"))
    assert path.read_text().startswith("epoch;accuracy;loss;val_loss\n0;")
    make_model().fit(X, Y, callbacks=[CSVLogger(path)], verbose=0)
    columns, row = csv.reader(path.read_text().splitlines())
    assert columns == ["epoch", "accuracy", "loss", "val_accuracy", "val_loss"]
    assert row[3:] == ["NA", "NA"]


def test_functions_as_callbacks():
    seen = []
    called = LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append(("epoch", epoch, sorted(logs))),
        on_train_begin=lambda logs: seen.append("begin"),
        on_test_end=lambda logs: seen.append("tested"),
    )
    make_model().fit(X, Y, validation_split=0.5, epochs=2, callbacks=[called], verbose=0)
    names = ["accuracy", "loss", "val_accuracy", "val_loss"]
    assert seen == ["begin", "tested", ("epoch", 0, names), "tested", ("epoch", 1, names)]
    with pytest.raises(
        TypeError, match="unknown argument 'on_epoch_ends'; did you mean 'on_epoch_"
    ):
        LambdaCallback(on_epoch_ends=print)
    with pytest.raises(TypeError, match="on_epoch_end: expected a function, got 3"):
        LambdaCallback(on_epoch_end=3)


def test_a_loss_that_is_no_number_ends_training(capsys):
    model = make_model(SGD(np.finfo("f").max))
    with pytest.warns(RuntimeWarning, match="the loss is"), np.errstate(all="ignore"):
        history = model.fit(1e30 * X, Y, 5, epochs=5, callbacks=[TerminateOnNaN()], verbose=0)
    assert len(history.epoch) < 5
    assert "Invalid loss, terminating training" in capsys.readouterr().out
    model = make_model(SGD(np.finfo("f").max))
    with (
        pytest.warns(RuntimeWarning, match="the loss is"),
        np.errstate(all="ignore"),
        pytest.raises(RuntimeError, match="NaN or Inf loss encountered at batch"),
    ):
        model.fit(1e30 * X, Y, 5, 5, callbacks=[TerminateOnNaN(raise_error=True)], verbose=0)


# ---- Ctrl-C --------------------------------------------------------------------------------------


@pytest.fixture
def ctrl_c():
    """Python's own handler, which a process begun in the background of a shell lacks."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="a system without signals")
def test_ctrl_c_acts_within_a_batch_and_leaves_a_usable_model(ctrl_c):
    x = np.random.default_rng(0).normal(size=(64, 30, 8))
    model = Sequential([fastgru.layers.GRU(16, input_shape=(30, 8)), Dense(1)])
    model.compile("adam", "mse")
    begun, pressed, ended = threading.Event(), [], []

    def press():
        begun.wait(60)
        time.sleep(0.05)
        pressed.append(time.perf_counter())
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    watch = LambdaCallback(on_epoch_end=lambda epoch, logs: epoch == 2 and begun.set())
    threading.Thread(target=press).start()
    with pytest.raises(KeyboardInterrupt):
        model.fit(x, x[:, 0, 0], batch_size=2, epochs=10**6, callbacks=[watch], verbose=0)
    ended.append(time.perf_counter())
    assert ended[0] - pressed[0] < 1  # a batch takes a millisecond; the machine may be busy
    history = model.history
    assert len(history.epoch) == len(history.history["loss"]) >= 3
    assert len(history.epoch) == model.optimizer.iterations // 32
    assert np.isfinite(model.predict(x)).all()
    more = model.fit(x, x[:, 0, 0], epochs=2, verbose=0)
    assert more.history["loss"][-1] < history.history["loss"][0]
