"""Questions about the past are answered from its end."""

import pytest
from tests.support.control import incident, release

from trimtab.backends.memory import MemoryJournal
from trimtab.domain import events as e
from trimtab.loop.history import History
from trimtab.views.journal import known_incidents


def told(*events: e.AnyEvent, deployment: str = "d") -> list[e.NewEntry]:
    """Entries of a deployment."""
    return [e.NewEntry(at=1.0, actor="ann", event=each, deployment=deployment) for each in events]


@pytest.fixture
def history() -> History:
    """Three incidents, two runs and two changes of scale, of two deployments."""
    journal = MemoryJournal()
    epoch = journal.lead("one", 0.0)
    journal.commit(
        epoch, told(e.IncidentOpened(incident("i1")), e.IncidentOpened(incident("i2"))), []
    )
    journal.commit(epoch, told(e.IncidentOpened(incident("o1")), deployment="o"), [])
    journal.commit(epoch, told(e.IncidentUpdated(incident("i1")), e.IncidentClosed("i1", 3.0)), [])
    journal.commit(
        epoch, told(e.RunRequested("r1", "m", "human", 1.0), e.RunFailed("r1", "no")), []
    )
    journal.commit(epoch, told(e.RunRequested("r2", "m", "human", 1.0)), [])
    journal.commit(
        epoch, told(e.Scaled(release(1), 2, 1, 1.0), e.Scaled(release(1), 3, 2, 1.0)), []
    )
    return History(journal)


def test_pages_lead_through_all_of_the_past(history: History) -> None:
    found: list[int] = []
    page = history.events(4)
    while page.earlier is not None:
        found = [entry.seq for entry in page.entries] + found
        page = history.events(4, before=page.earlier)
    assert [entry.seq for entry in page.entries] + found == list(range(1, 11))
    assert len(history.events(10).entries) == 10
    assert history.events(10).earlier is None


def test_incidents_come_with_how_they_were_last_recorded(history: History) -> None:
    page = history.incidents(1, "d")
    assert [each.id for each in known_incidents(page.entries)] == ["i2"]
    older = history.incidents(1, "d", page.earlier)
    (first,) = known_incidents(older.entries)
    assert (first.id, first.closed_at, older.earlier) == ("i1", 3.0, None)
    beside = history.incidents(1, beside=["i1"])
    assert [each.id for each in known_incidents(beside.entries)] == ["i1", "o1"]
    assert history.told(["i1", "r1", "nobody"]) == older.entries
    assert history.closed() == {"i1"}


def test_runs_come_with_how_they_ended(history: History) -> None:
    page = history.runs(1)
    assert [type(entry.event) for entry in page.entries] == [e.RunRequested]
    older = history.runs(1, "d", page.earlier)
    assert [type(entry.event) for entry in older.entries] == [e.RunRequested, e.RunFailed]
    assert history.runs(5, "o").entries == ()


def test_the_newest_of_a_kind_or_of_each_deployment_is_found(history: History) -> None:
    assert [entry.seq for entry in history.scalings(1)] == [10]
    assert history.scalings(1, "o") == ()
    assert [entry.seq for entry in history.last(["d", "o", "nobody"])] == [10, 3]
    assert history.shares(5, "d").entries == ()
