"""Callbacks: what a caller wants done at certain points of fit, evaluate and predict."""

from fastgru.callbacks.base import Callback, CallbackList, History, LambdaCallback
from fastgru.callbacks.monitors import EarlyStopping, ModelCheckpoint, ReduceLROnPlateau
from fastgru.callbacks.others import CSVLogger, LearningRateScheduler, TerminateOnNaN

__all__ = [
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "ReduceLROnPlateau",
    "TerminateOnNaN",
]
