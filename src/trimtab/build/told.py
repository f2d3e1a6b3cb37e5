"""Tables of values as training computes them, read as what is told of answers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa

from trimtab.build.pipeline import EVERYTHING, arguments
from trimtab.domain.deployment import PipelineSpec
from trimtab.domain.telling import Telling, wrong

ID, ROW, AT = "id", "row", "at"
PARITY, REFERENCE = "parity.parquet", "reference.parquet"
Column: TypeAlias = "pa.ChunkedArray[Any]"


@dataclass(frozen=True, slots=True)
class Named:
    """Columns of a table: what names the answers, the time of the values, and the values."""

    name: str
    row: str | None
    time: str | None
    values: tuple[str, ...]

    @classmethod
    def of(
        cls, columns: Sequence[str], inputs: Sequence[str], key: str | None, time: str | None
    ) -> "Named":
        """How a table with these `columns` is read for a model with these `inputs`.

        Raises `Usage` TT-803 when nothing in it can be compared.
        """
        own = [each for each in (ID, ROW, AT) if each in columns and each not in inputs]
        name = ID if ID in own else key
        if name is None or name not in columns:
            keyed = f" or {key!r}, the deployment's key" if key else ", for there is no key"
            raise wrong(f"it needs a column {ID!r}{keyed}")
        if time is not None and time not in columns:
            raise wrong(f"there is no column {time!r}")
        values = tuple(each for each in inputs if each in columns and each != name)
        if not values:
            raise wrong("no column is an input of the model", f"inputs: {', '.join(inputs)}")
        row = ROW if ROW in own and name == ID else None
        return cls(name, row, time or (AT if AT in own else None), values)

    def ignored(self, columns: Sequence[str]) -> list[str]:
        """The columns of the table that say nothing here."""
        used = {self.name, self.row, self.time, *self.values}
        return [each for each in columns if each not in used]

    def telling(self, table: pa.Table, within: float) -> Telling:
        """The rows of a table. Raises `Usage` TT-803."""
        names = _names(table.column(self.name))
        return Telling(
            values={name: _values(table.column(name)) for name in self.values},
            id=names if self.name == ID else None,
            row=None if self.row is None else _whole(table.column(self.row), self.row),
            key=None if self.name == ID else list(names),
            at=None if self.time is None else _moments(table.column(self.time), self.time),
            within=within,
        )


def told_by(project: Path, spec: PipelineSpec, output: Path) -> Path | None:
    """The table in the last step's `output` that says what served answers should have been given.

    That is `parity.parquet`, or else the reference, but for a pipeline that trains on `labelled`:
    it may hold what was served itself, and that says nothing.
    """
    if (output / PARITY).is_file():
        return output / PARITY
    labelled = {"labelled", EVERYTHING}
    if any(labelled & {*arguments(project, spec.module, step)} for step in spec.steps):
        return None
    return output / REFERENCE


def _values(column: Column) -> list[Any]:
    """Values as they are told: what is not a number is missing."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_decimal(column.type):
        column = column.cast(pa.float64())
    values = column.to_pylist()
    return [None if isinstance(v, float) and math.isnan(v) else v for v in values]


def _names(column: Column) -> list[str]:
    """Names as labels write them: whole numbers without a fraction."""
    if column.null_count:
        raise wrong(f"{column.null_count} rows name no answer")
    names = _whole(column, "a name") if pa.types.is_floating(column.type) else column.to_pylist()
    return [str(name) for name in names]


def _whole(column: Column, what: str) -> list[int]:
    """Whole numbers, none of them missing."""
    try:
        whole = column.cast(pa.int64())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as cause:
        raise wrong(f"{what} is no whole number") from cause
    if whole.null_count:
        raise wrong(f"{what} is missing in {whole.null_count} rows")
    return [int(value) for value in whole.to_pylist() if value is not None]


def _moments(column: Column, name: str) -> list[Any]:
    """Times; those without a zone are UTC."""
    kind = column.type
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    if not (text or pa.types.is_timestamp(kind) or pa.types.is_date(kind)):
        raise wrong(f"{name} is {kind}, not a time")
    try:
        plain = column.cast(pa.timestamp("us")) if pa.types.is_date(kind) else column
        return list(plain.cast(pa.timestamp("us", tz="UTC"), safe=False).to_pylist())
    except pa.ArrowInvalid as cause:
        raise wrong(f"{name} holds what is no time in RFC 3339") from cause
