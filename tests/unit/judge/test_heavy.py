"""A caller whose calls take the model too long is named, and not the service as a whole."""

from dataclasses import dataclass

import numpy as np
import pytest
from tests.support.followed import Followed
from tests.support.traffic import BINARY, DAY, STABLE, profile, rows, spec

from trimtab.domain.records import Outcome, Rows
from trimtab.domain.verdicts import Cause
from trimtab.judge.monitors import Monitors
from trimtab.judge.signals.counts import Tally
from trimtab.judge.signals.heavy import heavy
from trimtab.judge.signals.prominent import Marked

FIRST = 20
KNOWN = profile()
PROMISED = spec().objective.latency_seconds


def sent(day: int, mine: float, others: float) -> Rows:
    """A day of forty callers; one more sends a fifth of all. The times that calls of both take the
    model are multiples of what is promised, and all wait ten times as long as that."""
    given = rows(800, seed=day, start=day * DAY)
    rng = np.random.default_rng(day)
    caller = rng.random(800) < 0.2
    units = np.where(caller, 7, rng.integers(100, 140, 800)).astype(np.uint64)
    model = np.where(caller, mine, others) * PROMISED
    times = {"unit": units, "model_seconds": model, "total_seconds": model + 10.0 * PROMISED}
    return Rows({**given.fixed, **times}, given.inputs, given.outputs)


@dataclass
class Town(Followed):
    """Days of callers."""

    def __post_init__(self) -> None:
        plan = spec(block_seconds=DAY)
        self.monitors = Monitors.start(plan, BINARY, KNOWN, STABLE.digest, FIRST * DAY)

    def live(self, days: int, mine: float = 0.1, others: float = 0.1) -> "Town":
        for _ in range(days):
            self.monitors.observe(sent(self.day, mine, others))
            self.day += 1
            self.judge()
        return self

    @property
    def accused(self) -> list[str]:
        """Callers in alarm."""
        bad = [name for name, each in self.verdicts.items() if each.verdict == "bad"]
        return [name for name in bad if name.startswith("callers")]


def test_a_caller_that_asks_for_too_much_is_why_the_service_is_slow_until_it_stops() -> None:
    town = Town().live(8)
    assert town.accused == []
    town.live(4, mine=5.0)
    assert town.accused == ["callers:7"]
    reason = town.verdicts["callers:7"].reason
    assert reason.startswith("100% of the rows of one caller take the model alone longer than is")
    slow = next(each for each in town.incidents.values() if "latency" in each.signals)
    assert slow.causes[0].cause is Cause.HOSTILE_CLIENT
    assert town.live(6).accused == []


@pytest.mark.parametrize(("before", "after"), [((0.1, 0.1), (5.0, 5.0)), ((5.0, 0.1), (5.0, 0.1))])
def test_a_service_that_is_slow_for_all_or_was_for_one_from_the_first_has_no_heavy_caller(
    before: tuple[float, float], after: tuple[float, float]
) -> None:
    assert Town().live(8, *before).live(5, *after).accused == []


def test_slow_are_calls_that_were_answered_while_somebody_waited() -> None:
    given = rows(5)
    groups = np.array([1, 1, 1, 2, 2])
    outcome = np.array([Outcome.OK, Outcome.OK, Outcome.FAILED, Outcome.OK, Outcome.OK])
    lane = np.array(["realtime", "realtime", "realtime", "realtime", "batch"], dtype=object)
    fixed = {
        **given.fixed,
        "outcome": outcome.astype(object),
        "lane": lane,
        "model_seconds": np.array([0.1, 3.0, 3.0, 0.1, 3.0]),
        "request_id": np.array(["e", "d", "c", "b", "a"], dtype=object),
    }
    found = heavy(Rows(fixed, given.inputs, given.outputs), groups, 1.0)
    assert found == {1: Marked(Tally(1, 3), "d"), 2: Marked(Tally(0, 2), "")}


def test_rows_of_a_table_took_no_time() -> None:
    given = rows(5)
    bare = {name: each for name, each in given.fixed.items() if name != "model_seconds"}
    assert heavy(Rows(bare, given.inputs, given.outputs), np.zeros(5, dtype=np.int64), 1.0) == {}
