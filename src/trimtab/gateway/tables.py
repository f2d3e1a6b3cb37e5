"""Tables whose cells are plain Python values: from rows or columns to what a release takes.

Columns that the release does not know are left out, as they are where such tables come from: a
data frame often has more columns than a model reads.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from trimtab.gateway.asked import plain
from trimtab.gateway.faults import bad
from trimtab.gateway.nested import converted, rows_of_lists
from trimtab.gateway.plan import ColumnPlan, Plan
from trimtab.gateway.raw_inputs import FEW_ROWS, numbers_of
from trimtab.gateway.tensors import check_rows, misfit, missing
from trimtab.gateway.values import Inputs, inputs_of_columns
from trimtab.ports.logsink import Texts

_NUMBERS = {int, float}
_ABSENT = type(None)
_MISSING_NUMBERS = frozenset({"", "NaN", "nan", "NA", "N/A", "null", "NULL", "None"})
_TRUTHS = {"true": True, "false": False, "1": True, "0": False}

Cells = Sequence[Any]


class Table:
    """Equally long columns by name, or by position where `names` is None. `texts`: as from CSV.

    It may be a piece of a larger one, in which its first row has the number `first`.
    """

    __slots__ = ("columns", "first", "names", "rows", "texts")

    def __init__(
        self,
        rows: int,
        columns: Sequence[Cells],
        names: Sequence[str] | None,
        *,
        texts: bool = False,
        first: int = 0,
    ) -> None:
        if rows == 0:
            raise bad("there are no rows")
        if names is not None and len(set(names)) != len(names):
            raise bad("a column is given twice")
        self.rows = rows
        self.columns = columns
        self.names = names
        self.texts = texts
        self.first = first


def table_of_rows(
    rows: Sequence[Any],
    names: Sequence[str] | None = None,
    *,
    texts: bool = False,
    first: int = 0,
) -> Table:
    """A table from lists of equal length; raises a 400 `Fault`."""
    width = len(names) if names is not None else _length(rows)
    for number, row in enumerate(rows, first):
        if not isinstance(row, list) or len(row) != width:
            raise bad(f"row {number} is not a list of {width} values")
    columns = list(zip(*rows, strict=True))
    return Table(len(rows), columns, names, texts=texts, first=first)


def table_of_records(records: Sequence[Mapping[str, Any]], first: int = 0) -> Table:
    """A table from objects; what an object lacks is missing. Raises a 400 `Fault`."""
    names = dict.fromkeys(name for record in records for name in record)
    columns = [[record.get(name) for record in records] for name in names]
    return Table(len(records), columns, list(names), first=first)


def table_of_columns(columns: Mapping[str, Any]) -> Table:
    """A table from lists by name, or from single values as one row; raises a 400 `Fault`."""
    cells = {name: each if isinstance(each, list) else [each] for name, each in columns.items()}
    lengths = {len(each) for each in cells.values()}
    if len(lengths) > 1:
        raise bad(f"the columns have different numbers of rows: {sorted(lengths)[:5]}")
    return Table(max(lengths, default=0), list(cells.values()), list(cells))


def inputs_of_table(table: Table, plan: Plan, key: str | None) -> Inputs:
    """The values as a release takes them; raises a 400 `Fault`."""
    check_rows(table.rows, plan.most_rows)
    read = _from_text if table.texts else from_values
    if table.names is None:
        if len(plan.columns) == 1 and plan.tensors:
            whole = [_rows(table, plan.columns[0])]
            return inputs_of_columns(plan, table.rows, whole, None)
        if len(table.columns) != len(plan.columns):
            given, taken = len(table.columns), len(plan.columns)
            raise bad(f"a row has {given} values, the release takes {taken}")
        pairs = zip(table.columns, plan.columns, strict=True)
        cells = [read(each, column, table.first) for each, column in pairs]
        return inputs_of_columns(plan, table.rows, cells, None)
    by_name = dict(zip(table.names, table.columns, strict=True))
    if absent := [c.name for c in plan.columns if c.name not in by_name]:
        raise bad(f"missing column {', '.join(map(repr, absent[:5]))}")
    cells = [read(by_name[c.name], c, table.first) for c in plan.columns]
    keys = keys_of(by_name[key], key) if key in by_name and key not in plan.by_name else None
    return inputs_of_columns(plan, table.rows, cells, keys)


def keys_of(cells: Cells, key: str) -> Texts:
    """The values of a business key, as texts; raises a 400 `Fault`."""
    if any(isinstance(value, dict | list) for value in cells):
        raise bad(f"column {key!r} must hold texts or numbers")
    return [v if v is None or isinstance(v, str) else plain(v) for v in cells]


def _length(rows: Sequence[Any]) -> int:
    return len(rows[0]) if rows and isinstance(rows[0], list) else 1


def from_values(cells: Cells, column: ColumnPlan, first: int = 0) -> Any:
    """A column of JSON values, checked; the usual ones are looked at all at once."""
    if column.shape:
        return rows_of_lists(list(cells), column, len(cells), first)
    if len(cells) <= FEW_ROWS:
        return _each(cells, column, converted, first)
    kinds = set(map(type, cells))
    try:
        if column.family == "float" and kinds <= _NUMBERS | {_ABSENT}:
            return numbers_of(np.array(cells, dtype=np.float64), column, first)
        if column.family == "integer" and kinds == {int}:
            return numbers_of(np.array(cells, dtype=np.int64), column, first)
    except OverflowError:  # a whole number too large for the array may still fit, or be named
        pass
    return _each(cells, column, converted, first)


def _rows(table: Table, column: ColumnPlan) -> Any:
    """The rows of a table without names as those of the only input."""
    lists = [list(row) for row in zip(*table.columns, strict=True)]
    return rows_of_lists(lists, column, table.rows, table.first)


def _from_text(cells: Cells, column: ColumnPlan, first: int) -> Any:
    if column.shape:
        raise bad(f"input {column.name!r} has a shape per row, which CSV cannot hold; send JSON")
    if column.family == "text":
        absent = None if column.nullable else ""
        return [cell or absent for cell in cells]
    if column.family == "float" and len(cells) > FEW_ROWS:
        try:
            return numbers_of(np.array(cells, dtype=np.float64), column, first)
        except ValueError:
            pass
    return _each(cells, column, _parsed, first)


def _each(
    cells: Cells, column: ColumnPlan, read: Callable[[Any, ColumnPlan, int], Any], first: int
) -> list[Any]:
    values = [None if v is None else read(v, column, row) for row, v in enumerate(cells, first)]
    if not column.nullable and None in values:
        raise missing(column, first + values.index(None))
    return values


def _parsed(text: str, column: ColumnPlan, row: int) -> Any:
    """A cell of a CSV file as a number or truth value."""
    if text in _MISSING_NUMBERS:
        return None
    if column.family == "bool":
        truth = _TRUTHS.get(text.lower())
        if truth is None:
            raise misfit(column, row, text)
        return truth
    number = _number(text, column, row)
    return None if math.isnan(number) else converted(number, column, row)


def _number(text: str, column: ColumnPlan, row: int) -> float:
    if column.family == "integer" and text.removeprefix("-").isdecimal() and len(text) <= 20:
        return int(text)
    try:
        number = float(text)
    except ValueError:
        raise misfit(column, row, text) from None
    if math.isinf(number):
        raise misfit(column, row, text)
    return number
