"""Learning-rate schedules, with Keras' names: the step size as a function of the step."""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from typing import Any

from fastgru._configurable import Configurable, Registry, describe

__all__ = [
    "CosineDecay",
    "CosineDecayRestarts",
    "ExponentialDecay",
    "InverseTimeDecay",
    "LearningRateSchedule",
    "PiecewiseConstantDecay",
    "PolynomialDecay",
    "deserialize",
    "get",
    "serialize",
]


class LearningRateSchedule(Configurable):
    """The base of schedules: called with a step, counted from 0, they return a learning rate.

    A subclass overrides ``__call__``; for ``get_config`` it keeps the arguments of its constructor
    in attributes of the same names.
    """

    def __call__(self, step: int) -> float:
        """Return the learning rate of a step."""
        raise NotImplementedError(f"{type(self).__name__}: a schedule must override __call__(step)")


class ExponentialDecay(LearningRateSchedule):
    """``initial_learning_rate * decay_rate ** (step / decay_steps)``.

    Parameters
    ----------
    initial_learning_rate : float
        The first rate.
    decay_steps : int
        The steps in which the rate falls by `decay_rate`.
    decay_rate : float
        The factor.
    staircase : bool, default False
        Whether the rate falls at once after each `decay_steps`.
    name : str, default "ExponentialDecay"
        The name.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        decay_rate: float,
        staircase: bool = False,
        name: str = "ExponentialDecay",
    ) -> None:
        self.initial_learning_rate = number("initial_learning_rate", initial_learning_rate)
        self.decay_steps = _steps("decay_steps", decay_steps)
        self.decay_rate = number("decay_rate", decay_rate)
        self.staircase = bool(staircase)
        self.name = name

    def __call__(self, step: int) -> float:
        """Return the learning rate of a step."""
        fraction = step / self.decay_steps
        power = math.floor(fraction) if self.staircase else fraction
        return float(self.initial_learning_rate * self.decay_rate**power)


class PiecewiseConstantDecay(LearningRateSchedule):
    """One rate up to each boundary, the boundary itself included.

    Parameters
    ----------
    boundaries : sequence of int
        Steps, ascending.
    values : sequence of float
        The rates, one more than boundaries.
    name : str, default "PiecewiseConstant"
        The name.
    """

    def __init__(
        self, boundaries: Sequence[float], values: Sequence[float], name: str = "PiecewiseConstant"
    ) -> None:
        if len(boundaries) != len(values) - 1 or not len(boundaries):
            raise ValueError(
                "values: expected one more than boundaries, of which there is one at least, "
                f"got {len(values)} values and {len(boundaries)} boundaries"
            )
        if any(a >= b for a, b in zip(boundaries[:-1], boundaries[1:], strict=True)):
            raise ValueError(f"boundaries: expected ascending steps, got {list(boundaries)}")
        self.boundaries = list(boundaries)
        self.values = [number("values", value) for value in values]
        self.name = name

    def __call__(self, step: int) -> float:
        """Return the learning rate of a step."""
        return self.values[bisect.bisect_left(self.boundaries, step)]


class PolynomialDecay(LearningRateSchedule):
    """From one rate to another in `decay_steps`, along a power.

    Parameters
    ----------
    initial_learning_rate : float
        The first rate.
    decay_steps : int
        The steps of the way.
    end_learning_rate : float, default 0.0001
        The last rate.
    power : float, default 1.0
        1 is a straight line.
    cycle : bool, default False
        Whether the rate begins anew on a way twice, three times, … as long.
    name : str, default "PolynomialDecay"
        The name.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        end_learning_rate: float = 0.0001,
        power: float = 1.0,
        cycle: bool = False,
        name: str = "PolynomialDecay",
    ) -> None:
        self.initial_learning_rate = number("initial_learning_rate", initial_learning_rate)
        self.decay_steps = _steps("decay_steps", decay_steps)
        self.end_learning_rate = number("end_learning_rate", end_learning_rate)
        self.power = number("power", power)
        self.cycle = bool(cycle)
        self.name = name

    def __call__(self, step: int) -> float:
        """Return the learning rate of a step."""
        steps = self.decay_steps
        if self.cycle:
            steps *= max(1, math.ceil(step / steps))
        rest = 1 - min(step, steps) / steps
        span = self.initial_learning_rate - self.end_learning_rate
        return float(span * rest**self.power + self.end_learning_rate)


class InverseTimeDecay(LearningRateSchedule):
    """``initial_learning_rate / (1 + decay_rate * step / decay_steps)``.

    Parameters
    ----------
    initial_learning_rate : float
        The first rate.
    decay_steps : int
        How often the decay applies.
    decay_rate : float
        How strongly.
    staircase : bool, default False
        Whether the rate falls at once after each `decay_steps`.
    name : str, default "InverseTimeDecay"
        The name.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        decay_rate: float,
        staircase: bool = False,
        name: str = "InverseTimeDecay",
    ) -> None:
        self.initial_learning_rate = number("initial_learning_rate", initial_learning_rate)
        self.decay_steps = _steps("decay_steps", decay_steps)
        self.decay_rate = number("decay_rate", decay_rate)
        self.staircase = bool(staircase)
        self.name = name

    def __call__(self, step: int) -> float:
        """Return the learning rate of a step."""
        fraction = step / self.decay_steps
        if self.staircase:
            fraction = math.floor(fraction)
        return self.initial_learning_rate / (1 + self.decay_rate * fraction)


class CosineDecay(LearningRateSchedule):
    """Half a cosine from a rate down to `alpha` of it (Loshchilov and Hutter, 2017).

    Parameters
    ----------
    initial_learning_rate : float
        The first rate.
    decay_steps : int
        The steps of the way down.
    alpha : float, default 0.0
        The share that is left at the end.
    name : str, default "CosineDecay"
        The name.
    warmup_target : float, optional
        The rate to climb to, in a straight line, before the way down begins from there.
    warmup_steps : int, default 0
        The steps of the climb.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        alpha: float = 0.0,
        name: str = "CosineDecay",
        warmup_target: float | None = None,
        warmup_steps: int = 0,
    ) -> None:
        self.initial_learning_rate = number("initial_learning_rate", initial_learning_rate)
        self.decay_steps = _steps("decay_steps", decay_steps)
        self.alpha = number("alpha", alpha)
        self.name = name
        self.warmup_target = (
            None if warmup_target is None else number("warmup_target", warmup_target)
        )
        self.warmup_steps = int(number("warmup_steps", warmup_steps))

    def __call__(self, step: int) -> float:
        """Return the learning rate of a step."""
        top = self.initial_learning_rate
        if self.warmup_target is not None:
            if step < self.warmup_steps:
                return (self.warmup_target - top) * (step / self.warmup_steps) + top
            top, step = self.warmup_target, step - self.warmup_steps
        return top * _cosine(min(step, self.decay_steps) / self.decay_steps, self.alpha)


class CosineDecayRestarts(LearningRateSchedule):
    """Half cosines, one after the other (Loshchilov and Hutter, 2017).

    Parameters
    ----------
    initial_learning_rate : float
        The first rate.
    first_decay_steps : int
        The steps of the first way down.
    t_mul : float, default 2.0
        How much longer each way is than the one before.
    m_mul : float, default 1.0
        How much higher each begins.
    alpha : float, default 0.0
        The share of the first rate that is left at the end of each.
    name : str, default "SGDRDecay"
        The name.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        first_decay_steps: int,
        t_mul: float = 2.0,
        m_mul: float = 1.0,
        alpha: float = 0.0,
        name: str = "SGDRDecay",
    ) -> None:
        self.initial_learning_rate = number("initial_learning_rate", initial_learning_rate)
        self.first_decay_steps = _steps("first_decay_steps", first_decay_steps)
        self.t_mul = number("t_mul", t_mul)
        self.m_mul = number("m_mul", m_mul)
        self.alpha = number("alpha", alpha)
        self.name = name

    def __call__(self, step: int) -> float:
        """Return the learning rate of a step."""
        way, fraction = 0, step / self.first_decay_steps
        if self.t_mul == 1:
            way = math.floor(fraction)
            fraction -= way
        else:
            way = math.floor(math.log(1 - fraction * (1 - self.t_mul)) / math.log(self.t_mul))
            length = self.t_mul**way
            fraction = (fraction - (1 - length) / (1 - self.t_mul)) / length
        return self.initial_learning_rate * _cosine(fraction, self.alpha, self.m_mul**way)


def _cosine(fraction: float, alpha: float, height: float = 1.0) -> float:
    return (1 - alpha) * 0.5 * height * (1 + math.cos(math.pi * fraction)) + alpha


def number(name: str, value: Any, below: float = math.inf, most: float | None = None) -> float:
    """Return a number of at least 0.

    Raises
    ------
    TypeError
        If it is no number.
    ValueError
        If it is negative, not finite, not below `below` or above `most`.
    """
    try:
        found = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name}: expected a number, got {value!r}") from None
    except OverflowError:
        found = math.inf
    if not 0 <= found < below or (most is not None and found > most):
        limit = "" if math.isinf(below) else f" and below {below}"
        limit += "" if most is None else f" and at most {most}"
        raise ValueError(f"{name}: expected a number of at least 0{limit}, got {value!r}")
    return found


def _steps(name: str, value: Any) -> float:
    steps = number(name, value)
    if not steps:
        raise ValueError(f"{name}: expected a number above 0, got {value!r}")
    return int(steps) if steps == int(steps) else steps


_REGISTRY: Registry[LearningRateSchedule] = Registry(
    "schedule",
    LearningRateSchedule,
    [
        CosineDecay,
        CosineDecayRestarts,
        ExponentialDecay,
        InverseTimeDecay,
        PiecewiseConstantDecay,
        PolynomialDecay,
    ],
)


def get(identifier: Any) -> LearningRateSchedule:
    """Return the schedule of a configuration, or an instance itself.

    Raises
    ------
    ValueError
        For an unknown name; the message lists the close ones.
    TypeError
        For anything else.
    """
    return _REGISTRY.get(identifier)


def serialize(schedule: LearningRateSchedule) -> dict[str, Any]:
    """Return the class name and the configuration of a schedule."""
    return describe(schedule)


def deserialize(config: Any) -> LearningRateSchedule:
    """Return the schedule that :func:`serialize` described."""
    return get(config)
