"""What a release takes and gives: columns, datatypes and shapes of the Open Inference Protocol."""

import math
from enum import StrEnum
from typing import Literal

import msgspec

MOST_LOGGED = 1024
"""Numbers of a row of a tensor up to which the request log keeps them all: as many as a wide table
has. Of larger ones, such as images, it keeps the summary."""

SUMMARY = ("mean", "std", "p1", "p2", "p3", "p4")
"""What the log and the profile keep of each row of a tensor, in the order of `stats.summary`:
columns `NAME.mean`, `NAME.std`, and the projections on four fixed directions."""


class Datatype(StrEnum):
    """Tensor datatypes of the Open Inference Protocol v2."""

    BOOL = "BOOL"
    UINT8 = "UINT8"
    UINT16 = "UINT16"
    UINT32 = "UINT32"
    UINT64 = "UINT64"
    INT8 = "INT8"
    INT16 = "INT16"
    INT32 = "INT32"
    INT64 = "INT64"
    FP16 = "FP16"
    FP32 = "FP32"
    FP64 = "FP64"
    BYTES = "BYTES"

    @property
    def numeric(self) -> bool:
        """Whether values of this type may stand in a numeric matrix."""
        return self is not Datatype.BYTES


class Column(msgspec.Struct, frozen=True):
    """One input. `minimum`/`maximum` and `categories` are what the reference data held.

    `shape` is the shape per row, so `()` is a column of one value a row and anything else a tensor
    of numbers. `nullable` says that values may be missing: whole rows of a column, single numbers
    of a tensor.
    """

    name: str
    datatype: Datatype
    nullable: bool = False
    minimum: float | None = None
    maximum: float | None = None
    categories: tuple[str, ...] | None = None
    shape: tuple[int, ...] = ()

    @property
    def width(self) -> int:
        """How many values a row has."""
        return math.prod(self.shape)

    @property
    def summary(self) -> tuple[str, ...]:
        """Names of the columns that summarise a tensor; none for a column of one value a row."""
        return tuple(f"{self.name}.{what}" for what in SUMMARY) if self.shape else ()


class Output(msgspec.Struct, frozen=True):
    """One output tensor; `shape` is the shape per row, so `()` is one value a row."""

    name: str
    datatype: Datatype
    shape: tuple[int, ...] = ()


Task = Literal["binary", "multiclass", "regression", "other"]


class Signature(msgspec.Struct, frozen=True):
    """The contract of a release with its callers.

    For `binary` the outputs are `score` (FP64, probability of the positive class) and `label`
    (the decision); for `multiclass` `scores` (FP64, [rows, classes]) and `label`; for
    `regression` `prediction`; for `other` whatever the model names.
    `classes` are the labels as text, the positive class last for `binary`.
    """

    inputs: tuple[Column, ...]
    outputs: tuple[Output, ...]
    task: Task = "other"
    classes: tuple[str, ...] = ()
    threshold: float = 0.5

    @property
    def matrix_capable(self) -> bool:
        """Whether one numeric matrix may stand for all the columns."""
        return all(column.datatype.numeric and not column.shape for column in self.inputs)

    @property
    def tensors(self) -> bool:
        """Whether any input has a shape per row."""
        return any(column.shape for column in self.inputs)

    def column(self, name: str) -> Column | None:
        """The input column called `name`, or None."""
        return next((column for column in self.inputs if column.name == name), None)
