"""From the tensors of a request to what feature code and models are given."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .config import Column, Signature
from .failures import StageFailure
from .frames import Tensor
from .tensors import DTYPES, array_of

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray


def given(frame: str, signature: Signature, tensors: Sequence[Tensor], rows: int) -> Any:
    """The rows as `frame` says: a DataFrame, a dict of arrays, or one float64 matrix.

    Raises `StageFailure` at `input` when the tensors do not fit the signature.
    """
    if frame == "matrix":
        return _matrix(signature, tensors, rows)
    columns = _columns(signature, tensors, rows)
    return columns if frame == "columns" else _data_frame(signature, columns)


def _columns(
    signature: Signature, tensors: Sequence[Tensor], rows: int
) -> dict[str, "NDArray[Any]"]:
    if _is_matrix(tensors):
        matrix = _whole(signature, tensors[0], rows)
        return {
            column.name: cast(column, matrix[:, i]) for i, column in enumerate(signature.inputs)
        }
    by_name = {tensor.name: tensor for tensor in tensors}
    if len(by_name) != len(tensors):
        raise StageFailure("input", "a column is given twice")
    known = [column.name for column in signature.inputs]
    if unknown := [name for name in by_name if name not in known]:
        raise StageFailure("input", f"unknown columns {unknown}; the signature has {known}")
    return {column.name: _column(column, by_name, rows) for column in signature.inputs}


def _column(column: Column, by_name: dict[str, Tensor], rows: int) -> "NDArray[Any]":
    tensor = by_name.get(column.name)
    if tensor is None:
        raise StageFailure("input", f"column {column.name!r} is missing")
    if tensor.shape != (rows,):
        raise StageFailure(
            "input", f"column {column.name!r} has the shape {list(tensor.shape)}, not [{rows}]"
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
    if exact.kind == "f":
        with np.errstate(over="ignore"):
            return values.astype(exact, copy=False)
    present = values[~np.isnan(values)] if values.dtype.kind == "f" else values
    with np.errstate(invalid="ignore"):
        fitting = present.astype(exact)
    if not np.array_equal(fitting, present):
        raise StageFailure("input", f"column {column.name!r} holds what is no {column.datatype}")
    if column.nullable:
        return values.astype(np.float64, copy=False)
    if len(present) < len(values):
        raise StageFailure("input", f"column {column.name!r} may not be missing")
    return fitting


def _data_frame(signature: Signature, columns: dict[str, "NDArray[Any]"]) -> "pd.DataFrame":
    """Texts have the type that pandas itself would read them with: `str` since pandas 3."""
    import pandas as pd

    text: Any = "str" if int(pd.__version__.partition(".")[0]) >= 3 else object
    texts = {column.name for column in signature.inputs if column.datatype == "BYTES"}
    return pd.DataFrame(
        {
            name: pd.Series(values, dtype=text if name in texts else None)
            for name, values in columns.items()
        }
    )


def _matrix(signature: Signature, tensors: Sequence[Tensor], rows: int) -> "NDArray[Any]":
    import numpy as np

    if _is_matrix(tensors):
        return _whole(signature, tensors[0], rows)
    columns = _columns(signature, tensors, rows)
    if texts := [column.name for column in signature.inputs if column.datatype == "BYTES"]:
        raise StageFailure("input", f"columns {texts} are text and fit into no matrix")
    return np.column_stack([values.astype(np.float64, copy=False) for values in columns.values()])


def _is_matrix(tensors: Sequence[Tensor]) -> bool:
    return len(tensors) == 1 and tensors[0].name == ""


def _whole(signature: Signature, tensor: Tensor, rows: int) -> "NDArray[Any]":
    wanted = (rows, len(signature.inputs))
    if tensor.datatype != "FP64" or tensor.shape != wanted:
        raise StageFailure(
            "input",
            f"the matrix is {tensor.datatype} {list(tensor.shape)}, not FP64 {list(wanted)}",
        )
    return array_of(tensor)
