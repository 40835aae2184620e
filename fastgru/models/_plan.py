"""A functional model's passes: a list of steps, laid out once and run for every batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fastgru.layers.padding import along_steps, own_steps, with_own
from fastgru.layers.penalty import as_step
from fastgru.layers.symbolic import KerasTensor, Node
from fastgru.models._graph import Graph
from fastgru.models._run import Run


class Step:
    """One call of a layer: where it finds its inputs among all arrays, where it puts its outputs.

    Attributes
    ----------
    layer : Layer or Penalized
        What runs.
    sources, targets : list of int
        The places of inputs and outputs.
    source, target : int
        The only place; -1 if the layer takes (returns) a list.
    mask : int
        The place of a mask that the call gave, or -1.
    training : bool or None
        What the call said.
    makes_mask : bool
        Whether the output may have a mask when no input has one.
    shared : bool
        Whether the gradients of its weights are sums over several steps.
    """

    __slots__ = (
        "backward",
        "forward",
        "layer",
        "makes_mask",
        "mask",
        "shared",
        "source",
        "sources",
        "target",
        "targets",
        "training",
    )

    def __init__(self, node: Node, places: dict[tuple[int, int], int]) -> None:
        self.layer = as_step(node.layer)
        self.forward: Callable[..., Any] = self.layer.forward
        self.backward: Callable[..., Any] = self.layer.backward
        self.sources = [places[tensor.key] for tensor in node.inputs]
        self.source = -1 if node.in_list else self.sources[0]
        self.targets = [
            places.setdefault((id(node), i), len(places)) for i in range(len(node.shapes))
        ]
        self.target = -1 if node.out_list else self.targets[0]
        self.mask = -1 if node.mask is None else places[node.mask.key]
        self.training = node.training
        self.makes_mask = self.layer.makes_mask
        self.shared = False

    def with_logits(self) -> Step:
        """Return the same step without the output activation."""
        other = object.__new__(Step)
        for name in Step.__slots__:
            setattr(other, name, getattr(self, name))
        other.forward = self.layer.forward_logits
        return other


class Plan:
    """The steps of a functional model.

    Parameters
    ----------
    graph : Graph
        The calls.

    Attributes
    ----------
    takers : list of list of Layer
        For each input, the layers that take it.
    activations : list of (str or None)
        For each output, the activation that can be left off.
    """

    def __init__(self, graph: Graph) -> None:
        places = {tensor.key: i for i, tensor in enumerate(graph.inputs)}
        self._inputs = len(graph.inputs)
        self._steps = [Step(node, places) for node in graph.nodes]
        self._size = len(places)
        self._outputs = [places[tensor.key] for tensor in graph.outputs]
        self._adding = [i for i, step in enumerate(self._steps) if step.layer.adds_loss]
        self._shared_weights = self._find_shared()
        self.takers: list[list[Any]] = [
            [step.layer for step in self._steps if place in step.sources]
            for place in range(self._inputs)
        ]
        self.activations = [self._activation(place) for place in self._outputs]
        self._variants: dict[tuple[bool, ...], list[Step]] = {}

    def _find_shared(self) -> list[Any]:
        """Mark the steps whose weights occur in another; return all weights of these."""
        users: dict[Any, int] = {}
        for step in self._steps:
            for weight in step.layer.weights:
                users[weight] = users.get(weight, 0) + 1
        for step in self._steps:
            step.shared = any(users[weight] > 1 for weight in step.layer.weights)
        return list(dict.fromkeys(w for s in self._steps if s.shared for w in s.layer.weights))

    def _activation(self, place: int) -> str | None:
        """Return what the last layer of an output ends with, if nothing else needs its values."""
        step = self._maker(place)
        used = sum(place in s.sources or place == s.mask for s in self._steps)
        if step is None or step.target < 0 or used or self._outputs.count(place) > 1:
            return None
        found: str | None = step.layer.output_activation
        return found

    def _maker(self, place: int) -> Step | None:
        return next((step for step in self._steps if place in step.targets), None)

    # ---- shapes ----

    @staticmethod
    def shapes_of(tensors: Sequence[KerasTensor], in_list: bool) -> Any:
        """Return the shapes of tensors."""
        shapes = [tensor.shape for tensor in tensors]
        return shapes if in_list else shapes[0]

    def shapes(self, inputs: list[Any]) -> list[Any]:
        """Return the shapes of the outputs for those of the inputs."""
        found: list[Any] = [*inputs, *[None] * (self._size - len(inputs))]
        for step in self._steps:
            shapes = [found[i] for i in step.sources]
            if step.mask >= 0:
                step.layer.expect_mask(found[step.mask], shapes[0])
            shape = step.layer.compute_output_shape(shapes if step.source < 0 else shapes[0])
            for i, s in zip(step.targets, shape if step.target < 0 else [shape], strict=True):
                found[i] = s
        return [found[i] for i in self._outputs]

    def expect_mask(self, place: int, shape: Sequence[int | None], input_shape: Any) -> None:
        """Require the shape of an input's mask to fit the layers that take the input."""
        for layer in self.takers[place]:
            layer.expect_mask(shape, input_shape)

    # ---- passes ----

    def forward(
        self, inputs: list[Any], masks_given: list[Any] | None, training: bool, logits: Any
    ) -> tuple[list[Any], Run]:
        """Run all steps; return the outputs and what came up on the way."""
        empty = [None] * (self._size - self._inputs)
        values: list[Any] = [*inputs, *empty]
        masks: list[Any] = [*(masks_given or [None] * self._inputs), *empty]
        caches = []
        for step in self._steps if logits is False else self._variant(logits):
            if step.source >= 0:
                x, mask = values[step.source], masks[step.source]
            else:
                x, mask = [values[i] for i in step.sources], _masks(masks, step.sources)
            if step.mask >= 0:
                mask = _given_mask(values[step.mask], step, mask)
            drop = training if step.training is None else step.training
            if mask is None:
                y, cache = step.forward(x, training=drop)
            else:
                y, cache = step.forward(x, training=drop, mask=mask)
            caches.append(cache)
            if step.target >= 0:
                values[step.target] = y
            else:
                for i, output in zip(step.targets, y, strict=True):
                    values[i] = output
            if mask is not None or step.makes_mask:
                _put(masks, step, step.layer.mask_of_output(x, mask, cache))
        added = sum((self._steps[i].layer.added_loss(caches[i]) for i in self._adding), 0.0)
        outputs = [values[i] for i in self._outputs]
        return outputs, Run(caches, [masks[i] for i in self._outputs], added)

    def _variant(self, logits: Any) -> list[Step]:
        """Return the steps of a pass in which outputs have their activations left off."""
        wanted = tuple(logits) if isinstance(logits, list | tuple) else (bool(logits),)
        if wanted not in self._variants:
            bare = {i for i, bare in zip(self._outputs, wanted, strict=True) if bare}
            self._variants[wanted] = [
                step.with_logits() if step.target in bare else step for step in self._steps
            ]
        return self._variants[wanted]

    def backward(
        self, dy: list[Any], run: Run, accumulate: bool, input_gradient: bool
    ) -> list[Any] | None:
        """Run backward the steps that need it; return the gradients of the inputs, if wanted."""
        gradients: list[Any] = [None] * self._size
        for i, gradient in zip(self._outputs, dy, strict=True):
            _add(gradients, i, gradient)
        needed = self._needed(input_gradient)
        if not accumulate:
            for weight in self._shared_weights:
                weight.gradient.fill(0)
        for step, cache in zip(reversed(self._steps), reversed(run.caches), strict=True):
            if step.target >= 0:
                d = gradients[step.target]
                missing = d is None
            else:
                d = [gradients[i] for i in step.targets]
                missing = all(g is None for g in d)
            if not needed[step.targets[0]]:
                continue
            if missing and not step.layer.adds_loss:
                _forget(step, accumulate)
                continue
            wanted = any(needed[i] for i in step.sources)
            backward = step.backward if wanted else step.layer.backward_to_weights
            dx = backward(d, cache, accumulate=accumulate or step.shared)
            if not wanted:
                continue
            if step.source >= 0:
                _add(gradients, step.source, dx)
            else:
                for i, part in zip(step.sources, dx, strict=True):
                    _add(gradients, i, part)
        return gradients[: self._inputs] if input_gradient else None

    def _needed(self, input_gradient: bool) -> list[bool]:
        """Tell for each array whether anything that leads to it wants its gradient."""
        needed = [input_gradient] * self._inputs + [False] * (self._size - self._inputs)
        for step in self._steps:
            if step.layer.learns or any(needed[i] for i in step.sources):
                for i in step.targets:
                    needed[i] = True
        return needed


def _masks(masks: list[Any], places: list[int]) -> list[Any] | None:
    found = [masks[i] for i in places]
    return None if all(mask is None for mask in found) else found


def _given_mask(values: Any, step: Step, before: Any) -> Any:
    """Return the mask that a call gave; what the input's own knows to be padding is never valid."""
    mask = values.astype(bool, copy=False)
    own = own_steps(before[0] if isinstance(before, list) else before)
    if own is not None:
        mask = with_own(mask & along_steps(own, mask.ndim), own)
    return mask if step.source >= 0 else [mask, *[None] * (len(step.sources) - 1)]


def _put(masks: list[Any], step: Step, found: Any) -> None:
    if step.target >= 0:
        masks[step.target] = found
    elif found is not None:
        for i, mask in zip(step.targets, found, strict=True):
            masks[i] = mask


def _add(gradients: list[Any], place: int, gradient: Any) -> None:
    if gradient is not None:
        before = gradients[place]
        gradients[place] = gradient if before is None else before + gradient


def _forget(step: Step, accumulate: bool) -> None:
    """Let the gradients of a step that the loss does not depend on be zero."""
    if not accumulate and not step.shared:
        for weight in step.layer.weights:
            weight.gradient.fill(0)
