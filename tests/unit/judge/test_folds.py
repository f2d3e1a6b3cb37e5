"""One cause is one incident: what a broken feed explains is part of its page, in any order."""

from typing import Any

import msgspec
import pytest
from tests.unit.judge.test_incidents import DAY, case, causes, of_column, opened, verdict

from trimtab.domain.verdicts import Cause, Incident, Verdict
from trimtab.judge.incidents import reconcile
from trimtab.judge.reports import MonitorReport

RELATED = {"x": {"y"}, "y": {"x"}, "z": {"y"}}
BREAK = msgspec.structs.replace(verdict("upstream:relations:x"), scope={"column": "x"})
PARTS = ("input:x", "multivariate:x", "multivariate:y", "prediction", "positive_rate")


def told(signal: str, **changed: Any) -> Verdict:
    """A bad verdict, on a column where it names one."""
    bare = of_column(signal) if ":" in signal else verdict(signal)
    return msgspec.structs.replace(bare, **changed)


def judged(*bad: Verdict, known: tuple[Incident, ...] = (), **changed: Any) -> MonitorReport:
    """What becomes of bad verdicts."""
    given = {"related": RELATED, "opened": len(known)} | changed
    return reconcile(case(**given), bad, known)


@pytest.mark.parametrize("signal", [*PARTS, "estimate", "calibration", "segments", "quality"])
def test_what_a_broken_feed_explains_is_no_incident_of_its_own(signal: str) -> None:
    page = opened(judged(told(signal), BREAK))
    assert page.signals == ("upstream:relations:x", signal)
    assert (page.tier, causes(page)) == ("page", [Cause.UPSTREAM_BREAK])
    assert page.severity == BREAK.reason or signal == "quality"


def test_the_words_of_a_page_are_those_of_the_break_however_loud_its_effects_are() -> None:
    loud = told("multivariate:x", evidence_log10=99.0)
    assert opened(judged(loud, BREAK)).severity == BREAK.reason


@pytest.mark.parametrize(
    "signal", ["input:y", "input:z", "multivariate:z", "errors", "feedback:late"]
)
def test_what_no_broken_feed_reaches_is_its_own_incident(signal: str) -> None:
    made = judged(told(signal), BREAK).opened
    assert {each.signals for each in made} == {(signal,), (BREAK.signal,)}


@pytest.mark.parametrize(
    ("since", "opened_at", "folds"),
    [(6.0, 7.0, True), (5.0, 7.0, False), (5.0, 8.0, True), (None, 7.0, False), (None, 9.0, True)],
)
def test_what_began_and_was_told_before_a_break_is_not_explained_by_it(
    since: float | None, opened_at: float, folds: bool
) -> None:
    moved = told("input:x", since=None if since is None else since * DAY)
    before = opened(judged(moved, clock=opened_at * DAY))
    report = judged(moved, BREAK, known=(before,))
    assert (report.folded == {before.id: opened(report).id}) is folds
    assert (report.closed == (before.id,)) is folds


def test_of_two_columns_either_of_which_is_broken_both_are_explained() -> None:
    either = told("upstream:relations:x or z", scope={"column": "x", "or": "z"})
    page = opened(judged(told("input:x"), told("input:z"), either))
    assert page.signals == (either.signal, "input:x", "input:z")


@pytest.mark.parametrize("signal", [*PARTS, "segments"])
def test_a_note_or_ticket_that_came_first_ends_as_a_part_of_the_page(signal: str) -> None:
    before = opened(judged(told(signal)))
    report = judged(told(signal), BREAK, known=(before,))
    page = opened(report)
    assert signal in page.signals
    assert (report.closed, report.folded) == ((before.id,), {before.id: page.id})
    later = judged(told(signal), BREAK, known=(page,))
    assert (later.opened, later.updated, later.closed) == ((), (), ())


def test_what_a_note_says_besides_stays_in_it() -> None:
    before = opened(judged(told("input:x"), told("input:z")))
    report = judged(told("input:x"), told("input:z"), BREAK, known=(before,))
    (rest,) = report.updated
    assert (rest.id, rest.signals, report.closed, report.folded) == (
        before.id,
        ("input:z",),
        (),
        {},
    )


def test_a_note_that_recovers_while_a_feed_breaks_is_over_and_no_part_of_it() -> None:
    before = opened(judged(told("input:z")))
    report = judged(told("input:x"), BREAK, known=(before,))
    assert (report.closed, report.folded) == ((before.id,), {})


def test_a_page_on_quality_that_went_out_before_stays_its_own_incident() -> None:
    before = opened(judged(told("quality")))
    report = judged(told("quality"), told("segments"), BREAK, known=(before,))
    assert opened(report).signals == (BREAK.signal,)
    assert [each.signals for each in report.updated] == [("quality", "segments")]


def test_what_is_left_of_a_break_keeps_its_page_open_for_some_blocks_and_is_then_told_alone() -> (
    None
):
    page = opened(judged(told("input:x"), told("segments"), BREAK))
    left, mended = (told("input:x"), told("segments")), 9.0 * DAY
    held = judged(*left, known=(page,), mended=mended, clock=mended + 20.0 * DAY)
    assert (held.opened, held.updated, held.closed) == ((), (), ())
    over = judged(*left, known=(page,), mended=mended, clock=mended + 21.0 * DAY)
    assert {each.signals for each in over.opened} == {("input:x",), ("segments",)}
    assert (over.closed, over.folded) == ((page.id,), {})


def test_what_alarms_anew_after_a_break_is_not_left_of_it() -> None:
    page = opened(judged(told("input:x"), BREAK))
    anew = told("input:x", since=9.5 * DAY)
    report = judged(anew, known=(page,), mended=9.0 * DAY)
    assert opened(report).signals == ("input:x",)
    assert report.closed == (page.id,)


def test_skew_elsewhere_is_not_why_a_feed_broke_that_moved_the_answers() -> None:
    differing = told("parity:z", n=100)
    made = {each.signals[0]: each for each in judged(told("prediction"), differing, BREAK).opened}
    assert causes(made[BREAK.signal])[0] is Cause.UPSTREAM_BREAK


CALLER = verdict("callers:7")


@pytest.mark.parametrize("signal", [*PARTS, "input:z", "estimate"])
def test_what_moved_because_of_a_caller_is_part_of_its_incident(signal: str) -> None:
    before = opened(judged(told(signal)))
    report = judged(told(signal), CALLER, known=(before,))
    found = opened(report)
    assert (found.signals, causes(found)) == (("callers:7", signal), [Cause.HOSTILE_CLIENT])
    assert report.folded == {before.id: found.id}


@pytest.mark.parametrize("signal", ["quality", "segments", "calibration", "errors"])
def test_how_answers_come_true_is_not_put_down_to_a_caller(signal: str) -> None:
    assert len(judged(told(signal), CALLER).opened) == 2


@pytest.mark.parametrize(("since", "parts"), [(1.0, 1), (10.0, 1), (11.0, 2)])
def test_what_begins_after_a_caller_was_left_out_has_another_cause(
    since: float, parts: int
) -> None:
    made = judged(told("input:x", since=since * DAY), CALLER, clock=30.0 * DAY).opened
    assert len(made) == parts


@pytest.mark.parametrize(("clock", "alone"), [(40.0, 0), (41.0, 1)])
def test_what_is_left_of_a_caller_that_is_heard_again_may_need_some_blocks(
    clock: float, alone: int
) -> None:
    found = opened(judged(told("input:x"), CALLER))
    report = judged(told("input:x"), known=(found,), clock=clock * DAY, accused=20.0 * DAY)
    assert len(report.opened) == alone
    assert report.closed == ((found.id,) if alone else ())


def test_a_broken_feed_comes_before_a_caller() -> None:
    made = judged(told("input:x"), told("input:z"), CALLER, BREAK).opened
    assert {each.signals for each in made} == {
        ("callers:7", "input:z"),
        (BREAK.signal, "input:x"),
    }
