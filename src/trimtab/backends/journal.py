"""The journal on the metadata database."""

import itertools
from collections.abc import Iterator, Sequence

import msgspec
from sqlalchemy import Connection, Engine, delete, func, insert, select, update

from trimtab.backends.database import journal, leader, outbox, reading, snapshots, writing
from trimtab.backends.refusals import broken, stale
from trimtab.domain import chain
from trimtab.domain.events import Effect, Entry, NewEntry

_BATCH = 1000


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
        query = select(journal.c.content, journal.c.previous, journal.c.hash)
        query = query.where(journal.c.seq > after).order_by(journal.c.seq).limit(limit)
        with reading(self._engine, "read the journal") as db:
            rows = db.execute(query).all()
        return tuple(chain.read(row.content.encode(), row.previous, row.hash) for row in rows)

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

    def verify(self) -> int:
        """See `ports.Journal`."""
        checked, previous = 0, chain.GENESIS
        query = select(journal).order_by(journal.c.seq)
        with reading(self._engine, "verify the journal") as db:
            for row in db.execute(query.execution_options(yield_per=_BATCH)):
                stored = row.content.encode()
                sound = row.previous == previous and row.hash == chain.link(previous, stored)
                if not sound or row.seq != checked + 1:
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
                kind=str(new.event.__struct_config__.tag),
                deployment=new.deployment,
                content=stored.decode(),
                previous=previous,
                hash=entry.hash,
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
