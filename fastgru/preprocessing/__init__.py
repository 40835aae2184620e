"""Preparation of data."""

from fastgru.preprocessing import sequence

__all__ = ["sequence"]
