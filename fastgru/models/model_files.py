"""Whole models in files: architecture as JSON, weights, compile settings, the optimizer's state."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgru import _archive, _custom_objects, _random, initializers, layers
from fastgru._archive import Archive, Arrays
from fastgru._configurable import describe, plain
from fastgru._version import __version__
from fastgru.layers.nesting import held_by, shared_weight
from fastgru.models import weight_files

if TYPE_CHECKING:
    from fastgru.layers.base import Layer
    from fastgru.models.model import Model

_FORMAT = "fastgru model"
#: Files of later versions can't be read; a change that readers must know of makes a new one.
_VERSION = 1


def save_model(model: Model, filepath: str | os.PathLike[str], overwrite: bool = True) -> None:
    """Write a model into a file, whole or not at all; :func:`load_model` reads it.

    The file holds the architecture as JSON, the weights, what `compile` was given, the optimizer's
    state and the places of dropout's generators: training resumes as if it had never stopped. There
    are no pickles in it, so reading one runs no code from it.

    Parameters
    ----------
    model : Model
        The model.
    filepath : path
        Ends in ``.npz``, or in ``.safetensors`` where that package is installed.
    overwrite : bool, default True
        Whether a file that is there may be replaced.

    Raises
    ------
    ValueError
        If the path ends otherwise, or layers share weights and one of them holds them within it,
        which a file does not tell: `save_weights` and pickle serve such a model.
    TypeError
        If it is no model, or the configuration of a layer holds what JSON does not.
    OSError
        If the file can't be written, or is there and `overwrite` is False (FileExistsError). What
        was there is then as it was.
    """
    _require_model(model)
    path = _archive.checked_path(filepath)
    _require_own_weights(model)
    _archive.write(path, _packed(model), overwrite)


def _require_model(model: Any) -> None:
    from fastgru.models.network import Network

    if not isinstance(model, Network):
        raise TypeError(f"model: expected a model, got {type(model).__name__}")


def _require_own_weights(holder: Any) -> None:
    """Require that no two layers of a model, or of one within it, have a weight in common.

    Each is read with layers and weights of its own. (A layer that is called twice is one layer.)
    """
    within = [layer for _, layer in held_by(holder)]
    if hasattr(holder, "layers") and (found := shared_weight(within)) is not None:
        first, layer, weight = found
        raise ValueError(
            f"save: the layers {first.name!r} and {layer.name!r} of {holder.name!r} share the "
            f"weight {weight.path}, which a model read from a file would not; use save_weights and "
            "load_weights, or pickle the model"
        )
    for layer in within:
        _require_own_weights(layer)


def load_model(
    filepath: str | os.PathLike[str],
    custom_objects: Mapping[str, Any] | None = None,
    compile: bool = True,
    safe_mode: bool = True,
) -> Model:
    """Return the model that a file holds.

    Parameters
    ----------
    filepath : path
        What :func:`save_model` or `model.save` wrote.
    custom_objects : mapping of str to object, optional
        Layers, activations, … of your own, by the names of their classes. What was registered with
        :func:`fastgru.saving.register_keras_serializable` need not be given.
    compile : bool, default True
        Whether to compile the model as it was, and take up the optimizer's state.
    safe_mode : bool, default True
        Accepted for Keras' sake: files hold no code.

    Raises
    ------
    ValueError
        If the file is damaged, is none of a model, was written by a newer fastgru, or names a class
        that is not known here.
    OSError
        If it can't be read.
    """
    path = _archive.checked_path(filepath)
    with _custom_objects.custom_object_scope(custom_objects):
        found = _archive.read(path)
        header = _header(found, str(path))
        # The first values are replaced at once: they shall cost neither time nor random numbers.
        with initializers.skipped(), _random.drawing_from(np.random.default_rng(0)):
            model = _made(header, str(path))
        _restore(model, found.arrays, str(path))
        if compile and header.get("compile") is not None:
            _recompile(model, header, found.arrays, str(path))
    return model


# ---- architecture alone --------------------------------------------------------------------------


def to_json(model: Model, **options: Any) -> str:
    """Return the architecture as JSON; `options` go to :func:`json.dumps`."""
    return json.dumps(_architecture(model), **options)


def model_from_json(json_string: str, custom_objects: Mapping[str, Any] | None = None) -> Model:
    """Return a model of an architecture that :func:`to_json` returned, with new weights.

    Raises
    ------
    ValueError
        If it is no JSON, none of a model, or names a class that is not known here.
    """
    header = _parsed(json_string, "json_string")
    with _custom_objects.custom_object_scope(custom_objects):
        return _made(header, "json_string")


def clone_model(
    model: Model,
    input_tensors: Any = None,
    clone_function: Callable[[Layer], Layer] | None = None,
) -> Model:
    """Return a model of the same architecture, with new layers and new weights.

    Parameters
    ----------
    model : Model
        The model.
    input_tensors : None
        Not served: the clone has inputs of its own.
    clone_function : callable, optional
        Called with each layer, returns its clone; by default one of the same configuration.

    Raises
    ------
    NotImplementedError
        For `input_tensors`.
    """
    if input_tensors is not None:
        raise NotImplementedError("clone_model: the argument input_tensors is not served")
    _require_model(model)
    config = model.get_config()
    if clone_function is not None:
        config = _cloned_by(clone_function, model, config)
    clone: Model = type(model).from_config(config)
    return clone


def _cloned_by(
    clone_function: Callable[[Layer], Layer], model: Model, config: dict[str, Any]
) -> dict[str, Any]:
    """Return a model's configuration with those of the cloned layers in it."""
    clones = {layer.name: describe(clone_function(layer)) for layer in model.layers}
    entries = []
    for entry in config["layers"]:
        clone = clones.get(entry["config"].get("name"))
        entries.append(entry if clone is None else {**entry, **clone})
    return {**config, "layers": entries}


# ---- writing -------------------------------------------------------------------------------------


def _architecture(model: Model) -> dict[str, Any]:
    return {
        "format": _FORMAT,
        "format_version": _VERSION,
        "fastgru_version": __version__,
        **describe(model),
    }


def _packed(model: Model) -> Archive:
    header = _architecture(model) | {"compile": None}
    arrays: Arrays = weight_files.arrays_of(model.layers)
    arrays |= {f"seeds.{key}": generator.state for key, generator in _generators(model)}
    if model.compiled is not None:
        state = model.compiled.optimizer.get_state()
        arrays |= {f"optimizer.{name}": values for name, values in state.items()}
        header["compile"] = plain(model.compiled._asdict())
    try:
        text = json.dumps(header, allow_nan=True, indent=1)
    except TypeError as error:
        raise TypeError(
            f"save: the configuration of the model {model.name!r} holds what JSON does not "
            f"({error}); see get_config of its layers"
        ) from None
    return Archive(arrays, text)


def _generators(model: Model) -> list[tuple[str, Any]]:
    """Return the generators of the layers with their names in files."""
    return [
        (f"{prefix}/{i}", generator)
        for prefix, layer in weight_files.numbered(model.layers)
        for i, generator in enumerate(layer.seed_generators)
    ]


# ---- reading -------------------------------------------------------------------------------------


def _header(found: Archive, where: str) -> dict[str, Any]:
    if found.text is None:
        raise ValueError(
            f"{where}: holds no model, only arrays ({', '.join(list(found.arrays)[:3])}, …); "
            "make the model and read its weights with load_weights"
        )
    return _parsed(found.text, where)


def _parsed(text: str, where: str) -> dict[str, Any]:
    try:
        header = json.loads(text)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: expected the JSON of a model ({error})") from None
    if not isinstance(header, dict) or header.get("format") != _FORMAT:
        raise ValueError(f"{where}: expected the JSON of a model of fastgru, got another's")
    version = header.get("format_version")
    if not isinstance(version, int) or version > _VERSION:
        raise ValueError(
            f"{where}: written by fastgru {header.get('fastgru_version')} in format {version}; "
            f"this is fastgru {__version__}, which reads formats up to {_VERSION}: upgrade it"
        )
    return header


def _made(header: dict[str, Any], where: str) -> Model:
    """Return the model that a header describes."""
    from fastgru.models.model import Model

    try:
        made = layers.deserialize(header)
    except (TypeError, ValueError, KeyError) as error:
        hint = ""
        if "unknown name" in str(error):
            hint = "; a class of your own must be registered, or given as custom_objects={name: …}"
        raise ValueError(f"{where}: {error}{hint}") from error
    if not isinstance(made, Model):
        raise ValueError(f"{where}: expected a model, got a {type(made).__name__}")
    return made


def _restore(model: Model, arrays: Arrays, where: str) -> None:
    if model.built:
        model.set_weights(weight_files.chosen(model.layers, weight_files.weights_in(arrays), where))
    for key, generator in _generators(model):
        try:
            generator.state = arrays[f"seeds.{key}"]
        except KeyError:
            raise ValueError(f"{where}: the state of the generator {key} is missing") from None


def _recompile(model: Model, header: dict[str, Any], arrays: Arrays, where: str) -> None:
    try:
        model.compile(**header["compile"])
        assert model.optimizer is not None
        kept = [name for name in arrays if name.startswith("optimizer.")]
        model.optimizer.set_state({name.removeprefix("optimizer."): arrays[name] for name in kept})
    except (TypeError, ValueError, KeyError) as error:
        raise ValueError(
            f"{where}: the model can't be compiled as it was ({error}); "
            "pass custom_objects={name: …}, or compile=False and compile it anew"
        ) from error
