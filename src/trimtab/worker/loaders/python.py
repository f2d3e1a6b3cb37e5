"""A class of the release's own code, named `module:Class`: builds demand `trust = "code"`."""

import importlib
import re

from ..config import WorkerConfig
from .estimator import Estimator
from .formats import wrong_format

_REFERENCE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


def load(config: WorkerConfig) -> Estimator:
    """Make the class without arguments; it has `predict(frame)`, perhaps `predict_proba`."""
    if not _REFERENCE.fullmatch(config.model_path):
        raise wrong_format(config, "a path; a python model is written module:Class")
    module, _, name = config.model_path.partition(":")
    return Estimator(getattr(importlib.import_module(module), name)())
