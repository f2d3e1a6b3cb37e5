"""Estimators that skl2onnx turns into graphs which are the model on most rows, but not on all.

No reference proves such a graph: the rows that tell the two apart are rare, and look like others.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any

from .contract import Unconvertible

_WORDS = "ONNX Runtime splits texts otherwise, at letters with accents and at repeated spaces"
_TIES = "neighbours at the same distance are taken in another order by ONNX Runtime"

_REASONS = {
    "feature_extraction.text": (_WORDS, ("CountVectorizer", "TfidfVectorizer")),
    "neighbors": (
        _TIES,
        (
            "KNeighborsClassifier",
            "KNeighborsRegressor",
            "RadiusNeighborsClassifier",
            "RadiusNeighborsRegressor",
        ),
    ),
}


def register() -> None:
    """Put a refusal in the place of skl2onnx's converters, wherever in a model they are asked."""
    from skl2onnx import update_registered_converter

    labelled = {"zipmap": [True, False, "columns"], "nocl": [True, False]}
    for module, (reason, names) in _REASONS.items():
        for name in names:
            kind = getattr(import_module(f"sklearn.{module}"), name)
            shapes, convert = _refusing(f"{name} has no exact converter: {reason}")
            options = labelled if name.endswith("Classifier") else None
            update_registered_converter(kind, f"Refused{name}", shapes, convert, options=options)


def _refusing(reason: str) -> tuple[Callable[[Any], None], Callable[[Any, Any, Any], None]]:
    """What skl2onnx asks for shapes and for nodes; whichever comes first refuses."""

    def shapes(operator: Any) -> None:
        raise Unconvertible(reason)

    def convert(scope: Any, operator: Any, container: Any) -> None:
        raise Unconvertible(reason)

    return shapes, convert
