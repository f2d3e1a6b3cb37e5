"""How a `ColumnTransformer` chooses columns, where the columns are places in wide tensors."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import groupby
from typing import Any

from .contract import Shown, Unconvertible


def register(shown: Shown) -> None:
    """Choose columns in place of skl2onnx, which drops their order where a choice is as wide as a
    tensor, and does not know the names of columns within one."""
    from skl2onnx import update_registered_parser
    from sklearn.compose import ColumnTransformer

    update_registered_parser(ColumnTransformer, partial(_parsed, shown))


def _parsed(
    shown: Shown, scope: Any, model: Any, inputs: Sequence[Any], custom_parsers: Any = None
) -> list[Any]:
    """The outputs of all transformers, side by side."""
    from skl2onnx._parse import _parse_sklearn

    if model.transformer_weights:
        raise Unconvertible("a ColumnTransformer with weights has no exact converter")
    locate = _locator(shown, inputs)
    made = []
    for _, each, chosen in model.transformers_:
        runs = [] if isinstance(each, str) and each == "drop" else list(_runs(locate(chosen)))
        if not runs:
            continue
        parts = [_extracted(scope, inputs[tensor], places) for tensor, places in runs]
        if not isinstance(each, str):
            parts = list(_parse_sklearn(scope, each, parts, custom_parsers=custom_parsers))
        made += parts
    return [made[0]] if len(made) == 1 else [_joined(scope, made)]


Located = list[tuple[int, int]]
"""For each column the number of its tensor and its place there."""


def _locator(shown: Shown, inputs: Sequence[Any]) -> Callable[[Any], Located]:
    """How a fitted choice (names, numbers, a slice or a mask) is found in `inputs`."""
    if {each.raw_name for each in inputs} <= {"numbers", "texts"}:
        tensors = {each.raw_name: number for number, each in enumerate(inputs)}
        known = {name: (tensors["numbers"], i) for i, name in enumerate(shown.numbers)}
        known |= {name: (tensors["texts"], i) for i, name in enumerate(shown.texts)}
        return lambda chosen: [known[name] for name in _names(chosen, shown.columns)]
    if len(inputs) != 1:
        raise Unconvertible("a ColumnTransformer within the model is given several tensors")
    return lambda chosen: [(0, place) for place in _inner_places(chosen)]


def _names(chosen: Any, columns: Sequence[str]) -> list[str]:
    """The names of what was chosen, in that order."""
    import numpy as np

    if isinstance(chosen, str):
        return [chosen]
    if isinstance(chosen, slice):
        if isinstance(chosen.start, str) or isinstance(chosen.stop, str):
            raise Unconvertible("a ColumnTransformer chooses its columns by a slice of names")
        return list(columns[chosen])
    listed = np.atleast_1d(np.asarray(chosen))
    if listed.dtype.kind in "OU":
        return [str(name) for name in listed]
    return [str(name) for name in np.array(columns, dtype=object)[listed.astype(_index(listed))]]


def _index(listed: Any) -> type:
    """Places are whole numbers also when there are none; a mask stays one."""
    return bool if listed.dtype.kind == "b" else int


def _inner_places(chosen: Any) -> list[int]:
    import numpy as np

    listed = np.atleast_1d(np.asarray(chosen))
    if isinstance(chosen, slice) or listed.dtype.kind not in "iu":
        raise Unconvertible("a ColumnTransformer within the model chooses columns by name")
    return [int(place) for place in listed]


def _runs(located: Located) -> Iterator[tuple[int, list[int]]]:
    """Neighbours of one tensor together; the order of the choice is kept."""
    for tensor, group in groupby(located, key=lambda each: each[0]):
        yield tensor, [place for _, place in group]


def _extracted(scope: Any, tensor: Any, places: list[int]) -> Any:
    operator = scope.declare_local_operator("SklearnArrayFeatureExtractor")
    operator.inputs = [tensor]
    operator.column_indices = places
    chosen = scope.declare_local_variable("chosen", type(tensor.type)([None, len(places)]))
    operator.outputs.append(chosen)
    return chosen


def _joined(scope: Any, made: Sequence[Any]) -> Any:
    from skl2onnx.common.data_types import DoubleTensorType

    if any(type(each.type).__name__.startswith("String") for each in made):
        raise Unconvertible("a text goes on to the model without being encoded")
    operator = scope.declare_local_operator("SklearnConcat")
    operator.inputs = list(made)
    joined = scope.declare_local_variable("joined", DoubleTensorType([None, None]))
    operator.outputs.append(joined)
    return joined
