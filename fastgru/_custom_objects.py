"""Classes and functions of a user's own, found by name when a model is read from a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

T = TypeVar("T")

_registered: dict[str, Any] = {}
_scope: ContextVar[dict[str, Any]] = ContextVar("fastgru_custom_objects", default={})  # noqa: B039 (never written)


def register_keras_serializable(
    package: str = "Custom", name: str | None = None
) -> Callable[[T], T]:
    """Make a class of one's own known, so that models that hold it can be read from files.

    Parameters
    ----------
    package : str, default "Custom"
        Keeps equal names of different projects apart.
    name : str, optional
        Otherwise the name of the class.

    Returns
    -------
    callable
        A decorator, which returns the class as it is.

    Raises
    ------
    TypeError
        If what is decorated has no name and none is given.
    ValueError
        If another class was registered under this name; the same one, defined anew, replaces it.

    Examples
    --------
    >>> import fastgru
    >>> @fastgru.saving.register_keras_serializable(package="docs")
    ... class Half(fastgru.layers.Layer):
    ...     def compute_output_shape(self, input_shape):
    ...         return tuple(input_shape)
    ...     def forward(self, x, *, training=False, mask=None):
    ...         return x / 2, None
    ...     def backward(self, dy, cache, *, accumulate=False):
    ...         return dy / 2
    """

    def register(value: T) -> T:
        own = name or getattr(value, "__name__", None) or getattr(value, "name", None)
        if not isinstance(own, str):
            raise TypeError(f"register_keras_serializable: {value!r} has no name; give one")
        full = f"{package}>{own}"
        before = _registered.get(full)
        if before is not None and _origin(before) != _origin(value):
            raise ValueError(f"register_keras_serializable: {full!r} is registered for {before!r}")
        _registered[full] = value
        return value

    return register


def _origin(value: Any) -> tuple[Any, Any]:
    kind = value if hasattr(value, "__qualname__") else type(value)
    return getattr(kind, "__module__", None), getattr(kind, "__qualname__", None)


def get_registered_name(value: Any) -> str:
    """Return the name that a class is registered under, ``"package>Name"``, or else its own."""
    for name, known in _registered.items():
        if known is value:
            return name
    return str(getattr(value, "__name__", None) or getattr(value, "name", type(value).__name__))


def get_registered_object(
    name: str,
    custom_objects: Mapping[str, Any] | None = None,
    module_objects: Mapping[str, Any] | None = None,
) -> Any:
    """Return the object of a name, None if there is none.

    Looked for in the scopes that are entered, among what is registered, in `custom_objects`, and
    in `module_objects`.
    """
    found = find(name)
    for objects in (custom_objects, module_objects):
        if found is None and objects is not None:
            found = objects.get(name)
    return found


def get_custom_objects() -> dict[str, Any]:
    """Return the global objects by name; what is added to them is known from then on."""
    return _registered


@contextmanager
def custom_object_scope(objects: Mapping[str, Any] | None = None) -> Iterator[None]:
    """Know more objects by name within a ``with`` block.

    Parameters
    ----------
    objects : mapping of str to object, optional
        Layers, losses, activations, … by the names that configurations give them.

    Raises
    ------
    TypeError
        If it is not a mapping with names.
    """
    if objects is None:
        objects = {}
    if not isinstance(objects, Mapping) or not all(isinstance(name, str) for name in objects):
        raise TypeError(f"custom_objects: expected a dict from names to objects, got {objects!r}")
    token = _scope.set({**_scope.get(), **objects})
    try:
        yield
    finally:
        _scope.reset(token)


CustomObjectScope = custom_object_scope


def find(name: str, base: type | None = None) -> Any:
    """Return the object of a name that is a `base`, or a class below it; None if there is none.

    A registered object is found by its own name too, without the package.
    """
    scope = _scope.get()
    bare = name.rpartition(">")[2]
    candidates = [scope.get(name), _registered.get(name), scope.get(bare)]
    if bare == name:
        candidates += [v for n, v in _registered.items() if n.rpartition(">")[2] == name]
    for found in candidates:
        if found is not None and (base is None or _is(found, base)):
            return found
    return None


def _is(value: Any, base: type) -> bool:
    return issubclass(value, base) if isinstance(value, type) else isinstance(value, base)
