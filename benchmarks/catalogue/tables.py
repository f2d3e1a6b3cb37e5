"""Rows of a data set, and the order in which a run lives through them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

DAY = 86_400.0
MONDAY = 1_704_067_200.0
"""Epoch seconds of a Monday, 2024-01-01: runs begin there, so that days of the week keep theirs."""


@dataclass(frozen=True)
class Table:
    """Rows as equally long columns: numbers as float64 (missing NaN), texts as objects (None).

    `truth` is whether the label is positive, `seconds` when in its day a row came.
    """

    inputs: Mapping[str, NDArray[Any]]
    truth: NDArray[np.bool_]
    seconds: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.truth)

    def take(self, places: NDArray[Any]) -> "Table":
        """The rows at `places`."""
        inputs = {name: column[places] for name, column in self.inputs.items()}
        return Table(inputs, self.truth[places], self.seconds[places])

    def and_these(self, other: "Table") -> "Table":
        """All rows of both."""
        return Table(
            {
                name: np.concatenate([column, other.inputs[name]])
                for name, column in self.inputs.items()
            },
            np.concatenate([self.truth, other.truth]),
            np.concatenate([self.seconds, other.seconds]),
        )


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How a deployment lives, in seconds: a step of the simulation is a block of the plan.

    `share` of the rows that there are come; labels follow `delay` later on average and are awaited
    for `maturity`. Runs last `before` (drawn between the two) and `after` the fault.
    """

    step: float
    share: float
    delay: float
    maturity: float
    before: tuple[float, float]
    after: float


@dataclass(frozen=True)
class Roles:
    """Columns that faults are about: a measured `number`, a `text` whose commonest category may be
    renamed, a `segment` that a source of its own feeds, and the `group` that bias is about."""

    number: str
    text: str
    segment: str
    group: str


class Live(Protocol):
    """The rows that a run lives through."""

    def steps(self, generator: np.random.Generator, pace: Pace) -> Iterator[Table]:
        """For each step the rows that may come in it; without end."""
        ...


@dataclass(frozen=True)
class Pool:
    """Rows without an order in time, `size` to a step."""

    rows: Table
    size: int

    def steps(self, generator: np.random.Generator, pace: Pace) -> Iterator[Table]:
        """Through all rows in a random order, and again."""
        first = 0.0
        while True:
            order = generator.permutation(len(self.rows))
            for at in range(0, len(order) - self.size + 1, self.size):
                part = self.rows.take(order[at : at + self.size])
                seconds = first + generator.random(self.size) * pace.step
                yield Table(part.inputs, part.truth, seconds)
                first = (first + pace.step) % DAY


@dataclass(frozen=True)
class Days:
    """Whole days, by the day of the week that they were (0 is Monday)."""

    days: tuple[tuple[Table, ...], ...]

    def steps(self, generator: np.random.Generator, pace: Pace) -> Iterator[Table]:
        """Days of the right day of the week in a random order, and again."""
        waiting: list[list[Table]] = [[] for _ in self.days]
        weekday = 0
        while True:
            if not waiting[weekday]:
                order = generator.permutation(len(self.days[weekday]))
                waiting[weekday] = [self.days[weekday][place] for place in order]
            yield from _parts(waiting[weekday].pop(), pace.step)
            weekday = (weekday + 1) % 7


def _parts(day: Table, step: float) -> Iterator[Table]:
    numbers = np.floor(day.seconds / step)
    for number in range(round(DAY / step)):
        yield day.take(np.flatnonzero(numbers == number))


@dataclass(frozen=True)
class DataSet:
    """A data set ready for a run. `times` dates the reference rows in epoch seconds, or is None."""

    name: str
    about: str
    train: Table
    reference: Table
    times: NDArray[np.float64] | None
    live: Live
    pace: Pace
    roles: Roles


def chosen(
    rows: Table,
    share: float,
    generator: np.random.Generator,
    weights: NDArray[np.float64] | None,
) -> Table:
    """The rows that come: a share of all, evenly, or drawn again and again with odds `weights`."""
    size = round(share * len(rows))
    if weights is None:
        places = generator.permutation(len(rows))[:size]
    else:
        places = generator.choice(len(rows), size, p=weights / weights.sum())
    return rows.take(places[np.argsort(rows.seconds[places], kind="stable")])
