"""The journal on the metadata database."""

import itertools
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, Row, Select, delete, func, insert, select, update

from trimtab.backends.database import journal, leader, outbox, reading, snapshots, writing
from trimtab.backends.refusals import broken, stale
from trimtab.domain import chain
from trimtab.domain.events import Effect, Entry, NewEntry, kind_of, subject_of

_BATCH = 1000
_STORED = (journal.c.seq, journal.c.content, journal.c.previous, journal.c.hash)


class SqlJournal:
    """`ports.Journal` over SQL: one transaction per commit, fenced by the newest epoch."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def lead(self, holder: str, now: float) -> int:
        """See `ports.Journal`."""
        with writing(self._engine, "lead") as db:
            epoch = _newest_epoch(db) + 1
            db.execute(insert(leader).values(epoch=epoch, holder=holder, at=now))
        return epoch

    def commit(
        self, epoch: int, entries: Sequence[NewEntry], effects: Sequence[Effect]
    ) -> tuple[Entry, ...]:
        """See `ports.Journal`."""
        with writing(self._engine, "record") as db:
            _fence(db, epoch)
            recorded = tuple(_append(db, epoch, entries))
            _queue(db, effects)
        return recorded

    def entries(self, after: int = 0, limit: int | None = None) -> tuple[Entry, ...]:
        """See `ports.Journal`."""
        query = select(*_STORED).where(journal.c.seq > after).order_by(journal.c.seq).limit(limit)
        with reading(self._engine, "read the journal") as db:
            return _entries(db.execute(query).all())

    def newest(
        self,
        limit: int | None,
        deployment: str | None = None,
        kinds: Sequence[str] = (),
        before: int | None = None,
    ) -> tuple[Entry, ...]:
        """See `ports.Journal`. Each kind is asked for by itself: an index then gives the order."""
        asked = [_newest(limit, deployment, kind, before) for kind in kinds or (None,)]
        with reading(self._engine, "read the journal") as db:
            rows = [row for query in asked for row in db.execute(query)]
        rows.sort(key=lambda row: -row.seq)
        return _entries(rows[:limit][::-1])

    def about(self, subjects: Collection[str]) -> tuple[Entry, ...]:
        """See `ports.Journal`."""
        newest = select(func.max(journal.c.seq)).where(journal.c.subject.in_(subjects))
        newest = newest.group_by(journal.c.subject, journal.c.kind)
        query = select(*_STORED).where(journal.c.seq.in_(newest)).order_by(journal.c.seq)
        with reading(self._engine, "read the journal") as db:
            return _entries(db.execute(query).all())

    def pending(self) -> tuple[Effect, ...]:
        """See `ports.Journal`."""
        query = select(outbox.c.content).where(outbox.c.done == 0).order_by(outbox.c.position)
        with reading(self._engine, "read the outbox") as db:
            rows = db.execute(query).scalars().all()
        return tuple(msgspec.json.decode(row, type=Effect) for row in rows)

    def done(self, epoch: int, effect_id: str) -> None:
        """See `ports.Journal`."""
        with writing(self._engine, "close an effect") as db:
            _fence(db, epoch)
            db.execute(update(outbox).where(outbox.c.id == effect_id).values(done=1))

    def verify(self, after: int = 0, limit: int | None = None) -> int:
        """See `ports.Journal`. The columns by which entries are found must say what they say."""
        checked = after
        query = select(journal).where(journal.c.seq > after).order_by(journal.c.seq).limit(limit)
        with reading(self._engine, "verify the journal") as db:
            previous = _hash(db, after)
            for row in db.execute(query.execution_options(yield_per=_BATCH)):
                if (row.seq, row.previous) != (checked + 1, previous) or not _sound(row):
                    raise broken(row.seq)
                checked, previous = row.seq, row.hash
        return checked

    def save(self, epoch: int, key: str, value: bytes) -> None:
        """See `ports.Journal`."""
        with writing(self._engine, "save a snapshot") as db:
            _fence(db, epoch)
            db.execute(delete(snapshots).where(snapshots.c.key == key))
            db.execute(insert(snapshots).values(key=key, value=value))

    def load(self, key: str) -> bytes | None:
        """See `ports.Journal`."""
        query = select(snapshots.c.value).where(snapshots.c.key == key)
        with reading(self._engine, "load a snapshot") as db:
            return db.execute(query).scalar_one_or_none()


def _newest_epoch(db: Connection) -> int:
    return db.execute(select(func.coalesce(func.max(leader.c.epoch), 0))).scalar_one()


def _fence(db: Connection, epoch: int) -> None:
    newest = _newest_epoch(db)
    if epoch != newest:
        raise stale("record", "control.db", epoch, newest)


def _newest(
    limit: int | None, deployment: str | None, kind: str | None, before: int | None
) -> Select[int, str, str, str]:
    query = select(*_STORED).order_by(journal.c.seq.desc()).limit(limit)
    if deployment is not None:
        query = query.where(journal.c.deployment == deployment)
    if kind is not None:
        query = query.where(journal.c.kind == kind)
    return query if before is None else query.where(journal.c.seq < before)


def _entries(rows: Sequence[Row[int, str, str, str]]) -> tuple[Entry, ...]:
    return tuple(map(_entry, rows))


def _entry(row: Row[int, str, str, str]) -> Entry:
    """The entry of a row. Raises `Integrity` TT-501 when it is none."""
    try:
        return chain.read(row.content.encode(), row.previous, row.hash)
    except msgspec.DecodeError as cause:
        raise broken(row.seq) from cause


def _hash(db: Connection, seq: int) -> str:
    """The hash that an entry is stored with. Raises `Integrity` TT-501 when it is not there."""
    if not seq:
        return chain.GENESIS
    found = db.execute(select(journal.c.hash).where(journal.c.seq == seq)).scalar_one_or_none()
    if found is None:
        raise broken(seq)
    return found


def _sound(row: Row[*tuple[Any, ...]]) -> bool:
    """Whether an entry is what was recorded, and will be found as that."""
    stored = row.content.encode()
    if row.hash != chain.link(row.previous, stored):
        return False
    entry = chain.read(stored, row.previous, row.hash)
    said = entry.deployment, kind_of(entry.event), subject_of(entry.event)
    return said == (row.deployment, row.kind, row.subject)


def _append(db: Connection, epoch: int, entries: Sequence[NewEntry]) -> Iterator[Entry]:
    query = select(journal.c.seq, journal.c.hash).order_by(journal.c.seq.desc()).limit(1)
    last = db.execute(query).first()
    seq, previous = (last.seq, last.hash) if last else (0, chain.GENESIS)
    for number, new in zip(itertools.count(seq + 1), entries, strict=False):
        entry, stored = chain.seal(new, number, epoch, previous)
        db.execute(
            insert(journal).values(
                seq=number,
                at=new.at,
                kind=kind_of(new.event),
                deployment=new.deployment,
                content=stored.decode(),
                previous=previous,
                hash=entry.hash,
                subject=subject_of(new.event),
            )
        )
        previous = entry.hash
        yield entry


def _queue(db: Connection, effects: Sequence[Effect]) -> None:
    ids = [effect.id for effect in effects]
    queued = set(db.execute(select(outbox.c.id).where(outbox.c.id.in_(ids))).scalars())
    for effect in {effect.id: effect for effect in effects}.values():
        if effect.id not in queued:
            content = msgspec.json.encode(effect).decode()
            db.execute(insert(outbox).values(id=effect.id, content=content, done=0))
