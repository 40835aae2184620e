"""Optimizers: steps over flat buffers, state, names."""

from __future__ import annotations

import inspect
import json

import numpy as np
import pytest

from fastgru import optimizers, reference
from fastgru.layers.parameters import Weight, gather, trainable_spans
from fastgru.optimizers import SGD, Adam, AdamW, RMSprop
from fastgru.optimizers.schedules import CosineDecay, ExponentialDecay, PiecewiseConstantDecay

RNG = np.random.default_rng(2)


MAKERS = [
    Adam,
    lambda: Adam(0.1, amsgrad=True, clipvalue=0.5),
    lambda: AdamW(0.1, weight_decay=0.1, clipnorm=1.0),
    lambda: SGD(CosineDecay(0.1, 5), momentum=0.5, nesterov=True),
    lambda: RMSprop(0.1, momentum=0.3, centered=True, gradient_accumulation_steps=2),
    lambda: RMSprop(0.1, use_ema=True, ema_overwrite_frequency=2, global_clipnorm=0.5),
]


def make_weights(*shapes):
    weights = [Weight(f"w{i}", RNG.normal(size=shape)) for i, shape in enumerate(shapes)]
    gather(weights)
    for weight in weights:
        weight.gradient[...] = RNG.normal(size=weight.shape)
    return weights


def test_weights_of_a_buffer_are_views_without_a_gap():
    weights = make_weights((3, 2), (4,), (1, 5))
    buffer = weights[0].buffer
    assert all(w.buffer is buffer for w in weights)
    np.testing.assert_array_equal(buffer.values, np.concatenate([w.array.ravel() for w in weights]))
    assert all(np.shares_memory(w.array, buffer.values) for w in weights)
    assert all(np.shares_memory(w.gradient, buffer.gradients) for w in weights)
    (span,) = trainable_spans(weights)
    assert span == (buffer, 0, 15)


def test_a_frozen_weight_splits_the_range(operations):
    weights = make_weights((3, 2), (4,), (1, 5))
    weights[1].trainable = False
    before = [w.numpy() for w in weights]
    spans = trainable_spans(weights)
    assert [(s.start, s.stop) for s in spans] == [(0, 6), (10, 15)]
    optimizer = Adam()
    optimizer.bind(weights)
    optimizer.step()
    moved = [not np.array_equal(w.array, b) for w, b in zip(weights, before, strict=True)]
    assert moved == [True, False, True]


def test_adam_is_its_operation(operations):
    weights = make_weights((3, 2), (4,))
    buffer = weights[0].buffer
    p, g = buffer.values.copy(), buffer.gradients.copy()
    m, v = np.zeros_like(p), np.zeros_like(p)
    optimizer = Adam(0.02, beta_1=0.8, beta_2=0.95, epsilon=1e-3)
    optimizer.bind(weights)
    for step in range(1, 5):
        version = buffer.version
        if step == 3:
            optimizer.learning_rate = 0.5
        optimizer.step()
        rate = 0.02 if step < 3 else 0.5
        reference.adam_update(
            p, g, m, v, step=step, learning_rate=rate, beta_1=0.8, beta_2=0.95, epsilon=1e-3
        )
        assert buffer.version != version
    assert optimizer.iterations == 4
    np.testing.assert_allclose(buffer.values, p, rtol=1e-12)


def moments(optimizer):
    return {n: v for n, v in optimizer.get_state().items() if v.ndim}


def test_state_survives_a_change_of_what_trains(operations):
    weights = make_weights((3,), (2,))
    optimizer = Adam()
    optimizer.bind(weights)
    optimizer.step()
    before = moments(optimizer)
    weights[0].trainable = False
    optimizer.bind(weights)
    for name, values in moments(optimizer).items():
        np.testing.assert_array_equal(values, before[name])
        assert values.all() and values.shape == (5,)


@pytest.mark.parametrize("make", MAKERS)
def test_state_goes_on_to_the_bit(operations, make):
    """A fresh optimizer with the state of one that has trained does what that one would have."""
    weights = make_weights((3, 2), (7,))
    first = make()
    first.bind(weights)
    for _ in range(3):
        first.step()
        for weight in weights:
            weight.gradient[...] = RNG.normal(size=weight.shape)
    copies = [Weight(w.name, w.numpy()) for w in weights]
    gather(copies)
    second = type(first).from_config(json.loads(json.dumps(first.get_config())))
    second.set_state(first.get_state())
    second.bind(copies)
    for ours, theirs in zip(copies, weights, strict=True):
        ours.gradient[...] = theirs.gradient
    first.step()
    second.step()
    for ours, theirs in zip(copies, weights, strict=True):
        np.testing.assert_array_equal(ours.array, theirs.array)
    assert set(second.get_state()) == set(first.get_state())
    for name, values in first.get_state().items():
        np.testing.assert_array_equal(second.get_state()[name], values)


def test_state_holds_the_learning_rate_unless_a_schedule_gives_it():
    optimizer = SGD(0.5)
    optimizer.learning_rate = 0.25
    again = SGD(0.5)
    again.set_state(optimizer.get_state())
    assert again.learning_rate == 0.25
    assert "learning_rate" not in SGD(ExponentialDecay(0.1, 5, 0.5)).get_state()


def test_constraints_hold_after_a_step(operations):
    weights = make_weights((3, 2), (4,))

    class AtMost:
        def __call__(self, w):
            return np.minimum(w, 0.1)

    weights[1].constraint = AtMost()
    optimizer = SGD(0.1)
    optimizer.bind(weights)
    free = weights[1].array - 0.1 * weights[1].gradient
    version = weights[0].buffer.version
    optimizer.step()
    np.testing.assert_allclose(weights[1].array, np.minimum(free, 0.1), rtol=1e-12)
    assert (free > 0.1).any() and weights[0].array.max() > 0.1
    assert weights[0].buffer.version != version


def test_clipping_keeps_what_is_not_finite(operations):
    for options in ({"clipnorm": 1.0}, {"global_clipnorm": 1.0}):
        (weight,) = make_weights((4,))
        weight.gradient[1] = np.nan
        optimizer = SGD(0.1, **options)
        optimizer.bind([weight])
        optimizer.step()
        assert np.isnan(weight.array).all()


def test_a_callable_and_a_schedule_as_learning_rate():
    rates = iter([0.5, 0.25])
    (weight,) = make_weights((1,))
    weight.gradient[...] = 1
    start = weight.array[0]
    optimizer = SGD(lambda: next(rates))
    optimizer.bind([weight])
    optimizer.step()
    optimizer.step()
    assert weight.array[0] == pytest.approx(start - 0.75, rel=1e-12)
    schedule = ExponentialDecay(0.1, 10, 0.5)
    optimizer = SGD(schedule)
    config = json.loads(json.dumps(optimizer.get_config()))
    assert config["learning_rate"]["class_name"] == "ExponentialDecay"
    again = SGD.from_config(config)
    assert again._learning_rate.get_config() == schedule.get_config()
    with pytest.raises(TypeError, match="learning_rate: sgd has a schedule"):
        again.learning_rate = 0.1


def test_an_optimizer_may_be_excluded_from_decay_only_before_it_trains():
    weights = make_weights((2,), (3,))
    optimizer = optimizers.AdamW(0.0, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_list=[weights[1]])
    optimizer.bind(weights)
    with pytest.raises(ValueError, match="exclude_from_weight_decay: adamw has begun"):
        optimizer.exclude_from_weight_decay(var_names=["w0"])
    assert [len(p) for p in optimizer._decayed] == [2]


def test_an_optimizer_serves_one_model():
    optimizer = Adam()
    optimizer.bind(make_weights((3,)))
    with pytest.raises(ValueError, match="optimizer: adam has trained another model"):
        optimizer.bind(make_weights((3,)))


def test_names():
    for identifier in ("adam", "Adam", Adam):
        assert type(optimizers.get(identifier)) is Adam
    for kind in (Adam, AdamW, SGD, RMSprop):
        assert type(optimizers.get(kind.__name__)) is type(optimizers.get(kind().name)) is kind
    optimizer = Adam(0.5, epsilon=1e-4)
    assert optimizers.get(optimizer) is optimizer
    again = optimizers.deserialize(json.loads(json.dumps(optimizers.serialize(optimizer))))
    assert again.get_config() == optimizer.get_config()
    assert again.get_config()["learning_rate"] == 0.5


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: optimizers.get("adm"), ValueError, "unknown name 'adm'; did you mean 'adam'"),
        (lambda: optimizers.get("lion"), NotImplementedError, "optimizer 'lion' is not served yet"),
        (lambda: optimizers.get(0.1), TypeError, "optimizer: expected a name or an instance"),
        (lambda: Adam(learning_rat=1), TypeError, "did you mean 'learning_rate'"),
        (lambda: Adam(-1), ValueError, "learning_rate: expected a number of at least 0, got -1"),
        (lambda: Adam(float("nan")), ValueError, "learning_rate: expected a number"),
        (lambda: Adam(10**400), ValueError, "learning_rate: expected a number"),
        (lambda: Adam(lr=1), TypeError, "Adam: unknown argument 'lr'; known: learning_rate, beta"),
        (lambda: optimizers.get({"class_name": None}), TypeError, "optimizer: expected a name"),
        (lambda: Adam("fast"), TypeError, "learning_rate: expected a number, got 'fast'"),
        (lambda: Adam({"class_name": "Cosine"}), ValueError, "schedule: unknown name 'Cosine'"),
        (lambda: Adam(clipnorm=1, clipvalue=1), ValueError, "adam: expected one way to clip at"),
        (lambda: Adam(clipnorm=-1), ValueError, "clipnorm: expected a number of at least 0"),
        (lambda: AdamW(weight_decay=None), ValueError, "weight_decay: expected a number, got None"),
        (lambda: SGD(momentum=1.5), ValueError, "momentum: .* and at most 1, got 1.5"),
        (
            lambda: SGD(gradient_accumulation_steps=0),
            ValueError,
            "gradient_accumulation_steps: .*0",
        ),
        (lambda: SGD(ema_overwrite_frequency=1.5), TypeError, "ema_overwrite_frequency: .*1.5"),
        (lambda: ExponentialDecay(0.1, 0, 0.5), ValueError, "decay_steps: expected .* above 0"),
        (lambda: PiecewiseConstantDecay([1], [1]), ValueError, "values: expected one more than"),
        (lambda: PiecewiseConstantDecay([2, 1], [1, 2, 3]), ValueError, "ascending"),
        (lambda: Adam(beta_1=1), ValueError, "beta_1: .*at least 0 and below 1, got 1"),
        (lambda: setattr(Adam(), "learning_rate", None), TypeError, "learning_rate"),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()


OTHERS = {
    "weight_decay": 0.5,
    "clipnorm": 1.5,
    "clipvalue": 2.5,
    "global_clipnorm": 3.5,
    "ema_overwrite_frequency": 4,
    "loss_scale_factor": 5.0,
    "gradient_accumulation_steps": 6,
    "name": "other",
}


@pytest.mark.parametrize("kind", [Adam, AdamW, SGD, RMSprop])
def test_every_argument_arrives_where_it_belongs(kind):
    default = kind().get_config()
    parameters = list(inspect.signature(kind).parameters.values())[:-1]
    for i, parameter in enumerate(parameters):
        name, before = parameter.name, parameter.default
        value = OTHERS.get(name, not before)
        if isinstance(before, float) and name not in OTHERS:
            value = before / 2 or 0.5
        config = kind(**{name: value}).get_config()
        assert config[name] == value
        assert config == default | {name: value}
        assert kind(*[p.default for p in parameters[:i]], value).get_config() == config
