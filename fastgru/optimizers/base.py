"""What optimizers have in common: binding to weights, clipping, decay, averages, state."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from fastgru._configurable import Configurable, describe, refuse_unknown
from fastgru._naming import checked_name, snake_case
from fastgru._numbers import optional_count
from fastgru.layers.parameters import ParameterBuffer, Span, Weight, trainable_spans
from fastgru.optimizers import schedules
from fastgru.optimizers.schedules import LearningRateSchedule, number

_AVERAGE, _ACCUMULATED = "average", "accumulated_gradient"


class Optimizer(Configurable):
    """What optimizers have in common.

    An optimizer steps over whole ranges of a model's flat buffers; only what Keras does weight by
    weight (`clipnorm`, constraints, exceptions from decay) is done so here. Clipping overwrites the
    gradients.

    Parameters
    ----------
    learning_rate : float, LearningRateSchedule or callable
        The step size; a number may be changed at any time. A callable takes no arguments.
    weight_decay : float, optional
        Before a step, each parameter loses this share of itself times the learning rate.
    clipnorm : float, optional
        The greatest norm that the gradient of a weight may have.
    clipvalue : float, optional
        The greatest size that an entry of a gradient may have.
    global_clipnorm : float, optional
        The greatest norm that all gradients together may have.
    use_ema : bool, default False
        Whether to keep an exponential moving average of the weights, which takes their place at the
        end of fit.
    ema_momentum : float, default 0.99
        How much of the average a step keeps.
    ema_overwrite_frequency : int, optional
        The number of steps after which the weights become their average.
    loss_scale_factor : float, optional
        Accepted for Keras' sake: float32 needs no scaling, so there is nothing to undo.
    gradient_accumulation_steps : int, optional
        The number of batches whose mean gradient makes a step.
    name : str, optional
        Otherwise the class' name in snake case.

    Attributes
    ----------
    iterations : int
        The number of steps taken.

    Raises
    ------
    ValueError
        If a number is out of its range, or there are two ways to clip.
    TypeError
        For what is no number, or an unknown argument.
    """

    def __init__(
        self,
        learning_rate: Any,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = None,
        **unknown: Any,
    ) -> None:
        refuse_unknown(type(self), unknown)
        self.learning_rate = learning_rate
        self.name = checked_name(name) or snake_case(type(self).__name__)
        clips = {"clipnorm": clipnorm, "clipvalue": clipvalue, "global_clipnorm": global_clipnorm}
        given = [clip for clip, value in clips.items() if value is not None]
        if len(given) > 1:
            raise ValueError(f"{self.name}: expected one way to clip at most, got {given}")
        self.weight_decay = _optional("weight_decay", weight_decay)
        self.clipnorm = _optional("clipnorm", clipnorm)
        self.clipvalue = _optional("clipvalue", clipvalue)
        self.global_clipnorm = _optional("global_clipnorm", global_clipnorm)
        self.use_ema = bool(use_ema)
        self.ema_momentum = number("ema_momentum", ema_momentum, most=1)
        self.ema_overwrite_frequency = optional_count(
            "ema_overwrite_frequency", ema_overwrite_frequency
        )
        self.loss_scale_factor = _optional("loss_scale_factor", loss_scale_factor)
        self.gradient_accumulation_steps = optional_count(
            "gradient_accumulation_steps", gradient_accumulation_steps
        )
        self._batches = 0
        self._excluded: tuple[list[Weight], re.Pattern[str] | None] = [], None
        self._restored: dict[str, np.ndarray] = {}
        self._unbind()

    def _unbind(self) -> None:
        self._weights: list[Weight] = []
        self._spans: list[Span] = []
        self._state: dict[ParameterBuffer, dict[str, np.ndarray]] = {}
        self._ranges: list[list[np.ndarray]] = []

    # ---- what a subclass says ----

    def slot_names(self) -> tuple[str, ...]:
        """Return the names of the numbers that the optimizer keeps for each parameter."""
        return ()

    def update(
        self,
        step: int,
        learning_rate: float,
        parameters: np.ndarray,
        gradients: np.ndarray,
        *slots: np.ndarray,
    ) -> None:
        """Move one range of parameters in place. Steps count from 1."""
        raise NotImplementedError

    # ---- the learning rate ----

    @property
    def learning_rate(self) -> float:
        """The step size, that of the next step if a schedule gives it."""
        rate = self._learning_rate
        if isinstance(rate, float):
            return rate
        return float(rate(self._batches) if isinstance(rate, LearningRateSchedule) else rate())

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        if isinstance(getattr(self, "_learning_rate", None), LearningRateSchedule):
            raise TypeError(
                f"learning_rate: {self.name} has a schedule, so it can't be set; "
                "make the optimizer with a number"
            )
        self._learning_rate: Any
        if isinstance(value, Mapping):
            self._learning_rate = schedules.get(value)
        elif callable(value) and not isinstance(value, type):
            self._learning_rate = value
        else:
            self._learning_rate = number("learning_rate", value)

    @property
    def iterations(self) -> int:
        """The number of steps taken."""
        return self._batches // (self.gradient_accumulation_steps or 1)

    # ---- which weights ----

    def bind(self, weights: Sequence[Weight]) -> None:
        """Make ready to step over the trainable ones of a model's weights; known state is kept.

        Raises
        ------
        ValueError
            If the optimizer has stepped over others: it belongs to another model, or to this one
            before it was changed.
        """
        spans = trainable_spans(weights)
        if self._spans == spans and self._weights == list(weights):
            return
        names = self._all_slots()
        buffers = dict.fromkeys(weight.buffer for weight in weights)
        state = {
            buffer: self._state.get(buffer) or {n: np.zeros_like(buffer.values) for n in names}
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
        self._prepare_ranges()

    def _all_slots(self) -> tuple[str, ...]:
        names = self.slot_names()
        if self.use_ema:
            names += (_AVERAGE,)
        if self.gradient_accumulation_steps:
            names += (_ACCUMULATED,)
        return names

    def _prepare_ranges(self) -> None:
        """Cut the views that a step works on, so that it has only to walk through lists."""

        def cut(buffer: ParameterBuffer, place: slice, *names: str) -> list[np.ndarray]:
            whole = (buffer.values, buffer.gradients, *(self._state[buffer][n] for n in names))
            return [array[place] for array in whole]

        spans = [(s.buffer, slice(s.start, s.stop)) for s in self._spans]
        trained = [weight for weight in self._weights if weight.trainable]
        self._buffers = list(dict.fromkeys(buffer for buffer, _ in spans))
        self._ranges = [cut(*span, *self.slot_names()) for span in spans]
        self._sums = [cut(*s, _ACCUMULATED) for s in spans if self.gradient_accumulation_steps]
        self._averages = [cut(*span, _AVERAGE) for span in spans if self.use_ema]
        decayed = [(w.buffer, w.place) for w in trained if self._decays(w)]
        self._decayed = [cut(*place)[0] for place in self.weight_decay and decayed or ()]
        self._clips = any((self.clipnorm, self.clipvalue, self.global_clipnorm))
        self._clipped = [cut(w.buffer, w.place)[1] for w in trained if self.clipnorm]
        self._constrained = [weight for weight in trained if weight.constraint is not None]

    def exclude_from_weight_decay(
        self, var_list: Iterable[Weight] | None = None, var_names: Iterable[str] | None = None
    ) -> None:
        """Exclude weights from weight decay; to be called before training.

        Parameters
        ----------
        var_list : iterable of Weight, optional
            The weights.
        var_names : iterable of str, optional
            Patterns: a weight whose name holds one is excluded.

        Raises
        ------
        ValueError
            If the optimizer is at work already.
        """
        if self._weights:
            raise ValueError(f"exclude_from_weight_decay: {self.name} has begun to train already")
        names = set(var_names or ())
        self._excluded = list(var_list or ()), re.compile("|".join(names)) if names else None

    def _decays(self, weight: Weight) -> bool:
        weights, names = self._excluded
        named = names is not None and names.search(weight.name) is not None
        return not named and not any(weight is other for other in weights)

    # ---- a step ----

    def step(self) -> None:
        """Move the parameters along their gradients once."""
        rate = self.learning_rate
        try:
            if not self._sums or self._mean_is_ready():
                if self._clips:
                    self._clip()
                for parameters in self._decayed:
                    parameters -= parameters * (self.weight_decay or 0) * rate
                step = self.iterations + 1
                for arrays in self._ranges:
                    self.update(step, rate, *arrays)
            if self._averages:
                self._average()
            for weight in self._constrained:
                assert weight.constraint is not None
                weight.writable()[...] = weight.constraint(weight.array)
        finally:
            for buffer in self._buffers:
                buffer.touch()
        self._batches += 1

    def _mean_is_ready(self) -> bool:
        """Add a batch's gradients to the sums, or put the mean in place of the last batch's."""
        count = self.gradient_accumulation_steps or 1
        ready = (self._batches + 1) % count == 0
        for _, gradients, sums in self._sums:
            if ready:
                gradients += sums
                gradients /= count
                sums.fill(0)
            else:
                sums += gradients
        return ready

    def _clip(self) -> None:
        for gradient in self._clipped:
            _scale_down([gradient], self.clipnorm or 0)
        if self.global_clipnorm:
            _scale_down([gradients for _, gradients, *_ in self._ranges], self.global_clipnorm)
        if self.clipvalue:
            for _, gradients, *_ in self._ranges:
                np.clip(gradients, -self.clipvalue, self.clipvalue, out=gradients)

    def _average(self) -> None:
        kept = self.ema_momentum if self.iterations else 0.0
        for parameters, _, average in self._averages:
            average *= kept
            average += (1 - kept) * parameters
        frequency = self.ema_overwrite_frequency
        if frequency and (self.iterations + 1) % frequency == 0:
            self.finalize()

    def finalize(self) -> None:
        """Put the moving averages, if there are, in the place of the weights: the end of fit."""
        for parameters, _, average in self._averages:
            parameters[...] = average
        for buffer in self._buffers if self._averages else ():
            buffer.touch()

    # ---- state ----

    def get_state(self) -> dict[str, np.ndarray]:
        """Return what the optimizer has learnt.

        Returns
        -------
        dict of str to ndarray
            ``iterations`` (the batches seen), ``learning_rate`` if it is a number, and for each of
            the numbers that the optimizer keeps for a parameter (``momentum``, …) an array of those
            of all the model's parameters, in the order of its weights, zeros for what it never
            moved. There are none of these before training.
        """
        state = {"iterations": np.array(self._batches, np.int64)}
        if isinstance(self._learning_rate, float):
            state["learning_rate"] = np.array(self._learning_rate)
        return state | self._slots()

    def _slots(self) -> dict[str, np.ndarray]:
        if not self._weights:
            return dict(self._restored)
        return {
            name: np.concatenate([self._state[w.buffer][name][w.place] for w in self._weights])
            for name in self._all_slots()
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from what :meth:`get_state` returned when a model is trained next.

        Raises
        ------
        ValueError
            If it is the state of another kind of optimizer. When training begins: if it is that of
            a model with another number of parameters.
        """
        slots = {name: np.array(value) for name, value in state.items()}
        batches, rate = slots.pop("iterations", None), slots.pop("learning_rate", None)
        known = self._all_slots()
        wrong = slots and (set(slots) != set(known) or any(v.ndim != 1 for v in slots.values()))
        if batches is None or wrong:
            raise ValueError(
                f"state: {self.name} keeps iterations and {', '.join(known) or 'no more'}, in one "
                f"dimension; got {', '.join(f'{n} {np.shape(v)}' for n, v in state.items())}"
            )
        if rate is not None and isinstance(self._learning_rate, float):
            self.learning_rate = float(rate)
        self._batches = int(batches)
        self._unbind()
        self._restored = slots

    def _restore(
        self, weights: Sequence[Weight], state: dict[ParameterBuffer, dict[str, np.ndarray]]
    ) -> None:
        """Write what `set_state` was given where it belongs."""
        count = sum(weight.array.size for weight in weights)
        for values in self._restored.values():
            if values.size != count:
                raise ValueError(
                    f"optimizer: its restored state is that of {values.size} parameters, "
                    f"but the model has {count}"
                )
        for name, values in self._restored.items():
            start = 0
            for weight in weights:
                stop = start + weight.array.size
                state[weight.buffer][name][weight.place] = values[start:stop]
                start = stop
        self._restored = {}

    def __getstate__(self) -> dict[str, Any]:
        """Pickle the state without the model that is trained."""
        bound = ["_weights", "_spans", "_state", "_ranges", "_buffers", "_sums", "_averages"]
        bound += ["_decayed", "_clipped", "_constrained"]
        kept = {name: value for name, value in vars(self).items() if name not in bound}
        return {**kept, "_restored": self._slots()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take the state; the next fit binds it to a model."""
        vars(self).update(state)
        self._unbind()

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make an equal optimizer, its state aside."""
        config = super().get_config()
        if isinstance(self._learning_rate, LearningRateSchedule):
            config["learning_rate"] = describe(self._learning_rate)
        return config


def _scale_down(gradients: list[np.ndarray], limit: float) -> None:
    """Scale gradients, together, to a norm of at most `limit`; what is not finite stays so."""
    norm = math.sqrt(sum(float(np.einsum("i,i->", g, g)) for g in gradients))
    if not norm <= limit:
        for gradient in gradients:
            gradient *= limit / norm


def _optional(name: str, value: Any) -> float | None:
    return None if value is None else number(name, value)
