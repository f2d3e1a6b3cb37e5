"""A loss of the user's own: calculated of the truth, the answer and the inputs of each row."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from trimtab.domain.formula import COLUMN, Kind, Unreadable, Values, column_key, formula
from trimtab.domain.records import Floats, Labelled, Texts
from trimtab.domain.signature import Signature
from trimtab.judge.quality import Outputs, numbers, texts

TRUTH, ANSWER, SCORE = "label", "prediction", "score"
"""What a formula calls the truth, the decided class or predicted number, and the chance of the
positive class. An input of such a name is `column("label")`."""


class Row(NamedTuple):
    """Rows with their truth: columns of inputs and outputs by name, as the request log has them."""

    inputs: Values
    outputs: Outputs
    label: Texts

    @classmethod
    def of(cls, known: Labelled) -> "Row":
        """Rows whose label came."""
        return cls(known.rows.inputs, known.rows.outputs, known.label)


class Losing(Protocol):
    """A loss: what it is called, its largest value, and what rows lose."""

    @property
    def text(self) -> str:
        """By which a loss is known again."""
        ...

    @property
    def bound(self) -> float:
        """The largest loss."""
        ...

    def of(self, signature: Signature, rows: Row) -> Floats:
        """The loss of each row in units of the bound, not clipped; NaN where there is none."""
        ...


@dataclass(frozen=True, slots=True)
class OwnLoss:
    """A loss by a formula, which can be read."""

    text: str
    bound: float = 1.0

    def unfit(self, signature: Signature) -> str:
        """Why it cannot be calculated of such a release, empty if it can."""
        try:
            formula(self.text).check(kinds(signature))
        except Unreadable as error:
            return str(error)
        return ""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it names, truth and answer by the names that they have here."""
        return tuple(sorted(map(_origin, formula(self.text).names)))

    def of(self, signature: Signature, rows: Row) -> Floats:
        """As `Losing.of`."""
        read = formula(self.text)
        return read.of(columns(read.names, signature, rows)) / self.bound


def own(signature: Signature) -> frozenset[str]:
    """Names that mean truth and answer."""
    return frozenset({TRUTH, ANSWER} | ({SCORE} if signature.task == "binary" else set()))


def kinds(signature: Signature) -> dict[str, Kind]:
    """What a formula may name, and of which kind it is; none for a task without quality."""
    if signature.task == "other":
        return {}
    answer: Kind = "number" if signature.task == "regression" else "text"
    known: dict[str, Kind] = {TRUTH: answer, ANSWER: answer}
    if signature.task == "binary":
        known[SCORE] = "number"
    for column in signature.inputs:
        if not column.shape:
            kind: Kind = "number" if column.datatype.numeric else "text"
            known.setdefault(column.name, kind)
            known[column_key(column.name)] = kind
    return known


def columns(names: Iterable[str], signature: Signature, rows: Row) -> dict[str, NDArray[Any]]:
    """The columns that a formula names, by these names."""
    return {name: _column(name, signature, rows) for name in names}


def _column(name: str, signature: Signature, rows: Row) -> NDArray[Any]:
    if name not in own(signature):
        return _input(_origin(name), signature, rows)
    if name == TRUTH:
        return numbers(rows.label) if signature.task == "regression" else rows.label
    if name == SCORE:
        return _score(rows)
    if signature.task != "binary":
        answer = rows.outputs["prediction" if signature.task == "regression" else "label"]
        return answer if signature.task == "regression" else texts(answer)
    score = _score(rows)
    decided = np.where(np.isnan(score), 2, score >= signature.threshold).astype(np.int64)
    return np.array([*signature.classes, None], dtype=object)[decided]


def _input(name: str, signature: Signature, rows: Row) -> NDArray[Any]:
    """An input; missing in each row where a torn segment lost the column, or its type."""
    column, values = signature.column(name), rows.inputs.get(name)
    numeric = column is not None and column.datatype.numeric
    if values is None or (values.dtype.kind == "f") != numeric:
        return np.full(rows.label.size, np.nan if numeric else None, float if numeric else object)
    return values


def _score(rows: Row) -> Floats:
    score = rows.outputs["score"]
    return np.where((score >= 0.0) & (score <= 1.0), score, np.nan)


def _origin(name: str) -> str:
    """The input that a name of a formula means."""
    return name.removeprefix(f"{COLUMN} ")


def same(one: str, other: str) -> bool:
    """Whether two losses are one, however they are spaced."""
    try:
        return one == other or formula(one) == formula(other)
    except Unreadable:
        return False


class Clipped(NamedTuple):
    """Losses in [0, 1], NaN where there is none, and how many were outside."""

    loss: Floats
    outside: int

    @classmethod
    def of(cls, loss: Floats) -> "Clipped":
        """Clip losses in units of their bound."""
        return cls(np.clip(loss, 0.0, 1.0), int(((loss < 0.0) | (loss > 1.0)).sum()))
