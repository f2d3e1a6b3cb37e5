"""Groups of rows by protected columns: who is in which, and what of them is counted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, NamedTuple, get_args

import msgspec
import numpy as np
from numpy.typing import NDArray

from trimtab.domain.profile import (
    GroupProfile,
    Measure,
    Metric,
    QualityProfile,
    ReferenceProfile,
    group_name,
)
from trimtab.domain.records import Ints, Rows, Texts
from trimtab.domain.signature import Signature
from trimtab.judge.quality import Outputs, losses, positives, texts
from trimtab.stats.fixed_point import MICRO

MOST_VALUES = 16
"""Values of a column that make groups; of more the most frequent."""

MOST_GROUPS = 256
"""Groups of a release; of more the largest."""

FEWEST_MEMBERS = 100
"""Reference rows of a group that is watched."""

MEASURES: dict[str, tuple[Measure, ...]] = {
    "binary": get_args(Measure),
    "multiclass": ("error",),
    "regression": ("error",),
    "other": (),
}
"""What is compared between groups, by the task of the model."""

BEFORE_LABELS: tuple[Measure, ...] = ("selection", "score")
"""Measures that need no label."""


class Cell(msgspec.Struct, frozen=True):
    """Counts of the rows of one group.

    Of answers: their number. Of those with a usable output: their number, those decided positive,
    the sum of their scores. Of those whose label is known and usable, too: their number, positive
    labels, positive labels and negative ones that were decided positive, the sum of their losses,
    the sum of their scores. Sums are in units of 2**-20.
    """

    rows: int = 0
    answered: int = 0
    selected: int = 0
    score: int = 0
    labelled: int = 0
    positive: int = 0
    hits: int = 0
    false_alarms: int = 0
    loss: int = 0
    promised: int = 0

    def merge(self, other: "Cell") -> "Cell":
        """The counts of both."""
        mine, theirs = msgspec.structs.astuple(self), msgspec.structs.astuple(other)
        return Cell(*(a + b for a, b in zip(mine, theirs, strict=True)))

    def less(self, other: "Cell") -> "Cell":
        """The counts without those of a part."""
        mine, theirs = msgspec.structs.astuple(self), msgspec.structs.astuple(other)
        return Cell(*(a - b for a, b in zip(mine, theirs, strict=True)))


WIDTH = len(Cell.__struct_fields__)
ANSWERS = slice(0, 4)
LABELS = slice(4, WIDTH)


class Sums(NamedTuple):
    """A measure of `n` rows: the sum of values in [0, 1], and of what was promised of them, both in
    units of 2**-20."""

    total: int
    promised: int
    n: int

    @property
    def rate(self) -> float:
        """Mean of the values. There must be a row."""
        return self.total / MICRO / self.n

    @property
    def surplus(self) -> float:
        """Mean of the values beyond what was promised. There must be a row."""
        return (self.total - self.promised) / MICRO / self.n


def sums_of(measure: Measure, cell: Cell) -> Sums:
    """What counts say of a measure."""
    one = int(MICRO)
    match measure:
        case "selection":
            return Sums(cell.selected * one, 0, cell.answered)
        case "score":
            return Sums(cell.score, 0, cell.answered)
        case "tpr":
            return Sums(cell.hits * one, 0, cell.positive)
        case "fpr":
            return Sums(cell.false_alarms * one, 0, cell.labelled - cell.positive)
        case "error":
            return Sums(cell.loss, 0, cell.labelled)
        case _:
            return Sums(cell.positive * one, cell.promised, cell.labelled)


@dataclass(frozen=True, slots=True)
class Loss:
    """The loss that `error` means: its metric, and what it is divided by."""

    metric: Metric
    scale: float = 1.0

    @classmethod
    def of(cls, signature: Signature, quality: Sequence[QualityProfile]) -> "Loss":
        """Wrong classes; of a regression what its first quality is measured by."""
        first = next(iter(quality), None)
        if signature.task != "regression" or first is None:
            return cls("error")
        return cls(first.metric, first.scale)

    def told(self, mean: float) -> float:
        """A mean, or a difference of means, in the unit of the metric, as people are told it."""
        return mean * self.scale


def answer_counts(signature: Signature, outputs: Outputs, rows: int) -> Ints:
    """What each answer adds to the first counts of a cell, (rows, 4)."""
    made = np.zeros((rows, 4), dtype=np.int64)
    made[:, :2] = 1
    if signature.task == "binary":
        score = outputs.get("score", np.full(rows, np.nan))
        usable = (score >= 0.0) & (score <= 1.0)
        made[:, 1] = usable
        made[:, 2] = usable & (score >= signature.threshold)
        made[usable, 3] = np.rint(score[usable] * MICRO)
    return made


def label_counts(signature: Signature, loss: Loss, outputs: Outputs, label: Texts) -> Ints:
    """What each labelled answer adds to the other counts of a cell, (rows, 6)."""
    made = np.zeros((label.size, WIDTH - 4), dtype=np.int64)
    if not outputs:
        return made
    lost = losses(loss.metric, signature, outputs, label) / loss.scale
    usable = ~np.isnan(lost)
    made[:, 0] = usable
    made[usable, 4] = np.rint(np.minimum(lost[usable], 1.0) * MICRO)
    if signature.task == "binary":
        score, truth = outputs["score"], usable & positives(signature, label)
        chosen = usable & (score >= signature.threshold)
        made[:, 1] = truth
        made[:, 2] = truth & chosen
        made[:, 3] = chosen & ~truth
        made[usable, 5] = np.rint(score[usable] * MICRO)
    return made


class Basis(msgspec.Struct, frozen=True):
    """Some columns, and the values of each that make groups."""

    values: dict[str, tuple[str, ...]]

    @property
    def name(self) -> str:
        """As people read it."""
        return " & ".join(self.values)

    @property
    def size(self) -> int:
        """Cells: for each column its values, and one more for all others."""
        return int(np.prod([len(values) + 1 for values in self.values.values()]))

    def places(self, codes: Mapping[str, Ints]) -> Ints:
        """The cell of each row, -1 where a column is missing. `codes` are by `code`."""
        place: Ints = np.zeros(1, dtype=np.int64)
        missing: NDArray[np.bool_] = np.zeros(1, dtype=np.bool_)
        for column, values in self.values.items():
            place = place * (len(values) + 1) + codes[column]
            missing = missing | (codes[column] < 0)
        return np.where(missing, -1, place)

    def place(self, values: Mapping[str, str]) -> int:
        """The cell of a group."""
        place = 0
        for column, known in self.values.items():
            place = place * (len(known) + 1) + known.index(values[column])
        return place


def code(values: NDArray[Any], known: Sequence[str]) -> Ints:
    """The position of each value among `known`, `len(known)` for others, -1 where missing."""
    place = {value: i for i, value in enumerate(known)} | {"": -1}
    return np.array([place.get(text, len(known)) for text in texts(values)], dtype=np.int64)


def tabulated(places: Ints, size: int, counts: Ints) -> Ints:
    """Sums of the rows of each cell, (size, columns of `counts`); rows at -1 are in none."""
    chosen = places >= 0
    cells, kept = places[chosen], counts[chosen]
    # Sums stay below 2**53, so that floating point adds whole numbers exactly.
    sums = [np.bincount(cells, weights=column, minlength=size) for column in kept.T]
    return np.stack(sums, axis=1).astype(np.int64)


def alone(values: Mapping[str, tuple[str, ...]]) -> list[Basis]:
    """Each column that has values by itself."""
    return [Basis({name: known}) for name, known in values.items() if known]


def crossed(values: Mapping[str, tuple[str, ...]]) -> list[Basis]:
    """Each two of the columns that have values."""
    return [
        Basis({name: values[name] for name in pair})
        for pair in combinations([name for name, known in values.items() if known], 2)
    ]


def single_values(
    columns: Sequence[str], groups: Sequence[GroupProfile]
) -> dict[str, tuple[str, ...]]:
    """The values of each column that are groups by themselves; only such are crossed."""
    values: dict[str, tuple[str, ...]] = dict.fromkeys(columns, ())
    for group in groups:
        if len(group.values) == 1:
            ((column, value),) = group.values.items()
            values[column] = (*values[column], value)
    return values


class Division(msgspec.Struct, frozen=True):
    """The groups of protected columns that are told apart in rows.

    `values` are, by column, those that are groups by themselves; `groups` are all, each by its
    values, pairs included; `numbers` are the columns of numbers.
    """

    values: dict[str, tuple[str, ...]] = {}
    groups: tuple[dict[str, str], ...] = ()
    numbers: tuple[str, ...] = ()

    @classmethod
    def of(cls, wanted: Sequence[str], profile: ReferenceProfile | None) -> "Division":
        """The groups of the wanted columns that the profile knows."""
        if profile is None:
            return cls()
        groups = [each for each in profile.groups if set(each.values) <= set(wanted)]
        names = [name for name in profile.group_columns if name in wanted]
        values = {name: told for name, told in single_values(names, groups).items() if told}
        continuous = {each.name for each in profile.inputs if each.kind == "continuous"}
        numbers = tuple(name for name in values if name in continuous)
        return cls(values, tuple(each.values for each in groups), numbers)

    @property
    def bases(self) -> list[Basis]:
        """The columns that make groups, alone and two at a time."""
        return [*alone(self.values), *crossed(self.values)]

    def places(self, rows: Rows) -> dict[str, Ints]:
        """The cell of each row, by the name of the basis."""
        codes = {name: self._code(name, rows) for name in self.values}
        return {basis.name: basis.places(codes) for basis in self.bases}

    def _code(self, name: str, rows: Rows) -> Ints:
        """Missing where a torn segment lost the column or its type."""
        values = rows.inputs.get(name)
        if values is None or (values.dtype.kind == "f") != (name in self.numbers):
            return np.full(len(rows), -1, dtype=np.int64)
        return code(values, self.values[name])

    def sums(self, places: Mapping[str, Ints], counts: Ints) -> dict[str, Ints]:
        """Sums of the rows of each group by its name, and of those of each basis by its own."""
        made: dict[str, Ints] = {}
        for basis in self.bases:
            table = tabulated(places[basis.name], basis.size, counts)
            made[basis.name] = table.sum(axis=0)
            for values in self.groups:
                if list(values) == list(basis.values):
                    made[group_name(values)] = table[basis.place(values)]
        return made

    def cells(self, places: Mapping[str, Ints], counts: Ints) -> dict[str, Cell]:
        """The counts of each group and of each basis, by their names."""
        return {name: Cell(*sums.tolist()) for name, sums in self.sums(places, counts).items()}
