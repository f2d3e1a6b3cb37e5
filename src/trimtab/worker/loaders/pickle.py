"""Pickles of protocol 2 or newer. Loading one executes code: builds demand `trust = "code"`."""

import pickle

from ..config import WorkerConfig
from .estimator import Estimator
from .formats import model_file


def load(config: WorkerConfig) -> Estimator:
    """Load a file that `pickle.dump` wrote."""
    with model_file(config).open("rb") as file:
        return Estimator(pickle.load(file))  # noqa: S301 - the release declares it and was trusted
