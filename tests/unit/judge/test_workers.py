"""Each worker against the others on the same traffic: who differs, and who only had bad luck."""

from dataclasses import dataclass

import msgspec
import numpy as np
import pytest
from tests.support.followed import Followed
from tests.support.traffic import BINARY, DAY, STABLE, profile, rows, spec

from trimtab.domain.deployment import ScalePlan
from trimtab.domain.records import Rows
from trimtab.domain.signature import Signature
from trimtab.domain.verdicts import Cause
from trimtab.judge.monitors import Monitors
from trimtab.judge.signals.family import Target
from trimtab.judge.signals.workers import (
    MOST,
    RECENT,
    Deal,
    Dealt,
    Pair,
    Versus,
    Workers,
    in_parts,
)
from trimtab.judge.watch import Watch, Zone

START, BLOCK = 20 * DAY, 60.0
KNOWN = profile()


@dataclass
class Team(Followed):
    """Workers over minutes, of which the first may be made to fail, be slow or answer otherwise."""

    workers: int = 4
    known: bool = True
    requests: int = 400
    plan_seconds: float = BLOCK
    minute: int = 0

    def __post_init__(self) -> None:
        plan = msgspec.structs.replace(spec(block_seconds=self.plan_seconds), clock="wall")
        self.monitors = Monitors.start(
            plan, BINARY, KNOWN if self.known else None, STABLE.digest, START
        )

    def live(
        self,
        minutes: int,
        *,
        fails: float = 0.01,
        slow: float = 0.01,
        score: float | None = None,
        only: bool = True,
        first: int = 1,
        present: int | None = None,
    ) -> "Team":
        """Minutes in which the first workers, or all, do badly in a share of requests."""
        for _ in range(minutes):
            start = START + self.minute * BLOCK
            n = self.requests
            given = rows(n, seed=self.minute, start=start, seconds=BLOCK)
            rng = np.random.default_rng(self.minute)
            dealt = rng.integers(0, present or self.workers, n)
            bad = (dealt < first) | (not only)
            failed = rng.random(n) < np.where(bad, fails, 0.01)
            late = rng.random(n) < np.where(bad, slow, 0.01)
            told = given.outputs["score"].copy()
            if score is not None:
                told[bad] = score
            fixed = {
                **given.fixed,
                "worker": np.array([f"w-{each}" for each in dealt], dtype=object),
                "outcome": np.where(failed, "failed", "ok").astype(object),
                "total_seconds": np.where(late, 9.0, 0.01),
            }
            scores = np.where(failed, np.nan, told)
            self.monitors.observe(Rows(fixed, given.inputs, {"score": scores}))
            self.minute += 1
            self.judge(START + self.minute * BLOCK + 7.0)
        return self

    def first_cause(self, kind: str) -> Cause:
        (found,) = (each for name, each in self.incidents.items() if f"-{kind}-" in name)
        return found.causes[0].cause


def test_workers_are_told_apart_by_their_past_also_before_1970() -> None:
    watch = Watch((Zone(None, 0.5),), None, 6.0)
    versus = Versus("w-0", 0, watch)
    versus.take(Pair(-120.0, 3, 100, 2, 200))
    assert versus.rates == (0.03, 0.01)


@pytest.mark.no_cover
def test_workers_that_do_alike_are_no_incident_however_badly_they_do() -> None:
    team = Team().live(30, fails=0.3, slow=0.3, score=0.9, only=False)
    assert team.verdicts["workers"].verdict == "ok"
    assert "4 workers do alike" in team.verdicts["workers"].reason
    ruled_out = {each.cause: each.by for i in team.incidents.values() for each in i.ruled_out}
    assert "4 workers do alike" in ruled_out[Cause.BAD_WORKER]


@pytest.mark.no_cover
@pytest.mark.parametrize("workers", [2, 4])
@pytest.mark.parametrize(
    ("fault", "words"), [({"fails": 0.3}, "fails in"), ({"slow": 0.3}, "is too slow in")]
)
def test_a_worker_that_does_worse_than_the_others_is_named_within_minutes(
    fault: dict[str, float], words: str, workers: int
) -> None:
    team = Team(workers=workers).live(20).live(15, **fault)  # type: ignore[arg-type]
    verdict = team.verdicts["workers:w-0"]
    assert verdict.verdict == "bad"
    assert words in verdict.reason
    assert verdict.scope == {"worker": "w-0", "differs": "service"}
    assert [name for name in team.verdicts if name.startswith("workers")] == ["workers:w-0"]
    assert team.first_cause("service") is Cause.BAD_WORKER


@pytest.mark.no_cover
@pytest.mark.parametrize(
    ("fault", "words"), [({"fails": 0.15}, "fails in"), ({"slow": 0.15}, "is too slow in")]
)
def test_half_of_the_workers_that_do_worse_alike_are_named_and_no_other(
    fault: dict[str, float], words: str
) -> None:
    team = Team().live(20).live(15, first=2, **fault)  # type: ignore[arg-type]
    bad = [name for name in team.verdicts if name.startswith("workers")]
    assert bad == ["workers:w-0", "workers:w-1"]
    assert all(words in team.verdicts[name].reason for name in bad)
    assert team.first_cause("service") is Cause.BAD_WORKER


def test_where_few_requests_come_they_are_gathered_until_there_are_others_to_compare_with() -> None:
    team = Team(requests=1, plan_seconds=3600.0).live(60).live(600, fails=0.9)
    assert team.verdicts["workers:w-0"].verdict == "bad"
    at_once = Team(requests=1).live(660, fails=0.9)
    assert "workers:w-0" not in at_once.verdicts, "blocks of the plan are not outlasted"


@pytest.mark.no_cover
def test_a_worker_that_answers_otherwise_is_why_predictions_moved() -> None:
    team = Team().live(5).live(80, score=0.9)
    assert "answers otherwise" in team.verdicts["workers:w-0"].reason
    assert team.verdicts["workers:w-0"].scope["differs"] == "answers"
    assert team.first_cause("service") is Cause.BAD_WORKER


@pytest.mark.no_cover
def test_of_two_workers_that_answer_differently_neither_is_accused() -> None:
    assert Team(workers=2).live(40, score=0.9).verdicts["workers"].verdict == "ok"


def test_one_bad_minute_is_no_alarm() -> None:
    team = Team().live(10).live(1, fails=1.0, slow=1.0).live(10)
    assert team.verdicts["workers"].verdict == "ok"


def test_a_worker_is_good_again_once_it_does_as_well_as_the_others_did() -> None:
    team = Team().live(10).live(10, fails=0.3)
    assert team.verdicts["workers:w-0"].verdict == "bad"
    team.live(10)
    assert team.verdicts["workers"].verdict == "ok"


def test_a_worker_that_is_gone_is_forgotten() -> None:
    team = Team().live(10).live(10, fails=0.3)
    for _ in range(RECENT):
        given = rows(40, seed=team.minute, start=START + team.minute * BLOCK, seconds=BLOCK)
        worker = np.array([f"w-{1 + i % 3}" for i in range(40)], dtype=object)
        team.monitors.observe(Rows({**given.fixed, "worker": worker}, given.inputs, given.outputs))
        team.minute += 1
        team.judge(START + team.minute * BLOCK + 7.0)
    assert "3 workers do alike" in team.verdicts["workers"].reason


def test_a_worker_alone_cannot_be_compared() -> None:
    team = Team(workers=1).live(3, fails=0.5)
    assert team.verdicts["workers"].verdict == "unknown"
    assert "not two workers" in team.verdicts["workers"].reason
    assert Cause.BAD_WORKER not in {r.cause for i in team.incidents.values() for r in i.ruled_out}


def test_without_a_profile_failures_and_slow_answers_are_compared() -> None:
    team = Team(known=False).live(10).live(15, fails=0.3)
    assert team.verdicts["workers:w-0"].verdict == "bad"


def test_a_deployment_of_one_worker_has_none_to_compare() -> None:
    alone = msgspec.structs.replace(spec(), scale=ScalePlan(max=1))
    assert Workers.of(Target(alone, BINARY, KNOWN, STABLE.digest, START)) is None


def test_rows_that_no_worker_had_and_outputs_that_are_none_count_for_nobody() -> None:
    workers = Workers.of(Target(spec(), BINARY, KNOWN, STABLE.digest, START))
    assert workers is not None
    given = rows(6, start=START)
    bare = {name: each for name, each in given.fixed.items() if name != "worker"}
    assert workers.count(Rows(bare, given.inputs, given.outputs)) == {}
    names = np.array(["a", None, "a", "b", None, "b"], dtype=object)
    counted = workers.count(Rows({**given.fixed, "worker": names}, given.inputs, {}))
    (deals,) = [[deal for _, deal in sorted(counted.items())]]
    dealt = deals[0]
    for deal in deals[1:]:
        dealt = dealt.merge(deal)
    assert {name: each.n for name, each in dealt.workers.items()} == {"a": 2, "b": 2}
    assert sum(dealt.workers["a"].ends) == 0


def test_of_more_workers_than_are_compared_the_first_are_counted_exactly() -> None:
    many = Deal.of({f"w{each:03}": Dealt(1, 1, [0, 1]) for each in range(MOST + 9)})
    both = many.merge(Deal.of({"a": Dealt(2, 2, [1, 0])}))
    assert len(both.workers) == MOST
    assert both.workers["a"].n == 2


def test_bins_are_put_into_parts_of_about_equal_mass() -> None:
    assert KNOWN.score is not None
    counts = [1] * len(KNOWN.score.masses)
    assert sum(in_parts(KNOWN.score, counts)) == len(counts)
    assert all(in_parts(KNOWN.score, counts))


def test_a_task_without_score_is_compared_by_its_service() -> None:
    other = Signature(BINARY.inputs, (), task="other")
    workers = Workers.of(Target(spec(), other, KNOWN, STABLE.digest, START))
    assert workers is not None
    (deal, *_) = workers.count(rows(3, start=START)).values()
    assert all(sum(each.ends) == 0 for each in deal.workers.values())


def test_work_that_is_not_dealt_to_all_workers_is_not_compared() -> None:
    given = rows(8, seed=1, start=START, seconds=BLOCK)
    lanes = np.array(["realtime", "batch"] * 4, dtype=object)
    names = np.array(["w-0", "w-b0"] * 4, dtype=object)
    mixed = Rows({**given.fixed, "lane": lanes, "worker": names}, given.inputs, given.outputs)
    plan = spec()
    own = msgspec.structs.replace(plan, scale=ScalePlan(batch=1))
    for asked, expected in ((plan, {"w-0", "w-b0"}), (own, {"w-0"})):
        workers = Workers.of(Target(asked, BINARY, KNOWN, STABLE.digest, START))
        assert workers is not None
        (deal,) = workers.count(mixed).values()
        assert deal.workers.keys() == expected
