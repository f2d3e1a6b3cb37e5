"""How often numbers are said to stand still in a category while they move as they always did."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from trimtab.judge.column_profile import column_profile
from trimtab.judge.estimate import coarse_bins
from trimtab.judge.sameness import build_sameness, parted
from trimtab.judge.signals.breaks import Kind
from trimtab.judge.signals.parts import Brought, Parts, Unnamed
from trimtab.judge.signals.still import Moving, Placed, Spots

pytestmark = pytest.mark.slow

LIMIT = 2.0
DAYS = 60
"""Days of the reference."""
BLOCKS = 2_000
TEXTS, CATEGORIES, NUMBERS = 3, 6, 4

World = Callable[[int, np.random.Generator], dict[str, np.ndarray]]
"""The rows of a day."""


def texts(rng: np.random.Generator, rows: int) -> dict[str, np.ndarray]:
    """Columns of texts whose categories are unlike in size: the rarest has a twentieth."""
    odds = np.array([0.3, 0.25, 0.2, 0.12, 0.08, 0.05])
    names = np.array([f"v{each}" for each in range(CATEGORIES)], dtype=object)
    return {f"t{each}": rng.choice(names, rows, p=odds) for each in range(TEXTS)}


def numbers(values: np.ndarray) -> dict[str, np.ndarray]:
    return {f"n{each}": column for each, column in enumerate(values.astype(np.float64))}


def in_cycles(day: int, rng: np.random.Generator, rows: int = 300) -> dict[str, np.ndarray]:
    """A week of levels, rounded, and days that are busy or idle."""
    busy = round(rows * (1.0 + 0.9 * math.sin(2.0 * math.pi * day / 7.0)))
    level = 10.0 + 6.0 * math.sin(2.0 * math.pi * day / 7.0 + 1.0)
    return {**texts(rng, busy), **numbers(np.round(rng.normal(level, 1.0, (NUMBERS, busy)), 1))}


def in_few_rows(day: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Categories of 3 to 18 rows a day, of which the reference knows little."""
    return in_cycles(day, rng, 60)


def in_clusters(day: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Callers that send up to forty rows with the same texts and numbers."""
    sizes = np.minimum(rng.geometric(0.1, 40), 40)
    each = {**texts(rng, 40), **numbers(np.round(rng.normal(10.0, 2.0, (NUMBERS, 40)), 1))}
    return {name: np.repeat(column, sizes) for name, column in each.items()}


def in_few_values(day: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Twelve values, of which each category has one of its own in half of its rows."""
    made, rows = texts(rng, 200), 200
    usual = np.array([int(each[1:]) for each in made["t0"].tolist()])
    drawn = rng.integers(0, 12, (NUMBERS, rows))
    return {**made, **numbers(np.where(rng.random((NUMBERS, rows)) < 0.5, usual, drawn))}


def in_batches(day: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """On one day in twenty one category brings a single row, again and again."""
    made = in_cycles(day, rng)
    if rng.random() < 0.05:
        mine = made[f"t{rng.integers(TEXTS)}"] == f"v{rng.integers(CATEGORIES)}"
        for each in range(NUMBERS):
            made[f"n{each}"][mine] = np.round(rng.normal(10.0, 2.0), 1)
    return made


WORLDS: dict[str, World] = {
    "in cycles": in_cycles,
    "in few rows": in_few_rows,
    "in clusters": in_clusters,
    "in few values": in_few_values,
    "in batches": in_batches,
}


class Watched:
    """Feeds in parts against a reference of such days."""

    def __init__(self, world: World, rng: np.random.Generator) -> None:
        days = [world(day, rng) for day in range(DAYS)]
        rows = {name: np.concatenate([day[name] for day in days]) for name in days[0]}
        day = np.repeat(np.arange(DAYS), [len(each["n0"]) for each in days])
        inputs = tuple(column_profile(name, values, None) for name, values in rows.items())
        self.columns = parted(inputs)
        moving = Moving.of(build_sameness(inputs, rows, day), self.columns)
        usual: dict[str, dict[Kind, float]] = {each.name: {} for each in inputs}
        self.unnamed = Unnamed(self.columns, frozenset(), usual, moving)
        self.limit = LIMIT + math.log10(self.unnamed.streams)
        self.parts = Parts()

    def take(self, block: int, rows: dict[str, np.ndarray]) -> bool:
        """Whether a number is said to stand still; what was seen is then forgotten."""
        places = [coarse_bins(column, rows[column.name]) for column in self.columns]
        moving = self.unnamed.moving
        placed = [Placed.of(*each) for each in zip(self.columns, places, strict=True)]
        spots = Spots.of(self.columns, placed)
        still = moving.count(spots, [rows[each] for each in moving.numbers])
        sizes = dict(zip(self.unnamed.names, self.unnamed.count(places), strict=True))
        self.parts.take(float(block), self.unnamed, Brought(sizes, {}, still), self.limit)
        broken = bool(self.parts.broken)
        if broken:
            self.parts = Parts()
        return broken


@pytest.mark.parametrize("name", WORLDS)
def test_numbers_that_move_as_they_did_are_said_to_stand_still_no_more_than_is_promised(
    name: str,
) -> None:
    rng = np.random.default_rng([3, len(name)])
    watched = Watched(WORLDS[name], rng)
    found = sum(watched.take(block, WORLDS[name](block, rng)) for block in range(BLOCKS))
    print(name, watched.unnamed.streams, found)
    assert found <= BLOCKS / 10**LIMIT
    assert watched.unnamed.moving.streams > 0


@pytest.mark.parametrize("name", WORLDS)
def test_a_number_that_stops_in_a_category_is_told_soon(name: str) -> None:
    """So that this is not bought by blindness."""
    rng = np.random.default_rng([4, len(name)])
    watched, delays = Watched(WORLDS[name], rng), []
    for _ in range(40):
        watched.parts = Parts()
        for block in range(10):
            watched.take(block, WORLDS[name](block, rng))
        delays.append(delay(watched, WORLDS[name], rng))
    print(name, np.median(delays), np.max(delays))
    assert np.median(delays) <= 10


def delay(watched: Watched, world: World, rng: np.random.Generator) -> int:
    """Blocks until it is told that a number stands still in a category where it is watched, and
    that has a fifth of the rows or more."""
    moving = watched.unnamed.moving
    common = np.array([part[-2:] in ("v0", "v1", "v2") for part in moving.parts])
    number, part = rng.permutation(np.argwhere((moving.usual < 1.0) & common))[0]
    name, (column, _, value) = moving.numbers[number], moving.parts[part].partition("=")
    for after in range(1, 100):
        rows = world(after, rng)
        rows[name] = np.where(rows[column] == value, 9.0, rows[name])
        if watched.take(9 + after, rows):
            return after
    raise AssertionError(name)
