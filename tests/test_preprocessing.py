"""pad_sequences, to_categorical, seeds."""

from __future__ import annotations

import random

import numpy as np
import pytest

import fastgru
from fastgru.preprocessing.sequence import pad_sequences
from fastgru.utils import set_random_seed, to_categorical

RAGGED = [[1], [2, 3], [], [4, 5, 6, 7]]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, [[0, 0, 0, 1], [0, 0, 2, 3], [0, 0, 0, 0], [4, 5, 6, 7]]),
        ({"padding": "post"}, [[1, 0, 0, 0], [2, 3, 0, 0], [0, 0, 0, 0], [4, 5, 6, 7]]),
        ({"maxlen": 2}, [[0, 1], [2, 3], [0, 0], [6, 7]]),
        ({"maxlen": 2, "truncating": "post"}, [[0, 1], [2, 3], [0, 0], [4, 5]]),
        ({"maxlen": 3, "padding": "post"}, [[1, 0, 0], [2, 3, 0], [0, 0, 0], [5, 6, 7]]),
        ({"maxlen": 1, "value": -1}, [[1], [3], [-1], [7]]),
        ({"maxlen": 0}, [[], [], [], []]),
    ],
)
def test_pad_sequences(arguments, expected):
    for sequences in (RAGGED, [np.array(s, int) for s in RAGGED], tuple(map(tuple, RAGGED))):
        padded = pad_sequences(sequences, **arguments)
        np.testing.assert_array_equal(padded, expected)
        assert padded.dtype == np.int32


def test_pad_sequences_of_vectors_and_of_strings():
    vectors = [np.ones((2, 3)), np.full((1, 3), 2.5)]
    padded = pad_sequences(vectors, dtype="float32")
    assert padded.shape == (2, 2, 3) and padded.dtype == np.float32
    np.testing.assert_array_equal(padded[1], [[0, 0, 0], [2.5, 2.5, 2.5]])
    words = pad_sequences([["a"], ["b", "c"]], dtype=object, value="")
    np.testing.assert_array_equal(words, [["", "a"], ["b", "c"]])
    assert pad_sequences([]).shape == (0, 0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: pad_sequences(3), "sequences: expected a list of sequences, got 3"),
        (lambda: pad_sequences([1, 2]), "sequences: expected a list of sequences, got 1 at 0"),
        (lambda: pad_sequences(["ab"]), "expected a list of sequences, got 'ab' at 0"),
        (lambda: pad_sequences(RAGGED, padding="left"), "padding: expected 'pre' or 'post'"),
        (lambda: pad_sequences(RAGGED, truncating="left"), "truncating: expected 'pre' or 'post'"),
        (lambda: pad_sequences(RAGGED, maxlen=-1), "maxlen: expected an integer of at least 0"),
        (lambda: pad_sequences(RAGGED, maxlen=1.5), "maxlen: expected an integer of at least 0"),
        (lambda: pad_sequences([[1], [2, 1.5]]), "sequence 1: dtype int32 would change 1.5; pass"),
        (lambda: pad_sequences([[2**40]]), "sequence 0: dtype int32 would change 1099511627776"),
        (lambda: pad_sequences([[np.nan]]), "sequence 0: dtype int32 would change nan"),
        (lambda: pad_sequences([[-1]], dtype="uint8"), "sequence 0: dtype uint8 would change -1"),
        (lambda: pad_sequences(RAGGED, value=0.5), "value: dtype int32 would change 0.5"),
        (
            lambda: pad_sequences([np.ones((2, 3)), np.ones((1, 2))]),
            r"steps of shape \(3,\).*number 1",
        ),
    ],
)
def test_pad_sequences_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_padding_of_what_is_no_number():
    for sequences in ([["a"]], [[None]]):
        with pytest.raises(TypeError, match="sequence 0: expected numbers for dtype int32, got"):
            pad_sequences(sequences)


def test_large_and_whole_numbers_are_kept():
    assert pad_sequences([[2**40]], dtype="int64", value=-1, maxlen=2).tolist() == [[-1, 2**40]]
    assert pad_sequences([[3.0, -2.0]]).tolist() == [[3, -2]]


def test_to_categorical():
    np.testing.assert_array_equal(to_categorical([0, 2, 1]), np.eye(3)[[0, 2, 1]])
    np.testing.assert_array_equal(to_categorical([[0], [2]], 4), np.eye(4)[[0, 2]])
    assert to_categorical([[0, 1], [1, 2]]).shape == (2, 2, 3)
    assert to_categorical([]).shape == (0, 0)
    with pytest.raises(ValueError, match=r"expected labels in \[0, 2\), got 0 to 2"):
        to_categorical([0, 2], 2)
    with pytest.raises(ValueError, match="got -1 to 0"):
        to_categorical([0, -1])
    with pytest.raises(ValueError, match="whole numbers"):
        to_categorical([0.5])
    with pytest.raises(TypeError, match="num_classes: expected an integer, got '3'"):
        to_categorical([0], "3")


def test_a_seed_begins_all_randomness():
    draws = []
    for _ in range(2):
        set_random_seed(9)
        layer = fastgru.layers.GRU(4)
        layer(np.ones((1, 2, 3)))
        dropped = fastgru.layers.Dropout(0.5)(np.ones((3, 9)), training=True)
        draws.append([random.random(), np.random.rand(), *layer.get_weights(), dropped])
    for a, b in zip(*draws, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("seed", "error"), [(1.5, TypeError), ("1", TypeError), (-1, ValueError), (2**32, ValueError)]
)
def test_bad_seeds(seed, error):
    with pytest.raises(error, match="seed: expected an integer"):
        set_random_seed(seed)


def test_whatever_has_a_length_and_gives_sequences():
    class Column:
        def __len__(self):
            return 2

        def __iter__(self):
            return iter([[1, 2], [3]])

    np.testing.assert_array_equal(pad_sequences(Column()), [[1, 2], [0, 3]])
    for wrong in ({1: [2]}, {1, 2}, "ab", 3, iter([[1]])):
        with pytest.raises(ValueError, match="sequences: expected a list of sequences"):
            pad_sequences(wrong)
