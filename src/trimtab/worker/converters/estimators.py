"""scikit-learn's estimators by skl2onnx in float64, with converters of our own where its are not.

skl2onnx writes trees as `TreeEnsembleClassifier`, whose sums are float32 whatever goes in, and
knows no missing text; `ensembles`, `columns` and `scalers` replace what is concerned, and
`refusals` declines what cannot be replaced.
"""

import warnings
from typing import Any

from ..loaders.estimator import Estimator
from . import choice, columns, ensembles, refusals, scalers
from .contract import Graph, Shown, Unconvertible
from .forest import DOMAIN
from .graphs import OPSET, only

_NEWEST_ML = 3
"""The last version of ai.onnx.ml that skl2onnx writes."""


def converted(predictor: Estimator, shown: Shown) -> Graph:
    """The graph of a fitted scikit-learn object."""
    module = type(predictor.model).__module__.partition(".")[0]
    if module not in {"sklearn", "imblearn"}:
        raise Unconvertible(f"{type(predictor.model).__name__} is a class that no converter knows")
    classified = shown.task in {"binary", "multiclass"}
    if not classified and shown.task != "regression":
        raise Unconvertible("it is neither a classifier with probabilities nor a regressor")
    written = _written(predictor.model, shown, classified)
    names = [each.name for each in written.graph.output]
    graph = only(written, names[1] if classified else names[0])
    return Graph(graph, predictor.facts.classes if classified else ())


def _written(model: Any, shown: Shown, classified: bool) -> Any:
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import DoubleTensorType, StringTensorType

    kinds = (("numbers", DoubleTensorType, shown.numbers), ("texts", StringTensorType, shown.texts))
    inputs = [(name, kind([None, len(names)])) for name, kind, names in kinds if names]
    ensembles.register()
    columns.register()
    scalers.register()
    refusals.register()
    choice.register(shown)
    options = {id(model): {"zipmap": False}} if classified else None
    opset = {"": OPSET, DOMAIN: _NEWEST_ML}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return convert_sklearn(
                model, initial_types=inputs, options=options, target_opset=opset, name="trimtab"
            )
        except Unconvertible:
            raise
        except Exception as error:  # skl2onnx raises whatever an estimator makes it stumble over
            raise Unconvertible(_reason(error)) from error


def _reason(error: Exception) -> str:
    """The first sentence of skl2onnx's essays, which name the estimator that it does not know."""
    text = " ".join(str(error).split())
    if "Unable to find a shape calculator for type" in text:
        name = text.partition("for type '")[2].partition("'")[0].rpartition(".")[2]
        return f"there is no converter for {name}"
    sentence = text.split(". ")[0].rstrip(".")[:200]
    return f"skl2onnx says: {sentence or type(error).__name__}"
