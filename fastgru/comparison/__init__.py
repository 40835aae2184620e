"""Try several cells on one's own data, and keep the winner."""

from fastgru.comparison._compare import compare
from fastgru.comparison._result import Comparison, Result

__all__ = ["Comparison", "Result", "compare"]
