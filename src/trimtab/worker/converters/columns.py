"""scikit-learn's encoders and imputer, with texts and with what is missing as they treat them.

An encoder is asked for every category that it knows, and the graph looks its answers up. What the
encoder refuses, the graph refuses as well: the place of an unknown category is then outside of the
table, which is an error of the look-up.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..loaders.compiled import NAN, NONE, STRANGER, text_in_graph
from ..tensors import is_missing
from .contract import Unconvertible
from .nodes import Nodes

if TYPE_CHECKING:
    from numpy.typing import NDArray

_UNSEEN = "\u2603 was never seen"
"""A text that no encoder has learned."""


def register() -> None:
    """Put these converters in the place of skl2onnx's own."""
    from skl2onnx import update_registered_converter
    from sklearn import impute, preprocessing

    encoders = {
        "OneHotEncoder": _one_hot,
        "OrdinalEncoder": _looked_up,
        "TargetEncoder": _looked_up,
    }
    for name, convert in encoders.items():
        kind = getattr(preprocessing, name, None)
        if kind is not None:
            converter, alias = _converter(convert), f"Exact{name}"
            update_registered_converter(kind, alias, _encoded, converter, parser=_parsed)
    update_registered_converter(
        impute.SimpleImputer, "ExactSimpleImputer", _imputed_alike, _converter(_imputed)
    )


def _encoded(operator: Any) -> None:
    """An encoder gives numbers whatever it is given."""
    from skl2onnx.common.data_types import DoubleTensorType

    operator.outputs[0].type = DoubleTensorType([None, None])


def _imputed_alike(operator: Any) -> None:
    """An imputer gives what it is given."""
    operator.outputs[0].type = type(operator.inputs[0].type)([None, None])


def _parsed(scope: Any, model: Any, inputs: Any, custom_parsers: Any = None) -> Any:
    """The operator with an output of float64 from the start: skl2onnx would guess float32 after
    texts, and compute in it from there on."""
    from skl2onnx.common.data_types import DoubleTensorType

    operator = scope.declare_local_operator(f"Exact{type(model).__name__}", model)
    operator.inputs = inputs
    operator.outputs.append(scope.declare_local_variable("encoded", DoubleTensorType()))
    return operator.outputs


def _converter(convert: Callable[[Nodes], None]) -> Callable[[Any, Any, Any], None]:
    return lambda scope, operator, container: convert(Nodes(scope, operator, container))


@dataclass(frozen=True, slots=True)
class _Column:
    """One column of an encoder: where it is, its categories as the graph has them, and the rows of
    the answers to them, the last for an unknown one (absent when the encoder refuses that)."""

    source: tuple[str, int, bool]
    keys: list[Any]
    rows: "NDArray[Any]"


def _one_hot(nodes: Nodes) -> None:
    """A row of zeros with at most a single one, so only its place is kept."""
    import numpy as np

    made = []
    for column in _columns(nodes, nodes.model._n_features_outs):
        width = column.rows.shape[1]
        if not np.isin(column.rows, (0.0, 1.0)).all() or (column.rows.sum(axis=1) > 1).any():
            raise Unconvertible("a one-hot encoder answers something else than a single one")
        ones = np.where(column.rows.any(axis=1), column.rows.argmax(axis=1), -1)
        at = _gathered(nodes, column, ones)
        same = nodes.add("Equal", at, nodes.constant(np.arange(width, dtype=np.int64)[None, :]))
        made.append(_widened(nodes, same))
    _joined(nodes, made)


def _looked_up(nodes: Nodes) -> None:
    """One number for each column."""

    columns = _columns(nodes, [1] * len(nodes.model.categories_))
    _joined(nodes, [_gathered(nodes, column, column.rows[:, 0]) for column in columns])


def _columns(nodes: Nodes, widths: Sequence[int]) -> list[_Column]:
    """Ask the encoder about each column while the others hold their first category."""
    import numpy as np

    model = nodes.model
    ends = np.cumsum(widths)
    found = []
    for place, (categories, source) in enumerate(
        zip(model.categories_, nodes.columns(), strict=True)
    ):
        keys = [_key(value, source[2]) for value in categories]
        answers = _asked(model, place, list(categories))
        if answers.shape[1] != ends[-1]:
            raise Unconvertible(f"{type(model).__name__} answers several numbers for a column")
        block = slice(int(ends[place] - widths[place]), int(ends[place]))
        stranger = _answer(model, place, _UNSEEN if source[2] else _unknown(categories))
        _check_missing(model, place, keys, stranger)
        rows = answers if stranger is None else np.vstack([answers, stranger])
        found.append(_Column(source, keys, rows[:, block]))
    return found


def _key(value: Any, text: bool) -> Any:
    """A category as the graph knows it."""
    if text:
        try:
            return text_in_graph(value)
        except TypeError as error:
            raise Unconvertible(f"a category is no text: {error}") from error
    if value is None or isinstance(value, str):
        raise Unconvertible("a category of a number column is no number")
    return float(value)


def _unknown(categories: Sequence[Any]) -> float:
    """A number that is none of the categories."""
    return max((abs(float(each)) for each in categories if not is_missing(each)), default=0.0) + 0.5


def _check_missing(model: Any, place: int, keys: Sequence[Any], stranger: Any) -> None:
    """A missing value that is no category must be to the encoder what any unknown one is."""
    import numpy as np

    for value in (None, float("nan")):
        if value is None and not any(isinstance(key, str) for key in keys):
            continue
        spelled = text_in_graph(value)
        if spelled in keys or (value is not None and any(map(is_missing, keys))):
            continue
        answer = _answer(model, place, value)
        same = answer is stranger or np.array_equal(answer, stranger, equal_nan=True)
        if not same:
            raise Unconvertible(
                f"{type(model).__name__} knows missing values beside its categories"
            )


def _answer(model: Any, place: int, value: Any) -> Any:
    """The encoder's answer to one value, or None when it refuses it."""
    try:
        return _asked(model, place, [value])[0]
    except (ValueError, TypeError):
        return None


def _asked(model: Any, place: int, values: list[Any]) -> "NDArray[Any]":
    """The encoder's answers to values in one column, as numbers of float64."""
    import warnings

    import numpy as np

    numeric = all(np.asarray(each).dtype.kind in "biuf" for each in model.categories_)
    kind = float if numeric and not any(isinstance(each, str | None) for each in values) else object
    rows = np.empty((len(values), len(model.categories_)), dtype=kind)
    for column, categories in enumerate(model.categories_):
        rows[:, column] = [categories[0]] * len(values)
    rows[:, place] = values
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        answers = model.transform(rows)
    dense = answers.toarray() if hasattr(answers, "toarray") else answers
    return np.asarray(dense, dtype=np.float64)


def _gathered(nodes: Nodes, column: _Column, table: "NDArray[Any]") -> str:
    """The entry of `table` for the category in each row: [rows, 1]."""
    import numpy as np
    from onnx import TensorProto, helper

    tensor, place, text = column.source
    only = nodes.add("Gather", tensor, nodes.constant(np.array([place])), axis=1)
    kind = TensorProto.STRING if text else TensorProto.DOUBLE
    keys = [key.encode() for key in column.keys] if text else column.keys
    count = len(keys)
    known = {
        "keys_tensor": helper.make_tensor("keys", kind, [count], keys),
        "values_tensor": helper.make_tensor("values", TensorProto.INT64, [count], range(count)),
        "default_tensor": helper.make_tensor("default", TensorProto.INT64, [1], [count]),
    }
    at = nodes.later("LabelEncoder", only, **known)
    return nodes.add("Gather", nodes.constant(table), at, axis=0, named=STRANGER)


def _widened(nodes: Nodes, values: str) -> str:
    from onnx import TensorProto

    return nodes.add("Cast", values, to=TensorProto.DOUBLE)


def _joined(nodes: Nodes, made: Sequence[str]) -> None:
    nodes.add("Concat", *made, axis=1, into=nodes.outputs[0])


def _imputed(nodes: Nodes) -> None:
    """Missing values become what the imputer has learned for their column."""
    import numpy as np

    model = nodes.model
    if model.add_indicator:
        raise Unconvertible("an imputer with add_indicator has no exact converter")
    learned = np.asarray(model.statistics_, dtype=object)
    if any(map(is_missing, learned)):
        raise Unconvertible("an imputer drops a column that was never there")
    marker = model.missing_values
    if nodes.text:
        if not is_missing(marker):
            raise Unconvertible(f"an imputer takes the text {marker!r} for a missing one")
        fill = np.array([[text_in_graph(value) for value in learned]], dtype=object)
        gone = NONE if marker is None else NAN
        missing = nodes.add("Equal", nodes.features, nodes.constant(np.array([gone], object)))
    else:
        fill = learned.astype(np.float64)[None, :]
        if is_missing(marker):
            missing = nodes.add("IsNaN", nodes.features)
        else:
            missing = nodes.add("Equal", nodes.features, nodes.constant(np.array([float(marker)])))
    nodes.add("Where", missing, nodes.constant(fill), nodes.features, into=nodes.outputs[0])
