"""What every journal promises."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.control import incident, release

from trimtab import errors
from trimtab.backends.database import open_database
from trimtab.backends.journal import SqlJournal
from trimtab.backends.memory import MemoryJournal
from trimtab.domain import events as e
from trimtab.ports.journal import Journal


@pytest.fixture(params=["memory", "sqlite"])
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Journal]:
    """An empty journal of each kind."""
    if request.param == "memory":
        yield MemoryJournal()
        return
    engine = open_database(tmp_path / "control.db")
    yield SqlJournal(engine)
    engine.dispose()


def new(number: int) -> e.NewEntry:
    """An entry that differs by `number`."""
    return e.NewEntry(
        at=float(number),
        actor="ann",
        event=e.Proven(release(1), float(number)),
        deployment="d",
        evidence={"n": float(number), "signal": "errors", "lower": None},
    )


def effect(key: str) -> e.Effect:
    """A message about an incident."""
    return e.Effect(key, e.Notify(incident()))


def code(call: Callable[[], object]) -> str:
    """The code of the error that a call raises."""
    with pytest.raises(errors.TrimtabError) as caught:
        call()
    return caught.value.code


def test_entries_come_back_in_order_linked_to_each_other(journal: Journal) -> None:
    epoch = journal.lead("one", 0.0)
    first = journal.commit(epoch, [new(1), new(2)], [])
    second = journal.commit(epoch, [new(3)], [])
    assert journal.entries() == (*first, *second)
    assert [entry.seq for entry in journal.entries()] == [1, 2, 3]
    assert second[0].previous == first[1].hash
    assert first[0].previous == ""
    assert journal.verify() == 3


def test_entries_can_be_read_from_a_place_on(journal: Journal) -> None:
    epoch = journal.lead("one", 0.0)
    journal.commit(epoch, [new(n) for n in range(1, 6)], [])
    assert [entry.seq for entry in journal.entries(after=2)] == [3, 4, 5]
    assert [entry.seq for entry in journal.entries(after=1, limit=2)] == [2, 3]


def of(deployment: str, *events: e.AnyEvent) -> list[e.NewEntry]:
    """Entries of a deployment."""
    return [e.NewEntry(at=1.0, actor="ann", event=each, deployment=deployment) for each in events]


def test_newest_entries_are_found_by_deployment_kind_and_place(journal: Journal) -> None:
    epoch = journal.lead("one", 0.0)
    pause, resume = e.RolloutPaused("r"), e.RolloutResumed("r")
    journal.commit(epoch, of("d", pause, resume, pause), [])
    journal.commit(epoch, of("other", pause, resume, pause), [])

    def found(*asked: Any, **named: Any) -> list[int]:
        return [entry.seq for entry in journal.newest(*asked, **named)]

    assert found(None) == [1, 2, 3, 4, 5, 6]
    assert found(2) == [5, 6]
    assert found(2, before=4) == [2, 3]
    assert found(2, "d") == [2, 3]
    assert found(9, "nobody") == []
    assert found(None, kinds=["rollout_paused"]) == [1, 3, 4, 6]
    assert found(1, kinds=["rollout_paused"], before=6) == [4]
    assert found(1, "d", ["rollout_resumed"]) == [2]
    assert found(3, "d", ["rollout_resumed", "rollout_paused", "proven"]) == [1, 2, 3]
    assert found(2, "other", ["rollout_resumed", "rollout_paused"], 6) == [4, 5]


def test_newest_entry_of_each_kind_about_a_subject_is_found(journal: Journal) -> None:
    epoch = journal.lead("one", 0.0)
    first, second = incident("a"), incident("b")
    opened = of("d", e.IncidentOpened(first), e.IncidentOpened(second))
    changed = of("d", e.IncidentUpdated(first), e.IncidentUpdated(first), e.RolloutPaused("a"))
    closed = of("d", e.IncidentClosed("a", 2.0))
    ran = of(
        "d",
        e.RunRequested("r", "m", "human", 1.0, "b"),
        e.RunSucceeded("r", release(2), 1.0),
        e.RunRequested("s", "m", "human", 1.0),
        e.RunFailed("s", "why"),
    )
    journal.commit(epoch, [*opened, *changed, *closed, *ran], [])
    assert [entry.seq for entry in journal.about(["a"])] == [1, 4, 6]
    assert [entry.seq for entry in journal.about({"a", "b", "nobody"})] == [1, 2, 4, 6]
    assert [entry.seq for entry in journal.about(["r", "s"])] == [7, 8, 9, 10]
    assert journal.about([]) == ()


def test_chain_is_verified_from_a_place_on_and_in_pieces(journal: Journal) -> None:
    epoch = journal.lead("one", 0.0)
    journal.commit(epoch, [new(n) for n in range(1, 6)], [])
    assert journal.verify(2) == 5
    assert journal.verify(1, 3) == 4
    assert journal.verify(4, 3) == 5
    assert journal.verify(5, 3) == 5
    assert code(lambda: journal.verify(6)) == errors.JOURNAL_BROKEN


def test_older_leader_can_no_longer_write_anything(journal: Journal) -> None:
    old = journal.lead("one", 0.0)
    journal.commit(old, [new(1)], [effect("a")])
    assert journal.lead("two", 1.0) == old + 1
    assert code(lambda: journal.commit(old, [new(2)], [effect("b")])) == errors.STALE_EPOCH
    assert code(lambda: journal.done(old, "a")) == errors.STALE_EPOCH
    assert code(lambda: journal.save(old, "k", b"")) == errors.STALE_EPOCH
    assert len(journal.entries()) == 1
    assert [waiting.id for waiting in journal.pending()] == ["a"]


def test_effect_is_queued_once_and_done_once(journal: Journal) -> None:
    epoch = journal.lead("one", 0.0)
    journal.commit(epoch, [], [effect("a"), effect("b"), effect("a")])
    journal.commit(epoch, [], [effect("b"), effect("c")])
    assert [waiting.id for waiting in journal.pending()] == ["a", "b", "c"]
    assert journal.pending()[0] == effect("a")
    journal.done(epoch, "a")
    journal.done(epoch, "a")
    journal.done(epoch, "unknown")
    journal.commit(epoch, [], [effect("a")])
    assert [waiting.id for waiting in journal.pending()] == ["b", "c"]


def test_entry_that_cannot_be_recorded_leaves_nothing_of_its_commit(journal: Journal) -> None:
    epoch = journal.lead("one", 0.0)
    bad = e.NewEntry(at=float("nan"), actor="ann", event=e.RolloutPaused("r"))
    with pytest.raises(ValueError, match="float"):
        journal.commit(epoch, [new(1), bad], [effect("a")])
    assert journal.entries() == ()
    assert journal.pending() == ()


def test_snapshot_is_replaced(journal: Journal) -> None:
    epoch = journal.lead("one", 0.0)
    assert journal.load("k") is None
    journal.save(epoch, "k", b"1")
    journal.save(epoch, "k", b"2")
    assert journal.load("k") == b"2"


def test_empty_journal_verifies(journal: Journal) -> None:
    assert journal.verify() == 0


@pytest.mark.parametrize(
    "change",
    [
        "update journal set content = replace(content, '\"ann\"', '\"bob\"') where seq = 2",
        "update journal set previous = hash where seq = 2",
        "delete from journal where seq = 2",
        "update journal set seq = 9 where seq = 3",
        "update journal set deployment = 'other' where seq = 2",
        "update journal set kind = 'rollout_paused' where seq = 2",
        "update journal set subject = 'i1' where seq = 2",
        "update journal set subject = null where seq = 3",
    ],
)
def test_changed_journal_does_not_verify(tmp_path: Path, change: str) -> None:
    engine = open_database(tmp_path / "control.db")
    journal = SqlJournal(engine)
    told = of("d", e.IncidentClosed("i1", 2.0))
    journal.commit(journal.lead("one", 0.0), [new(1), new(2), *told], [])
    engine.dispose()
    with sqlite3.connect(tmp_path / "control.db") as raw:
        raw.execute(change)
    raw.close()
    engine = open_database(tmp_path / "control.db")
    assert code(SqlJournal(engine).verify) == errors.JOURNAL_BROKEN
    engine.dispose()


def test_what_is_no_entry_any_more_is_said_by_whoever_reads_it(tmp_path: Path) -> None:
    engine = open_database(tmp_path / "control.db")
    journal = SqlJournal(engine)
    told = of("d", e.IncidentClosed("i1", 2.0))
    journal.commit(journal.lead("one", 0.0), [new(1), *told, new(3)], [])
    engine.dispose()
    with sqlite3.connect(tmp_path / "control.db") as raw:
        raw.execute("update journal set content = '{\"seq\": 2' where seq = 2")
    raw.close()
    engine = open_database(tmp_path / "control.db")
    journal = SqlJournal(engine)
    reads: list[Callable[[], object]] = [
        journal.entries,
        journal.verify,
        lambda: journal.newest(2),
        lambda: journal.about(["i1"]),
    ]
    assert [code(read) for read in reads] == [errors.JOURNAL_BROKEN] * 4
    assert [entry.seq for entry in journal.newest(1)] == [3]
    engine.dispose()


def test_changed_memory_does_not_verify() -> None:
    journal = MemoryJournal()
    journal.commit(journal.lead("one", 0.0), [new(1), new(2)], [])
    del journal.stored[0]
    assert code(journal.verify) == errors.JOURNAL_BROKEN


def test_everything_is_there_after_reopening(tmp_path: Path) -> None:
    engine = open_database(tmp_path / "control.db")
    journal = SqlJournal(engine)
    epoch = journal.lead("one", 0.0)
    recorded = journal.commit(epoch, [new(1)], [effect("a")])
    journal.save(epoch, "k", b"1")
    engine.dispose()
    engine = open_database(tmp_path / "control.db")
    again = SqlJournal(engine)
    assert (again.entries(), again.load("k")) == (recorded, b"1")
    assert again.pending() == (effect("a"),)
    assert again.lead("two", time.time()) == epoch + 1
    engine.dispose()


def test_full_disk_writes_nothing_and_is_an_error_to_try_again_later(tmp_path: Path) -> None:
    engine = open_database(tmp_path / "control.db")
    journal = SqlJournal(engine)
    epoch = journal.lead("one", 0.0)
    with engine.connect() as db:
        pages = db.exec_driver_sql("PRAGMA page_count").scalar_one()
        db.exec_driver_sql(f"PRAGMA max_page_count={pages}")
    many = [new(n) for n in range(1, 400)]
    assert code(lambda: journal.commit(epoch, many, [effect("a")])) == errors.STORE_FAILED
    assert (journal.entries(), journal.pending()) == ((), ())
    with engine.connect() as db:
        db.exec_driver_sql("PRAGMA max_page_count=100000")
    assert len(journal.commit(epoch, many, [effect("a")])) == 399
    engine.dispose()


def test_read_only_database_is_read_and_not_written(tmp_path: Path) -> None:
    engine = open_database(tmp_path / "control.db")
    journal = SqlJournal(engine)
    epoch = journal.lead("one", 0.0)
    recorded = journal.commit(epoch, [new(1)], [])
    with engine.connect() as db:
        db.exec_driver_sql("PRAGMA query_only=1")
    assert journal.entries() == recorded
    assert code(lambda: journal.commit(epoch, [new(2)], [])) == errors.STORE_FAILED
    engine.dispose()
