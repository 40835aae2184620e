"""Activations by Keras' names, in NumPy: each one's value and derivative.

Every activation is an `Activation`. Called with an array it returns the values, so that this module
serves as Keras' `activations` does; the operations use its `forward` and `backward`. All keep the
dtype and none overflows.
"""

# mypy: disable-error-code="no-any-return"
# (NumPy's stubs give Any for a ufunc with `out`.)

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from . import _custom_objects
from ._arrays import Array
from ._naming import unknown

__all__ = [
    "Activation",
    "deserialize",
    "elu",
    "exponential",
    "gelu",
    "get",
    "hard_sigmoid",
    "hard_silu",
    "hard_swish",
    "hard_tanh",
    "leaky_relu",
    "linear",
    "log_sigmoid",
    "log_softmax",
    "mish",
    "relu",
    "relu6",
    "selu",
    "serialize",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "softsign",
    "squareplus",
    "swish",
    "tanh",
    "tanh_shrink",
]


@dataclass(frozen=True, slots=True)
class Activation:
    """A function of an array, with its derivative.

    Parameters
    ----------
    name : str
        The name in a model's configuration.
    forward : callable
        `forward(x, out=None)` returns the values, written into `out` if it is given. `out` may be
        `x` itself.
    derivative : callable
        `derivative(x, y)` returns dy/dx elementwise, given the input and the value.
    from_output : bool, default False
        Whether the derivative looks at y only. Its `x` may then be anything, None included.
    couple : callable, optional
        For a function that is not elementwise: `couple(g, y)` turns g = dy * derivative(x, y) into
        the gradient.

    Raises
    ------
    ValueError
        If an activation of fastgru's has the name: a configuration would stand for that one.
    """

    name: str
    forward: Callable[..., Array]
    derivative: Callable[[Any, Array], Array]
    from_output: bool = False
    couple: Callable[[Array, Array], Array] | None = None

    def __post_init__(self) -> None:
        """Require a name of its own, by which a configuration finds it again."""
        if self.name in _BY_NAME:
            raise ValueError(f"name: {self.name!r} is an activation of fastgru's; choose another")

    def backward(self, dy: Array, x: Array | None, y: Array) -> Array:
        """Return the gradient with respect to the input x, from the gradient dy of the values y."""
        g = dy * self.derivative(x, y)
        return g if self.couple is None else self.couple(g, y)

    def __call__(self, x: ArrayLike) -> Array:
        """Return the values for anything that makes an array; integers become float32."""
        x = np.asarray(x)
        if x.dtype.kind != "f":
            x = x.astype(np.float32)
        return self.forward(np.atleast_1d(x)).reshape(x.shape)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle a known activation by its name: its functions may have none."""
        if _BY_NAME.get(self.name) is self:
            return get, (self.name,)
        fields = self.name, self.forward, self.derivative, self.from_output, self.couple
        return Activation, fields

    def __repr__(self) -> str:
        """Return the name as it is written in code."""
        return f"<activation {self.name}>"


# Filled at the end of the module: until then these are made themselves.
_BY_NAME: dict[str, Activation] = {}


# ---- saturating ----------------------------------------------------------------------------------


def _sigmoid(x: Array, out: Array | None = None) -> Array:
    # exp(-x) may overflow to inf, whose reciprocal is the right result, zero.
    # (Not np.negative: NumPy 2.4 gives wrong numbers for some strides of both x and out.)
    with np.errstate(over="ignore", under="ignore"):
        y: Array = np.exp(np.multiply(x, -1, out=out), out=out)
        y += 1
        return np.reciprocal(y, out=y)


def _hard_sigmoid(x: Array, out: Array | None = None) -> Array:
    return np.clip(x / 6 + 0.5, 0, 1, out=out)


def _softsign(x: Array, out: Array | None = None) -> Array:
    return np.divide(x, 1 + np.abs(x), out=out)


def _inside(y: Array, low: float, high: float) -> Array:
    """Return 1 where low < y < high, else 0, in y's dtype."""
    return ((y > low) & (y < high)).astype(y.dtype)


sigmoid = Activation("sigmoid", _sigmoid, lambda x, y: y * (1 - y), from_output=True)
tanh = Activation("tanh", np.tanh, lambda x, y: 1 - y * y, from_output=True)
hard_sigmoid = Activation(
    "hard_sigmoid", _hard_sigmoid, lambda x, y: _inside(y, 0, 1) / 6, from_output=True
)
hard_tanh = Activation(
    "hard_tanh",
    lambda x, out=None: np.clip(x, -1, 1, out=out),
    lambda x, y: _inside(y, -1, 1),
    from_output=True,
)
softsign = Activation("softsign", _softsign, lambda x, y: (1 + np.abs(x)) ** -2)


# ---- rectifiers and their smooth kin -------------------------------------------------------------

_LEAK = 0.2
_SELU_ALPHA = 1.6732632423543772
_SELU_SCALE = 1.0507009873554805


def _elu(x: Array, out: Array | None = None) -> Array:
    return np.add(np.maximum(x, 0), np.expm1(np.minimum(x, 0)), out=out)


def _selu(x: Array, out: Array | None = None) -> Array:
    y = np.maximum(x, 0) + _SELU_ALPHA * np.expm1(np.minimum(x, 0))
    return np.multiply(y, _SELU_SCALE, out=out)


def _softplus(x: Array, out: Array | None = None) -> Array:
    with np.errstate(under="ignore"):
        return np.add(np.maximum(x, 0), np.log1p(np.exp(-np.abs(x))), out=out)


def _softplus_derivative(x: Array, y: Array) -> Array:
    return -np.expm1(-y)


def _squareplus(x: Array, out: Array | None = None) -> Array:
    return np.multiply(x + np.hypot(x, 2), 0.5, out=out)


def _exponential(x: Array, out: Array | None = None) -> Array:
    with np.errstate(over="ignore", under="ignore"):
        return np.exp(x, out=out)


linear = Activation(
    "linear",
    lambda x, out=None: x if out is None or out is x else np.positive(x, out=out),
    lambda x, y: np.ones_like(y),
    from_output=True,
)
relu = Activation(
    "relu",
    lambda x, out=None: np.maximum(x, 0, out=out),
    lambda x, y: (y > 0).astype(y.dtype),
    from_output=True,
)
relu6 = Activation(
    "relu6",
    lambda x, out=None: np.clip(x, 0, 6, out=out),
    lambda x, y: _inside(y, 0, 6),
    from_output=True,
)
leaky_relu = Activation(
    "leaky_relu",
    lambda x, out=None: np.maximum(x, _LEAK * x, out=out),
    lambda x, y: np.maximum((y > 0).astype(y.dtype), _LEAK),
    from_output=True,
)
elu = Activation("elu", _elu, lambda x, y: np.minimum(y, 0) + 1, from_output=True)
selu = Activation(
    "selu",
    _selu,
    lambda x, y: np.where(y > 0, 0, y + (_SELU_ALPHA - 1) * _SELU_SCALE) + _SELU_SCALE,
    from_output=True,
)
softplus = Activation("softplus", _softplus, _softplus_derivative, from_output=True)
squareplus = Activation("squareplus", _squareplus, lambda x, y: 0.5 * (1 + x / np.hypot(x, 2)))
exponential = Activation("exponential", _exponential, lambda x, y: y, from_output=True)
log_sigmoid = Activation(
    "log_sigmoid",
    lambda x, out=None: np.negative(_softplus(-x), out=out),
    lambda x, y: -np.expm1(y),
    from_output=True,
)
tanh_shrink = Activation(
    "tanh_shrink",
    lambda x, out=None: np.subtract(x, np.tanh(x), out=out),
    lambda x, y: np.tanh(x) ** 2,
)


# ---- the input times a gate ----------------------------------------------------------------------

_erfc: Callable[[Array], Array] = np.frompyfunc(math.erfc, 1, 1)


def _normal_cdf(x: Array) -> Array:
    """Return the standard normal distribution function; erfc keeps its lower tail exact."""
    return np.multiply(_erfc(x * -math.sqrt(0.5)).astype(x.dtype), 0.5)


def _normal_density(x: Array) -> Array:
    with np.errstate(over="ignore", under="ignore"):
        return np.multiply(np.exp(-0.5 * x * x), 1 / math.sqrt(2 * math.pi))


def _silu_derivative(x: Array, y: Array) -> Array:
    s = _sigmoid(x)
    return s * (1 + x * (1 - s))


def _mish_derivative(x: Array, y: Array) -> Array:
    t = np.tanh(_softplus(x))
    return t + x * _sigmoid(x) * (1 - t * t)


gelu = Activation(
    "gelu",
    lambda x, out=None: np.multiply(x, _normal_cdf(x), out=out),
    lambda x, y: _normal_cdf(x) + x * _normal_density(x),
)
silu = Activation(
    "silu", lambda x, out=None: np.multiply(x, _sigmoid(x), out=out), _silu_derivative
)
hard_silu = Activation(
    "hard_silu",
    lambda x, out=None: np.multiply(x, _hard_sigmoid(x), out=out),
    lambda x, y: _hard_sigmoid(x) + x * _inside(x, -3, 3) / 6,
)
mish = Activation(
    "mish",
    lambda x, out=None: np.multiply(x, np.tanh(_softplus(x)), out=out),
    _mish_derivative,
)
swish = silu
hard_swish = hard_silu


# ---- over the last axis --------------------------------------------------------------------------


def _softmax(x: Array, out: Array | None = None) -> Array:
    with np.errstate(under="ignore"):
        e = np.exp(x - x.max(axis=-1, keepdims=True))
        return np.divide(e, e.sum(axis=-1, keepdims=True), out=out)


def _log_softmax(x: Array, out: Array | None = None) -> Array:
    with np.errstate(under="ignore"):
        shifted = x - x.max(axis=-1, keepdims=True)
        return np.subtract(shifted, np.log(np.exp(shifted).sum(axis=-1, keepdims=True)), out=out)


softmax = Activation(
    "softmax",
    _softmax,
    lambda x, y: y,
    from_output=True,
    couple=lambda g, y: g - y * g.sum(axis=-1, keepdims=True),
)
log_softmax = Activation(
    "log_softmax",
    _log_softmax,
    lambda x, y: np.ones_like(y),
    from_output=True,
    couple=lambda g, y: g - np.exp(y) * g.sum(axis=-1, keepdims=True),
)


# ---- by name -------------------------------------------------------------------------------------

_BY_NAME.update(
    {name: value for name, value in dict(globals()).items() if isinstance(value, Activation)}
)


def get(identifier: str | Activation | None, argument: str = "activation") -> Activation:
    """Return an activation by name.

    Parameters
    ----------
    identifier : str, Activation or None
        A name, an `Activation` (returned as it is), or None for linear.
    argument : str, default "activation"
        What error messages call the argument.

    Raises
    ------
    ValueError
        For an unknown name; the message lists the close ones.
    TypeError
        For anything else. A plain function has no derivative here: wrap it in an `Activation`.
    """
    if isinstance(identifier, str):
        found = _BY_NAME.get(identifier) or _custom_objects.find(identifier, Activation)
        if found is None:
            raise unknown(argument, identifier, _BY_NAME)
        return found
    if isinstance(identifier, Activation):
        return identifier
    if identifier is None:
        return linear
    if callable(identifier):
        raise TypeError(
            f"{argument}: expected a name or an Activation, "
            "got a plain function, which has no derivative"
        )
    raise TypeError(
        f"{argument}: expected a name or an Activation, got {type(identifier).__name__}"
    )


def serialize(activation: Activation) -> str:
    """Return the name that `get` finds the activation by."""
    return activation.name


def deserialize(config: str) -> Activation:
    """Return the activation of this name, as `get` does."""
    return get(config)
