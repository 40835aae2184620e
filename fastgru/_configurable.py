"""Objects that a name or a configuration describes: layers, initializers, losses, optimizers, …."""

from __future__ import annotations

import inspect
import reprlib
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, Generic, NoReturn, Self, TypeVar

import numpy as np

from fastgru import _custom_objects
from fastgru._naming import did_you_mean, snake_case
from fastgru._numbers import is_number
from fastgru.activations import Activation

# Reading a signature takes longer than making the object.
_signature = lru_cache(maxsize=256)(inspect.signature)


class Configurable:
    """An object that keeps each argument of its constructor in an attribute of the same name."""

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make an equal object: plain values, fit for JSON."""
        return {name: plain(getattr(self, name)) for name in constructor_arguments(type(self))}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Make an object from what :meth:`get_config` returned."""
        return cls(**checked_config(cls, config, *_needed_arguments(cls)))

    def __repr__(self) -> str:
        """Return the class with its arguments."""
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.get_config().items())
        return f"{type(self).__name__}({arguments})"


def constructor_arguments(cls: Callable[..., Any]) -> tuple[str, ...]:
    """Return the names of the arguments that a class' constructor declares, in order."""
    parameters = _signature(cls).parameters.values()
    return tuple(p.name for p in parameters if p.kind is not p.VAR_KEYWORD)


def _needed_arguments(cls: type) -> list[str]:
    parameters = _signature(cls).parameters.values()
    named = (p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY))
    return [p.name for p in named if p.default is p.empty]


def taken_by(cls: type, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of some arguments that a class' constructor declares.

    A constructor that passes its own on gives ``locals()``, instead of naming each once more.
    """
    return {name: given[name] for name in constructor_arguments(cls) if name in given}


def checked_config(cls: type, config: Any, *needed: str) -> Mapping[str, Any]:
    """Return a configuration, of which some entries are needed.

    Raises
    ------
    TypeError
        If it is no mapping.
    ValueError
        If a needed entry is missing.
    """
    expected = f"{cls.__name__}.from_config: expected a dict that get_config returned"
    if not isinstance(config, Mapping):
        raise TypeError(f"{expected}, got {type(config).__name__}")
    missing = [name for name in needed if name not in config]
    if missing:
        raise ValueError(f"{expected}, got one without {', '.join(missing)}")
    return config


def describe(value: Configurable) -> dict[str, Any]:
    """Return the class name and the configuration of an object."""
    name = _custom_objects.get_registered_name(type(value))
    return {"class_name": name, "config": value.get_config()}


def plain(value: Any) -> Any:
    """Return a value as JSON can hold it; objects by class and configuration, functions by name."""
    if isinstance(value, Configurable):
        return describe(value)
    if isinstance(value, Activation):
        return value.name
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, tuple | list):
        return [plain(v) for v in value]
    if isinstance(value, Mapping):
        return {str(name): plain(v) for name, v in value.items()}
    if callable(value):
        return _custom_objects.get_registered_name(value)
    return value


def refuse(owner: str, **arguments: Any) -> None:
    """Refuse arguments that Keras knows and fastgru does not serve yet, if they are set.

    Raises
    ------
    NotImplementedError
        If any of them is neither None nor False nor 0.
    """
    for name, value in arguments.items():
        if value is not None and value is not False and not (is_number(value) and value == 0):
            shown = f"{name}={reprlib.repr(value)}"
            raise NotImplementedError(f"{owner}: the argument {shown} is not served yet")


def refuse_unknown(owner: Callable[..., Any], unknown: Iterable[str], *bases: type) -> None:
    """Refuse keyword arguments that neither a class (or function) nor its bases know.

    The message lists the close ones, or else all.

    Raises
    ------
    TypeError
        If there is any.
    """
    kinds: list[Callable[..., Any]] = [owner, *bases]
    for name in unknown:
        known = dict.fromkeys(a for kind in kinds for a in constructor_arguments(kind))
        known.pop(name, None)  # the class knows it, but not for what is being made
        close = did_you_mean(name, known) or f"; known: {', '.join(known)}"
        raise TypeError(f"{owner.__name__}: unknown argument {name!r}{close}")


T = TypeVar("T", bound=Configurable)


class Registry(Generic[T]):
    """The classes of one kind, found by name.

    Parameters
    ----------
    kind : str
        What they are, for messages: ``"optimizer"``.
    base : type
        The class that all of them extend.
    classes : iterable of type
        The classes that are served, known by their own names and in snake case.
    aliases : mapping of str to type, optional
        More names.
    unserved : iterable of str, optional
        Names that Keras knows and fastgru does not serve yet.
    """

    def __init__(
        self,
        kind: str,
        base: type[T],
        classes: Iterable[type[T]],
        aliases: Mapping[str, type[T]] | None = None,
        unserved: Iterable[str] = (),
    ) -> None:
        self.kind = kind
        self.base = base
        self.classes = {cls.__name__: cls for cls in classes}
        aliases = aliases or {}
        # "RMSprop" is known as "rmsprop", not as "rm_sprop".
        names = {n.lower() if n.lower() in aliases else snake_case(n): n for n in self.classes}
        self.names = {name: self.classes[n] for name, n in names.items()}
        self.names.update(aliases)
        self.unserved = frozenset(unserved)

    def add(self, cls: type[T]) -> None:
        """Serve one more class."""
        self.classes[cls.__name__] = self.names[snake_case(cls.__name__)] = cls

    def get(self, identifier: Any, argument: str | None = None) -> T:
        """Return the object that a name, a class, a configuration or the object itself stands for.

        Raises
        ------
        ValueError
            If the name is unknown; the message lists the close ones.
        NotImplementedError
            If the name is known to Keras but not served yet.
        TypeError
            If `identifier` is none of these.
        """
        if isinstance(identifier, self.base):
            return identifier
        if isinstance(identifier, type) and issubclass(identifier, self.base):
            return identifier()
        if isinstance(identifier, str):
            return self.find(identifier, argument)()
        if isinstance(identifier, Mapping) and isinstance(identifier.get("class_name"), str):
            cls = self.find(identifier["class_name"], argument)
            return cls.from_config(identifier.get("config", {}))
        raise TypeError(
            f"{argument or self.kind}: expected a name or an instance of {self.base.__name__}, "
            f"got {identifier!r} ({type(identifier).__name__})"
        )

    def find(self, name: str, argument: str | None = None) -> type[T]:
        """Return the class of a name; one of the user's own comes first."""
        own = _custom_objects.find(name, self.base)
        if isinstance(own, type):
            return own
        cls = self.classes.get(name) or self.names.get(name) or self.names.get(name.lower())
        return cls or self._unknown(name, argument or self.kind)

    def _unknown(self, name: str, argument: str) -> NoReturn:
        served = ", ".join(sorted(self.names))
        if name.lower() in self.unserved or snake_case(name) in self.unserved:
            raise NotImplementedError(f"{self.kind} {name!r} is not served yet; served: {served}")
        if ">" in name:
            raise ValueError(
                f"{argument}: the class {name!r} is not registered in this program; import the "
                "module that registers it, or pass custom_objects={…}"
            )
        close = did_you_mean(name, [*self.names, *self.unserved])
        raise ValueError(f"{argument}: unknown name {name!r}{close or f'; known: {served}'}")
