"""A worker that answers otherwise to requests that are alike is named, and no other."""

from collections.abc import Collection
from dataclasses import dataclass
from functools import reduce

import msgspec
import numpy as np
import pytest
from tests.support.followed import Followed
from tests.support.traffic import BINARY, DAY, STABLE, profile, rows, spec

from trimtab.domain.deployment import DeploymentSpec, ScalePlan
from trimtab.domain.records import Rows
from trimtab.domain.signature import Signature
from trimtab.domain.verdicts import Cause
from trimtab.judge.monitors import Monitors
from trimtab.judge.signals.answers import Answered, Answers
from trimtab.judge.signals.family import Breaks, Target
from trimtab.judge.signals.workers import MOST, RECENT

START, BLOCK = 20 * DAY, 60.0
KNOWN = profile()
WALL = msgspec.structs.replace(spec(block_seconds=BLOCK), clock="wall")


def asked(
    minute: int, workers: int, misread: Collection[int], n: int = 400, first: int = 0
) -> Rows:
    """A minute in which some workers read the level from the other side of ten. Scores follow it,
    so that all workers answer each score as often."""
    given = rows(n, seed=minute, start=START + minute * BLOCK, seconds=BLOCK)
    dealt = np.random.default_rng(minute).integers(first, workers, n)
    level = given.inputs["level"]
    read = np.where(np.isin(dealt, list(misread)), 20.0 - level, level)
    names = np.array([f"w-{each}" for each in dealt], dtype=object)
    score = np.where(read > 10.0, 0.4, 0.1) + 0.01 * given.outputs["score"]
    return Rows({**given.fixed, "worker": names}, given.inputs, {"score": score})


@dataclass
class Team(Followed):
    """Minutes of workers, some of which misread."""

    workers: int = 4
    first: int = 0
    minute: int = 0

    def __post_init__(self) -> None:
        self.monitors = Monitors.start(WALL, BINARY, KNOWN, STABLE.digest, START)

    def live(self, minutes: int, *misread: int) -> "Team":
        for _ in range(minutes):
            self.monitors.observe(asked(self.minute, self.workers, misread, 400, self.first))
            self.minute += 1
            self.judge(START + self.minute * BLOCK + 7.0)
        return self

    @property
    def named(self) -> list[str]:
        """The workers that are."""
        return [name.split(":")[1] for name in self.verdicts if name.endswith(":answers")]


@pytest.mark.parametrize(
    ("workers", "misread"), [(4, (0,)), (4, (0, 1)), (2, (1,)), (5, (0, 1, 4))]
)
def test_workers_that_misread_an_input_are_named_with_it_and_no_others(
    workers: int, misread: tuple[int, ...]
) -> None:
    team = Team(workers=workers).live(15)
    assert not team.incidents
    team.live(12, *misread)
    assert team.named == [f"w-{each}" for each in misread]
    verdict = team.verdicts[f"workers:w-{misread[0]}:answers"]
    assert "answers otherwise than the others where level is alike, in " in verdict.reason
    assert verdict.scope == {"worker": f"w-{misread[0]}", "differs": "answers"}
    assert (verdict.estimate or 0.0) > 0.05
    assert verdict.since is not None
    assert verdict.since >= START + 10 * BLOCK
    (incident,) = (each for each in team.incidents.values() if "-service-" in each.id)
    assert incident.causes[0].cause is Cause.BAD_WORKER


def test_an_alarm_ends_when_the_worker_answers_as_the_others_again() -> None:
    team = Team().live(15).live(12, 0)
    assert team.named == ["w-0"]
    assert not team.live(25).named
    assert not team.incidents


def test_of_two_workers_that_differ_from_the_first_neither_is_named() -> None:
    assert not Team(workers=2).live(25, 1).named


def test_where_all_but_one_misread_it_is_not_the_one_that_is_named() -> None:
    assert "w-0" not in Team(4).live(15).live(12, 1, 2, 3).named


def test_workers_alike_are_not_named_and_one_that_is_gone_is_forgotten() -> None:
    team = Team().live(12).live(12, 0)
    assert team.named == ["w-0"]
    team.first = 1
    assert team.live(RECENT).named == []
    assert not Team().live(30, 0, 1, 2, 3).named


def test_few_requests_are_gathered_and_a_block_without_any_is_passed_over() -> None:
    answers = family()
    for minute in range(3):
        answers.take(answers.count(asked(minute, 4, (), 6)))
        answers.close(START + (minute + 1) * BLOCK + 7.0, Breaks())
    assert answers.state.habits.workers == {}
    answers.take(answers.count(asked(3, 4, (), 6)))
    answers.close(START + 4 * BLOCK + 7.0, Breaks())
    assert len(answers.state.habits.workers) == 4
    at_once = family(WALL)
    for counts in (at_once.count(asked(0, 4, ())), {10_000_000: Answered()}):
        at_once.take(counts)
        at_once.close(1e12, Breaks())
    assert [each.unseen for each in at_once.state.habits.workers.values()] == [1] * 4


HOUR = msgspec.structs.replace(spec(block_seconds=3600.0), clock="wall")
"""Blocks are gathered for up to an hour."""


def family(plan: DeploymentSpec = HOUR) -> Answers:
    """Of workers of this deployment."""
    made = Answers.of(Target(plan, BINARY, KNOWN, STABLE.digest, START))
    assert made is not None
    return made


def test_parts_of_a_block_count_what_the_block_does() -> None:
    answers = family()
    given = asked(0, 3, (0,))
    ((number, whole),) = answers.count(given).items()
    parts = [answers.count(given.take(np.arange(first, 400, 8)))[number] for first in range(8)]
    for order in (parts, parts[::-1]):
        assert reduce(Answered.merge, order, Answered()) == whole


def test_of_more_workers_than_are_compared_the_first_are_counted_exactly() -> None:
    many = Answered({f"w{each:03}": [1, 2] for each in range(MOST + 9)})
    both = many.merge(Answered({"a": [3, 4]}))
    assert (len(both.workers), both.workers["a"]) == (MOST, [3, 4])


def test_outputs_that_are_none_count_for_nobody() -> None:
    answers = family()
    given = asked(0, 3, ())
    (counted,) = answers.count(Rows(given.fixed, given.inputs, {})).values()
    assert counted == Answered()


def test_one_worker_or_answers_that_no_reference_knows_are_not_compared() -> None:
    alone = msgspec.structs.replace(spec(), scale=ScalePlan(max=1))
    other = msgspec.structs.replace(KNOWN, score=None)
    for plan, signature, known in (
        (alone, BINARY, KNOWN),
        (spec(), BINARY, None),
        (spec(), Signature(BINARY.inputs, (), task="other"), other),
    ):
        assert Answers.of(Target(plan, signature, known, STABLE.digest, START)) is None
