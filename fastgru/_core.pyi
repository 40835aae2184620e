from typing import Any, final

import numpy as np

from ._checks import Array, GRUShape

DENSE_ACTIVATIONS: dict[str, int]

def isa() -> str: ...
def available_isas() -> tuple[str, ...]: ...
def set_isa(name: str) -> None: ...
def threads() -> int: ...
def set_threads(count: int) -> None: ...
def compiler() -> str: ...

@final
class PackedGRU:
    input_size: int
    units: int
    dtype: np.dtype[Any]
    kernel: Array
    recurrent_kernel: Array
    reset_after: bool
    def __init__(self, kernel: Array, recurrent_kernel: Array, reset_after: bool) -> None: ...

@final
class GRUCache:
    shape: GRUShape
    x: Array
    kernel: Array
    recurrent_kernel: Array
    has_bias: bool
    has_h0: bool
    go_backwards: bool
    reset_after: bool

def gru_forward(
    shape: GRUShape,
    x: Array,
    packed: PackedGRU,
    bias: Array | None,
    h0: Array | None,
    y: Array | None,
    h_n: Array,
    update_replaces: bool,
    go_backwards: bool,
    training: bool,
) -> GRUCache | None: ...
def gru_backward(
    dy: Array | None,
    dh_n: Array | None,
    cache: GRUCache,
    dx: Array,
    dkernel: Array,
    drecurrent_kernel: Array,
    dbias: Array | None,
    dh0: Array | None,
) -> None: ...
def dense(
    rows: int,
    inputs: int,
    units: int,
    item: int,
    activation: int,
    x: Array,
    kernel: Array,
    bias: Array | None,
    y: Array,
    dy: Array | None = None,
    dx: Array | None = None,
    dkernel: Array | None = None,
    dbias: Array | None = None,
) -> None: ...
def embedding(
    forward: bool,
    ids: Array,
    count: int,
    vocabulary: int,
    width: int,
    item: int,
    rows: Array,
    table: Array,
) -> bool: ...
def binary_crossentropy(
    y_true: Array,
    y_pred: Array,
    count: int,
    item: int,
    from_logits: bool,
    losses: Array,
    gradients: Array,
) -> bool: ...
def adam(
    parameters: Array,
    gradients: Array,
    m: Array,
    v: Array,
    count: int,
    item: int,
    rate: float,
    beta_1: float,
    beta_2: float,
    epsilon: float,
) -> None: ...
def elementwise(name: str, x: Array, y: Array, count: int, item: int) -> None: ...
