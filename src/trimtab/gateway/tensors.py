"""The tensors of a request, however they are encoded: names, shapes, and which column is which.

What differs between encodings, the values, is read by a `Reader`.
"""

import math
from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

from numpy.typing import NDArray

from trimtab.domain.plurals import some
from trimtab.gateway.asked import unknown
from trimtab.gateway.faults import Fault, bad
from trimtab.gateway.plan import INTEGER_RANGES, ColumnPlan, Plan, family
from trimtab.gateway.values import Inputs, inputs_of_columns
from trimtab.ports.logsink import Texts

DATATYPES = frozenset(INTEGER_RANGES) | {"BOOL", "FP16", "FP32", "FP64", "BYTES"}


class Declared(Protocol):
    """What a tensor says of itself beside its values."""

    @property
    def name(self) -> str:
        """The column's name, or anything for a matrix."""
        ...

    @property
    def shape(self) -> list[int]:
        """`[rows]` or `[rows, 1]` for a column, `[rows, …]` for a tensor, `[rows, columns]` for a
        matrix."""
        ...

    @property
    def datatype(self) -> str:
        """A datatype of the protocol, if the client is right."""
        ...


T = TypeVar("T", bound=Declared)
T_contra = TypeVar("T_contra", bound=Declared, contravariant=True)


class Reader(Protocol[T_contra]):
    """Reads the values of tensors in one encoding. Every method raises 400 `Fault`s."""

    def values(self, tensor: T_contra, column: ColumnPlan, rows: int) -> Sequence[Any]:
        """The values of one column, checked; None, or NaN in an array, for missing."""
        ...

    def rows(self, tensor: T_contra, column: ColumnPlan, rows: int) -> NDArray[Any]:
        """[rows, values of a row] of an input with a shape per row, checked, in its datatype."""
        ...

    def texts(self, tensor: T_contra, rows: int) -> Texts:
        """The values of a business key, as texts."""
        ...

    def matrix(self, tensor: T_contra, plan: Plan, keys: Texts | None) -> Inputs:
        """All columns from one tensor of rank 2."""
        ...


def inputs_of(tensors: Sequence[T], reader: Reader[T], plan: Plan, key: str | None) -> Inputs:
    """The values of a request as the plan wants them; raises a 400 `Fault`.

    `key` names the business-key column, which is accepted, as text, even if it is no input.
    """
    if not tensors:
        raise bad("inputs is empty")
    keys, tensors = _split_key(tensors, reader, plan, key)
    if len(tensors) == 1 and _is_matrix(tensors[0], plan):
        inputs = reader.matrix(tensors[0], plan, keys)
    else:
        inputs = inputs_of_columns(plan, *_named(tensors, reader, plan), keys)
    if keys is not None and len(keys) != inputs.rows:
        raise bad(f"input {key!r} has {len(keys)} rows, the others have {inputs.rows}")
    return inputs


def rows_of(tensor: Declared, own: tuple[int, ...] = ()) -> int:
    """Rows of a tensor whose rows have the shape `own`; raises a 400 `Fault`.

    Its shape is [rows, *own], and that of a column of one value a row [rows] or [rows, 1]."""
    shape = tensor.shape
    if own:
        if tuple(shape[1:]) != own:
            wanted = ", ".join(map(str, ("rows", *own)))
            raise bad(f"input {tensor.name!r} has shape {shown(shape)}, it takes [{wanted}]")
    elif len(shape) != 1 and (len(shape) != 2 or shape[1] != 1):
        raise bad(f"input {tensor.name!r} has shape {shown(shape)}, a column has [rows]")
    if shape[0] <= 0:
        raise bad(f"input {tensor.name!r} has {shape[0]} rows; at least one is needed")
    return shape[0]


def matrix_shape(tensor: Declared, plan: Plan) -> tuple[int, int]:
    """Rows and columns of a tensor that stands for all inputs; raises a 400 `Fault`."""
    rows, width = tensor.shape
    if not plan.matrix_capable:
        if len(plan.columns) == 1 or width == 1:
            raise unknown("input", tensor.name, plan.by_name)
        raise bad("a matrix needs every input to be numeric; send one named tensor per column")
    if tensor.datatype == "BYTES" or tensor.datatype not in DATATYPES:
        raise bad(f"input {tensor.name!r} has datatype {tensor.datatype[:20]}; a matrix is FP64")
    if width != len(plan.columns):
        taken = f"{len(plan.columns)}: {some(plan.by_name)}"
        raise bad(f"input {tensor.name!r} has {width} columns, the release takes {taken}")
    if rows <= 0:
        raise bad(f"input {tensor.name!r} has {rows} rows; at least one is needed")
    return rows, width


def check_rows(rows: int, most: int) -> None:
    """Raises a 413 `Fault` for more rows than a worker could be sent at once."""
    if rows > most:
        raise Fault(413, f"{rows} rows are too many for one request; {most} fit")


def check_datatype(tensor: Declared, column: ColumnPlan) -> None:
    """Raises a 400 `Fault` when no value of the tensor could be one of the column."""
    given = tensor.datatype
    if given not in DATATYPES:
        raise bad(f"input {tensor.name!r} has the unknown datatype {given[:20]!r}")
    wanted = column.family
    if family(given) != wanted and {family(given), wanted} != {"integer", "float"}:
        raise bad(f"input {tensor.name!r} has datatype {given}, the release takes {column.wire}")


def miscounted(tensor: Declared, count: int) -> Fault:
    """The refusal of a tensor that has another number of elements than its shape says."""
    return bad(
        f"input {tensor.name!r} has {count} elements, its shape {shown(tensor.shape)} "
        f"needs {math.prod(tensor.shape)}"
    )


def missing(column: ColumnPlan, row: int) -> Fault:
    """The refusal of a row that lacks a value which is needed."""
    return bad(f"input {column.name!r} row {row}: null, but it is not nullable")


def misfit(column: ColumnPlan, row: int, value: Any) -> Fault:
    """The refusal of a value that its column cannot hold."""
    return bad(f"input {column.name!r} row {row}: {_brief(value)} is not a value of {column.wire}")


def _brief(value: Any) -> str:
    """A value in a message; what is nested deeply or is long must not cost anything here."""
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    text = repr(value[:60] if isinstance(value, str) else value)
    return text if len(text) <= 60 else text[:57] + "..."


def shown(shape: list[int]) -> str:
    """A shape in a message, however long a client made it."""
    return str(shape) if len(shape) <= 8 else f"of {len(shape)} dimensions"


def _split_key(
    tensors: Sequence[T], reader: Reader[T], plan: Plan, key: str | None
) -> tuple[Texts | None, Sequence[T]]:
    if key is None or key in plan.by_name:
        return None, tensors
    mine = [tensor for tensor in tensors if tensor.name == key]
    if not mine:
        return None, tensors
    if len(mine) > 1:
        raise bad(f"input {key!r} is given twice")
    texts = reader.texts(mine[0], rows_of(mine[0]))
    return texts, [tensor for tensor in tensors if tensor.name != key]


def _is_matrix(tensor: Declared, plan: Plan) -> bool:
    shape = tensor.shape
    if plan.tensors or len(shape) != 2:
        return False
    return tensor.name not in plan.by_name or shape[1] > 1


def _named(tensors: Sequence[T], reader: Reader[T], plan: Plan) -> tuple[int, list[Any]]:
    columns: list[Any] = [None] * len(plan.columns)
    by_name, values = plan.by_name, reader.values
    rows = -1
    for tensor in tensors:
        column = by_name.get(tensor.name)
        if column is None:
            raise unknown("input", tensor.name, by_name)
        if columns[column.position] is not None:
            raise bad(f"input {tensor.name!r} is given twice")
        own_rows = rows_of(tensor, column.shape)
        if rows not in (-1, own_rows):
            raise bad(f"input {tensor.name!r} has {own_rows} rows, {tensors[0].name!r} has {rows}")
        rows = own_rows
        read = reader.rows if column.shape else values
        columns[column.position] = read(tensor, column, rows)
    if len(tensors) < len(columns):
        absent = [c.name for c in plan.columns if columns[c.position] is None]
        raise bad(f"missing input {some(absent)}")
    return rows, columns
