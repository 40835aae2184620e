"""Optimizers, with Keras' names and numerics.

An optimizer steps over whole ranges of a model's flat buffers: one call for all weights.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fastgru._configurable import Configurable, Registry, refuse, refuse_unknown
from fastgru._naming import snake_case
from fastgru.backend import current_ops
from fastgru.layers._parameters import ParameterBuffer, Span, Weight, trainable_spans

__all__ = ["Adam", "Optimizer", "deserialize", "get", "serialize"]


class Optimizer(Configurable):
    """What optimizers have in common.

    Parameters
    ----------
    learning_rate : float
        The step size; may be changed at any time. Schedules are not served yet.
    name : str, optional
        Otherwise the class' name in snake case.

    Attributes
    ----------
    iterations : int
        The number of steps taken.
    """

    #: How many numbers the optimizer keeps for each parameter.
    slots = 0

    def __init__(self, learning_rate: Any, name: str | None = None, **unknown: Any) -> None:
        refuse_unknown(type(self), unknown)
        self.learning_rate = learning_rate
        self.name = name or snake_case(type(self).__name__)
        self.iterations = 0
        self._weights: list[Weight] = []
        self._spans: list[Span] = []
        self._state: dict[ParameterBuffer, list[np.ndarray]] = {}
        self._ranges: list[tuple[ParameterBuffer, list[np.ndarray]]] = []
        self._restored: list[np.ndarray] = []

    @property
    def learning_rate(self) -> float:
        """The step size."""
        return self._learning_rate

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        if callable(value) or isinstance(value, dict):
            raise NotImplementedError("learning_rate: schedules are not served yet")
        self._learning_rate = _number("learning_rate", value)

    def bind(self, weights: Sequence[Weight]) -> None:
        """Make ready to step over the trainable ones of a model's weights; known state is kept.

        Raises
        ------
        ValueError
            If the optimizer has stepped over others: it belongs to another model, or to this one
            before it was changed.
        """
        spans = trainable_spans(weights)
        if self._spans == spans:
            return
        buffers = dict.fromkeys(weight.buffer for weight in weights)
        state = {
            buffer: self._state.get(buffer)
            or [np.zeros_like(buffer.values) for _ in range(self.slots)]
            for buffer in buffers
        }
        if self._state and not self._state.keys() & state.keys():
            raise ValueError(
                f"optimizer: {self.name} has trained another model, or this one before its layers "
                "changed; compile with a new one"
            )
        self._restore(weights, state)
        self._state |= state
        self._weights, self._spans = list(weights), spans
        self._ranges = [(s.buffer, self._arrays(s)) for s in spans]

    def _arrays(self, span: Span) -> list[np.ndarray]:
        buffer = span.buffer
        whole = [buffer.values, buffer.gradients, *self._state[buffer]]
        return [a[span.start : span.stop] for a in whole]

    # ---- state ----

    def get_state(self) -> dict[str, Any]:
        """Return what the optimizer has learnt.

        Returns
        -------
        dict
            ``iterations``, and ``slots``: for each of the numbers that the optimizer keeps for a
            parameter, an array of those of all the model's parameters, in the order of its weights,
            zeros for what it never moved. There are none before training.
        """
        slots = self._restored
        if self._weights:
            slots = [
                np.concatenate([self._state[w.buffer][i][w.place] for w in self._weights])
                for i in range(self.slots)
            ]
        return {"iterations": self.iterations, "slots": slots}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from what :meth:`get_state` returned when a model is trained next.

        Raises
        ------
        ValueError
            If it is the state of another kind of optimizer. When training begins: if it is that of
            a model with another number of parameters.
        """
        slots = [np.asarray(slot) for slot in state["slots"]]
        if slots and (len(slots) != self.slots or any(slot.ndim != 1 for slot in slots)):
            raise ValueError(
                f"state: {self.name} keeps {self.slots} arrays of one dimension, "
                f"got {len(slots)} of shapes {[slot.shape for slot in slots]}"
            )
        self.iterations = int(state["iterations"])
        self._weights, self._spans, self._state, self._ranges = [], [], {}, []
        self._restored = slots

    def _restore(
        self, weights: Sequence[Weight], state: dict[ParameterBuffer, list[np.ndarray]]
    ) -> None:
        """Write what `set_state` was given where it belongs."""
        count = sum(weight.array.size for weight in weights)
        for slot in self._restored:
            if slot.size != count:
                raise ValueError(
                    f"optimizer: its restored state is that of {slot.size} parameters, "
                    f"but the model has {count}"
                )
        for i, slot in enumerate(self._restored):
            start = 0
            for weight in weights:
                stop = start + weight.array.size
                state[weight.buffer][i][weight.place] = slot[start:stop]
                start = stop
        self._restored = []

    def __getstate__(self) -> dict[str, Any]:
        """Pickle the state without the model that is trained."""
        bound = {"_weights": [], "_spans": [], "_state": {}, "_ranges": []}
        return {**vars(self), **bound, "_restored": self.get_state()["slots"]}

    def step(self) -> None:
        """Move the parameters along their gradients once."""
        self.iterations += 1
        for buffer, arrays in self._ranges:
            try:
                self.update(*arrays)
            finally:
                buffer.touch()

    def update(self, parameters: np.ndarray, gradients: np.ndarray, *state: np.ndarray) -> None:
        """Move one range of parameters in place."""
        raise NotImplementedError


class Adam(Optimizer):
    """Adam (Kingma and Ba, 2015), with epsilon outside the bias correction, as in Keras.

    Every parameter moves at every step, those of ids that a batch does not hold too.

    Parameters
    ----------
    learning_rate : float, default 0.001
        The step size.
    beta_1, beta_2 : float, default 0.9 and 0.999
        The decay of the first and of the second moment.
    epsilon : float, default 1e-7
        Keeps the division from zero.
    amsgrad, weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema, loss_scale_factor, \
gradient_accumulation_steps
        Not served yet.
    ema_momentum, ema_overwrite_frequency
        Without effect unless `use_ema`.
    name : str, default "adam"
        The name.
    """

    slots = 2
    amsgrad = use_ema = False
    weight_decay = clipnorm = clipvalue = global_clipnorm = None
    loss_scale_factor = gradient_accumulation_steps = None

    def __init__(
        self,
        learning_rate: float = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = "adam",
        **unknown: Any,
    ) -> None:
        super().__init__(learning_rate, name, **unknown)
        refuse(
            "Adam",
            amsgrad=amsgrad,
            weight_decay=weight_decay,
            clipnorm=clipnorm,
            clipvalue=clipvalue,
            global_clipnorm=global_clipnorm,
            use_ema=use_ema,
            loss_scale_factor=loss_scale_factor,
            gradient_accumulation_steps=gradient_accumulation_steps,
        )
        self.ema_momentum = ema_momentum
        self.ema_overwrite_frequency = ema_overwrite_frequency
        self.beta_1 = _number("beta_1", beta_1, below=1)
        self.beta_2 = _number("beta_2", beta_2, below=1)
        self.epsilon = _number("epsilon", epsilon)

    def update(self, parameters: np.ndarray, gradients: np.ndarray, *state: np.ndarray) -> None:
        """Move one range of parameters and both its moments."""
        current_ops().adam_update(
            parameters,
            gradients,
            *state,
            step=self.iterations,
            learning_rate=self._learning_rate,
            beta_1=self.beta_1,
            beta_2=self.beta_2,
            epsilon=self.epsilon,
        )


def _number(name: str, value: Any, below: float = math.inf) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name}: expected a number, got {value!r}") from None
    except OverflowError:
        number = math.inf
    if not 0 <= number < below:
        limit = "" if math.isinf(below) else f" and below {below}"
        raise ValueError(f"{name}: expected a number of at least 0{limit}, got {value!r}")
    return number


_REGISTRY: Registry[Optimizer] = Registry(
    "optimizer",
    Optimizer,
    [Adam],
    unserved=(
        "adadelta",
        "adafactor",
        "adagrad",
        "adamax",
        "adamw",
        "ftrl",
        "lamb",
        "lion",
        "loss_scale_optimizer",
        "muon",
        "nadam",
        "rmsprop",
        "sgd",
    ),
)


def get(identifier: Any) -> Optimizer:
    """Return the optimizer of a name, a configuration, a class, or an instance itself.

    Raises
    ------
    ValueError
        For an unknown name; the message lists the close ones.
    NotImplementedError
        For a name that Keras knows and fastgru does not serve yet.
    TypeError
        For anything else.
    """
    return _REGISTRY.get(identifier)


def serialize(optimizer: Optimizer) -> dict[str, Any]:
    """Return the class name and the configuration of an optimizer; its state is not part of it."""
    return {"class_name": type(optimizer).__name__, "config": optimizer.get_config()}


def deserialize(config: Any) -> Optimizer:
    """Return the optimizer that :func:`serialize` described."""
    return get(config)
