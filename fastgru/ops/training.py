"""The loss and the optimizer's step."""

from __future__ import annotations

from .. import _checks, _core
from .._arrays import Array
from ._shared import documented, plain, taken


@documented
def binary_crossentropy(
    y_true: Array, y_pred: Array, *, from_logits: bool = False
) -> tuple[Array, Array]:
    found = _core.binary_crossentropy(y_true, y_pred, from_logits)
    if found is None:
        _checks.binary_crossentropy(y_true, y_pred)
        found = _core.binary_crossentropy(plain(y_true), plain(y_pred), from_logits)
        if found is None:
            _checks.labels_in_range(y_true)
        return taken(found)
    return found


@documented
def adam_update(
    parameters: Array,
    gradients: Array,
    m: Array,
    v: Array,
    *,
    step: int,
    learning_rate: float = 1e-3,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-7,
) -> None:
    rates = learning_rate, beta_1, beta_2, epsilon
    if not _core.adam(parameters, gradients, m, v, step, *rates):
        step, *numbers, _ = _checks.adam_update(parameters, gradients, m, v, step, *rates)
        p, first, second = parameters.copy(), m.copy(), v.copy()
        arrays = plain(p), plain(gradients), plain(first), plain(second)
        taken(_core.adam(*arrays, step, *numbers))
        parameters[...], m[...], v[...] = p, first, second
