"""What the tests of Keras' own recurrent layers expect, as numbers: constant weights, known input.

All units of these layers are alike unless their states differ, so a row's value is given once.
"""

from __future__ import annotations

import numpy as np
import pytest

from fastgru.initializers import Constant
from fastgru.layers import GRU, LSTM, RNN, Bidirectional, GRUCell, LSTMCell, SimpleRNN

WEIGHTS = {
    "kernel_initializer": Constant(0.01),
    "recurrent_initializer": Constant(0.02),
    "bias_initializer": Constant(0.03),
}
MASK = np.array([[True, True, False, True], [True, False, False, True]])
RIGHT = np.array([[True, True, True, False], [True, True, False, False]])
STATE = np.arange(4.0).reshape(2, 2)


def sequence(*shape):
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


def expect(output, rows):
    rows = np.array(rows)
    rows = rows[..., None] if rows.ndim < output.ndim else rows
    np.testing.assert_allclose(output, np.broadcast_to(rows, output.shape), rtol=1e-5, atol=1e-6)


VALUES = [
    (GRU, {}, [0.5217289, 0.6371659, 0.39384964]),
    (GRU, {"unroll": True}, [0.5217289, 0.6371659, 0.39384964]),
    (GRU, {"implementation": 0}, [0.5217289, 0.6371659, 0.39384964]),
    (GRU, {"go_backwards": True}, [0.24406259, 0.611516, 0.3928808]),
    (GRU, {"reset_after": False}, [0.51447755, 0.6426879, 0.40208298]),
    (GRU, {"use_bias": False}, [0.49988455, 0.64701194, 0.4103359]),
    (LSTM, {}, [0.6288687, 0.86899155, 0.9460773]),
    (LSTM, {"go_backwards": True}, [0.35622165, 0.74789524, 0.8872726]),
    (LSTM, {"unit_forget_bias": False}, [0.57019705, 0.8661914, 0.9459622]),
    (LSTM, {"use_bias": False}, [0.54986924, 0.86226785, 0.9443936]),
]


@pytest.mark.parametrize(("kind", "arguments", "rows"), VALUES)
def test_values(operations, kind, arguments, rows):
    expect(kind(3, **WEIGHTS, **arguments)(sequence(3, 6, 4)), rows)


@pytest.mark.parametrize(
    ("arguments", "rows"),
    [({}, [0.405432, 0.73605347]), ({"go_backwards": True}, [0.11144729, 0.5528889])],
)
def test_values_of_simple_rnn(operations, arguments, rows):
    expect(SimpleRNN(4, **WEIGHTS, **arguments)(sequence(2, 3, 4)), rows)


@pytest.mark.parametrize(
    ("kind", "rows"),
    [
        (GRU, [0.29542392, 0.5885018]),
        (LSTM, [0.3124785, 0.6863672]),
        (SimpleRNN, [0.40559256, 0.7361247]),
    ],
)
def test_a_stateful_layer_in_its_second_batch(operations, kind, rows):
    layer = kind(4, stateful=True, **WEIGHTS)
    for _ in range(2):
        layer(sequence(2, 3, 4))
        expect(layer(sequence(2, 3, 4)), rows)
        layer.reset_state()


STATES = [
    (GRU, STATE, {}, [[0.23774096, 0.33508456], [0.83659905, 1.0227708]]),
    (GRU, STATE, {"go_backwards": True}, [[0.13486053, 0.23261218], [0.78257304, 0.9691353]]),
    (LSTM, [STATE] * 2, {}, [[0.20574439, 0.3558822], [0.64930826, 0.66276]]),
    (LSTM, [STATE] * 2, {"go_backwards": True}, [[0.13281618, 0.2790356], [0.5839337, 0.5992567]]),
]


@pytest.mark.parametrize(("kind", "states", "arguments", "values"), STATES)
def test_initial_states(operations, kind, states, arguments, values):
    layer = kind(2, return_state=True, **WEIGHTS, **arguments)
    output, state, *_ = layer(sequence(2, 4, 3), initial_state=states)
    expect(output, values)
    np.testing.assert_array_equal(output, state)


def test_masks(operations):
    x = sequence(2, 4, 3)
    expect(GRU(2, **WEIGHTS)(x, mask=MASK), [0.19393763, 0.30818558])
    expect(GRU(2, go_backwards=True, **WEIGHTS)(x, mask=MASK), [0.11669192, 0.28380975])
    first = np.array([0.03606692, 0.09497581, 0.09497581, 0.19393763])
    second = np.array([0.16051409, 0.16051409, 0.16051409, 0.30818558])
    expect(GRU(2, return_sequences=True, **WEIGHTS)(x, mask=MASK), [first, second])
    zeroed = GRU(2, return_sequences=True, zero_output_for_mask=True, **WEIGHTS)
    expect(zeroed(x, mask=MASK), [first * MASK[0], second * MASK[1]])
    expect(LSTM(2, **WEIGHTS)(x, mask=RIGHT), [0.11755939, 0.28556206])
    expect(
        LSTM(2, return_sequences=True, **WEIGHTS)(x, mask=RIGHT),
        [
            [0.01588910, 0.05552048, 0.11755939, 0.11755939],
            [0.14185596, 0.28556206, 0.28556206, 0.28556206],
        ],
    )


def test_bidirectional(operations):
    x, forward = sequence(2, 3, 4), SimpleRNN(2, **WEIGHTS)
    ours, theirs = [0.39687276, 0.7237238], [0.10004295, 0.53391594]
    expect(Bidirectional(forward)(x)[:, :2], ours)
    expect(Bidirectional(forward)(x)[:, 2:], theirs)
    expect(Bidirectional(forward, merge_mode="ave")(x), [0.24845785, 0.6288199])
    for output, rows in zip(
        Bidirectional(forward, merge_mode=None)(x), (ours, theirs), strict=True
    ):
        expect(output, rows)
    backward = SimpleRNN(
        2, kernel_initializer=Constant(0.03), recurrent_initializer=Constant(0.02),
        bias_initializer=Constant(0.01), go_backwards=True,
    )  # fmt: skip
    product = Bidirectional(forward, merge_mode="mul", backward_layer=backward)
    expect(product(x), [0.08374989, 0.6740834])
    total = Bidirectional(GRU(2, return_sequences=True, **WEIGHTS), merge_mode="sum")
    steps = [[0.20937867, 0.34462988, 0.40290534], [0.59829646, 0.6734641, 0.6479671]]
    expect(total(x), steps)


def test_bidirectional_with_states_and_masks(operations):
    x = sequence(2, 4, 3)
    layer = Bidirectional(LSTM(2, stateful=True, **WEIGHTS))
    for _ in range(2):
        layer(x)
        second = layer(x)
        expect(second[:, :2], [0.26234663, 0.6137073])
        expect(second[:, 2:], [0.16959146, 0.5381646])
        layer.reset_state()
    states = [STATE, 2 * STATE, 3 * STATE, 4 * STATE]
    expect(
        Bidirectional(LSTM(2, **WEIGHTS))(x, initial_state=states),
        [
            [0.20794602, 0.4577124, 0.14046375, 0.48191673],
            [0.6682636, 0.6711909, 0.60943645, 0.60950446],
        ],
    )
    masked = Bidirectional(GRU(2, **WEIGHTS))(x, mask=MASK)
    expect(masked[:, :2], [0.19393763, 0.30818558])
    expect(masked[:, 2:], [0.11669192, 0.28380975])
    found = Bidirectional(LSTM(2, return_state=True, **WEIGHTS))(x)
    expected = [
        [0.1990008, 0.52335435], [0.35567185, 1.0492687],
        [0.12659755, 0.44717982], [0.2501858, 0.941473],
    ]  # fmt: skip
    for state, rows in zip(found[1:], expected, strict=True):
        expect(state, rows)


def test_what_the_layers_say_of_themselves():
    for cell in (GRUCell(8), LSTMCell(8)):
        states = [(3, 8)] * cell.state_count
        assert RNN(cell).compute_output_shape((3, 4, 5)) == (3, 8)
        layer = RNN(cell, return_sequences=True, return_state=True)
        assert layer.compute_output_shape((3, 4, 5)) == [(3, 4, 8), *states]
        assert layer.compute_output_shape((None, None, 5))[:2] == [(None, None, 8), (None, 8)]
    regularized = GRU(3, bias_regularizer="l1", kernel_regularizer="l2", recurrent_regularizer="l2")
    regularized(sequence(3, 2, 4))
    assert sum(w.regularizer is not None for w in regularized.weights) == 3
    for hint in (True, False, "auto"):
        layer = Bidirectional(GRU(1, use_cudnn=hint))
        assert layer.forward_layer.use_cudnn == layer.backward_layer.use_cudnn == hint
