"""Optimizers and schedules step by step beside Keras': the same gradients, the same weights.

In double precision; 50 steps; weights agree to 1e-12 of their size.
"""

from __future__ import annotations

import keras
import numpy as np
import pytest

import fastgru
from fastgru.layers.parameters import Weight, gather

STEPS = 50
RATE = 1e-12
SHAPES = {"kernel": (5, 7), "recurrent_kernel": (7, 3), "bias": (9,)}

pytestmark = [
    # Of Keras' own variables.
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.usefixtures("double_precision"),
]


@pytest.fixture(params=["compiled", "reference"])
def backend(request):
    with fastgru.use_ops(request.param):
        yield


def floats(array):
    return np.asarray(array.value.detach().cpu())


def walk(make, prepare=lambda optimizer: None):
    """Yield our weights and theirs after each step along the same gradients."""
    rng = np.random.default_rng(5)
    initial = {name: rng.normal(size=shape) for name, shape in SHAPES.items()}
    ours = [Weight(name, value) for name, value in initial.items()]
    gather(ours)
    theirs = [keras.Variable(v, name=n, dtype="float64") for n, v in initial.items()]
    mine, keras_own = make(fastgru.optimizers), make(keras.optimizers)
    for optimizer in (mine, keras_own):
        prepare(optimizer)
    mine.bind(ours)
    for step in range(STEPS):
        size = 10 ** rng.uniform(-2, 1)  # so that clips act at some steps and not at others
        gradients = [rng.normal(size=shape) * size for shape in SHAPES.values()]
        for weight, gradient in zip(ours, gradients, strict=True):
            weight.gradient[...] = gradient
        expected = float(keras.ops.convert_to_numpy(keras_own.learning_rate))
        assert mine.learning_rate == pytest.approx(expected, rel=1e-12), step
        mine.step()
        tensors = [keras.ops.convert_to_tensor(g, dtype="float64") for g in gradients]
        keras_own.apply(tensors, theirs)
        yield mine, keras_own, [w.numpy() for w in ours], [floats(v) for v in theirs]


OPTIMIZERS = {
    "adam": lambda o: o.Adam(),
    "adam, other numbers": lambda o: o.Adam(0.02, 0.8, 0.95, 1e-4),
    "adam, amsgrad": lambda o: o.Adam(0.02, 0.7, 0.8, amsgrad=True),
    "adam, decay": lambda o: o.Adam(0.02, weight_decay=0.3),
    "adamw": lambda o: o.AdamW(),
    "adamw, amsgrad": lambda o: o.AdamW(0.02, 0.2, amsgrad=True),
    "sgd": lambda o: o.SGD(),
    "sgd, momentum": lambda o: o.SGD(0.03, momentum=0.8),
    "sgd, nesterov": lambda o: o.SGD(0.03, momentum=0.8, nesterov=True),
    "sgd, decay": lambda o: o.SGD(0.03, 0.8, weight_decay=0.1),
    "rmsprop": lambda o: o.RMSprop(),
    "rmsprop, momentum": lambda o: o.RMSprop(0.02, 0.8, momentum=0.7),
    "rmsprop, centered": lambda o: o.RMSprop(0.02, centered=True, epsilon=1e-4),
    "rmsprop, centered, momentum": lambda o: o.RMSprop(0.02, 0.7, 0.6, centered=True),
    "rmsprop, decay": lambda o: o.RMSprop(0.02, weight_decay=0.1),
}
for _name, _options in {
    "clipnorm": {"clipnorm": 3.0},
    "global_clipnorm": {"global_clipnorm": 5.0},
    "clipvalue": {"clipvalue": 0.7},
    "ema": {"use_ema": True, "ema_momentum": 0.8},
    "ema, overwritten": {"use_ema": True, "ema_momentum": 0.8, "ema_overwrite_frequency": 7},
    "accumulation": {"gradient_accumulation_steps": 4},
    "ema, overwritten, accumulation, clip, decay": {
        "gradient_accumulation_steps": 3,
        "clipnorm": 1.0,
        "weight_decay": 0.1,
        "use_ema": True,
        "ema_overwrite_frequency": 4,
    },
}.items():
    OPTIMIZERS[f"adam, {_name}"] = lambda o, _k=_options: o.Adam(0.02, **_k)
    OPTIMIZERS[f"sgd, {_name}"] = lambda o, _k=_options: o.SGD(0.02, 0.5, **_k)


@pytest.mark.parametrize("case", OPTIMIZERS)
def test_step_by_step(backend, case):
    for step, (mine, keras_own, ours, theirs) in enumerate(walk(OPTIMIZERS[case])):
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(a, b, rtol=RATE, atol=RATE, err_msg=f"step {step}")
        assert mine.iterations == int(keras_own.iterations)
    before = ours
    keras_own.finalize_variable_values(keras_own._trainable_variables)
    mine.finalize()
    theirs = [floats(v) for v in keras_own._trainable_variables]
    ours = [w.numpy() for w in mine._weights]
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=RATE, atol=RATE)
    if not mine.ema_overwrite_frequency:
        assert np.array_equal(before[0], ours[0]) != mine.use_ema


def test_what_is_excluded_from_decay():
    def exclude(optimizer):
        optimizer.exclude_from_weight_decay(var_names=["bias", "recurrent"])

    for *_, ours, theirs in walk(lambda o: o.AdamW(0.02, 0.3), exclude):
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(a, b, rtol=RATE, atol=RATE)
    *_, (*_, all_decayed, _) = walk(lambda o: o.AdamW(0.02, 0.3))
    same = [np.array_equal(a, b) for a, b in zip(ours, all_decayed, strict=True)]
    assert same == [True, False, False]


SCHEDULES = {
    "exponential": lambda s: s.ExponentialDecay(0.1, 7, 0.6),
    "exponential, stairs": lambda s: s.ExponentialDecay(0.1, 7, 0.6, staircase=True),
    "piecewise": lambda s: s.PiecewiseConstantDecay([3, 10, 30], [0.1, 0.05, 0.2, 0.01]),
    "polynomial": lambda s: s.PolynomialDecay(0.1, 20, 0.01, power=1.5),
    "polynomial, in cycles": lambda s: s.PolynomialDecay(0.1, 9, 0.01, power=2.0, cycle=True),
    "inverse time": lambda s: s.InverseTimeDecay(0.1, 5, 0.7),
    "inverse time, stairs": lambda s: s.InverseTimeDecay(0.1, 5, 0.7, staircase=True),
    "cosine": lambda s: s.CosineDecay(0.1, 30, alpha=0.1),
    "cosine, warm": lambda s: s.CosineDecay(0.01, 30, 0.1, warmup_target=0.2, warmup_steps=8),
    "restarts": lambda s: s.CosineDecayRestarts(0.1, 6, alpha=0.1, m_mul=0.8),
    "restarts, 1.5 times": lambda s: s.CosineDecayRestarts(0.1, 6, t_mul=1.5),
    "restarts, alike": lambda s: s.CosineDecayRestarts(0.1, 6, t_mul=1.0, m_mul=0.9),
}


@pytest.mark.parametrize("case", SCHEDULES)
def test_schedules(case):
    make = SCHEDULES[case]
    rates = set()
    for mine, _, ours, theirs in walk(lambda o: o.SGD(make(o.schedules), momentum=0.5)):
        rates.add(mine.learning_rate)
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(a, b, rtol=RATE, atol=RATE)
    assert len(rates) > 3
    config = make(fastgru.optimizers.schedules).get_config()
    for key, value in make(keras.optimizers.schedules).get_config().items():
        assert config[key] == value, key


@pytest.mark.parametrize("name", ["Adam", "AdamW", "SGD", "RMSprop"])
def test_configurations_agree(name):
    theirs = getattr(keras.optimizers, name)(name=name.lower()).get_config()
    ours = getattr(fastgru.optimizers, name)().get_config()
    for key, value in theirs.items():
        if key == "learning_rate":
            value = pytest.approx(value, rel=1e-6)
        assert ours[key] == value, key
