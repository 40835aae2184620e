"""The GRU layer: its arguments, states and packed weights, against the reference operation."""

from __future__ import annotations

import numpy as np
import pytest

import fastgru
from fastgru import initializers, reference
from fastgru.layers import GRU

RNG = np.random.default_rng(13)
X = RNG.normal(size=(3, 4, 5))


def gru(units=7, **arguments):
    layer = GRU(units, dtype="float64", **arguments)
    layer(X)
    layer.set_weights([RNG.normal(0, 0.7, w.shape) for w in layer.weights])
    return layer


@pytest.mark.parametrize("return_sequences", [True, False])
@pytest.mark.parametrize("go_backwards", [True, False])
@pytest.mark.parametrize("reset_after", [True, False])
@pytest.mark.parametrize("update_gate", ["keep", "replace"])
@pytest.mark.parametrize("use_bias", [True, False])
def test_gru_is_its_operation(
    operations, return_sequences, go_backwards, reset_after, update_gate, use_bias
):
    layer = gru(
        return_sequences=return_sequences,
        return_state=True,
        go_backwards=go_backwards,
        reset_after=reset_after,
        update_gate=update_gate,
        use_bias=use_bias,
    )
    h0 = RNG.normal(size=(3, 7))
    output, state = layer(X, initial_state=h0)
    kernel, recurrent_kernel, *bias = layer.get_weights()
    y, h_n, _ = reference.gru_forward(
        X, kernel, recurrent_kernel, bias[0] if bias else None, h0,
        reset_after=reset_after, update_gate=update_gate, go_backwards=go_backwards,
    )  # fmt: skip
    np.testing.assert_allclose(output, y if return_sequences else h_n, rtol=1e-12)
    np.testing.assert_allclose(state, h_n, rtol=1e-12)
    assert layer.compute_output_shape(X.shape) == [output.shape, state.shape]
    assert len(bias) == use_bias


def test_gru_shapes_of_weights():
    assert [w.shape for w in gru().weights] == [(5, 21), (7, 21), (2, 21)]
    assert [w.shape for w in gru(reset_after=False).weights] == [(5, 21), (7, 21), (21,)]
    assert [w.name for w in gru().weights] == ["kernel", "recurrent_kernel", "bias"]


def test_gru_initial_state_in_a_list_as_keras_passes_it(operations):
    layer, h0 = gru(), RNG.normal(size=(3, 7))
    np.testing.assert_array_equal(layer(X, [h0]), layer(X, h0))
    np.testing.assert_array_equal(layer(X, h0.tolist()), layer(X, h0))
    assert not np.array_equal(layer(X), layer(X, h0))


def test_gru_repacks_after_a_change(operations):
    layer = gru()
    first = layer(X)
    layer.set_weights([1.5 * w for w in layer.get_weights()])
    second = layer(X)
    assert not np.array_equal(first, second)
    layer.kernel.assign(layer.kernel.numpy() / 1.5)
    layer.recurrent_kernel.assign(layer.recurrent_kernel.numpy() / 1.5)
    layer.bias.assign(layer.bias.numpy() / 1.5)
    np.testing.assert_allclose(layer(X), first, rtol=1e-12)


def test_gru_packs_for_each_set_of_operations():
    layer = gru()
    with fastgru.use_ops("reference"):
        slow = layer(X)
    fast = layer(X)
    with fastgru.use_ops("reference"):
        np.testing.assert_array_equal(layer(X), slow)
    np.testing.assert_allclose(fast, slow, rtol=1e-12)


HINTS = [{"unroll": True}, {"use_cudnn": False}, {"implementation": 1}, {"time_major": False}]


@pytest.mark.parametrize("hint", HINTS)
def test_gru_hints_change_nothing(hint):
    initial = {name: initializers.GlorotUniform(3) for name in ("kernel_initializer",)}
    initial["recurrent_initializer"] = initializers.Orthogonal(seed=4)
    np.testing.assert_array_equal(GRU(6, **initial, **hint)(X), GRU(6, **initial)(X))


def test_gru_takes_keras_arguments_in_keras_order():
    layer = GRU(
        4, "relu", "tanh", False, "zeros", "ones", "zeros", None, None, None, None, None, None,
        None, 0.0, 0.0, 3, True, True, True, False, True, False, True,
    )  # fmt: skip
    config = layer.get_config()
    assert (config["activation"], config["recurrent_activation"]) == ("relu", "tanh")
    assert config["seed"] == 3 and config["unroll"] is True and config["use_cudnn"] is True
    assert layer.return_sequences and layer.return_state and layer.go_backwards
    assert not layer.reset_after and not layer.use_bias


@pytest.mark.parametrize("shape", [(3, 6), (2, 7), (7,), (3, 7, 1)])
def test_an_initial_state_of_another_shape_is_refused(operations, shape):
    with pytest.raises(ValueError, match=r"initial_state: expected shape \(3, 7\), got"):
        gru()(X, initial_state=np.ones(shape))
