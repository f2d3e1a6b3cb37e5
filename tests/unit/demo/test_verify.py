"""An alarm is true when the client's own books say so."""

import tomllib
from datetime import datetime, timedelta
from importlib.resources import files
from typing import Any

import pytest
from tests.unit.demo.flights import START, flight, table
from tests.unit.demo.test_outcomes import incident

from trimtab.demo.connection import Reply
from trimtab.demo.faults import Feed
from trimtab.demo.ledger import Ledger
from trimtab.demo.options import DEPLOYMENT, PROMISED_SECONDS, PROMISED_SHARE
from trimtab.demo.verify import Truth
from trimtab.demo.world import World
from trimtab.domain.verdicts import Cause
from trimtab.examples.flights.faults import Span
from trimtab.views.shapes import IncidentView, VerdictView

HOURS = 800


def since(hours: float) -> datetime:
    """A moment after the start."""
    return START + timedelta(hours=hours)


@pytest.fixture(scope="module")
def truth() -> Truth:
    """Two releases answer in turn, the second one worse; on day ten one airport has no weather, and
    in one hour of the last days the machine is slow."""
    rows = [
        flight(h, late=int(h % 4 == 0), temp=None if 240 <= h < 264 else 50.0) for h in range(HOURS)
    ]
    world = World(table(*rows))
    ledger = Ledger(world)
    for request in world.bodies():
        release, score = (("m@1", b"0.2"), ("m@3", b"0.9"))[request.number % 2]
        body = b'{"outputs":[{"name":"score","data":[%b]}]}' % score
        slow = since(700).timestamp() <= request.time < since(701).timestamp()
        ledger.answered(request, Reply(200, release, body), 0.3 if slow else 0.01)
    return Truth(world, ledger, "m@2", Feed("metric_units", Span(since(500), since(520))))


def quality(limit: float) -> VerdictView:
    """A verdict that the loss is beyond `limit`."""
    told: dict[str, Any] = {"evidence_log10": 4.0, "threshold_log10": 3.0, "n": 100}
    told |= {"estimate": None, "lower": None, "upper": None, "since": None, "scope": {}}
    return VerdictView(
        signal="quality",
        tier="page",
        verdict="bad",
        reason="",
        release="m@1",
        reference=limit - 0.02,
        tolerance=0.02,
        **told,
    )


def alarm(cause: Cause, start: float, end: float, **facts: Any) -> IncidentView:
    """A page whose evidence lies between the two hours."""
    return incident(cause, since(end), first_evidence_at=since(start), **facts)


@pytest.mark.parametrize(
    ("found", "objection"),
    [
        (alarm(Cause.CONCEPT_DRIFT, 0, 200, verdicts=(quality(0.3),)), None),
        (alarm(Cause.CONCEPT_DRIFT, 0, 200, verdicts=(quality(0.6),)), "within 0.600"),
        (alarm(Cause.DATA_DRIFT, 900, 950, verdicts=(quality(0.3),)), "no label was known"),
        (alarm(Cause.UPSTREAM_BREAK, 505, 510), None),
        (alarm(Cause.UPSTREAM_BREAK, 245, 250), None),
        (alarm(Cause.UPSTREAM_BREAK, 100, 110), "the feed was whole"),
        (alarm(Cause.BAD_RELEASE, 0, 10, release="m@2"), None),
        (alarm(Cause.BAD_RELEASE, 0, 600, release="m@3"), None),
        (alarm(Cause.BAD_RELEASE, 0, 600, release="m@1"), "m@1 answered no worse"),
        (alarm(Cause.INFRASTRUCTURE, 0, 10), "0.0% at the most were slow"),
        (alarm(Cause.INFRASTRUCTURE, 690, 705), None),
        (alarm(Cause.INFRASTRUCTURE, 900, 910), "0.0% at the most were slow"),
        (alarm(Cause.LABEL_FAULT, 0, 10), "nothing of the kind label_fault"),
        (alarm(Cause.UNKNOWN, 0, 10, causes=()), "nothing of the kind unknown"),
    ],
)
def test_an_alarm_is_false_when_what_it_said_was_not_so(
    truth: Truth, found: IncidentView, objection: str | None
) -> None:
    """By the injected faults, the values that were sent, the scores and the labels."""
    told = truth.objection(found)
    assert (told is None) == (objection is None)
    assert objection is None or objection in (told or "")


def test_only_pages_count_as_alarms(truth: Truth) -> None:
    """A ticket or a note wakes nobody."""
    found = (
        alarm(Cause.UPSTREAM_BREAK, 100, 110, tier="ticket"),
        alarm(Cause.UPSTREAM_BREAK, 100, 120),
    )
    assert len(truth.false_alarms(found)) == 1


def test_what_the_books_hold_the_answers_to_is_what_the_example_promises() -> None:
    text = files("trimtab.examples.flights").joinpath("project/trimtab.toml").read_text("utf-8")
    promised = tomllib.loads(text)["deployment"][DEPLOYMENT]["slo"]
    assert promised["latency_p99"] == f"{PROMISED_SECONDS * 1000:g}ms"
    assert PROMISED_SHARE == 0.99
