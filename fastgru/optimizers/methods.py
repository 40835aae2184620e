"""The methods: Adam, AdamW, SGD, RMSprop."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastgru._configurable import taken_by
from fastgru.backend import current_ops
from fastgru.optimizers.base import Optimizer
from fastgru.optimizers.schedules import number


class Adam(Optimizer):
    """Adam (Kingma and Ba, 2015), with epsilon outside the bias correction, as in Keras.

    Every parameter moves at every step, those of ids that a batch does not hold too.

    Parameters
    ----------
    learning_rate : float, LearningRateSchedule or callable, default 0.001
        The step size.
    beta_1, beta_2 : float, default 0.9 and 0.999
        The decay of the first and of the second moment.
    epsilon : float, default 1e-7
        Keeps the division from zero.
    amsgrad : bool, default False
        Whether to divide by the greatest second moment so far (Reddi et al., 2018).
    weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema, ema_momentum, \
ema_overwrite_frequency, loss_scale_factor, gradient_accumulation_steps
        See :class:`Optimizer`.
    name : str, default "adam"
        The name.

    Raises
    ------
    ValueError
        If a number is out of its range (`beta_1` and `beta_2`: at least 0, below 1), or there
        are two ways to clip.
    TypeError
        For what is no number, or an unknown argument.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
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
        super().__init__(**taken_by(Optimizer, locals()), **unknown)
        self.beta_1 = number("beta_1", beta_1, below=1)
        self.beta_2 = number("beta_2", beta_2, below=1)
        self.epsilon = number("epsilon", epsilon)
        self.amsgrad = bool(amsgrad)

    def slot_names(self) -> tuple[str, ...]:
        """Return the names of the moments."""
        return ("momentum", "velocity", *(("velocity_hat",) if self.amsgrad else ()))

    def update(
        self,
        step: int,
        learning_rate: float,
        parameters: np.ndarray,
        gradients: np.ndarray,
        *slots: np.ndarray,
    ) -> None:
        """Move one range of parameters and its moments."""
        if self.amsgrad:
            self._update_by_the_greatest(step, learning_rate, parameters, gradients, *slots)
            return
        current_ops().adam_update(
            parameters,
            gradients,
            *slots,
            step=step,
            learning_rate=learning_rate,
            beta_1=self.beta_1,
            beta_2=self.beta_2,
            epsilon=self.epsilon,
        )

    def _update_by_the_greatest(
        self,
        step: int,
        learning_rate: float,
        parameters: np.ndarray,
        gradients: np.ndarray,
        m: np.ndarray,
        v: np.ndarray,
        greatest: np.ndarray,
    ) -> None:
        alpha = learning_rate * (1 - self.beta_2**step) ** 0.5 / (1 - self.beta_1**step)
        change = gradients - m
        change *= 1 - self.beta_1
        m += change
        np.multiply(gradients, gradients, out=change)
        change -= v
        change *= 1 - self.beta_2
        v += change
        np.maximum(greatest, v, out=greatest)
        np.sqrt(greatest, out=change)
        change += self.epsilon
        np.divide(m * alpha, change, out=change)
        parameters -= change


class AdamW(Adam):
    """Adam with decay of the weights (Loshchilov and Hutter, 2019).

    Parameters
    ----------
    learning_rate : float, LearningRateSchedule or callable, default 0.001
        The step size.
    weight_decay : float, default 0.004
        Before a step, each parameter loses this share of itself times the learning rate.
    beta_1, beta_2, epsilon, amsgrad
        See :class:`Adam`.
    clipnorm, clipvalue, global_clipnorm, use_ema, ema_momentum, ema_overwrite_frequency, \
loss_scale_factor, gradient_accumulation_steps
        See :class:`Optimizer`.
    name : str, default "adamw"
        The name.

    Raises
    ------
    ValueError
        If a number is out of its range or `weight_decay` is None, or there are two ways to clip.
    TypeError
        For what is no number, or an unknown argument.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        weight_decay: float = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = "adamw",
        **unknown: Any,
    ) -> None:
        if weight_decay is None:
            raise ValueError("weight_decay: expected a number, got None; that is Adam")
        super().__init__(**taken_by(Adam, locals()), **unknown)


class SGD(Optimizer):
    """Gradient descent, with momentum if wanted.

    Parameters
    ----------
    learning_rate : float, LearningRateSchedule or callable, default 0.01
        The step size.
    momentum : float, default 0.0
        How much of the last move a move keeps.
    nesterov : bool, default False
        Whether to look ahead along the momentum (Nesterov, 1983).
    weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema, ema_momentum, \
ema_overwrite_frequency, loss_scale_factor, gradient_accumulation_steps
        See :class:`Optimizer`.
    name : str, default "sgd"
        The name.

    Raises
    ------
    ValueError
        If a number is out of its range (`momentum`: from 0 to 1), or there are two ways to clip.
    TypeError
        For what is no number, or an unknown argument.
    """

    def __init__(
        self,
        learning_rate: Any = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = "sgd",
        **unknown: Any,
    ) -> None:
        super().__init__(**taken_by(Optimizer, locals()), **unknown)
        self.momentum = number("momentum", momentum, most=1)
        self.nesterov = bool(nesterov)

    def slot_names(self) -> tuple[str, ...]:
        """Return the name of the momentum, if there is one."""
        return ("momentum",) if self.momentum else ()

    def update(
        self,
        step: int,
        learning_rate: float,
        parameters: np.ndarray,
        gradients: np.ndarray,
        *slots: np.ndarray,
    ) -> None:
        """Move one range of parameters."""
        move = gradients * learning_rate
        for m in slots:
            m *= self.momentum
            m -= move
            if self.nesterov:
                np.subtract(move, self.momentum * m, out=move)
            else:
                np.negative(m, out=move)
        parameters -= move


class RMSprop(Optimizer):
    """RMSprop (Tieleman and Hinton, 2012), with epsilon under the root, as in Keras.

    Parameters
    ----------
    learning_rate : float, LearningRateSchedule or callable, default 0.001
        The step size.
    rho : float, default 0.9
        The decay of the mean square.
    momentum : float, default 0.0
        How much of the last move a move keeps.
    epsilon : float, default 1e-7
        Keeps the division from zero.
    centered : bool, default False
        Whether to divide by the standard deviation in place of the root mean square.
    weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema, ema_momentum, \
ema_overwrite_frequency, loss_scale_factor, gradient_accumulation_steps
        See :class:`Optimizer`.
    name : str, default "rmsprop"
        The name.

    Raises
    ------
    ValueError
        If a number is out of its range (`rho` and `momentum`: from 0 to 1), or there are two
        ways to clip.
    TypeError
        For what is no number, or an unknown argument.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = "rmsprop",
        **unknown: Any,
    ) -> None:
        super().__init__(**taken_by(Optimizer, locals()), **unknown)
        self.rho = number("rho", rho, most=1)
        self.momentum = number("momentum", momentum, most=1)
        self.epsilon = number("epsilon", epsilon)
        self.centered = bool(centered)

    def slot_names(self) -> tuple[str, ...]:
        """Return the names of the means and of the momentum."""
        names: tuple[str, ...] = ("velocity",)
        if self.centered:
            names += ("average_gradient",)
        return (*names, "momentum") if self.momentum else names

    def update(
        self,
        step: int,
        learning_rate: float,
        parameters: np.ndarray,
        gradients: np.ndarray,
        *slots: np.ndarray,
    ) -> None:
        """Move one range of parameters."""
        velocity, *more = slots
        move = gradients * gradients
        move *= 1 - self.rho
        velocity *= self.rho
        velocity += move
        if self.centered:
            mean = more[0]
            mean *= self.rho
            mean += (1 - self.rho) * gradients
            np.subtract(velocity, mean * mean, out=move)
        else:
            move[...] = velocity
        move += self.epsilon
        np.sqrt(move, out=move)
        np.divide(gradients * learning_rate, move, out=move)
        if self.momentum:
            momentum = more[-1]
            momentum *= self.momentum
            momentum += move
            move = momentum
        parameters -= move
