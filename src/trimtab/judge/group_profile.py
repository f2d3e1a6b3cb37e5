"""What the reference said of groups: the counts that live gaps are compared with."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trimtab.domain.profile import GapProfile, GroupProfile, Measure
from trimtab.domain.records import Ints, Texts
from trimtab.domain.signature import Signature
from trimtab.judge.groups import (
    ANSWERS,
    FEWEST_MEMBERS,
    LABELS,
    MEASURES,
    MOST_GROUPS,
    MOST_VALUES,
    WIDTH,
    Basis,
    Cell,
    Loss,
    alone,
    answer_counts,
    code,
    crossed,
    label_counts,
    single_values,
    sums_of,
    tabulated,
)
from trimtab.judge.quality import texts
from trimtab.stats.gaps import Centre, variance, variance_between


@dataclass(frozen=True, slots=True)
class Members:
    """Reference rows as equally long columns: the protected ones, answers, labels (None where not
    known, or None for none at all), and the day of each row where there are days enough."""

    signature: Signature
    columns: Mapping[str, NDArray[Any]]
    outputs: Mapping[str, NDArray[Any]]
    label: Texts | None
    day: Ints | None
    rows: int


def group_values(values: NDArray[Any]) -> tuple[str, ...]:
    """The values of a column that have rows enough for a group, the most frequent first.

    None of a column of numbers that takes more than `MOST_VALUES` different ones.
    """
    names, counts = np.unique(texts(values).astype(np.str_), return_counts=True)
    listed = names != ""
    if values.dtype.kind == "f" and listed.sum() > MOST_VALUES:
        return ()
    enough = np.flatnonzero(listed & (counts >= FEWEST_MEMBERS))
    order = enough[np.argsort(-counts[enough], kind="stable")][:MOST_VALUES]
    return tuple(str(names[i]) for i in order)


def build_groups(members: Members, loss: Loss) -> tuple[GroupProfile, ...]:
    """The groups of a reference: single values first, then pairs by falling size."""
    counts, columns = _counts(members, loss), members.columns
    values = {name: group_values(column) for name, column in columns.items()}
    singles = [group for basis in alone(values) for group in _of_basis(basis, counts, members)]
    known = single_values(list(columns), [group for _, group in singles])
    pairs = [group for basis in crossed(known) for group in _of_basis(basis, counts, members)]
    pairs = sorted(pairs, key=lambda each: -each[0])[: max(MOST_GROUPS - len(singles), 0)]
    return tuple(group for _, group in [*singles, *pairs])


def _counts(members: Members, loss: Loss) -> Ints:
    counts = np.zeros((members.rows, WIDTH), dtype=np.int64)
    if not members.outputs:
        return counts
    counts[:, ANSWERS] = answer_counts(members.signature, members.outputs, members.rows)
    if members.label is not None:
        known = np.array([label is not None for label in members.label], dtype=np.bool_)
        outputs = {name: column[known] for name, column in members.outputs.items()}
        told = label_counts(members.signature, loss, outputs, members.label[known])
        counts[known, LABELS] = told
    return counts


def _of_basis(basis: Basis, counts: Ints, members: Members) -> list[tuple[int, GroupProfile]]:
    """Its groups with their rows; a group beside which there is nobody has no gap."""
    codes = {name: code(members.columns[name], known) for name, known in basis.values.items()}
    places = basis.places(codes)
    size = basis.size
    day = np.zeros(places.size, dtype=np.int64) if members.day is None else members.day
    days = int(day.max()) + 1
    table = tabulated(np.where(places < 0, -1, day * size + places), days * size, counts)
    table = table.reshape(days, size, WIDTH)
    rows = np.bincount(places[places >= 0], minlength=size)
    made = []
    for chosen in product(*basis.values.values()):
        values = dict(zip(basis.values, chosen, strict=True))
        place = basis.place(values)
        gaps = _gaps(table[:, place], table.sum(axis=1), members.signature.task)
        if rows[place] >= FEWEST_MEMBERS and gaps:
            made.append((int(rows[place]), GroupProfile(values=values, gaps=gaps)))
    return made


def _gaps(mine: Ints, every: Ints, task: str) -> tuple[GapProfile, ...]:
    """The gaps between a group and the others, from their counts by day, (days, WIDTH)."""
    made = (_gap(measure, mine, every - mine) for measure in MEASURES[task])
    return tuple(gap for gap in made if gap is not None)


def _gap(measure: Measure, mine: Ints, others: Ints) -> GapProfile | None:
    own = sums_of(measure, Cell(*mine.sum(axis=0).tolist()))
    rest = sums_of(measure, Cell(*others.sum(axis=0).tolist()))
    if not own.n or not rest.n:
        return None
    return GapProfile(
        measure=measure,
        total=own.total,
        n=own.n,
        promised=own.promised,
        others_total=rest.total,
        others_n=rest.n,
        others_promised=rest.promised,
        variance=_between_days(measure, mine, others, Centre(own.rate, rest.rate)),
    )


def _between_days(measure: Measure, mine: Ints, others: Ints, centre: Centre) -> float:
    """By how much the gap differs between days, beyond chance."""
    if len(mine) == 1:
        return 0.0
    gaps, chances = [], []
    for own_counts, other_counts in zip(mine.tolist(), others.tolist(), strict=True):
        own, rest = sums_of(measure, Cell(*own_counts)), sums_of(measure, Cell(*other_counts))
        if own.n and rest.n:
            gaps.append(own.surplus - rest.surplus)
            chances.append(variance(centre, own.n, rest.n))
    return variance_between(gaps, chances)
