"""Labels that repeat the answers: fewer errors than scores let expect."""

import numpy as np
import pytest
from tests.support.traffic import BINARY, DAY, STABLE, labelled, profile, rows, spec

from trimtab.domain.records import Labelled, Rows
from trimtab.domain.verdicts import Cause, Incident, Verdict
from trimtab.judge.explained import Split
from trimtab.judge.monitors import Monitors
from trimtab.judge.reports import MonitorReport, Surroundings
from trimtab.judge.signals.echoes import FEWEST, Echoes
from trimtab.judge.signals.family import Target
from trimtab.judge.signals.feedback import limit
from trimtab.judge.watch import Watch

PROFILE = profile(timed=False)
EXPECTED = 0.2
FIRST = 20


def target(metric: str = "error") -> Target:
    plan = spec(quality=metric, block_seconds=DAY)
    return Target(plan, BINARY, PROFILE, STABLE.digest, 0.0)


def told(real: float, days: int = 20, n: int = 300) -> tuple[Verdict, ...]:
    """What is said after days in which so many labels said otherwise than the answers."""
    family, watch, splits = Echoes(target()), None, []
    for day in range(days):
        splits.append(Split(day * DAY, n, EXPECTED, real))
        watch = family.take(watch, splits[-1])
    return family.verdicts(watch, splits)


@pytest.mark.parametrize("real", [EXPECTED, FEWEST * EXPECTED, 0.5])
def test_as_many_errors_as_scores_let_expect_or_half_of_them_are_no_echo(real: float) -> None:
    assert not told(real)


def test_hardly_an_error_is_an_echo_told_with_what_was_expected() -> None:
    (found,) = told(0.02)
    assert (found.signal, found.verdict, found.tier) == ("feedback:echoed", "bad", "ticket")
    assert found.reason == (
        "2.0% of the labels say otherwise than the answers since the first event, 20.0% are "
        "expected of the very same rows: labels repeat the answers"
    )
    assert found.estimate == pytest.approx(0.02)
    assert found.reference == pytest.approx(EXPECTED)
    assert found.since == 0.0
    assert found.evidence_log10 >= found.threshold_log10 == limit(target())


def test_errors_that_come_back_end_it() -> None:
    family, watch, splits = Echoes(target()), None, []
    for day in range(40):
        splits.append(Split(day * DAY, 300, EXPECTED, 0.02 if day < 10 else EXPECTED))
        watch = family.take(watch, splits[-1])
        assert bool(family.verdicts(watch, splits)) or day != 9
    assert not family.verdicts(watch, splits)


def test_nothing_is_said_without_cohorts_or_where_errors_are_not_watched() -> None:
    assert not Echoes(target()).verdicts(None, ())
    alarmed = Watch((), None, 1.0, since=5.0)
    assert not Echoes(target()).verdicts(alarmed, [Split(0.0, 300, EXPECTED, 0.0)])
    brier = Echoes(target("brier"))
    assert not brier.verdicts(alarmed, [Split(9.0, 300, EXPECTED, 0.0)])
    assert brier.take(None, Split(9.0, 300, EXPECTED, 0.0)).spread is None


def echoed(part: Rows) -> Labelled:
    """Labels that are what the model decided."""
    label = np.where(part.outputs["score"] >= 0.5, "1", "0").astype(object)
    return Labelled(part, label, part.fixed["event_time"] + 60.0)


@pytest.mark.parametrize("metric", ["error", "brier"])
def test_labels_that_repeat_the_answers_are_at_fault_not_the_model(metric: str) -> None:
    plan = spec(quality=metric, block_seconds=DAY)
    monitors = Monitors.start(plan, BINARY, PROFILE, STABLE.digest, FIRST * DAY)
    report = MonitorReport(())
    incidents: dict[str, Incident] = {}
    for day in range(FIRST, FIRST + 12):
        part = rows(600, seed=day, start=day * DAY)
        monitors.observe(part)
        monitors.learn(echoed(part) if day > FIRST + 3 else labelled(part, seed=day))
        report = monitors.assess(
            (day + 1) * DAY + 3600.0, tuple(incidents.values()), Surroundings()
        )
        incidents |= {each.id: each for each in (*report.opened, *report.updated)}
        monitors = Monitors.load(monitors.dump())
    signals = {signal for each in incidents.values() for signal in each.signals}
    assert "feedback:echoed" in signals
    assert {each.causes[0].cause for each in incidents.values()} == {Cause.LABEL_FAULT}
