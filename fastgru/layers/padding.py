"""Masks of samples that a model has padded itself, which know what is padding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


class PaddingMask(np.ndarray):
    """A mask, (B, T), that tells which steps were there before samples were padded.

    A step may be a sample's own and not valid: a layer may have masked it since. What NumPy
    makes of such a mask is a plain one.
    """

    #: Which steps are the samples' own, (B, T).
    own: np.ndarray | None = None

    def __array_wrap__(  # what is computed from a mask is an array like any other
        self, array: Any, context: Any = None, return_scalar: bool = False
    ) -> Any:
        """Return the result of an operation as it is."""
        return array[()] if return_scalar else array


def with_own(mask: Any, own: np.ndarray | None) -> Any:
    """Return a mask that knows which steps are the samples' own; as it is if that is not known."""
    if mask is None or own is None:
        return mask
    found = np.asarray(mask).view(PaddingMask)
    found.own = own
    return found


def own_steps(mask: Any) -> np.ndarray | None:
    """Return which steps are the samples' own; None if the mask does not know."""
    return getattr(mask, "own", None)


def own_of_any(masks: Sequence[Any]) -> np.ndarray | None:
    """Return the steps that some of several masks know to be the samples' own."""
    known = [own for own in map(own_steps, masks) if own is not None]
    return np.logical_or.reduce(known) if known else None


def turning(own: np.ndarray) -> np.ndarray:
    """Return the places, (B, T), from which steps in reverse order come to a sample's own places.

    A layer that goes backwards meets the padding first. The steps in its order, taken along the
    time axis from these places, are those of each sample alone.
    """
    places = np.empty(own.shape, np.intp)
    to, source = (np.argsort(~steps, axis=1, kind="stable") for steps in (own, own[:, ::-1]))
    np.put_along_axis(places, to, source, 1)
    return places


def along_steps(steps: np.ndarray, ndim: int) -> np.ndarray:
    """Return what is known of steps, (B, T), with axes of 1 behind: it meets arrays of `ndim`."""
    return steps.reshape(*steps.shape, *[1] * (ndim - steps.ndim))


def turned(y: np.ndarray, places: np.ndarray | None) -> np.ndarray:
    """Return steps taken from places along the time axis; as they are for None."""
    if places is None:
        return y
    return np.take_along_axis(y, along_steps(places, y.ndim), 1)


def turned_back(dy: np.ndarray, places: np.ndarray | None) -> np.ndarray:
    """Return what :func:`turned` returns `dy` for."""
    if places is None:
        return dy
    found = np.empty_like(dy)
    np.put_along_axis(found, along_steps(places, dy.ndim), dy, 1)
    return found
