"""Initial values: distributions, seeds, configurations."""

from __future__ import annotations

import math

import numpy as np
import pytest

import fastgru
from fastgru import initializers

RANDOM = [
    initializers.GlorotNormal,
    initializers.GlorotUniform,
    initializers.HeNormal,
    initializers.HeUniform,
    initializers.LecunNormal,
    initializers.LecunUniform,
    initializers.Orthogonal,
    initializers.RandomNormal,
    initializers.RandomUniform,
    initializers.TruncatedNormal,
    initializers.VarianceScaling,
]


@pytest.mark.parametrize("kind", RANDOM)
def test_seeds(kind):
    seeded = kind(seed=7)
    first = seeded((31, 17))
    np.testing.assert_array_equal(seeded((31, 17)), first)
    np.testing.assert_array_equal(kind(seed=7)((31, 17)), first)
    assert not np.array_equal(kind(seed=8)((31, 17)), first)

    fastgru.utils.set_random_seed(3)
    free = kind()
    second = free((31, 17))
    assert not np.array_equal(free((31, 17)), second)
    fastgru.utils.set_random_seed(3)
    np.testing.assert_array_equal(kind()((31, 17)), second)


@pytest.mark.parametrize("kind", RANDOM)
def test_dtype_is_kept(kind):
    assert kind()((5, 3)).dtype == np.float32
    assert kind()((5, 3), "float64").dtype == np.float64


def deviation(fan):
    return math.sqrt(1 / fan)


# (name, standard deviation for (400, 900), greatest magnitude); fans are those of the whole matrix
SPREADS = [
    ("glorot_uniform", deviation(650), math.sqrt(3 / 650)),
    ("glorot_normal", deviation(650), 2 * deviation(650) / 0.8796),
    ("he_uniform", deviation(200), math.sqrt(3 / 200)),
    ("he_normal", deviation(200), 2 * deviation(200) / 0.8796),
    ("lecun_uniform", deviation(400), math.sqrt(3 / 400)),
    ("lecun_normal", deviation(400), 2 * deviation(400) / 0.8796),
    ("uniform", 0.05 / math.sqrt(3), 0.05),
    ("random_uniform", 0.05 / math.sqrt(3), 0.05),
    ("truncated_normal", 0.05 * 0.8796, 0.1),
    ("normal", 0.05, 0.3),
]


@pytest.mark.parametrize(("name", "spread", "limit"), SPREADS)
def test_spread(name, spread, limit):
    values = initializers.get(name)((400, 900), "float64")
    assert abs(values.std() / spread - 1) < 0.01
    assert abs(values.mean()) < 0.01 * limit
    assert 0.98 * limit < np.abs(values).max() <= limit * 1.0001 or name == "normal"


@pytest.mark.parametrize("shape", [(4, 12), (12, 4), (5, 5), (2, 3, 4)])
def test_orthogonal(shape):
    matrix = initializers.Orthogonal(gain=1.5, seed=2)(shape, "float64").reshape(-1, shape[-1])
    rows, columns = matrix.shape
    gram = matrix @ matrix.T if rows <= columns else matrix.T @ matrix
    np.testing.assert_allclose(gram, 1.5**2 * np.eye(min(rows, columns)), atol=1e-12)


def test_orthogonal_is_uniform():
    # Without the signs of R's diagonal, the entries would lean to one side.
    corners = [initializers.Orthogonal(seed=i)((2, 2), "float64")[0, 0] for i in range(400)]
    assert abs(np.mean(corners)) < 0.1


def test_gru_draws_over_joined_matrices():
    layer = fastgru.layers.GRU(64)
    layer(np.zeros((1, 1, 32)))
    kernel, recurrent_kernel, bias = layer.get_weights()
    limit = math.sqrt(6 / (32 + 3 * 64))
    assert 0.95 * limit < np.abs(kernel).max() <= limit
    np.testing.assert_allclose(recurrent_kernel @ recurrent_kernel.T, np.eye(64), atol=1e-5)
    assert not bias.any()


def test_constants():
    np.testing.assert_array_equal(initializers.get("zeros")((2, 3)), np.zeros((2, 3)))
    np.testing.assert_array_equal(initializers.get("ones")((2, 3)), np.ones((2, 3)))
    np.testing.assert_array_equal(initializers.Constant(2.5)((2, 3)), np.full((2, 3), 2.5))
    table = np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(initializers.Constant(table)((2, 3)), table)
    with pytest.raises(ValueError, match=r"expected a value of shape \(3, 2\), got \(2, 3\)"):
        initializers.Constant(table)((3, 2))


@pytest.mark.parametrize("kind", [*RANDOM, initializers.Constant, initializers.Zeros])
def test_get_by_every_way(kind):
    instance = kind()
    assert initializers.get(instance) is instance
    for identifier in (kind, kind.__name__, initializers.serialize(instance)):
        found = initializers.get(identifier)
        assert type(found) is kind and found.get_config() == instance.get_config()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: initializers.get("glorot_unifrom"), ValueError, "did you mean 'glorot_uniform'"),
        (lambda: initializers.get("xyzzy"), ValueError, "unknown name 'xyzzy'; known: .*zeros"),
        (lambda: initializers.get("identity"), NotImplementedError, "'identity' is not served yet"),
        (lambda: initializers.get(None), TypeError, "expected a name or an instance"),
        (lambda: initializers.GlorotUniform(seed=1.5), TypeError, "seed: expected an integer"),
        (
            lambda: initializers.GlorotUniform(sed=1),
            TypeError,
            "^GlorotUniform: unknown argument 'sed'; did you mean 'seed'",
        ),
        (lambda: initializers.HeNormal(x=1), TypeError, "^HeNormal: .* 'x'; known: seed$"),
        (lambda: initializers.RandomNormal(seed=-1), ValueError, "seed: expected an integer"),
        (lambda: initializers.VarianceScaling(0), ValueError, "scale: expected a number above 0"),
        (lambda: initializers.VarianceScaling(mode="in"), ValueError, "mode: expected one of fan"),
        (lambda: initializers.VarianceScaling(distribution="x"), ValueError, "distribution: exp"),
        (lambda: initializers.Orthogonal()((3,)), ValueError, "at least 2 dimensions"),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()
