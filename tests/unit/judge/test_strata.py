"""Like is compared with like: hours of the week, where the reference knows them."""

import msgspec
import numpy as np
import pytest
from tests.support.traffic import BINARY, DAY, STABLE, rows, spec

from trimtab.domain.profile import ReferenceProfile
from trimtab.domain.records import Rows
from trimtab.domain.signature import Signature
from trimtab.judge import strata
from trimtab.judge.profile import Reference, build_profile
from trimtab.judge.signals.columns import hours_of
from trimtab.judge.signals.family import Breaks, Target
from trimtab.judge.signals.inputs import Columns, Inputs
from trimtab.judge.signals.prediction import Prediction

OTHER = Signature((), (), "other")
PER_DAY = 500
WEEKS = 6
FIRST = 7 * WEEKS


def world(day: int, shift: float = 0.0, hours: tuple[int, int] = (0, 24)) -> Rows:
    """A day whose values follow the hour and, much more so, the weekend."""
    rng = np.random.default_rng(day)
    bare = rows(PER_DAY, seed=day, start=day * DAY + hours[0] * 3600.0)
    time = day * DAY + (hours[0] + (hours[1] - hours[0]) * rng.random(PER_DAY)) * 3600.0
    weekend = (time // DAY) % 7 >= 5
    level = rng.normal(0.0, 1.0, PER_DAY) + np.sin(time / DAY * 2 * np.pi) + 2.0 * weekend + shift
    kind = np.where(rng.random(PER_DAY) < 0.2 + 0.5 * weekend, "leisure", "work").astype(object)
    return Rows({**bare.fixed, "event_time": time}, {"level": level, "kind": kind}, {})


def known(weeks: int = WEEKS) -> ReferenceProfile:
    """The profile of some weeks."""
    parts = [world(day) for day in range(7 * weeks)]
    inputs = {name: np.concatenate([p.inputs[name] for p in parts]) for name in ("level", "kind")}
    time = np.concatenate([part.fixed["event_time"] for part in parts])
    return build_profile(Reference(OTHER, inputs, time=time))


LONG, SHORT = known(), known(3)


def begun(profile: ReferenceProfile) -> Inputs:
    """The inputs of a release that begins to serve after the reference."""
    family = Inputs.of(Target(spec(segments=()), OTHER, profile, STABLE.digest, FIRST * DAY))
    assert family is not None
    return family


def live(family: Inputs, days: list[Rows]) -> Inputs:
    """Whole days, counted and judged."""
    for number, part in enumerate(days, start=FIRST):
        family.take(family.count(part))
        family.close((number + 1) * DAY + 3600.0, Breaks())
    return family


@pytest.mark.parametrize("end", [0.5, 3.0, 200.0])
def test_hours_are_the_same_whether_times_rise_or_not(end: float) -> None:
    """Among them a full hour, the moment before, and more hours than a week has."""
    hours = np.append(np.linspace(5.0, 5.0 + end, 5000), [6.0, np.nextafter(6.0, 0.0)])
    rising = np.sort(hours * 3600.0)
    expected = np.bincount(strata.stratum(rising, 1), minlength=strata.HOURS_OF_WEEK).tolist()
    assert hours_of(LONG, rising) == hours_of(LONG, rising[::-1]) == expected
    assert sum(expected) == rising.size


def test_strata_are_hours_where_the_reference_fills_them_and_days_know_less_than_they() -> None:
    assert LONG.stratum_hours == 1
    for column in LONG.inputs:
        assert len(column.strata) == strata.HOURS_OF_WEEK
        assert np.array(column.strata).sum(axis=1) == pytest.approx(1.0, abs=1e-4)
        assert column.spread is not None
        assert column.strata_spread is not None
        assert column.day_spread == column.strata_spread < 0.5 * column.spread


def test_a_reference_of_three_weeks_has_no_strata() -> None:
    assert SHORT.stratum_hours == 0
    assert {column.strata for column in SHORT.inputs} == {()}
    assert SHORT.inputs[0].day_spread == SHORT.inputs[0].spread


def test_where_days_are_alike_strata_are_not_kept() -> None:
    time = np.arange(0.0, 35 * DAY, 100.0)
    values = np.random.default_rng(0).normal(0.0, 1.0, time.size)
    profile = build_profile(Reference(OTHER, {"x": values}, time=time))
    assert profile.stratum_hours == 1
    assert profile.inputs[0].strata == ()


def test_columns_of_many_categories_have_no_strata() -> None:
    time = np.arange(0.0, 35 * DAY, 100.0)
    weekend = (time // DAY) % 7 >= 5
    names = np.array([f"{i % 20}{w}" for i, w in enumerate(weekend.tolist())], dtype=object)
    assert build_profile(Reference(OTHER, {"x": names}, time=time)).inputs[0].strata == ()


@pytest.mark.parametrize(
    ("rows_a_week", "shares", "hours"),
    [(100_000, 100, 1), (100_000, 400, 3), (500, 100, 6), (500, 3000, 24), (500, 20_000, 0)],
)
def test_strata_are_as_fine_as_rows_and_room_allow(
    rows_a_week: int, shares: int, hours: int
) -> None:
    time = np.linspace(0.0, 28 * DAY - 1.0, 4 * rows_a_week)
    assert strata.length(time, shares) == hours


def test_ordinary_weeks_are_in_the_band() -> None:
    family = live(begun(LONG), [world(day) for day in range(FIRST, FIRST + 35)])
    assert {verdict.verdict for verdict in family.verdicts()} == {"ok"}
    assert all(point.excess < 0.0 for point in family.state.watches["level"].history)


def test_a_shift_that_is_less_than_a_weekend_is_found_only_by_hours() -> None:
    days = [world(day, shift=0.5) for day in range(FIRST, FIRST + 21)]
    hourly, daily = live(begun(LONG), days), live(begun(SHORT), days)
    assert hourly.verdicts()[0].verdict == "bad"
    assert daily.verdicts()[0].verdict == "ok"


def test_traffic_of_other_hours_is_compared_with_those_hours() -> None:
    """Every day only the mornings come: another mixture, and nothing that is not usual then."""
    days = [world(day, hours=(3, 9)) for day in range(FIRST, FIRST + 21)]
    hourly, daily = live(begun(LONG), days), live(begun(SHORT), days)
    excess = [
        np.mean([point.excess for point in family.state.watches["level"].history])
        for family in (hourly, daily)
    ]
    assert excess[0] < 0.0 < excess[1]


def test_counts_that_do_not_tell_their_hours_are_left_out() -> None:
    family = begun(LONG)
    counted = family.count(world(FIRST))
    family.take({number: Columns(block.columns) for number, block in counted.items()})
    family.close((FIRST + 2) * DAY, Breaks())
    assert family.verdicts()[0].verdict == "unknown"


def test_scores_are_compared_by_hours_and_decisions_by_days() -> None:
    parts = [world(day) for day in range(FIRST)]
    level = np.concatenate([part.inputs["level"] for part in parts])
    time = np.concatenate([part.fixed["event_time"] for part in parts])
    score = 1.0 / (1.0 + np.exp(-level))
    profile = build_profile(Reference(BINARY, {"level": level}, {"score": score}, time=time))
    family = Prediction.of(Target(spec(), BINARY, profile, STABLE.digest, FIRST * DAY))
    assert family is not None
    for day in range(FIRST, FIRST + 14):
        part = world(day)
        given = Rows(
            part.fixed, part.inputs, {"score": 1.0 / (1.0 + np.exp(-part.inputs["level"]))}
        )
        family.take(family.count(given))
        family.close((day + 1) * DAY + 3600.0, Breaks())
    assert {verdict.verdict for verdict in family.verdicts()} == {"ok"}
    assert profile.score is not None
    assert family.state.score.spread == profile.score.strata_spread
    assert family.state.positive is not None
    assert family.state.positive.spread == profile.score.spread


@pytest.mark.parametrize(
    ("block", "days", "said"),
    [
        (3600.0, None, "the release has no reference"),
        (3600.0, 0, "the reference has no times"),
        (3600.0, 1, "the reference has 1 day of 5 that would show"),
        (3600.0, 4, "the reference has 4 days of 5 that would show"),
        (3600.0, 5, "as days are compared, which the reference shows to differ"),
        (2 * DAY, 5, "as monitor.block says"),
    ],
)
def test_it_is_told_why_a_block_is_as_long_as_it_is(
    block: float, days: int | None, said: str
) -> None:
    profile = None if days is None else msgspec.structs.replace(SHORT, days=days)
    target = Target(spec(block_seconds=block), OTHER, profile, STABLE.digest, 0.0)
    assert said in target.block_reason
    assert target.block_seconds == (DAY if days == 5 and block < DAY else block)
