from typing import Any, Literal

import numpy as np

from ._arrays import Array
from ._checks import RecurrentShape
from .activations import Activation

ACTIVATIONS: dict[str, int]
DENSE_ACTIVATIONS: dict[str, int]

def isa() -> str: ...
def available_isas() -> tuple[str, ...]: ...
def set_isa(name: str) -> None: ...
def threads() -> int: ...
def set_threads(count: int) -> None: ...
def compiler() -> str: ...

class PackedWeights:
    input_size: int
    units: int
    dtype: np.dtype[Any]
    kernel: Array
    recurrent_kernel: Array
    reset_after: bool
    resets_first: bool

class PackedGRU(PackedWeights):
    def __init__(
        self, kernel: Array, recurrent_kernel: Array, reset_after: bool, resets_first: bool = False
    ) -> None: ...

class PackedLSTM(PackedWeights):
    def __init__(self, kernel: Array, recurrent_kernel: Array) -> None: ...

class PackedSimpleRNN(PackedWeights):
    def __init__(self, kernel: Array, recurrent_kernel: Array) -> None: ...

class RecurrentCache:
    shape: RecurrentShape
    x: Array
    kernel: Array
    recurrent_kernel: Array
    bias: Array | None
    input_dropout: Array | None
    recurrent_dropout: Array | None
    rows: int | None
    has_h0: bool
    has_c0: bool
    go_backwards: bool
    reset_after: bool

class GRUCache(RecurrentCache): ...
class LSTMCache(RecurrentCache): ...
class SimpleRNNCache(RecurrentCache): ...

def recurrent_shape(
    gates: int,
    x: Array,
    kernel: Array | PackedWeights,
    recurrent_kernel: Array | None,
    bias: Array | None,
    h0: Array | None,
    c0: Array | None,
    mask: Array | None,
    input_dropout: Array | None,
    recurrent_dropout: Array | None,
    reset_after: bool = True,
    resets_first: bool = False,
) -> RecurrentShape | None: ...
def recurrent_forward(
    shape: RecurrentShape,
    x: Array,
    packed: PackedWeights,
    bias: Array | None,
    h0: Array | None,
    c0: Array | None,
    mask: Array | None,
    batch_sizes: Array | None,
    input_dropout: Array | None,
    recurrent_dropout: Array | None,
    y: Array | None,
    h_n: Array,
    c_n: Array | None,
    options: tuple[int, int, bool, bool, bool, bool, bool],
) -> Any: ...
def takes_gradients(
    cache: RecurrentCache,
    dy: Array | None,
    dh_n: Array | None,
    dc_n: Array | None,
    out: tuple[Array, Array, Array | None] | None,
) -> bool: ...
def recurrent_backward(
    dy: Array | None,
    dh_n: Array | None,
    dc_n: Array | None,
    cache: RecurrentCache,
    dx: Array | None,
    dkernel: Array,
    drecurrent_kernel: Array,
    dbias: Array | None,
    dh0: Array | None,
    dc0: Array | None,
    transposed: bool,
) -> None: ...

class DenseCache:
    x: Array
    kernel: Array
    has_bias: bool
    y: Array
    activation: Activation | None
    pre: Array | None

def dense_forward(
    x: Array, kernel: Array, bias: Array | None, activation: int, training: bool
) -> tuple[Array, DenseCache | None] | None: ...
def dense_backward(
    dy: Array, cache: DenseCache, out: tuple[Array, Array | None] | None
) -> tuple[Array, Array, Array | None] | None: ...
def embedding_forward(ids: Array, table: Array) -> Array | None: ...
def embedding_backward(
    dy: Array, ids: Array, input_dim: int, out: Array | None
) -> Array | None: ...
def binary_crossentropy(
    y_true: Array, y_pred: Array, from_logits: bool
) -> tuple[Array, Array] | None: ...
def adam(
    parameters: Array,
    gradients: Array,
    m: Array,
    v: Array,
    step: int,
    learning_rate: float,
    beta_1: float,
    beta_2: float,
    epsilon: float,
) -> Literal[True] | None: ...
def elementwise(name: str, x: Array) -> Array | None: ...
