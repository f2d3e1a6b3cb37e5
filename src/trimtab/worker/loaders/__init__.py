"""Model files made callable: one module per declared format.

Belongs here: opening a file of exactly the format that the release declares, and the import of
that format's library, in the function that needs it.

Does not belong here: guessing a format, falling back from one to another, or shaping outputs.
"""

import importlib

from ..config import WorkerConfig
from . import compiled
from .contract import Predictor

FORMATS = ("skops", "onnx", "xgboost", "lightgbm", "python", "joblib", "pickle")


def load_predictor(config: WorkerConfig) -> Predictor:
    """Load the engine of the release, or else the model as its declared format.

    Raises `Refusal` for another format (TT-203).
    """
    if config.engine is not None:
        return compiled.load(config)
    if config.format not in FORMATS:
        raise ValueError(f"unknown format {config.format!r}; known are {', '.join(FORMATS)}")
    loader = importlib.import_module(f".{config.format}", __name__)
    predictor: Predictor = loader.load(config)
    return predictor
