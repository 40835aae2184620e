"""Recurrent networks as scikit-learn estimators: ``pip install 'fastgru[sklearn]'``.

`GRUClassifier` and `GRURegressor` read sequences and go wherever scikit-learn's own estimators go:
pipelines, grid searches, cross-validation. `GRUForecaster` continues time series, over windows that
`sliding_windows` cuts.
"""

try:
    import sklearn as _sklearn  # noqa: F401
except ImportError as error:
    raise ImportError(
        f"fastgru.sklearn needs scikit-learn: pip install 'fastgru[sklearn]' ({error})"
    ) from error

from fastgru.sklearn._estimators import GRUClassifier, GRURegressor
from fastgru.sklearn._forecaster import GRUForecaster
from fastgru.sklearn._windows import sliding_windows

__all__ = ["GRUClassifier", "GRUForecaster", "GRURegressor", "sliding_windows"]
