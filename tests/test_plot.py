"""Pictures: the right numbers, the right way up, labelled. They need matplotlib."""

from __future__ import annotations

import sys

import matplotlib
import numpy as np
import pytest

matplotlib.use("agg")

from matplotlib import pyplot  # noqa: E402

import fastgru  # noqa: E402
from fastgru import Sequential, metrics, plot  # noqa: E402
from fastgru.layers import GRU, LSTM, Dense, Embedding, Input, SimpleRNN  # noqa: E402

rng = np.random.default_rng(8)
WORDS = ["the", "film", "was", "not", "good"]


@pytest.fixture(autouse=True)
def _close():
    yield
    pyplot.close("all")


def make(layer=None, mask_zero=True):
    layer = layer or GRU(6, name="reader")
    model = Sequential([Embedding(9, 4, mask_zero=mask_zero, input_length=8), layer, Dense(1)])
    model.set_weights([rng.normal(size=w.shape) for w in model.weights])
    return model


IDS = np.array([[3, 1, 4, 1, 5, 0, 0, 0], [2, 7, 1, 8, 2, 8, 1, 8]])


def heat_maps(figure):
    """Return the axes of the heat maps; every one has a strip above it and a bar beside it."""
    return [axes for axes in figure.axes if axes.get_ylabel().startswith("unit")]


def tick_texts(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


def drawn(axes):
    (image,) = axes.images
    assert image.origin == "upper" and axes.get_ylim()[0] > axes.get_ylim()[1]  # unit 0 on top
    return np.ma.filled(image.get_array().astype(float), np.nan)


def saved(figure, path):
    """Write a figure, which fails on what can't be drawn; return its size in pixels."""
    figure.savefig(path, dpi=50)
    assert path.read_bytes()[:4] == b"\x89PNG" and path.stat().st_size > 3000
    height, width, _ = pyplot.imread(path).shape
    return width, height


# ---- gates ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("update_gate", ["keep", "replace"])
def test_the_heat_map_shows_what_is_kept(tmp_path, update_gate):
    model = make(GRU(6, name="reader", update_gate=update_gate))
    found = fastgru.trace(model, IDS)["reader"]
    figure = plot.gates(model, IDS, words=WORDS)
    (axes,) = heat_maps(figure)
    z = found.z[0, :5].T
    np.testing.assert_allclose(drawn(axes), z if update_gate == "keep" else 1 - z)
    assert axes.images[0].get_clim() == (0, 1)
    assert tick_texts(axes.xaxis) == WORDS and list(axes.get_xticks()) == [0, 1, 2, 3, 4]
    assert axes.get_xlim() == (-0.5, 4.5)
    strip, _, bar = figure.axes
    np.testing.assert_allclose(strip.images[0].get_array()[0], drawn(axes).mean(axis=0))
    assert tick_texts(strip.yaxis) == ["mean"]
    assert bar.get_ylabel() == "share of the old state kept"
    assert figure.get_suptitle() == "reader, sample 0: what the update gate keeps"
    saved(figure, tmp_path / "gates.png")


def test_masked_steps_are_left_out_or_grey():
    model = make()
    (axes,) = heat_maps(plot.gates(model, IDS, words=WORDS, padding=True))
    assert np.isnan(drawn(axes)[:, 5:]).all() and np.isfinite(drawn(axes)[:, :5]).all()
    assert tick_texts(axes.xaxis) == [*WORDS, "", "", ""]
    assert axes.images[0].get_cmap().get_bad().tolist() == [0.85, 0.85, 0.85, 1]
    eight = [f"w{i}" for i in range(8)]
    (axes,) = heat_maps(plot.gates(model, IDS, sample=1, words=eight))
    assert tick_texts(axes.xaxis) == eight and drawn(axes).shape == (6, 8)


def test_several_gates_one_below_the_other(tmp_path):
    model = make()
    traced = fastgru.trace(model, IDS)
    figure = plot.gates(traced, sample=1, show=["z", "r", "candidate", "h"], title="All of it")
    maps = heat_maps(figure)
    for axes, name in zip(maps, ("z", "r", "candidate", "h"), strict=True):
        np.testing.assert_allclose(drawn(axes), traced["reader"].arrays()[name][1].T)
        assert axes.get_xlabel() == "time step"
    assert [axes.images[0].get_clim() for axes in maps] == [(0, 1), (0, 1), (-1, 1), (-1, 1)]
    bars = [axes.get_ylabel() for axes in figure.axes if axes not in maps and axes.get_ylabel()]
    assert bars == ["update gate z (1 keeps)", "reset gate r", "candidate", "state h"]
    assert figure.get_suptitle() == "All of it"
    saved(figure, tmp_path / "gates.png")
    bottoms = [axes.get_window_extent().y0 for axes in maps]
    assert bottoms == sorted(bottoms, reverse=True)


def test_a_sample_that_is_masked_altogether(tmp_path):
    ids = IDS.copy()
    ids[0] = 0
    figure = plot.gates(make(), ids, sort=True)
    assert np.isnan(drawn(heat_maps(figure)[0])).all()
    saved(figure, tmp_path / "gates.png")


def test_other_cells(tmp_path):
    lstm = make(LSTM(6, name="reader"))
    figure = plot.gates(lstm, IDS, show=["kept", "c"], sample=1)
    kept, c = heat_maps(figure)
    found = fastgru.trace(lstm, IDS)["reader"]
    np.testing.assert_allclose(drawn(kept), found.f[1].T)
    np.testing.assert_allclose(drawn(c), found.c[1].T)
    low, high = c.images[0].get_clim()
    assert low == -high and high >= np.abs(found.c[1]).max() - 1e-6
    figure = plot.gates(lstm, IDS)
    assert figure.get_suptitle() == "reader, sample 0: what the forget gate keeps"
    simple = make(SimpleRNN(6, name="reader"))
    (axes,) = heat_maps(plot.gates(simple, IDS, sample=1))
    np.testing.assert_allclose(drawn(axes), fastgru.trace(simple, IDS)["reader"].h[1].T)


def test_long_sentences_are_broken_into_lines(tmp_path):
    model = Sequential([Embedding(9, 4, input_length=100), GRU(24), Dense(1)])
    ids = rng.integers(0, 9, size=(1, 100))
    words = [f"word{i}" for i in range(100)]
    figure = plot.gates(model, ids, words=words)
    maps = heat_maps(figure)
    assert len(maps) == 3
    assert [text for axes in maps for text in tick_texts(axes.xaxis)] == words
    together = np.concatenate([drawn(axes) for axes in maps], axis=1)
    np.testing.assert_allclose(together, next(iter(fastgru.trace(model, ids).values())).z[0].T)
    spans = [np.diff(axes.get_xlim()).item() for axes in maps]
    assert spans == [34, 34, 34]  # a step is as wide in every line
    width, height = saved(figure, tmp_path / "gates.png")
    assert 400 < width < 1000 and 400 < height < 1000
    for axes in maps:  # labels do not run into each other
        boxes = [label.get_window_extent() for label in axes.get_xticklabels()]
        assert all(a.x1 <= b.x0 for a, b in zip(boxes, boxes[1:], strict=False))


def test_many_units_and_many_steps(tmp_path):
    model = Sequential([Input((300, 3)), GRU(200), Dense(1)])
    x = rng.normal(size=(1, 300, 3))
    figure = plot.gates(model, x, sort=True)
    (axes,) = heat_maps(figure)
    z = next(iter(fastgru.trace(model, x).values())).z[0]
    np.testing.assert_allclose(
        drawn(axes), z[:, np.argsort(z.astype(float).mean(axis=0), kind="stable")].T
    )
    assert axes.get_ylabel() == "unit, sorted" and len(axes.get_yticks()) <= 8
    width, height = saved(figure, tmp_path / "gates.png")
    assert width < 700 and height < 400


def test_wrong_arguments_are_named():
    model = make()
    with pytest.raises(ValueError, match="words: expected 8 labels, one for each step, or 5, one"):
        plot.gates(model, IDS, words=["a"] * 6)
    with pytest.raises(ValueError, match="words: expected 8 labels, one for each step, got 5"):
        plot.gates(model, IDS, words=WORDS, sample=1)
    with pytest.raises(ValueError, match="reader has no gate or state 'resett'"):
        plot.gates(model, IDS, show="resett")
    with pytest.raises(IndexError, match="sample: the trace has 2 samples, got 2"):
        plot.gates(model, IDS, sample=2)
    with pytest.raises(ValueError, match="x: expected samples to run the model on"):
        plot.gates(model)
    with pytest.raises(KeyError, match="no recurrent layer 'raeder'"):
        plot.gates(model, IDS, layer="raeder")
    with pytest.raises(ValueError, match="no recurrent layer, so there are no gates"):
        plot.gates(Sequential([Input((3,)), Dense(1)]), np.zeros((1, 3)))


# ---- history -------------------------------------------------------------------------------------


def lines(axes):
    return {line.get_label(): line for line in axes.lines if line.get_label()[0] != "_"}


def test_training_and_validation_curves(tmp_path):
    model = make()
    model.compile("adam", "mse", metrics=["accuracy"])
    y = rng.normal(size=(2, 1))
    trained = model.fit(IDS, y, epochs=4, verbose=0, validation_data=(IDS, y), validation_freq=2)
    figure = plot.history(trained)
    assert [axes.get_ylabel() for axes in figure.axes] == ["loss", "accuracy"]
    loss = lines(figure.axes[0])
    assert list(loss) == ["training", "validation"]
    assert loss["training"].get_xdata().tolist() == [1, 2, 3, 4]
    assert loss["training"].get_ydata().tolist() == trained.history["loss"]
    assert loss["validation"].get_xdata().tolist() == [2, 4]
    assert loss["validation"].get_ydata().tolist() == trained.history["val_loss"]
    assert loss["validation"].get_linestyle() == "--"
    assert all(axes.get_xlabel() == "epoch" and axes.get_legend() for axes in figure.axes)
    saved(figure, tmp_path / "history.png")
    assert len(plot.history(model, names=["loss"]).axes) == 1


def test_the_best_epoch_is_marked():
    curves = {"loss": [3, 2, 1], "val_loss": [3, 1, 2], "auc": [1, 2, 3], "val_auc": [1, 3, np.nan]}
    for axes, best in zip(plot.history(curves).axes, (1, 3), strict=True):
        (dot,) = [line for line in axes.lines if line.get_marker() == "o"]
        assert dot.get_xdata() == [2] and dot.get_ydata() == [best]


@pytest.mark.parametrize("name", ["auc", "bce", "kld", "logcosh", "mae", "precision", "fn"])
def test_the_best_epoch_is_that_of_the_metric(name):
    short = {"fn": metrics.FalseNegatives(), "precision": metrics.Precision(), "auc": metrics.AUC()}
    metric = short[name] if name in short else metrics.get(name)
    (axes,) = plot.history({f"val_{metric.name}": [2.0, 1.0, 3.0]}).axes
    (dot,) = [line for line in axes.lines if line.get_marker() == "o"]
    assert dot.get_xdata() == [3 if metric.direction == "up" else 2]


def test_several_runs_in_one_picture():
    runs = {"gru": {"loss": [2, 1], "val_loss": [3, 2]}, "lstm": {"loss": [2.5, 1.5]}}
    (axes,) = plot.history(runs, log=True).axes
    assert list(lines(axes)) == ["gru, training", "gru, validation", "lstm, training"]
    assert axes.get_yscale() == "log"


def test_what_is_no_history():
    for nothing in ({}, fastgru.History()):
        with pytest.raises(ValueError, match="expected the numbers of at least one epoch"):
            plot.history(nothing)
    for wrong in (3, make(), [1.0]):
        with pytest.raises(TypeError, match="trained: expected a History"):
            plot.history(wrong)
    with pytest.raises(ValueError, match="no curve 'los'; did you mean 'loss'"):
        plot.history({"loss": [1.0]}, names=["los"])


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"pip install 'fastgru\[plot\]'"):
        plot.history({"loss": [1.0]})
    with pytest.raises(ImportError, match=r"pip install 'fastgru\[plot\]'"):
        plot.gates(make(), IDS)
