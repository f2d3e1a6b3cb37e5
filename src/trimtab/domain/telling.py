"""Values that training would have used, as they are told, and whether they can be compared."""

import math
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from trimtab import errors
from trimtab.domain.records import Floats, Texts, Told
from trimtab.domain.signature import Column, Signature

MOST_NAME = 256
"""Characters of a request id or a key."""

Value = bool | int | float | str | None
Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class Telling(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Rows as whoever tells them writes them, column by column; all lists are equally long.

    `values` are by input of the model, null for missing. Answers are named either by `id` (of the
    request) with `row` (0 where not given), or by `key`; `at` is the time that the values stand
    for. An answer farther from it than `within` seconds is not meant; of several that a key names,
    the nearest is.
    """

    values: dict[str, list[Value]]
    id: list[str] | None = None
    row: list[int] | None = None
    key: list[str | int] | None = None
    at: list[Moment | None] | None = None
    within: float = 3600.0

    def __len__(self) -> int:
        return len(next(iter(self.values.values()), ()))

    def checked(self, signature: Signature, key: str | None) -> Told:
        """The rows as columns of the log; `key` is the business key of the deployment.

        Raises `Usage` TT-803 with the first place that is wrong.
        """
        self._check_shape(key)
        n = len(self)
        return Told(
            request_id=_names("id", self.id, n),
            row=np.array(_row_numbers(self.row, n), dtype=np.int64),
            key=_names("key", self.key, n),
            at=_moments(self.at, n),
            values={name: _column(signature, name, told) for name, told in self.values.items()},
        )

    def _check_shape(self, key: str | None) -> None:
        if (self.id is None) == (self.key is None):
            raise wrong("rows are named either by id or by key")
        if self.key is not None and key is None:
            raise wrong("the deployment has no key", "set monitor.key in trimtab.toml, or give ids")
        if self.row is not None and self.id is None:
            raise wrong("a row number belongs to an id")
        if not self.values:
            raise wrong("there are no values")
        if not (math.isfinite(self.within) and self.within >= 0.0):
            raise wrong(f"within is {self.within}, not a number of seconds from 0")
        beside = {"id": self.id, "row": self.row, "key": self.key, "at": self.at}
        named = {name: column for name, column in beside.items() if column is not None}
        for name, column in {**named, **self.values}.items():
            if len(column) != len(self):
                raise wrong(f"{name} has {len(column)} rows, the first column has {len(self)}")


def wrong(problem: str, hint: str = "trimtab parity --help") -> errors.Usage:
    """The error for rows that cannot be compared."""
    return errors.Usage(
        errors.BAD_PARITY,
        "compare",
        "values",
        problem,
        unchanged="none of these rows was compared",
        hint=hint,
    )


def _names(what: str, given: Sequence[str | int] | None, n: int) -> Texts:
    names = np.full(n, None, dtype=object)
    for place, each in enumerate(given or ()):
        name = str(each)
        if not 1 <= len(name) <= MOST_NAME:
            raise wrong(f"{what}[{place}] has {len(name)} characters, 1 to {MOST_NAME} are allowed")
        names[place] = name
    return names


def _row_numbers(given: Sequence[int] | None, n: int) -> Sequence[int]:
    rows = [0] * n if given is None else given
    for place, row in enumerate(rows):
        if not 0 <= row < 2**31:
            raise wrong(f"row[{place}] is {row}")
    return rows


def _moments(given: Sequence[datetime | None] | None, n: int) -> Floats:
    moments: Sequence[datetime | None] = [None] * n if given is None else given
    return np.array([math.nan if each is None else each.timestamp() for each in moments])


def _column(signature: Signature, name: str, told: Sequence[Value]) -> NDArray[Any]:
    column = signature.column(name)
    if column is None:
        known = ", ".join(each.name for each in signature.inputs)
        raise wrong(f"{name} is no input of the model", f"its inputs are {known}")
    if column.shape:
        raise wrong(f"{name} is a tensor, and only columns of one value a row are compared")
    return _numbers(column, told) if column.datatype.numeric else _texts(column, told)


def _numbers(column: Column, told: Sequence[Value]) -> Floats:
    numbers = np.empty(len(told))
    for place, value in enumerate(told):
        try:
            numbers[place] = math.nan if value is None else float(value)
        except (ValueError, OverflowError):
            what = f"{column.name}[{place}] is {str(value)[:40]}"
            raise wrong(f"{what}, not a number of 64 bits") from None
    return numbers


def _texts(column: Column, told: Sequence[Value]) -> Texts:
    for place, value in enumerate(told):
        if not isinstance(value, str | None):
            raise wrong(f"{column.name}[{place}] is {value}, not a text")
    texts = np.empty(len(told), dtype=object)
    texts[:] = told
    return texts
