"""Feeds that go elsewhere within what the reference held."""

import numpy as np
from tests.support.traffic import BINARY, DAY, STABLE, profile, rows, spec

from trimtab.domain.records import Rows
from trimtab.domain.verdicts import Verdict
from trimtab.judge.signals.family import Breaks, Target
from trimtab.judge.signals.upstream import Upstream


def told(levels: list[float]) -> list[Verdict]:
    """What is said after each day, on which the level is about that."""
    family, said = Upstream(Target(spec(), BINARY, KNOWN, STABLE.digest, 0.0), KNOWN), []
    for day, about in enumerate(levels):
        part = rows(60, seed=day, start=day * DAY)
        level = np.round(about + np.random.default_rng(day).uniform(-0.5, 0.5, 60), 1)
        family.take(family.count(Rows(part.fixed, {**part.inputs, "level": level}, part.outputs)))
        family.close((day + 1) * DAY + 3600.0, Breaks())
        said.append(family.verdicts()[0])
    return said


KNOWN = profile()
CALM = [5.0] * 8


def test_one_day_elsewhere_is_no_break_and_the_next_one_is_since_the_first() -> None:
    said = told([*CALM, 15.0, 15.0])
    assert [each.verdict for each in said] == ["ok"] * 9 + ["bad"]
    assert said[-1].signal == "upstream:level"
    assert said[-1].since == 8 * DAY


def test_days_elsewhere_between_others_break_nothing() -> None:
    assert {each.verdict for each in told([*CALM, 15.0, 5.0, 15.0, 5.0])} == {"ok"}


def test_what_the_reference_never_held_breaks_on_the_first_day() -> None:
    said = told([*CALM, 40.0])
    assert (said[-1].verdict, said[-1].since) == ("bad", 8 * DAY)
