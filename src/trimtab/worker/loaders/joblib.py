"""joblib dumps. Loading one executes code of its author: builds demand `trust = "code"`."""

from ..config import WorkerConfig
from .estimator import Estimator
from .formats import model_file


def load(config: WorkerConfig) -> Estimator:
    """Load a file that `joblib.dump` wrote."""
    path = model_file(config)
    import joblib

    return Estimator(joblib.load(path))
