"""Whether a table fits a deployment, told before any row is sent; and what is sent and kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from trimtab import errors
from trimtab.client import Client

ADDED = ("release", "request_id", "request_row")
"""Columns of the result beside those of the table and the outputs."""

_ARROW: Mapping[str, pa.DataType] = {
    "BOOL": pa.bool_(),
    "UINT8": pa.uint8(),
    "UINT16": pa.uint16(),
    "UINT32": pa.uint32(),
    "UINT64": pa.uint64(),
    "INT8": pa.int8(),
    "INT16": pa.int16(),
    "INT32": pa.int32(),
    "INT64": pa.int64(),
    "FP16": pa.float32(),
    "FP32": pa.float32(),
    "FP64": pa.float64(),
    "BYTES": pa.string(),
}


@dataclass(frozen=True, slots=True)
class Deployment:
    """What a deployment takes and gives: datatypes of the inputs, Arrow types of the outputs, as
    `release` does that serves.

    `tensors` are the inputs whose rows are lists."""

    name: str
    inputs: Mapping[str, str]
    outputs: Mapping[str, pa.DataType]
    key: str | None
    tensors: frozenset[str] = frozenset()
    release: str = ""

    @classmethod
    def ask(cls, client: Client, name: str) -> "Deployment":
        """Raises what `Client` raises, `NotFound` TT-601 among it."""
        described = client.metadata(name)
        inputs = {each["name"]: each["datatype"] for each in described["inputs"]}
        outputs = {each["name"]: _output(each) for each in described["outputs"]}
        tensors = frozenset(e["name"] for e in described["inputs"] if len(e["shape"]) > 1)
        config = client.config(name)
        return cls(name, inputs, outputs, config["key"], tensors, config["release"])

    def csv_types(self) -> dict[str, pa.DataType]:
        """What its columns are in a file that has no types."""
        types = {name: _ARROW[datatype] for name, datatype in self.inputs.items()}
        return types | ({self.key: pa.string()} if self.key and self.key not in types else {})

    def sent(self, schema: pa.Schema) -> list[str]:
        """The columns to send: the inputs, and the business key if the table has it."""
        own = [self.key] if self.key in schema.names and self.key not in self.inputs else []
        return [*self.inputs, *(name for name in own if name)]

    def result_schema(self, schema: pa.Schema, prefix: str) -> pa.Schema:
        """The table's columns, then the outputs, then `ADDED`."""
        outputs = [pa.field(prefix + name, kind) for name, kind in self.outputs.items()]
        kinds = (pa.string(), pa.string(), pa.int32())
        added = [pa.field(prefix + n, k) for n, k in zip(ADDED, kinds, strict=True)]
        return pa.schema([*schema, *outputs, *added])

    def check(self, schema: pa.Schema, path: str, prefix: str) -> None:
        """Raise `Usage` TT-904 with everything that does not fit."""
        missing = [name for name in self.inputs if name not in schema.names]
        twice = [name for name in self.sent(schema) if schema.names.count(name) > 1]
        wrong = [
            f"{name} is {schema.field(name).type}, and {self._wanted(name)} wanted"
            for name, datatype in self.inputs.items()
            if schema.names.count(name) == 1
            and not _fits(schema.field(name).type, datatype, name in self.tensors)
        ]
        taken = [prefix + name for name in (*self.outputs, *ADDED) if prefix + name in schema.names]
        problems = [f"there is no column {name!r}" for name in missing]
        problems += [f"there are two columns {name!r}" for name in twice] + wrong
        problems += [f"column {name!r} is there already" for name in taken]
        if problems:
            raise errors.Usage(
                errors.BAD_TABLE,
                f"score with {self.name}",
                path,
                "; ".join(problems[:8]) + (" and more" if len(problems) > 8 else ""),
                unchanged="no row was sent",
                hint="add --prefix predicted_"
                if taken and len(taken) == len(problems)
                else f"trimtab show {self.release}",
            )

    def _wanted(self, name: str) -> str:
        lists = name in self.tensors
        return f"lists of {self.inputs[name]} are" if lists else f"{self.inputs[name]} is"


def cells(table: pa.Table, names: Sequence[str]) -> dict[str, list[Any]]:
    """Columns as the client takes them."""
    return {name: _plain(table.column(name)).to_pylist() for name in names}


def size(table: pa.Table, names: Sequence[str]) -> int:
    """About how many bytes the values of columns are."""
    return sum(_plain(table.column(name)).nbytes for name in names)


def _plain(column: "pa.ChunkedArray[Any]") -> "pa.ChunkedArray[Any]":
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_decimal(column.type):
        column = column.cast(pa.float64())
    if pa.types.is_string_view(column.type):
        column = column.cast(pa.large_string())
    return column


def _output(described: Mapping[str, Any]) -> pa.DataType:
    kind = _ARROW[described["datatype"]]
    for _ in described["shape"][1:]:
        kind = pa.list_(kind)
    return kind


def _fits(kind: pa.DataType, datatype: str, tensor: bool) -> bool:
    if tensor:
        return pa.types.is_nested(kind) or isinstance(kind, pa.FixedShapeTensorType)
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_null(kind):
        return True
    if datatype == "BYTES":
        texts = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
        return any(is_text(kind) for is_text in texts)
    if datatype == "BOOL":
        return bool(pa.types.is_boolean(kind))
    number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    return bool(number)
