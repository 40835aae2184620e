"""What is documented once for both estimators."""

from __future__ import annotations

from collections.abc import Callable
from string import Template
from typing import TypeVar

T = TypeVar("T", bound=type)

_COMMON = """
    `X` may be, wherever it is asked for,

    - a table (B, T) of numbers, array or data frame: B sequences of T steps with one feature each.
      As everywhere in scikit-learn, the columns must then be the same in `fit` and later;
    - an array (B, T, I): T steps with I features. T may be another later;
    - a list of sequences (T,) or (T, I), arrays or lists, whose lengths T differ.

    Parameters
    ----------
    units : int or tuple of int, default 32
        The size of the state; a tuple stacks as many layers.
    cell : {"gru", "lstm", "simple_rnn"}, default "gru"
        The kind of the layers.
    bidirectional : bool, default False
        Whether to read the sequences from both ends.
    dropout : float, default 0
        The share of each layer's outputs that are dropped while training.
    vocabulary : int or "auto", optional
        Says that sequences hold ids, not quantities, and each id gets a trained vector: an int
        allows ids from 0 to ``vocabulary - 1``; "auto" allows all that occur in `fit` (any whole
        numbers), and one vector is kept for those that are met later.
    embedding_dim : int, default 32
        The size of an id's vector.
    mask_value : float, optional
        Steps whose numbers all equal it (NaN is possible) are padding: they are left out.
    optimizer : str, default "adam"
        The name of one of :mod:`fastgru.optimizers`.
    learning_rate : float, default 0.003
        The step size.
    batch_size : int, default 32
        Sequences in a training step.
    epochs : int, default 50
        How often `fit` goes through the data, at most.
    early_stopping : bool, default False
        Whether to hold out a share of the data, to end when its loss improves no more, and to
        return to the best weights.
    validation_fraction : float, default 0.1
        That share; for a classifier, of each class.
    n_iter_no_change : int, default 5
        How many epochs without an improvement of at least `tol` end the training.
    tol : float, default 1e-4
        See `n_iter_no_change`.
$parameters    warm_start : bool, default False
        Whether another `fit` goes on with the model that there is.
    random_state : int, RandomState or None, default None
        Decides all that is random: initial weights, the order of samples, dropout, what is held
        out. With an int, `fit` gives the same model every time, to the bit.
    verbose : {0, 1, 2}, default 0
        As in :meth:`fastgru.Model.fit`.

    Attributes
    ----------
    model_ : fastgru.Sequential
        The model, whose outputs are $outputs.
$attributes    history_ : dict of str to list of float
        The loss, and with `early_stopping` the ``val_loss``, of each epoch.
    n_iter_ : int
        The number of epochs so far.
    n_features_in_ : int
        The columns of a table; otherwise the features at each step.
    n_steps_in_ : int or None
        The columns of a table; None where any number of steps will do.
    feature_names_in_ : ndarray of str
        The names of a data frame's columns.
    vocabulary_ : ndarray or None
        With ``vocabulary="auto"``, the known ids.
"""


def document(*, outputs: str, parameters: str = "", attributes: str = "") -> Callable[[T], T]:
    """Append to a class' docstring what both estimators share, and what is its own in between."""

    def decorate(cls: T) -> T:
        own = {"outputs": outputs, "parameters": parameters, "attributes": attributes}
        cls.__doc__ = (cls.__doc__ or "") + Template(_COMMON).substitute(own)
        return cls

    return decorate
