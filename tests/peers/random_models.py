"""Whole models drawn at random, in the words that Keras and fastgru share.

The same number draws the same model from either library: that is what a drop-in replacement means.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

SIZES = (1, 2, 3, 5, 7, 8, 9)
ACTIVATIONS = ("tanh", "sigmoid", "softsign", "elu", "relu", "linear", "softmax")
MERGES = ("concat", "sum", "mul", "ave")
KINDS = ("GRU", "LSTM", "SimpleRNN")
IDS = 11


class Drawn:
    """A model under construction: what it is made with, and the tensors that are there.

    Parameters
    ----------
    library : module
        Keras or fastgru.
    number : int
        The number of the model.
    """

    def __init__(self, library: ModuleType, number: int) -> None:
        self.library, self.layers = library, library.layers
        self.random = np.random.default_rng((5, number))
        self.batch = self.pick((1, 2, 3, 5))
        self.times: dict[str, int] = {}
        self.inputs: list[Any] = []
        self.count = 0
        self.pools = self.masks = False

    def pick(self, values: Any) -> Any:
        """Return one of some values."""
        return values[int(self.random.integers(len(values)))]

    def flag(self, share: float = 0.5) -> bool:
        """Return True with a probability."""
        return bool(self.random.random() < share)

    def name(self, kind: str) -> str:
        """Return a name that no other layer has."""
        self.count += 1
        return f"drawn_{self.count}_{kind.lower()}"

    def make(self, kind: str, *arguments: Any, **named: Any) -> Any:
        """Make a layer."""
        self.masks |= kind == "Masking" or named.get("mask_zero", False)
        return getattr(self.layers, kind)(*arguments, name=self.name(kind), **named)

    def common(self) -> dict[str, Any]:
        """Draw what any layer with weights may have."""
        penalty = self.library.regularizers.L2(0.25)  # Keras rounds factors to float32
        return {"activity_regularizer": penalty} if self.flag(0.1) else {}

    # ---- layers ----

    def recurrent(self, units: int | None = None, plain: bool = False, **named: Any) -> Any:
        """Draw a recurrent layer."""
        kind = named.pop("kind", None) or self.pick(KINDS)
        how = {"units": units or self.pick(SIZES), "use_bias": self.flag(0.8)} | named
        if kind == "GRU":
            how["reset_after"] = self.flag(0.7)
        if not plain:
            how["go_backwards"] = self.flag(0.2)
            how["zero_output_for_mask"] = self.flag(0.3)
            how["activation"] = "tanh" if self.flag(0.7) else self.pick(ACTIVATIONS[:4])
        if kind != "SimpleRNN" and "activity_regularizer" not in how:  # Keras' SimpleRNN forgets it
            how |= self.common()
        return self.make(kind, **how)

    def bidirectional(self, sequences: bool) -> Any:
        """Draw a pair of recurrent layers."""
        inner = self.recurrent(plain=True, return_sequences=sequences)
        return self.make("Bidirectional", inner, merge_mode=self.pick(MERGES))

    def sequence_layer(self, nested: bool = True) -> Any:
        """Draw a layer from sequences to sequences.

        A nested model's mask does not reach a Concatenate in Keras, which connects masks when
        layers are called on tensors without numbers.
        """
        kinds = ("rnn", "rnn", "rnn", "both", "both", "dense", "each", "other", "nested")
        which = self.pick(kinds if nested else kinds[:-1])
        if which == "rnn":
            return self.recurrent(return_sequences=True)
        if which == "both":
            return self.bidirectional(sequences=True)
        if which == "dense":
            return self.dense()
        if which == "each":
            return self.make("TimeDistributed", self.dense())
        if which == "nested":
            stack = [self.dense(), self.recurrent(return_sequences=True)]
            return self.library.Sequential(stack, name=self.name("stack"))
        kinds = ("Dropout", "SpatialDropout1D", "Activation")
        kind = self.pick(kinds)
        return self.make(kind, self.pick(("tanh", "relu")) if kind == "Activation" else 0.4)

    def vector_layer(self) -> Any:
        """Draw a layer from sequences to vectors."""
        which = self.pick(("rnn", "rnn", "both", "mean", "max"))
        if which == "rnn":
            return self.recurrent()
        if which == "both":
            return self.bidirectional(sequences=False)
        self.pools = True
        return self.make(f"Global{'Average' if which == 'mean' else 'Max'}Pooling1D")

    def dense(self) -> Any:
        """Draw a dense layer."""
        return self.make(
            "Dense",
            self.pick(SIZES),
            activation=self.pick(ACTIVATIONS),
            use_bias=self.flag(0.8),
            **self.common(),
        )

    def dense_like(self, tensor: Any) -> Any:
        """Draw a dense layer that keeps the shape of a tensor."""
        return self.make("Dense", tensor.shape[-1], activation=self.pick(ACTIVATIONS))

    def embedding(self) -> Any:
        """Draw an embedding."""
        return self.make("Embedding", IDS, self.pick(SIZES), mask_zero=self.flag(0.7))

    def continued(self, layer: Any, sequence: Any, states: list[Any]) -> Any:
        """Call a recurrent layer with initial states.

        Keras hands no mask on to a layer that is called on several tensors: give it.
        """
        given = {}
        if self.library.__name__ == "keras":
            given["mask"] = getattr(sequence, "_keras_mask", None)
        return layer(sequence, initial_state=states, **given)

    # ---- inputs ----

    def input(self, kind: str, time: str = "a", free: bool = False) -> Any:
        """Draw an input: ids, a sequence of features, or a vector; of any length if `free`."""
        steps = self.times.setdefault(time, self.pick((1, 2, 4, 7)))
        shape: tuple[int | None, ...] = (steps if self.flag(0.3) and not free else None,)
        if kind == "sequence":
            shape = (*shape, self.pick(SIZES))
        if kind == "vector":
            shape = (self.pick(SIZES),)
        name = f"{kind}_{time}_{len(self.inputs)}"
        tensor = self.library.Input(shape, dtype="int32" if kind == "ids" else "float64", name=name)
        self.inputs.append((kind, time, tensor))
        return tensor

    def source(self, time: str = "a") -> Any:
        """Draw a sequence: of embedded ids, or of features, masked or not."""
        if self.flag():
            return self.embedding()(self.input("ids", time))
        tensor = self.input("sequence", time)
        return self.make("Masking")(tensor) if self.flag(0.6) else tensor

    def data(self) -> list[np.ndarray]:
        """Draw arrays for the inputs: with ids of 0, and steps that hold zeros only."""
        arrays = []
        for kind, time, tensor in self.inputs:
            shape = (self.batch, self.times.get(time, 1))
            padding = self.random.random(shape) < self.pick((0, 0.3, 0.6))
            if self.pools or self.flag():
                padding[:, -1] = False  # the mean of no steps is not the same in both
            if kind == "ids":
                arrays.append(np.where(padding, 0, self.random.integers(1, IDS, shape)))
            elif kind == "any":
                arrays.append(self.random.normal(size=(self.batch, *tensor.shape[1:])))
            elif kind == "vector":
                arrays.append(self.random.normal(size=(self.batch, tensor.shape[-1])))
            else:
                features = self.random.normal(size=(*shape, tensor.shape[-1]))
                arrays.append(np.where(padding[..., None], 0, features))
        return arrays


def stack(drawn: Drawn) -> Any:
    """Draw a Sequential."""
    layers = []
    if drawn.flag():
        layers += [drawn.input("ids"), drawn.embedding()]
    else:
        layers.append(drawn.input("sequence"))
        if drawn.flag(0.6):
            layers.append(drawn.make("Masking"))
    layers += [drawn.sequence_layer() for _ in range(drawn.pick((0, 1, 2, 3)))]
    if drawn.flag(0.7):
        layers.append(drawn.vector_layer())
        layers += [drawn.dense() for _ in range(drawn.pick((0, 1, 2)))]
    else:
        layers.append(drawn.make("TimeDistributed", drawn.dense()))
    return drawn.library.Sequential(layers)


def branches(drawn: Drawn) -> Any:
    """Draw a model of two sequences that meet, and of two outputs."""
    first, second = drawn.source(), drawn.source()
    for _ in range(drawn.pick((0, 1, 2))):
        first = drawn.sequence_layer(nested=False)(first)
    second = drawn.sequence_layer(nested=False)(second)
    met = drawn.make("Concatenate")([first, second])
    if drawn.flag(0.3):
        wide = met.shape[-1]
        other = drawn.recurrent(wide, plain=True, return_sequences=True)(met)
        met = drawn.make("Add")([met, other])
    last = drawn.vector_layer()(met)
    if drawn.flag():
        last = drawn.make("Concatenate")([last, drawn.input("vector")])
    outputs = [drawn.dense()(last), drawn.sequence_layer()(met)]
    tensors = [tensor for _, _, tensor in drawn.inputs]
    return drawn.library.Model(tensors, outputs)


def shared(drawn: Drawn) -> Any:
    """Draw a model that reads two inputs with the same layers."""
    table, reader = drawn.embedding(), drawn.recurrent(return_sequences=drawn.flag())
    inner = (
        drawn.library.Sequential([table, reader], name=drawn.name("reader"))
        if drawn.flag()
        else None
    )
    found = []
    for time in ("a", "b"):
        ids = drawn.input("ids", time, free=True)
        found.append(inner(ids) if inner is not None else reader(table(ids)))
    if len(found[0].shape) == 3:
        last = drawn.vector_layer()
        found = [last(tensor) for tensor in found]
    met = drawn.make("Concatenate")(found)
    tensors = [tensor for _, _, tensor in drawn.inputs]
    return drawn.library.Model(tensors, drawn.dense()(met))


def translator(drawn: Drawn) -> Any:
    """Draw an encoder and a decoder that begins with its state."""
    units, kind = drawn.pick(SIZES), drawn.pick(KINDS)
    encoded, decoded = drawn.source("a"), drawn.source("b")
    if drawn.flag(0.3):
        encoded = drawn.sequence_layer()(encoded)
    if drawn.flag(0.3) and kind != "LSTM":
        pair = drawn.make(
            "Bidirectional",
            drawn.recurrent(units, True, kind=kind, return_state=True),
        )
        y, ours, theirs = pair(encoded)
        states = [drawn.make("Dense", units)(drawn.make("Concatenate")([ours, theirs]))]
    else:
        y, *states = drawn.recurrent(units, kind=kind, return_state=True)(encoded)
    decoder = drawn.recurrent(units, kind=kind, return_sequences=True, return_state=True)
    sequence, *ends = drawn.continued(decoder, decoded, states)
    outputs = [drawn.dense()(sequence)]
    if drawn.flag():
        outputs += [ends[0], y]
    if drawn.flag(0.3):
        again = drawn.recurrent(units, kind=kind)
        outputs.append(drawn.continued(again, drawn.make("RepeatVector", 3)(y), ends))
    tensors = [tensor for _, _, tensor in drawn.inputs]
    return drawn.library.Model(tensors, outputs)


def shapes(drawn: Drawn) -> Any:
    """Draw a model that exchanges axes, joins steps, and reads sequences of sequences."""
    steps, features, groups = drawn.pick(SIZES), drawn.pick(SIZES), drawn.pick((1, 2, 3))
    grouped = drawn.library.Input((groups, steps, features), dtype="float64", name="grouped")
    drawn.inputs.append(("any", "a", grouped))
    inner = drawn.pick(("layer", "layer", "pool", "stack"))
    if inner == "layer":
        reader = drawn.recurrent(return_sequences=drawn.flag())
    elif inner == "pool":
        reader = drawn.make(f"Global{drawn.pick(('Average', 'Max'))}Pooling1D", keepdims=True)
    else:
        reader = drawn.library.Sequential(
            [
                drawn.recurrent(return_sequences=True, activity_regularizer=None),
                drawn.make("Flatten"),
            ],
            name=drawn.name("stack"),
        )
    read = drawn.make("TimeDistributed", reader)(grouped)
    if len(read.shape) == 4:
        read = drawn.dense()(read)
        read = drawn.make("Reshape", (-1, read.shape[-1]))(read)
    turned = drawn.make("Permute", (2, 1))(read)
    longer = drawn.make("Concatenate", axis=1)([turned, drawn.dense_like(turned)(turned)])
    flat = drawn.make("Flatten")(longer)
    pooled = drawn.recurrent()(longer)
    return drawn.library.Model(grouped, [drawn.dense()(flat), pooled, read])


FORMS = (stack, branches, shared, translator, shapes)


def draw(library: ModuleType, number: int) -> tuple[Any, list[np.ndarray], bool]:
    """Return a model, arrays for its inputs and whether it makes masks: by the number."""
    drawn = Drawn(library, number)
    model = FORMS[number % len(FORMS)](drawn)
    return model, drawn.data(), drawn.masks
