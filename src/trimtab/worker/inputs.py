"""From the tensors of a request to what feature code and models are given."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .config import Column, Signature
from .failures import StageFailure
from .frames import Tensor
from .tensors import DTYPES, array_of, is_missing

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

Given = Callable[[Sequence[Tensor], int], Any]
"""Makes what a model is given out of the tensors and the number of rows of a request.

Raises `StageFailure` at `input` when the tensors do not fit the signature."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The rows by kind, in the order of the columns: `numbers` is a float64 array of [rows, number
    columns], `texts` an object array of [rows, text columns] with None for what is missing."""

    numbers: "NDArray[Any]"
    texts: "NDArray[Any]"


def giver(frame: str, signature: Signature) -> Given:
    """How rows are given as `frame` says: as a DataFrame, a dict of arrays, one array, or as
    `parts` (what a compiled engine takes). Everything that no request changes is done once.

    One array is a float64 matrix of all the columns, or a tensor in its own datatype and shape
    where that is the only input."""
    makers: dict[str, Callable[[Signature], Given]] = {
        "matrix": _one_array,
        "columns": lambda signature: _Columns(signature).given,
        "pandas": _data_frames,
        "parts": lambda signature: _Parts(signature).given,
    }
    return makers[frame](signature)


def _one_array(signature: Signature) -> Given:
    columns = signature.inputs
    if not any(column.shape for column in columns):
        return Matrix(signature).given
    if len(columns) > 1:
        raise ValueError("a tensor and other inputs do not fit into one array")
    given, name = _Columns(signature).given, columns[0].name
    return lambda tensors, rows: given(tensors, rows)[name]


class Matrix:
    """All columns as one float64 matrix."""

    def __init__(self, signature: Signature) -> None:
        self._columns = _Columns(signature)
        self._signature = signature
        self._wanted = [(column.name, "FP64") for column in signature.inputs]
        self._narrow = _narrow(signature)
        self._texts = [column.name for column in signature.inputs if column.datatype == "BYTES"]

    def given(self, tensors: Sequence[Tensor], rows: int) -> "NDArray[Any]":
        """The matrix, which its owner may change."""
        if self._texts:
            raise StageFailure("input", f"columns {self._texts} are text and fit into no matrix")
        matrix = self._joined(tensors, rows)
        for narrow in self._narrow:
            narrow.settle(matrix)
        return matrix

    def _joined(self, tensors: Sequence[Tensor], rows: int) -> "NDArray[Any]":
        import numpy as np

        if is_matrix(tensors):
            return _whole(self._signature, tensors[0], rows)
        if [(tensor.name, tensor.datatype) for tensor in tensors] == self._wanted:
            data = b"".join([tensor.data for tensor in tensors])
            if all(tensor.shape == (rows,) for tensor in tensors):
                return np.frombuffer(data, "<f8").reshape(-1, rows).T.copy()
        columns = self._columns.given(tensors, rows).values()
        return np.column_stack([values.astype(np.float64, copy=False) for values in columns])


class _Columns:
    """A dict of arrays by name, in the order of the signature and of its datatypes."""

    def __init__(self, signature: Signature) -> None:
        self._signature = signature
        self._names = {column.name for column in signature.inputs}

    def given(self, tensors: Sequence[Tensor], rows: int) -> "dict[str, NDArray[Any]]":
        inputs = self._signature.inputs
        if is_matrix(tensors):
            matrix = _whole(self._signature, tensors[0], rows)
            return {column.name: cast(column, matrix[:, i]) for i, column in enumerate(inputs)}
        by_name = {tensor.name: tensor for tensor in tensors}
        if len(by_name) != len(tensors):
            raise StageFailure("input", "a column is given twice")
        if unknown := [name for name in by_name if name not in self._names]:
            known = [column.name for column in inputs]
            raise StageFailure("input", f"unknown columns {unknown}; the signature has {known}")
        return {column.name: _column(column, by_name, rows) for column in inputs}


def _data_frames(signature: Signature) -> Given:
    """DataFrames whose columns are of the signature's datatypes.

    Texts have the type that pandas itself would read them with: `str` since pandas 3. Where all
    columns are float64 the frame is a view of one matrix, which costs a tenth of many columns.
    """
    import pandas as pd

    names = pd.Index([column.name for column in signature.inputs])
    if all(column.datatype == "FP64" for column in signature.inputs):
        matrix = Matrix(signature).given
        return lambda tensors, rows: pd.DataFrame(matrix(tensors, rows), columns=names, copy=False)
    columns = _Columns(signature).given
    text: Any = "str" if int(pd.__version__.partition(".")[0]) >= 3 else object
    texts = {column.name for column in signature.inputs if column.datatype == "BYTES"}

    def frame(tensors: Sequence[Tensor], rows: int) -> "pd.DataFrame":
        made = columns(tensors, rows).items()
        return pd.DataFrame(
            {n: pd.Series(each, dtype=text) if n in texts else each for n, each in made}
        )

    return frame


class _Parts:
    """Numbers and texts apart, without pandas."""

    def __init__(self, signature: Signature) -> None:
        self._columns = _Columns(signature)
        numbers = tuple(column for column in signature.inputs if column.datatype != "BYTES")
        self._numbers = [column.name for column in numbers]
        self._texts = [c.name for c in signature.inputs if c.datatype == "BYTES"]
        self._matrix = Matrix(_only(signature, numbers)).given

    def given(self, tensors: Sequence[Tensor], rows: int) -> Parts:
        import numpy as np

        if not self._texts:
            return Parts(self._matrix(tensors, rows), np.empty((rows, 0), dtype=object))
        columns = self._columns.given(tensors, rows)
        numbers = np.empty((rows, len(self._numbers)))
        for place, name in enumerate(self._numbers):
            numbers[:, place] = columns[name]
        texts = np.empty((rows, len(self._texts)), dtype=object)
        for place, name in enumerate(self._texts):
            texts[:, place] = columns[name]
        return Parts(numbers, texts)


@dataclass(frozen=True, slots=True)
class _Narrow:
    """The places in a matrix of the columns of one datatype that holds less than float64."""

    datatype: str
    places: "NDArray[Any]"
    nullable: "NDArray[Any]"
    names: tuple[str, ...]

    def settle(self, matrix: "NDArray[Any]") -> None:
        """Round to the datatype where that is floating-point, and refuse what does not fit."""
        import numpy as np

        values = matrix[:, self.places]
        with np.errstate(invalid="ignore", over="ignore"):
            fitting = values.astype(DTYPES[self.datatype])
        if self.datatype.startswith("FP"):
            matrix[:, self.places] = fitting
            return
        wrong = (fitting != values) & ~(np.isnan(values) & self.nullable)
        if wrong.any():
            row, place = map(int, np.argwhere(wrong)[0])
            name, value = self.names[place], values[row, place]
            raise StageFailure("input", f"column {name!r} {_refusal(value, self.datatype)}")


def _refusal(value: float, datatype: str) -> str:
    return "may not be missing" if is_missing(value) else f"holds what is no {datatype}"


def _narrow(signature: Signature) -> list[_Narrow]:
    import numpy as np

    found: dict[str, list[int]] = {}
    for place, column in enumerate(signature.inputs):
        if column.datatype not in {"FP64", "BYTES"}:
            found.setdefault(column.datatype, []).append(place)
    inputs = signature.inputs
    return [
        _Narrow(
            datatype,
            np.array(places),
            np.array([inputs[place].nullable for place in places]),
            tuple(inputs[place].name for place in places),
        )
        for datatype, places in found.items()
    ]


def _only(signature: Signature, inputs: tuple[Column, ...]) -> Signature:
    return Signature(
        inputs, signature.outputs, signature.task, signature.classes, signature.threshold
    )


def _column(column: Column, by_name: dict[str, Tensor], rows: int) -> "NDArray[Any]":
    tensor = by_name.get(column.name)
    if tensor is None:
        raise StageFailure("input", f"column {column.name!r} is missing")
    wanted = (rows, *column.shape)
    if tensor.shape != wanted:
        raise StageFailure(
            "input",
            f"column {column.name!r} has the shape {list(tensor.shape)}, not {list(wanted)}",
        )
    return cast(column, array_of(tensor))


def cast(column: Column, values: "NDArray[Any]") -> "NDArray[Any]":
    """`values` with the column's datatype; never rounds a number to make it fit.

    Whole numbers and truth values of a nullable column are float64 in every request, whether or
    not this one lacks any, so that a row does not change its type with its neighbours.
    """
    import numpy as np

    if (values.dtype == object) != (column.datatype == "BYTES"):
        raise StageFailure("input", f"column {column.name!r} must be {column.datatype}")
    if column.datatype == "BYTES":
        return values
    exact = np.dtype(DTYPES[column.datatype])
    if values.dtype == exact and not (column.nullable and exact.kind != "f"):
        return values
    if exact.kind == "f":
        with np.errstate(over="ignore"):
            return values.astype(exact, copy=False)
    missing = np.isnan(values)
    present = values[~missing] if missing.any() else values
    with np.errstate(invalid="ignore"):
        fitting = present.astype(exact)
    if not np.array_equal(fitting, present):
        raise StageFailure("input", f"column {column.name!r} holds what is no {column.datatype}")
    if column.nullable:
        return values.astype(np.float64, copy=False)
    if missing.any():
        raise StageFailure("input", f"column {column.name!r} may not be missing")
    return fitting


def is_matrix(tensors: Sequence[Tensor]) -> bool:
    """Whether one nameless tensor stands for all the columns."""
    return len(tensors) == 1 and tensors[0].name == ""


def _whole(signature: Signature, tensor: Tensor, rows: int) -> "NDArray[Any]":
    wanted = (rows, len(signature.inputs))
    if tensor.datatype != "FP64" or tensor.shape != wanted:
        raise StageFailure(
            "input",
            f"the matrix is {tensor.datatype} {list(tensor.shape)}, not FP64 {list(wanted)}",
        )
    return array_of(tensor)
