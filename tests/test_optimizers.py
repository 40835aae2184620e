"""Optimizers: steps over flat buffers, state, names."""

from __future__ import annotations

import json

import numpy as np
import pytest

from fastgru import optimizers, reference
from fastgru.layers._parameters import Weight, gather, trainable_spans
from fastgru.optimizers import Adam

RNG = np.random.default_rng(2)


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


def test_state_survives_a_change_of_what_trains(operations):
    weights = make_weights((3,), (2,))
    optimizer = Adam()
    optimizer.bind(weights)
    optimizer.step()
    moments = optimizer._state[weights[0].buffer][0].copy()
    weights[0].trainable = False
    optimizer.bind(weights)
    np.testing.assert_array_equal(optimizer._state[weights[0].buffer][0], moments)
    assert moments.all()


def test_an_optimizer_serves_one_model():
    optimizer = Adam()
    optimizer.bind(make_weights((3,)))
    with pytest.raises(ValueError, match="optimizer: adam has trained another model"):
        optimizer.bind(make_weights((3,)))


def test_names():
    for identifier in ("adam", "Adam", Adam):
        assert type(optimizers.get(identifier)) is Adam
    optimizer = Adam(0.5, epsilon=1e-4)
    assert optimizers.get(optimizer) is optimizer
    again = optimizers.deserialize(json.loads(json.dumps(optimizers.serialize(optimizer))))
    assert again.get_config() == optimizer.get_config()
    assert again.get_config()["learning_rate"] == 0.5


UNSERVED = [
    {"amsgrad": True},
    {"weight_decay": 0.1},
    {"clipnorm": 1.0},
    {"clipvalue": 1.0},
    {"global_clipnorm": 1.0},
    {"use_ema": True},
    {"loss_scale_factor": 2.0},
    {"gradient_accumulation_steps": 2},
]


@pytest.mark.parametrize("argument", UNSERVED)
def test_what_is_not_served_is_refused_by_name(argument):
    with pytest.raises(NotImplementedError, match=next(iter(argument))):
        Adam(**argument)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: optimizers.get("adm"), ValueError, "unknown name 'adm'; did you mean 'adam'"),
        (lambda: optimizers.get("sgd"), NotImplementedError, "optimizer 'sgd' is not served yet"),
        (lambda: optimizers.get(0.1), TypeError, "optimizer: expected a name or an instance"),
        (lambda: Adam(learning_rat=1), TypeError, "did you mean 'learning_rate'"),
        (lambda: Adam(-1), ValueError, "learning_rate: expected a number of at least 0, got -1"),
        (lambda: Adam(float("nan")), ValueError, "learning_rate: expected a number"),
        (lambda: Adam(10**400), ValueError, "learning_rate: expected a number"),
        (lambda: Adam(lr=1), TypeError, "Adam: unknown argument 'lr'; known: learning_rate, beta"),
        (lambda: optimizers.get({"class_name": None}), TypeError, "optimizer: expected a name"),
        (lambda: Adam("fast"), TypeError, "learning_rate: expected a number, got 'fast'"),
        (lambda: Adam(lambda: 0.1), NotImplementedError, "learning_rate: schedules"),
        (lambda: Adam(beta_1=1), ValueError, "beta_1: .*at least 0 and below 1, got 1"),
        (lambda: setattr(Adam(), "learning_rate", None), TypeError, "learning_rate"),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()
