"""Models turned into graphs of ONNX that compute what they compute, in the model's own precision.

Belongs here: reading a loaded model, and writing the graph that the compiled engine runs. All of
it runs in an environment of the build's own, beside the release's: `onnx` and `skl2onnx` are
imported here alone, in the functions that need them.

Does not belong here: judging whether a graph is equal or faster (`trimtab.build`), and answering
requests (`..loaders.compiled`). What cannot be converted exactly raises `Unconvertible`; nothing is
approximated.
"""

from ..loaders.contract import Predictor
from ..loaders.estimator import Estimator
from ..loaders.lightgbm import LightGBM
from ..loaders.xgboost import XGBoost
from . import estimators, lightgbm, xgboost
from .contract import Graph, Shown, Unconvertible


def converted(predictor: Predictor, shown: Shown) -> Graph:
    """The graph of a loaded model. Raises `Unconvertible` with the reason in words."""
    if isinstance(predictor, Estimator):
        return estimators.converted(predictor, shown)
    if isinstance(predictor, LightGBM):
        return lightgbm.converted(predictor, shown)
    if isinstance(predictor, XGBoost):
        return xgboost.converted(predictor, shown)
    raise Unconvertible(f"there is no converter for {type(predictor).__name__}")
