"""The segment that an excess of harm lies in."""

from typing import Any

import msgspec
import numpy as np
import pytest
from tests.support.traffic import DAY, profile, rows

from trimtab.domain.profile import ColumnProfile
from trimtab.domain.records import Floats, Rows
from trimtab.domain.verdicts import Concentration
from trimtab.judge.segments import Parting, Spread

COLUMNS = profile().inputs
LEVEL, SIDE = (next(each for each in COLUMNS if each.name == name) for name in ("level", "side"))


def harmed(given: Rows, where: Any, more: float, seed: int = 0) -> Floats:
    """Wrong answers: one in ten, and `more` of the rows in a place."""
    chance = np.where(where(given), 0.1 + more, 0.1)
    drawn = np.random.default_rng(seed).random(len(given)) < chance
    return np.asarray(drawn, dtype=np.float64)


def left(given: Rows) -> Any:
    return given.inputs["side"] == "left"


def high(given: Rows) -> Any:
    return given.inputs["level"] > 12.0


def everywhere(given: Rows) -> Any:
    return np.ones(len(given), dtype=np.bool_)


def spread(where: Any, more: float, n: int = 3000, seed: int = 1) -> Spread:
    made = Spread(COLUMNS)
    before, since = rows(n, seed=seed), rows(n, seed=seed + 500, start=9 * DAY)
    made.take(before, harmed(before, everywhere, 0.0, seed), since=False)
    made.take(since, harmed(since, where, more, seed + 7), since=True)
    return made


def found(where: Any, more: float, **given: Any) -> Concentration | None:
    return spread(where, more, **given).concentration()


def test_harm_in_one_category_is_found_there_with_its_share() -> None:
    culprit = found(left, 0.3)
    assert culprit is not None
    assert (culprit.column, culprit.value) == ("side", "'left'")
    assert culprit.lower > culprit.rows
    assert culprit.lower <= culprit.share <= culprit.upper
    assert culprit.share > 0.9
    assert culprit.before == pytest.approx(0.1, abs=0.02)
    assert culprit.since == pytest.approx(0.4, abs=0.05)


def test_harm_in_a_range_of_numbers_is_found_over_neighbouring_bins() -> None:
    culprit = found(high, 0.5)
    assert culprit is not None
    assert culprit.column == "level"
    assert culprit.value.startswith("above 1")
    assert "up to" not in culprit.value


def test_harm_that_is_everywhere_names_nobody() -> None:
    for seed in range(40):
        assert found(everywhere, 0.2, seed=seed) is None


def test_without_harm_nobody_is_named() -> None:
    for seed in range(40):
        assert found(left, 0.0, seed=seed) is None


def test_rows_that_were_always_harder_are_not_to_blame() -> None:
    made = Spread(COLUMNS)
    for since in (False, True):
        part = rows(3000, seed=int(since) + 1)
        more = 0.1 if since else 0.0
        wrong = harmed(part, left, 0.5, 3) + more
        made.take(part, np.minimum(wrong, 1.0), since=since)
    assert made.concentration() is None


def test_few_rows_say_nothing() -> None:
    assert found(left, 0.9, n=80) is None
    assert Spread(()).concentration() is None
    assert Spread(COLUMNS).concentration() is None


def test_rows_whose_harm_is_unknown_are_left_out() -> None:
    one, other = spread(left, 0.3), spread(left, 0.3)
    part = rows(100, seed=77)
    other.take(part, np.where(np.arange(100) % 2, np.nan, np.inf), since=True)
    assert one.concentration() == other.concentration()


def test_the_column_that_the_harm_is_about_makes_no_segment() -> None:
    culprit = spread(left, 0.3).concentration(besides="side")
    assert culprit is None


def names(column: ColumnProfile) -> list[str]:
    parting = Parting(column)
    return [parting.name(run) for run in parting.runs()]


def test_segments_are_called_by_their_values() -> None:
    cuts = LEVEL.cuts
    told = names(LEVEL)
    assert told[0] == f"up to {cuts[0]:g}"
    assert f"above {cuts[0]:g} up to {cuts[2]:g}" in told
    assert told[-3:] == [
        "missing",
        f"less than ever before ({LEVEL.minimum:g})",
        f"more than ever before ({LEVEL.maximum:g})",
    ]
    assert names(SIDE) == [
        *(repr(each) for each in SIDE.categories),
        "texts that are not in the profile",
        "missing",
        "less than ever before",
        "more than ever before",
    ]


def test_a_column_of_very_many_categories_has_its_most_frequent_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("trimtab.judge.segments.MOST_VALUES", 1)
    assert names(SIDE)[:2] == [repr(SIDE.categories[0]), "missing"]


def test_values_fall_into_the_bins_of_the_reference() -> None:
    bounds = msgspec.structs.replace(LEVEL, minimum=None, maximum=None)
    values = np.array([-1e9, 1e9, np.nan])
    count = len(LEVEL.masses)
    assert Parting(LEVEL).places(values).tolist() == [count + 1, count + 2, count]
    assert Parting(bounds).places(values).tolist() == [0, count - 1, count]
    words = np.array([SIDE.categories[1], "up", None], dtype=object)
    assert Parting(SIDE).places(words).tolist() == [1, len(SIDE.masses) - 1, len(SIDE.masses)]
    assert Parting(LEVEL).reference.sum() == pytest.approx(1.0)


def test_a_column_without_cuts_is_any_number() -> None:
    bare = msgspec.structs.replace(LEVEL, cuts=(), masses=(1.0,))
    assert Parting(bare).name(range(1)) == "any number"
