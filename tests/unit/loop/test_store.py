"""A start goes on from the state that was kept, and a journal is replayed where none can be."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.support.control import ManifestBlobs, incident, manifest, manifest_digest, release, spec

from trimtab import errors
from trimtab.backends.memory import MemoryCatalog, MemoryJournal, VirtualClock
from trimtab.domain import events as e
from trimtab.domain.state import SystemState, replay
from trimtab.judge.draft import Author
from trimtab.loop import store as module
from trimtab.loop.audit import PAUSE, PIECE, Audit
from trimtab.loop.store import KEPT, Store

EVERY = 5


@pytest.fixture(autouse=True)
def keeps_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the state after every few entries."""
    monkeypatch.setattr(module, "KEEP_EVERY", EVERY)


def story(number: int) -> list[e.NewEntry]:
    """A year in miniature: something of each kind, again and again."""
    told: list[e.AnyEvent] = [e.SpecApplied(spec())]
    for turn in range(1, number):
        events: list[e.AnyEvent] = [
            e.RolloutStarted(f"r{turn}", release(turn % 7 + 1), "canary", float(turn)),
            e.RolloutAdvanced(f"r{turn}", "bake", 0, 10_000, float(turn)),
            e.Scaled(release(turn % 7 + 1), turn % 3 + 1, 1, float(turn)),
            e.IncidentOpened(incident(f"i{turn}")),
            e.RolloutEnded(f"r{turn}", release(turn % 7 + 1), "promoted", float(turn)),
            e.Proven(release(turn % 7 + 1), float(turn)),
            e.IncidentClosed(f"i{turn - 2}", float(turn)),
        ]
        told.append(events[turn % len(events)])
    return [e.NewEntry(at=1.0, actor="ann", event=event, deployment="d") for event in told]


def started(journal: MemoryJournal, catalog: MemoryCatalog | None = None) -> Store:
    """A store that leads."""
    store = Store(journal, catalog or MemoryCatalog(), ManifestBlobs(), VirtualClock())
    store.lead("test")
    return store


def filled(number: int, journal: MemoryJournal | None = None) -> MemoryJournal:
    """A journal of so many entries, committed one by one."""
    store = started(journal or MemoryJournal())
    for entry in story(number):
        store.commit([entry])
    return store.journal  # type: ignore[return-value]


@pytest.mark.parametrize("number", range(0, 40, 3))
def test_a_start_leads_to_the_state_of_a_replay(number: int) -> None:
    journal = filled(number)
    store = started(journal)
    assert store.state == replay(journal.entries())
    assert store.replayed_from == number - number % EVERY
    reader = Store(journal, MemoryCatalog(), ManifestBlobs(), VirtualClock())
    assert reader.read() == store.state


class Killed(BaseException):
    """The process ends here."""


class Mortal(MemoryJournal):
    """A journal whose process is killed before or after the n-th thing that it writes."""

    def __init__(self, moment: int) -> None:
        super().__init__()
        self.left = moment

    def _pass(self) -> None:
        self.left -= 1
        if not self.left:
            raise Killed

    def commit(
        self, epoch: int, entries: Sequence[e.NewEntry], effects: Sequence[e.Effect]
    ) -> tuple[e.Entry, ...]:
        """See `MemoryJournal`."""
        self._pass()
        recorded = super().commit(epoch, entries, effects)
        self._pass()
        return recorded

    def save(self, epoch: int, key: str, value: bytes) -> None:
        """See `MemoryJournal`."""
        self._pass()
        super().save(epoch, key, value)
        self._pass()


@pytest.mark.parametrize("moment", range(1, 40))
def test_a_process_that_is_killed_between_any_two_writes_loses_nothing(moment: int) -> None:
    journal = Mortal(moment)
    with pytest.raises(Killed):
        filled(30, journal)
    store = started(journal)
    assert store.state == replay(journal.entries())
    done = store.state.seq
    assert done >= (moment - 1) // 3
    for entry in story(30)[done:]:
        store.commit([entry])
    assert replay(journal.entries()) == replay(filled(30).entries()) == started(journal).state


def kept(journal: MemoryJournal, **changes: Any) -> None:
    """Change what is kept."""
    found = msgspec.json.decode(journal.load(KEPT) or b"", type=module.Kept)
    changed = msgspec.structs.replace(found, **changes)
    journal.save(journal.lead("other", 0.0), KEPT, msgspec.json.encode(changed))


@pytest.mark.parametrize(
    "changes",
    [
        {"hash": "of another journal"},
        {"fold": "of another trimtab"},
        {"state": SystemState({}, 99)},
    ],
)
def test_what_is_kept_of_something_else_is_not_believed(changes: dict[str, Any]) -> None:
    journal = filled(12)
    kept(journal, **changes)
    store = started(journal)
    assert (store.state, store.replayed_from) == (replay(journal.entries()), 0)


@pytest.mark.parametrize("damage", [b"half a st", b'{"fold":"\xff"}'])
def test_what_is_kept_and_cannot_be_read_is_not_believed(damage: bytes) -> None:
    journal = filled(12)
    journal.save(journal.lead("other", 0.0), KEPT, damage)
    store = started(journal)
    assert (store.state, store.replayed_from) == (replay(journal.entries()), 0)


def test_an_older_leader_keeps_nothing(caplog: pytest.LogCaptureFixture) -> None:
    journal = MemoryJournal()
    store = started(journal)
    journal.commit(journal.lead("newer", 0.0), story(3), [])
    with pytest.raises(errors.Conflict):
        store.commit(story(EVERY))
    assert journal.load(KEPT) is None


def test_a_state_that_cannot_be_kept_is_recorded_all_the_same_and_kept_later(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Full(MemoryJournal):
        full = True

        def save(self, epoch: int, key: str, value: bytes) -> None:
            if self.full:
                raise errors.Permanent(errors.STORE_FAILED, "save", "control.db", "no space")
            super().save(epoch, key, value)

    journal = Full()
    store = started(journal)
    store.commit(story(EVERY))
    assert store.state.seq == EVERY
    assert "the state is not kept" in caplog.text
    journal.full = False
    store.commit(story(1))
    assert started(journal).replayed_from == EVERY + 1


def damaged(seq: int) -> MemoryJournal:
    """A journal of 12 entries, of which one was changed; the state of 10 is kept."""
    journal = filled(12)
    content, previous, hashed = journal.stored[seq - 1]
    journal.stored[seq - 1] = content.replace(b'"ann"', b'"bob"'), previous, hashed
    return journal


@pytest.mark.parametrize("seq", [10, 11, 12])
def test_damage_in_what_is_replayed_refuses_the_start(seq: int) -> None:
    with pytest.raises(errors.Integrity, match=f"entry {seq} "):
        started(damaged(seq))


@pytest.mark.parametrize("seq", [1, 9])
def test_damage_in_what_was_folded_long_ago_is_found_while_the_loop_runs(seq: int) -> None:
    journal = damaged(seq)
    store = started(journal)
    assert store.state == replay(filled(12).entries())
    audit = Audit(journal, store.replayed_from)
    assert seconds(audit) == PAUSE
    assert f"entry {seq} " in audit.broken


def seconds(audit: Audit) -> float:
    """How long an audit takes."""

    async def work() -> float:
        clock = VirtualClock(0.0)
        running = asyncio.ensure_future(audit.run(clock))
        await clock.advance(0.0)
        while not running.done():
            await clock.advance(PAUSE)
        return clock.now()

    return asyncio.run(work())


def test_a_sound_history_is_verified_piece_by_piece() -> None:
    journal = MemoryJournal()
    journal.commit(journal.lead("one", 0.0), story(2 * PIECE), [])
    audit = Audit(journal, PIECE + 1)
    assert (seconds(audit), audit.broken) == (2.0 * PAUSE, "")
    assert seconds(Audit(journal, 0)) == 0.0


def test_a_piece_that_cannot_be_read_now_is_verified_later() -> None:
    class Busy(MemoryJournal):
        left = 0

        def verify(self, after: int = 0, limit: int | None = None) -> int:
            self.left -= 1
            if self.left >= 0:
                raise errors.Permanent(errors.STORE_FAILED, "verify", "control.db", "busy")
            return super().verify(after, limit)

    journal = Busy()
    audit = Audit(filled(12, journal), 10)
    journal.left = 2
    assert (seconds(audit), audit.broken) == (3.0 * PAUSE, "")


def test_a_release_that_the_journal_knows_is_not_recorded_again_by_a_later_start(
    tmp_path: Path,
) -> None:
    journal, catalog = filled(12), MemoryCatalog()
    started(journal, catalog).register(manifest_digest(1), Author("ann"))
    before = len(journal.entries())
    assert started(journal, catalog).releases.keys() == {manifest_digest(1)}
    catalog.register(manifest_digest(2), manifest(2), 1.0)
    started(journal, catalog)
    assert len(journal.entries()) == before + 1
