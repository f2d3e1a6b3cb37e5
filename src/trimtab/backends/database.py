"""The metadata database: its tables, and an engine that keeps what it acknowledged.

The controller is the only process that opens it, through one connection. Writing transactions
begin with `BEGIN IMMEDIATE`, because the driver would otherwise take the write lock too late;
`synchronous=FULL` makes an acknowledged commit survive a power loss. Write-ahead logging is used
from SQLite 3.51.3 on only: earlier versions can corrupt the file when a log is reset while another
connection checkpoints (fixed in that release), and one writer loses little without it.
"""

import shlex
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import (
    URL,
    Column,
    Connection,
    Engine,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Named,
    String,
    Table,
    Text,
    TypedColumns,
    UniqueConstraint,
    create_engine,
    event,
    inspect,
)
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import QueuePool

from trimtab import errors

SCHEMA = "0002"
"""The newest revision in `migrations`."""
WAL_SAFE = (3, 51, 3)
BUSY_MILLISECONDS = 10_000

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class _Journal(TypedColumns):
    seq: Named[int] = Column(Integer, primary_key=True, autoincrement=False)
    at: Named[float] = Column(Float)
    kind: Named[str] = Column(String(40))
    deployment: Named[str] = Column(String(64))
    content: Named[str] = Column(Text)
    previous: Named[str] = Column(String(64))
    hash: Named[str] = Column(String(64))
    subject: Named[str | None] = Column(String(300), nullable=True)


class _Outbox(TypedColumns):
    position: Named[int] = Column(Integer, primary_key=True)
    id: Named[str] = Column(String(300), unique=True)
    content: Named[str] = Column(Text)
    done: Named[int] = Column(Integer)


class _Leader(TypedColumns):
    epoch: Named[int] = Column(Integer, primary_key=True, autoincrement=False)
    holder: Named[str] = Column(String(200))
    at: Named[float] = Column(Float)


class _Releases(TypedColumns):
    digest: Named[str] = Column(String(80), primary_key=True)
    model: Named[str] = Column(String(64))
    number: Named[int] = Column(Integer)
    created_at: Named[float] = Column(Float)
    manifest: Named[str] = Column(Text)


class _Snapshots(TypedColumns):
    key: Named[str] = Column(String(200), primary_key=True)
    value: Named[bytes] = Column(LargeBinary)


class _Segments(TypedColumns):
    deployment: Named[str] = Column(String(64), primary_key=True)
    kind: Named[str] = Column(String(10), primary_key=True)
    writer: Named[str] = Column(String(64), primary_key=True)
    first_sequence: Named[int] = Column(Integer, primary_key=True, autoincrement=False)
    last_sequence: Named[int] = Column(Integer)
    path: Named[str] = Column(String(400))
    sha256: Named[str] = Column(String(64))
    rows: Named[int] = Column(Integer)
    min_event: Named[float | None] = Column(Float, nullable=True)
    max_event: Named[float | None] = Column(Float, nullable=True)


journal = Table("journal", metadata, _Journal)
Index("ix_journal_deployment", journal.c.deployment, journal.c.seq)
Index("ix_journal_kind", journal.c.kind, journal.c.seq)
Index("ix_journal_deployment_kind", journal.c.deployment, journal.c.kind, journal.c.seq)
Index(
    "ix_journal_subject",
    journal.c.subject,
    journal.c.kind,
    journal.c.seq,
    sqlite_where=journal.c.subject.is_not(None),
)
outbox = Table("outbox", metadata, _Outbox)
Index("ix_outbox_done", outbox.c.done, outbox.c.position)
leader = Table("leader", metadata, _Leader)
releases = Table("releases", metadata, _Releases, UniqueConstraint("model", "number"))
snapshots = Table("snapshots", metadata, _Snapshots)
segments = Table("segments", metadata, _Segments)


_PASSING = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_BUSY)


def open_database(path: Path, trace: Path | None = None) -> Engine:
    """Open the SQLite file at `path`, creating it or bringing it to this version's schema.

    `trace` is a file that only those write who have one: beside it, an empty one was lost. Raises
    `Integrity` TT-501 for that, `Unavailable` TT-106 when a newer trimtab wrote it, and TT-105 when
    it cannot be opened or written."""
    engine = sqlite_engine(path)
    try:
        with engine.begin() as connection:
            _migrate(connection, path, trace)
    except SQLAlchemyError as error:
        engine.dispose()
        raise errors.Unavailable(
            errors.HOME_NOT_WRITABLE,
            "open",
            path.name,
            f"the metadata database cannot be opened: {_first_line(error)}",
            unchanged="nothing was written",
            hint="check the owner of the state folder and the space left on its disk; "
            "a damaged file is restored from a backup",
        ) from error
    except errors.TrimtabError:
        engine.dispose()
        raise
    return engine


def sqlite_engine(path: Path) -> Engine:
    """An engine of one connection to the file, without looking at its schema."""
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        poolclass=QueuePool,
        pool_size=1,
        max_overflow=0,
        connect_args={"check_same_thread": False},
    )
    event.listen(engine, "connect", _configure)
    event.listen(engine, "begin", _begin)
    return engine


def _configure(raw: Any, record: object) -> None:
    raw.isolation_level = None
    mode = "WAL" if sqlite3.sqlite_version_info >= WAL_SAFE else "DELETE"
    cursor = raw.cursor()
    for pragma in (
        f"busy_timeout={BUSY_MILLISECONDS}",
        f"journal_mode={mode}",
        "synchronous=FULL",
        "foreign_keys=ON",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    reading = connection.get_execution_options().get("reading")
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


def _migrate(connection: Connection, path: Path, trace: Path | None) -> None:
    """Bring the schema to `SCHEMA`; alembic, which is large, is loaded only where it is not."""
    current = _current(connection)
    if current is None and trace is not None and trace.exists():
        raise errors.Integrity(
            errors.JOURNAL_BROKEN,
            "open",
            path.name,
            "it is empty, and this state folder has served by one that was not: with an empty one, "
            "what is deployed would not be served any more",
            unchanged="nothing was written",
            hint=f"restore {path.name} from a backup, or begin anew: rm {shlex.quote(str(trace))}",
        )
    if current != SCHEMA:
        from trimtab.backends.migrating import migrate

        migrate(connection, current, path)


def _current(connection: Connection) -> str | None:
    """The schema's revision, where alembic keeps it; None in a file without one."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.exec_driver_sql(
        "SELECT version_num FROM alembic_version"
    ).scalar()
    return found


@contextmanager
def writing(engine: Engine, operation: str) -> Iterator[Connection]:
    """A transaction that is written whole or not at all. Raises `Permanent` TT-503."""
    try:
        with engine.begin() as connection:
            yield connection
    except SQLAlchemyError as error:
        raise _failed(operation, error) from _reason(error)


@contextmanager
def reading(engine: Engine, operation: str) -> Iterator[Connection]:
    """A consistent view, also of a file that cannot be written. Raises `Permanent` TT-503."""
    try:
        with engine.connect().execution_options(reading=True) as connection:
            yield connection
    except SQLAlchemyError as error:
        raise _failed(operation, error) from _reason(error)


def may_pass(problem: BaseException) -> bool:
    """Whether what the database refused may go well once there is room or its disk answers."""
    cause: BaseException | None = problem
    while cause is not None:
        code = getattr(getattr(cause, "orig", cause), "sqlite_errorcode", None)
        if code is not None and code & 0xFF in _PASSING:
            return True
        cause = cause.__cause__
    return False


def _failed(operation: str, error: SQLAlchemyError) -> errors.Permanent:
    return errors.Permanent(
        errors.STORE_FAILED,
        operation,
        "control.db",
        _first_line(error),
        unchanged="nothing was written; what serves is as it was",
        hint="check the space left on the disk of the state folder",
    )


def _first_line(error: SQLAlchemyError) -> str:
    return str(_reason(error)).splitlines()[0]


def _reason(error: SQLAlchemyError) -> BaseException:
    """What SQLite itself said; what is around it quotes the statement with all its values."""
    return getattr(error, "orig", None) or error
