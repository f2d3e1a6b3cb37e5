"""A caller that asks for more than all did is why requests are slow since then."""

from dataclasses import dataclass

import numpy as np
import pytest
from tests.support.followed import Followed
from tests.support.traffic import BINARY, DAY, STABLE, profile, rows, spec

from trimtab.domain.records import Rows
from trimtab.domain.verdicts import Cause
from trimtab.judge.incidents import reconcile
from trimtab.judge.monitors import Monitors
from trimtab.judge.surge import Surge, Volume

from .test_incidents import case, causes, opened, verdict

ALL = 400
KNOWN = profile()
PROMISED = spec().objective.latency_seconds


def days(volume: Volume, first: int, *came: dict[int, int]) -> Volume:
    """Take in days, the first of which has this number."""
    for number, each in enumerate(came, start=first):
        volume.take(number * DAY, each)
    return volume


USUAL = {1: 100, 2: 150, 3: 150}
"""What groups of callers bring on a usual day."""
FLOOD = {**USUAL, 2: 500}


def explained(volume: Volume) -> bool:
    """Whether trouble that begins on the sixth day is because of one caller."""
    return volume.surge is not None and volume.surge.explains(5 * DAY, DAY)


def test_one_caller_that_brings_more_than_all_did_is_a_surge_while_it_lasts() -> None:
    assert days(Volume(), 0, *[USUAL] * 5).surge is None
    volume = days(Volume(), 0, *[USUAL] * 5, FLOOD, FLOOD)
    surge = volume.surge
    assert surge == Surge(2, 5 * DAY, 150, 400.0, rows=1000, rest=500, blocks=2)
    assert str(surge).startswith("one caller brings 1,000 rows since ")
    assert "67% of all, and at most 150 in a block before; the others bring as many" in str(surge)
    assert days(volume, 7, USUAL).surge is None


def test_it_lasts_through_hours_in_which_less_comes() -> None:
    night = {group: n // 5 for group, n in FLOOD.items()}
    volume = days(Volume(), 0, *[USUAL] * 5, FLOOD, night)
    assert volume.surge is not None
    assert volume.surge.since == 5 * DAY


def test_how_much_comes_while_it_lasts_is_not_learned() -> None:
    volume = days(Volume(), 0, *[USUAL] * 5, *[FLOOD] * 9, USUAL, FLOOD)
    assert volume.surge is not None
    assert volume.surge.since == 15 * DAY


@pytest.mark.parametrize(
    "came",
    [
        pytest.param({group: 2 * n for group, n in USUAL.items()}, id="all bring more"),
        pytest.param({1: 5, 2: 380, 3: 5}, id="others go through one caller"),
        pytest.param({1: 100, 2: 230, 3: 150}, id="one brings somewhat more"),
        pytest.param({1: 450, 2: 450, 3: 450}, id="three bring more"),
        pytest.param({**dict.fromkeys(range(4, 60), 10), 2: 250}, id="many are new"),
        pytest.param({}, id="nothing comes"),
    ],
)
def test_what_is_not_one_caller_alone_explains_nothing(came: dict[int, int]) -> None:
    assert not explained(days(Volume(), 0, *[USUAL] * 5, came))


def test_others_that_bring_as_much_as_ever_are_counted_over_all_of_its_blocks() -> None:
    night = {1: 20, 2: 300, 3: 30}
    volume = days(Volume(), 0, *[USUAL, {1: 120, 2: 110, 3: 130}] * 3, night)
    assert not explained(volume)
    assert explained(days(volume, 7, {1: 400, 2: 900, 3: 400}))


def test_in_the_first_blocks_nothing_is_known_to_be_usual() -> None:
    assert days(Volume(), 0, USUAL, USUAL, FLOOD).surge is None


SURGE = Surge(2, 8 * DAY, 150, 400.0, rows=1000, rest=800, blocks=2)


@pytest.mark.parametrize("signal", ["latency", "errors"])
def test_requests_that_are_slow_or_fail_since_a_surge_are_the_callers_doing(signal: str) -> None:
    found = opened(reconcile(case(surge=SURGE), [verdict(signal)], ()))
    assert causes(found)[0] is Cause.HOSTILE_CLIENT
    assert found.causes[0].evidence[0] == str(SURGE)


def test_what_began_at_another_time_or_is_of_another_kind_is_not() -> None:
    for signal, since in (("latency", 3 * DAY), ("quality", 8 * DAY)):
        found = opened(reconcile(case(surge=SURGE), [verdict(signal, since=since)], ()))
        assert Cause.HOSTILE_CLIENT not in causes(found)


def test_a_worker_that_is_slower_than_the_others_is_still_blamed_first() -> None:
    worker = verdict("workers:w1")
    found = reconcile(case(surge=SURGE), [verdict("latency"), worker], ())
    assert causes(opened(found))[:2] == [Cause.BAD_WORKER, Cause.HOSTILE_CLIENT]


def sent(day: int, flood: bool) -> Rows:
    """A day of forty callers; with a flood, one more asks twice as much, and all wait."""
    n = 3 * ALL if flood else ALL
    given = rows(n, seed=day, start=day * DAY)
    others = np.random.default_rng(day).integers(100, 140, n)
    units = np.where(np.arange(n) % 3 > 0, 7, others) if flood else others
    took = np.full(n, (10.0 if flood else 0.1) * PROMISED)
    times = {"unit": units.astype(np.uint64), "total_seconds": took}
    return Rows({**given.fixed, **times}, given.inputs, given.outputs)


@dataclass
class Town(Followed):
    """Days of callers."""

    def __post_init__(self) -> None:
        plan = spec(block_seconds=DAY)
        self.monitors = Monitors.start(plan, BINARY, KNOWN, STABLE.digest, self.day * DAY)

    def live(self, number: int, flood: bool = False) -> "Town":
        """So many days."""
        for _ in range(number):
            self.monitors.observe(sent(self.day, flood))
            self.day += 1
            self.judge()
        return self


def test_a_service_that_is_slow_because_of_a_flood_blames_the_caller() -> None:
    town = Town().live(8)
    assert not town.incidents
    town.live(4, flood=True)
    (slow,) = town.incidents.values()
    assert "latency" in slow.signals
    assert slow.causes[0].cause is Cause.HOSTILE_CLIENT
    saved = Monitors.load(town.monitors.dump())
    assert saved.dump() == town.monitors.dump()
