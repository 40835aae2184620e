"""Two recurrent layers that read a sequence from both ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np

from fastgru import _random
from fastgru._configurable import checked_config
from fastgru._threads import at_once, get_num_threads
from fastgru.backend import current_ops
from fastgru.layers.arguments import is_nested_shape
from fastgru.layers.base import Layer
from fastgru.layers.padding import turned, turned_back
from fastgru.layers.parameters import write_weights
from fastgru.layers.penalty import as_step
from fastgru.layers.recurrent.inputs import take
from fastgru.layers.recurrent.layer import Recurrent

# Measured with two threads: from where on two backward passes at once gain up to a quarter.
_MULTIPLICATIONS = 8_000_000
_KERNEL_BYTES = 1_000_000

_MODES = ("concat", "sum", "mul", "ave", None)


class Bidirectional(Layer):
    """Runs a recurrent layer over a sequence, a second one from its end, and merges the outputs.

    Parameters
    ----------
    layer : GRU, LSTM or SimpleRNN
        The layer. Two new ones are made with its arguments: one reads forward, one backward.
    merge_mode : {"concat", "sum", "mul", "ave", None}, default "concat"
        How the outputs become one; None leaves them two. Those of the backward layer are in the
        order of the sequence again. With `return_sequences`, masked steps are zero, whatever the
        layer's own `zero_output_for_mask` says.
    weights : list of array_like, optional
        The initial weights: the forward layer's, then the backward layer's.
    backward_layer : GRU, LSTM or SimpleRNN, optional
        Another layer to read backward: one with `go_backwards`, used itself.
    **common
        name, dtype, trainable, input_shape, batch_input_shape, activity_regularizer: see
        :class:`Layer`.

    Raises
    ------
    TypeError
        If a layer is not recurrent.
    ValueError
        For an unknown mode, or two layers that do not go together, or have different dtypes.

    Examples
    --------
    >>> import numpy as np
    >>> from fastgru.layers import GRU, Bidirectional
    >>> Bidirectional(GRU(5, return_sequences=True))(np.zeros((2, 7, 3), np.float32)).shape
    (2, 7, 10)
    """

    supports_masking = True
    fixed_at_once = True
    fixed = ("forward_layer", "return_sequences", "return_state", "stateful")

    def __init__(
        self,
        layer: Any,
        merge_mode: str | None = "concat",
        weights: Sequence[Any] | None = None,
        backward_layer: Any = None,
        **common: Any,
    ) -> None:
        for name, given in (("layer", layer), ("backward_layer", backward_layer)):
            if not isinstance(given, Recurrent) and not (given is None and name != "layer"):
                raise TypeError(
                    f"{name}: expected a GRU, LSTM or SimpleRNN, "
                    f"got {given!r} ({type(given).__name__})"
                )
        if merge_mode not in _MODES:
            raise ValueError(
                f"merge_mode: expected 'concat', 'sum', 'mul', 'ave' or None, got {merge_mode!r}"
            )
        if layer.dtype_given or layer.built:
            common.setdefault("dtype", layer.dtype)
        if layer.first_shape is not None and "input_shape" not in common:
            common.setdefault("batch_input_shape", layer.first_shape)
        super().__init__(**common)
        self.merge_mode = merge_mode
        self.forward_layer = _remade(layer, "forward")
        self.backward_layer = backward_layer or _remade(layer, "backward", go_backwards=True)
        self._require_a_pair(layer)
        for one in self._directions:
            one.zero_output_for_mask = one.return_sequences
        self.stateful = self.forward_layer.stateful
        self.return_sequences = self.forward_layer.return_sequences
        self.return_state = self.forward_layer.return_state
        self._initial_weights = weights
        self.adopt_dtype(self.dtype)
        # A model must not convert the user's own layer.
        self.dtype_given |= any(one.dtype_given or one.built for one in self._directions)

    def _require_a_pair(self, layer: Recurrent) -> None:
        forward, backward = self._directions
        if backward is layer:
            raise ValueError(
                f"{self.name}: backward_layer: expected another layer than {layer.name!r}, "
                "which is the forward one"
            )
        if forward.go_backwards == backward.go_backwards:
            raise ValueError(
                f"{self.name}: backward_layer: expected another go_backwards than the forward "
                f"layer's, got {backward.go_backwards} for both"
            )
        for name in ("stateful", "return_sequences", "return_state"):
            ours, theirs = getattr(forward, name), getattr(backward, name)
            if ours != theirs:
                raise ValueError(
                    f"{self.name}: backward_layer: expected {name}={ours}, as the forward layer "
                    f"has, got {theirs}"
                )
        if self.merge_mode in ("sum", "mul", "ave") and forward.units != backward.units:
            raise ValueError(
                f"{self.name}: merge_mode={self.merge_mode!r} needs layers of equal units, "
                f"got {forward.units} and {backward.units}"
            )

    @property
    def layer(self) -> Recurrent:
        """The forward layer, by the name of the argument."""
        return self.forward_layer

    @property
    def states(self) -> list[np.ndarray] | None:
        """What the last batch of stateful layers ended with: forward, then backward."""
        ours, theirs = (layer.states for layer in self._directions)
        return None if ours is None or theirs is None else ours + theirs

    @property
    def _directions(self) -> tuple[Recurrent, Recurrent]:
        return self.forward_layer, self.backward_layer

    @property
    def _steps(self) -> list[Any]:
        return [as_step(layer) for layer in self._directions]

    # ---- shapes and weights ----

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape of the merged output; a list with states or with two outputs."""
        listed = is_nested_shape(input_shape)
        shape, *states = input_shape if listed else [input_shape]
        half = self._half(states)
        found = []
        for layer, own in zip(self._directions, (states[:half], states[half:]), strict=True):
            result = layer.compute_output_shape([shape, *own] if own else shape)
            found.append(result if layer.return_state else [result])
        (ours, *states_1), (theirs, *states_2) = found
        merged = [ours, theirs]
        if self.merge_mode == "concat":
            merged = [(*ours[:-1], ours[-1] + theirs[-1])]
        elif self.merge_mode is not None:
            merged = [ours]
        return _one_or_list([*merged, *states_1, *states_2])

    def _half(self, states: Sequence[Any]) -> int:
        """Return how many of the initial states are the forward layer's."""
        counts = [layer.cell.state_count for layer in self._directions]
        if states and len(states) != sum(counts):
            raise ValueError(
                f"{self.name}: initial_state: expected {sum(counts)} states, {counts[0]} of the "
                f"forward layer and {counts[1]} of the backward layer, got {len(states)}"
            )
        return counts[0]

    def compute_mask(self, x: Any, mask: Any = None) -> Any:
        """Return the mask of the outputs: the input's with `return_sequences`, else None."""
        mask = mask[0] if isinstance(mask, list | tuple) else mask
        output = mask if self.return_sequences else None
        outputs = [output] * (2 if self.merge_mode is None else 1)
        if self.return_state:
            outputs += [None] * sum(layer.cell.state_count for layer in self._directions)
        return _one_or_list(outputs)

    def build(self, input_shape: Any) -> None:
        """Make the weights of both layers for inputs of a shape; once only.

        Raises
        ------
        ValueError
            If the layers can't take inputs of this shape, or `weights` do not fit.
        """
        shape = tuple(input_shape[0] if is_nested_shape(input_shape) else input_shape)
        super().build(shape)
        for layer in self._directions:
            if not layer.trainable:
                layer.trainable = False  # its weights too, which the whole has just set

    def create_weights(self, input_shape: Any) -> None:
        """Make the weights of both layers."""
        for layer in self._directions:
            layer.build(input_shape)
            for weight in layer.weights:
                weight.path = f"{self.name}/{weight.path}"
                self._weights.append(weight)
        if self._initial_weights is not None:
            write_weights(self.name, [(self, w) for w in self._weights], self._initial_weights)
            self._initial_weights = None

    def adopt_dtype(self, dtype: str) -> None:
        """Take a model's dtype, which was checked."""
        for name, layer in zip(("layer", "backward_layer"), self._directions, strict=True):
            self.hand_dtype(name, layer, dtype)
        super().adopt_dtype(dtype)

    @property
    def seed_generators(self) -> list[_random.SeedGenerator]:
        """The generators of dropout's factors, of both layers."""
        return [g for layer in self._directions for g in layer.seed_generators]

    # ---- calling ----

    def __call__(
        self,
        sequences: Any,
        initial_state: Any = None,
        mask: Any = None,
        training: bool | None = None,
    ) -> Any:
        """Run both layers: see the call of `GRU`.

        Parameters
        ----------
        sequences, mask, training
            As the layer's own.
        initial_state : list of array_like, optional
            The states before the first steps: the forward layer's, then the backward layer's.

        Returns
        -------
        ndarray or list of ndarray
            The output, or both with ``merge_mode=None``; then, with `return_state`, the last states
            of the forward and of the backward layer.

        Raises
        ------
        ValueError, TypeError
            If an input, a mask or a state does not fit; the message says which and how.
        """
        inputs, mask = take(self, sequences, initial_state, mask)
        return super().__call__(inputs, training=training, mask=mask)

    def _shape_met(self, shape: Any) -> Any:
        """Return the shape to be built for: if stateful, with the size of the first batch."""
        return shape if self.stateful else super()._shape_met(shape)

    def convert(self, name: str, x: Any) -> Any:
        """Return an input, or a list of it and initial states, in the layer's dtype."""
        return self.forward_layer.convert(name, x)

    def _take_mask(self, mask: Any, x: Any) -> Any:
        """Return the mask of a call, which is that of the sequences."""
        return super()._take_mask(mask, x[0] if isinstance(x, list) else x)

    def reset_states(self) -> None:
        """Let the next batch of stateful layers begin with zeros."""
        for layer in self._directions:
            layer.reset_states()

    reset_state = reset_states

    # ---- computation ----

    def forward(self, x: Any, *, training: bool = False, mask: Any = None) -> tuple[Any, Any]:
        """Return the merged output, or a list with both outputs or states."""
        listed = isinstance(x, list)
        states: list[Any]
        x, *states = x if listed else (x,)
        mask = mask[0] if isinstance(mask, list | tuple) else mask
        places = None if mask is None else self.forward_layer._turning(mask)
        if places is None and mask is not None:
            mask = np.asarray(mask)  # the whole turns the backward layer's outputs itself
        half = self._half(states)
        ours, theirs = states[:half], states[half:]
        inputs = [[x, *ours] if ours else x, [x, *theirs] if theirs else x]
        (out_1, cache_1), (out_2, cache_2) = (
            layer.forward(given, training=training, mask=mask)
            for layer, given in zip(self._steps, inputs, strict=True)
        )
        (y_1, *states_1), (y_2, *states_2) = (
            (out_1, out_2) if self.return_state else ((out_1,), (out_2,))
        )
        if self.return_sequences:
            y_2 = turned(y_2[:, ::-1], places)
        output = [*self._merge(y_1, y_2), *states_1, *states_2]
        if not training:
            return _one_or_list(output), (cache_1, cache_2) if self.adds_loss else None
        kept = (y_1, y_2) if self.merge_mode == "mul" else None
        return _one_or_list(output), (cache_1, cache_2, kept, places, half, listed, x.shape)

    @property
    def adds_loss(self) -> bool:  # type: ignore[override]
        """Whether the layers have an activity regularizer."""
        return any(step.adds_loss for step in self._steps)

    def added_loss(self, cache: Any) -> float:
        """Return the penalties on the outputs of both layers."""
        pairs = zip(self._steps, cache, strict=False)
        return sum((step.added_loss(c) for step, c in pairs if step.adds_loss), 0.0)

    def _merge(self, y_1: np.ndarray, y_2: np.ndarray) -> list[np.ndarray]:
        if self.merge_mode == "concat":
            return [np.concatenate([y_1, y_2], axis=-1)]
        if self.merge_mode == "sum":
            return [y_1 + y_2]
        if self.merge_mode == "ave":
            return [(y_1 + y_2) / 2]
        return [y_1 * y_2] if self.merge_mode == "mul" else [y_1, y_2]

    def backward(self, dy: Any, cache: Any, *, accumulate: bool = False) -> Any:
        """Return dx, or a list of it and the initial states' gradients if these were inputs."""
        *caches, kept, places, half, listed, shape = cache
        dy = list(dy) if isinstance(dy, list | tuple) else [dy]
        outputs = 2 if self.merge_mode is None else 1
        dy_1, dy_2 = self._split(dy[:outputs], kept)
        if dy_2 is not None and self.return_sequences:
            dy_2 = turned_back(dy_2, places)[:, ::-1]
        gradients: list[Any] = [dy_1, dy_2]
        if self.return_state:
            dstates = dy[outputs:]
            gradients = [[dy_1, *dstates[:half]], [dy_2, *dstates[half:]]]

        steps = self._steps

        def run(i: int) -> Any:
            return steps[i].backward(gradients[i], caches[i], accumulate=accumulate)

        dx_1, dx_2 = at_once(run) if self._pays_at_once(shape) else (run(0), run(1))
        if not isinstance(dx_1, list):
            return [dx_1 + dx_2] if listed else dx_1 + dx_2
        return [dx_1[0] + dx_2[0], *dx_1[1:], *dx_2[1:]]

    def _split(self, dy: Sequence[Any], kept: Any) -> tuple[Any, Any]:
        """Return the gradients of both outputs from those of the merged one."""
        if self.merge_mode is None:
            return dy[0], dy[1]
        (d,) = dy
        if d is None:
            return None, None
        if self.merge_mode == "concat":
            units = self.forward_layer.units
            return d[..., :units], d[..., units:]
        if self.merge_mode == "mul":
            return d * kept[1], d * kept[0]
        return (d / 2, d / 2) if self.merge_mode == "ave" else (d, d)

    def _pays_at_once(self, shape: Sequence[int]) -> bool:
        """Tell whether the backward passes are faster at once, on half of the threads each.

        The forward passes are not: there, threads share one direction's work as well. Nor are
        backward passes of little work, or with a recurrent kernel that the threads' caches hold
        only together.
        """
        batch, steps, features = shape
        cell = self.forward_layer.cell
        columns = cell.gates * cell.units
        return (
            batch * steps * (features + cell.units) * columns >= _MULTIPLICATIONS
            and cell.recurrent_kernel.array.nbytes <= _KERNEL_BYTES
            and get_num_threads() > 1
            and current_ops().__name__ == "fastgru.ops"
        )

    # ---- configuration ----

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make an equal layer (its weights aside)."""
        config = super().get_config()
        del config["weights"]
        return config

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Make a layer from what :meth:`get_config` returned, with new weights."""
        from fastgru import layers

        config = checked_config(cls, config, "layer")
        made = {
            name: layers.deserialize(config[name])
            for name in ("layer", "backward_layer")
            if config.get(name) is not None
        }
        return cls(**{**config, **made})


def _remade(layer: Recurrent, prefix: str, **changes: Any) -> Recurrent:
    """Return a new layer like another, for one direction."""
    name = f"{prefix}_{layer.name.removeprefix(prefix + '_')}"
    return type(layer).from_config({**layer.get_config(), "name": name, **changes})


def _one_or_list(values: list[Any]) -> Any:
    return values if len(values) > 1 else values[0]
