"""What a model's forward pass leaves."""

from __future__ import annotations

from typing import Any


class Run:
    """What came up in a forward pass.

    Attributes
    ----------
    caches : list
        What each step leaves for the backward pass; None if not training.
    masks : list of (ndarray or None)
        The mask of each output.
    added_loss : float
        What layers add to the loss: activity regularization.
    """

    __slots__ = ("added_loss", "caches", "masks")

    def __init__(self, caches: list[Any], masks: list[Any], added_loss: float) -> None:
        self.caches, self.masks, self.added_loss = caches, masks, added_loss
