"""scikit-learn's scaling of single rows, where skl2onnx computes something else.

Its `Binarizer` keeps the threshold as float32, so that a number at the threshold itself falls on
the other side of it, and its `Normalizer` divides a row of zeros by zero.
"""

from typing import TYPE_CHECKING, Any

from .contract import Unconvertible
from .nodes import Nodes

if TYPE_CHECKING:
    from collections.abc import Callable

_NORMS = {"l1": "ReduceL1", "l2": "ReduceL2"}
_LEAST_NORM = 10 * 2.0**-52
"""A row whose norm is smaller stays as it is (`sklearn.preprocessing._data`)."""


def register() -> None:
    """Put these converters in the place of skl2onnx's own."""
    from skl2onnx import update_registered_converter
    from sklearn import preprocessing

    for name, convert in {"Binarizer": _binarized, "Normalizer": _normalized}.items():
        kind = getattr(preprocessing, name)
        update_registered_converter(kind, f"Exact{name}", _alike, _converter(convert))


def _alike(operator: Any) -> None:
    """Numbers of float64, as many as there were."""
    from skl2onnx.common.data_types import DoubleTensorType

    operator.outputs[0].type = DoubleTensorType([None, operator.inputs[0].type.shape[1]])


def _converter(convert: "Callable[[Nodes], None]") -> "Callable[[Any, Any, Any], None]":
    return lambda scope, operator, container: convert(Nodes(scope, operator, container))


def _binarized(nodes: Nodes) -> None:
    import numpy as np
    from onnx import TensorProto

    threshold = nodes.constant(np.array([float(nodes.model.threshold)]))
    above = nodes.add("Greater", nodes.features, threshold)
    nodes.add("Cast", above, to=TensorProto.DOUBLE, into=nodes.outputs[0])


def _normalized(nodes: Nodes) -> None:
    import numpy as np

    norm = nodes.model.norm
    if norm not in _NORMS:
        raise Unconvertible(f"a Normalizer by the norm {norm!r} has no exact converter")
    sizes = nodes.add(_NORMS[norm], nodes.features, nodes.constant(np.array([1])), keepdims=1)
    tiny = nodes.add("Less", sizes, nodes.constant(np.array([_LEAST_NORM])))
    divisors = nodes.add("Where", tiny, nodes.constant(np.ones(1)), sizes)
    nodes.add("Div", nodes.features, divisors, into=nodes.outputs[0])
