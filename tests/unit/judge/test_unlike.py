"""A caller whose labels are the opposite of what it was answered is named, and no other."""

import numpy as np
import pytest
from tests.support.traffic import BINARY, DAY, STABLE, labelled, profile, rows, spec

from trimtab.domain.records import Labelled, Rows
from trimtab.domain.verdicts import Cause
from trimtab.judge.causes.case import Trouble
from trimtab.judge.causes.people import label_fault
from trimtab.judge.said import Verdicts
from trimtab.judge.signals.callers import GROUPS
from trimtab.judge.signals.counts import Tally
from trimtab.judge.signals.family import Breaks, Target
from trimtab.judge.signals.feedback import Feedback
from trimtab.judge.signals.unlike import Unlike, unlike

from .test_incidents import case, verdict

KNOWN = profile()
LIMIT = 3.0


def test_labels_are_counted_by_the_group_of_the_caller_who_has_a_name() -> None:
    given = rows(5)
    units = np.array([0, 3, 3, 3 + GROUPS, 4], dtype=np.uint64)
    wrong = np.array([True, True, False, True, False])
    named = Rows({**given.fixed, "unit": units}, given.inputs, given.outputs)
    assert unlike(named, wrong) == {3: Tally(2, 3), 4: Tally(0, 1)}
    bare = {name: each for name, each in given.fixed.items() if name != "unit"}
    assert unlike(Rows(bare, given.inputs, given.outputs), wrong) == {}


def held(*blocks: dict[int, Tally]) -> Unlike:
    """What is watched after some blocks."""
    told = Unlike()
    for number, block in enumerate(blocks):
        told.take(float(number), block, LIMIT)
    return told


SOUND = {1: Tally(20, 100), 2: Tally(10, 100), 3: Tally(15, 100), 4: Tally(20, 100)}


@pytest.mark.parametrize(
    ("after", "told"),
    [
        ({**SOUND, 1: Tally(85, 100)}, [1]),
        ({**SOUND, 1: Tally(85, 100), 3: Tally(85, 100)}, [1, 3]),
        # Half of a caller's labels may be unlike what it was answered.
        ({**SOUND, 1: Tally(50, 100)}, []),
        # All others are too.
        ({each: Tally(85, 100) for each in SOUND}, []),
        # More of them than misbehave at once.
        ({**SOUND, 1: Tally(85, 100), 2: Tally(85, 100), 3: Tally(85, 100)}, []),
        # One of few labels moves nothing.
        ({**SOUND, 5: Tally(15, 15)}, []),
    ],
)
def test_told_are_one_or_two_of_whom_most_labels_became_the_opposite(
    after: dict[int, Tally], told: list[int]
) -> None:
    assert held(*[SOUND] * 5, *[after] * 4).told == told


def test_a_caller_of_whom_nobody_agreed_from_the_first_is_no_news() -> None:
    odd = {**SOUND, 1: Tally(85, 100)}
    assert held(*[odd] * 9).told == []


def test_a_block_without_labels_says_nothing() -> None:
    assert held(*[SOUND] * 5, {}, {}).seen == 5


def sent(day: int, lies: float) -> Labelled:
    """A day's labels; those for one caller of ten are the opposite in a share of its requests."""
    given = rows(600, seed=day, start=day * DAY, seconds=DAY / 4)
    rng = np.random.default_rng(day)
    units = rng.integers(100, 110, 600).astype(np.uint64)
    told = labelled(given, seed=day)
    decided = np.where(given.outputs["score"] >= BINARY.threshold, "0", "1").astype(object)
    lying = (units == 100) & (rng.random(600) < lies)
    named = Rows({**given.fixed, "unit": units}, given.inputs, given.outputs)
    label = np.where(lying, decided, told.label).astype(object)
    return Labelled(named, label, given.fixed["event_time"] + 3600.0)


def test_a_caller_that_lies_is_a_fault_of_the_labels_until_it_stops() -> None:
    family = Feedback(Target(spec(block_seconds=DAY), BINARY, KNOWN, STABLE.digest, 0.0))
    told = {}
    for day in range(30):
        family.take(family.learn(sent(day, 0.9 if 8 <= day < 16 else 0.0)))
        family.close((day + 2) * DAY, Breaks())
        told[day] = family.verdicts()
    assert [each.signal for each in told[7]] == ["feedback"]
    (found,) = told[15]
    assert found.signal == f"feedback:caller {100}"
    assert found.since == 8 * DAY
    assert "of the labels for one caller say otherwise than the predictions, at most" in (
        found.reason
    )
    assert [each.signal for each in told[29]] == ["feedback"]
    trouble = Trouble("quality", case(), [verdict("quality")], Verdicts([found]))
    opinion = label_fault(trouble)
    assert opinion is not None
    assert opinion.cause is Cause.LABEL_FAULT
