"""The metadata database: its schema, and what it refuses."""

import sqlite3
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Connection
from tests.support.control import incident, release

from trimtab import errors
from trimtab.backends import database
from trimtab.backends.database import (
    SCHEMA,
    WAL_SAFE,
    may_pass,
    metadata,
    open_database,
    reading,
    sqlite_engine,
    writing,
)
from trimtab.backends.journal import SqlJournal
from trimtab.domain import events as e


def test_migrations_lead_to_the_declared_tables(tmp_path: Path) -> None:
    engine = open_database(tmp_path / "control.db")
    with engine.connect() as db:
        context = MigrationContext.configure(db)
        assert compare_metadata(context, metadata) == []
        assert context.get_current_revision() == SCHEMA
    engine.dispose()


def test_connection_is_durable_and_avoids_write_ahead_logging_where_it_corrupts(
    tmp_path: Path,
) -> None:
    engine = open_database(tmp_path / "control.db")
    with engine.connect() as db:
        values = [
            db.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("synchronous", "foreign_keys", "busy_timeout", "journal_mode")
        ]
    mode = "wal" if sqlite3.sqlite_version_info >= WAL_SAFE else "delete"
    assert values == [2, 1, 10_000, mode]
    engine.dispose()


def test_write_lock_is_taken_when_a_transaction_begins(tmp_path: Path) -> None:
    engine = open_database(tmp_path / "control.db")
    other = sqlite3.connect(tmp_path / "control.db", timeout=0)
    with writing(engine, "write"), pytest.raises(sqlite3.OperationalError):
        other.execute("BEGIN IMMEDIATE")
    with reading(engine, "read"):
        other.execute("BEGIN IMMEDIATE")
    other.close()
    engine.dispose()


def test_newer_schema_is_refused(tmp_path: Path) -> None:
    engine = open_database(tmp_path / "control.db")
    with engine.begin() as db:
        db.exec_driver_sql("update alembic_version set version_num = '9999'")
    engine.dispose()
    with pytest.raises(errors.Unavailable) as caught:
        open_database(tmp_path / "control.db")
    assert caught.value.code == errors.HOME_TOO_NEW


def test_file_that_is_no_database_is_refused_untouched(tmp_path: Path) -> None:
    path = tmp_path / "control.db"
    path.write_bytes(b"not a database, but long enough to be one " * 100)
    before = path.read_bytes()
    with pytest.raises(errors.Unavailable) as caught:
        open_database(path)
    assert caught.value.code == errors.HOME_NOT_WRITABLE
    assert path.read_bytes() == before


@pytest.mark.parametrize("name", ["what?now", "half%20done", "ein Büro", "a#b[1]&c"])
def test_the_file_lies_where_it_was_asked_for_whatever_letters_its_folder_has(
    name: str, tmp_path: Path
) -> None:
    folder = tmp_path / name
    folder.mkdir()
    open_database(folder / "control.db").dispose()
    assert (folder / "control.db").is_file()
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("emptied", [True, False])
def test_a_database_that_was_lost_is_not_taken_for_a_new_one(emptied: bool, tmp_path: Path) -> None:
    """Nothing would be deployed, and gateways would be told so."""
    path, trace = tmp_path / "control.db", tmp_path / "routing.json"
    open_database(path, trace).dispose()
    trace.touch()
    open_database(path, trace).dispose()
    path.write_bytes(b"") if emptied else path.unlink()
    for _ in range(2):
        with pytest.raises(errors.Integrity) as caught:
            open_database(path, trace)
        assert caught.value.code == errors.JOURNAL_BROKEN
    trace.unlink()
    open_database(path, trace).dispose()


def test_failing_statement_is_one_kind_of_error_and_leaves_nothing(tmp_path: Path) -> None:
    engine = open_database(tmp_path / "control.db")

    def half() -> None:
        with writing(engine, "write") as db:
            db.exec_driver_sql("insert into leader values (1, 'one', 0.0)")
            db.exec_driver_sql("insert into nothing values (1)")

    with pytest.raises(errors.Permanent) as caught:
        half()
    assert caught.value.code == errors.STORE_FAILED
    assert [*caught.value.causes()] == ['near "nothing": syntax error']
    with pytest.raises(errors.Permanent), reading(engine, "read") as db:
        db.exec_driver_sql("select * from nothing")
    with reading(engine, "read") as db:
        assert db.exec_driver_sql("select count(*) from leader").scalar_one() == 0
    engine.dispose()


def test_engine_alone_does_not_touch_the_schema(tmp_path: Path) -> None:
    engine = sqlite_engine(tmp_path / "control.db")
    with engine.connect() as db:
        assert db.exec_driver_sql("select count(*) from sqlite_master").scalar_one() == 0
    engine.dispose()


def taken_back(db: Connection, revision: str) -> None:
    """Bring a file to an older schema."""
    config = Config()
    folder = Path(database.__file__).parent / "migrations"
    config.set_main_option("script_location", str(folder))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = db
    command.downgrade(config, revision)


def test_a_journal_of_an_older_version_is_found_and_verified_like_a_new_one(tmp_path: Path) -> None:
    told: list[e.AnyEvent] = [
        e.IncidentOpened(incident("i1")),
        e.IncidentUpdated(incident("i1")),
        e.IncidentClosed("i1", 2.0),
        e.RunRequested("run1", "m", "quality", 1.0, "i1"),
        e.RunFailed("run1", "why"),
        e.RunRequested("run2", "m", "human", 1.0),
        e.RunSucceeded("run2", release(2), 1.0),
        e.RolloutPaused("r1"),
    ]
    entries = [e.NewEntry(at=1.0, actor="ann", event=each, deployment="d") for each in told]
    engine = open_database(tmp_path / "control.db")
    journal = SqlJournal(engine)
    recorded = journal.commit(journal.lead("one", 0.0), entries, [])
    with engine.begin() as db:
        taken_back(db, "0001")
        columns = [row[1] for row in db.exec_driver_sql("pragma table_info(journal)")]
        assert "subject" not in columns
    engine.dispose()
    engine = open_database(tmp_path / "control.db")
    journal = SqlJournal(engine)
    assert journal.verify() == len(told)
    assert journal.about(["i1"]) == recorded[:3]
    assert journal.about(["run1", "run2"]) == recorded[3:7]
    engine.dispose()


def test_migrations_go_back_to_nothing_and_up_again_on_a_populated_file(tmp_path: Path) -> None:
    engine = open_database(tmp_path / "control.db")
    with engine.begin() as db:
        db.exec_driver_sql("insert into leader values (1, 'one', 0.0)")
        taken_back(db, "base")
        left = db.exec_driver_sql("select name from sqlite_master where type = 'table'")
        assert left.scalars().all() == ["alembic_version"]
    engine.dispose()
    open_database(tmp_path / "control.db").dispose()


def test_a_full_disk_may_pass_and_a_damaged_file_does_not(tmp_path: Path) -> None:
    engine = open_database(tmp_path / "control.db")
    with engine.connect() as db:
        db.exec_driver_sql("PRAGMA max_page_count=1")
    with pytest.raises(errors.Permanent) as full, writing(engine, "lead") as db:
        db.exec_driver_sql("INSERT INTO snapshots VALUES ('a', zeroblob(1000000))")
    assert may_pass(full.value)
    engine.dispose()
    (tmp_path / "torn.db").write_bytes(b"no database" * 1000)
    with pytest.raises(errors.Unavailable) as torn:
        open_database(tmp_path / "torn.db")
    assert not may_pass(torn.value)
    assert not may_pass(OSError())
