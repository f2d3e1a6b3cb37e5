"""Whatever is asked of a journal is found by an index: none of its questions walks all of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event
from tests.support.control import incident

from trimtab.backends.database import open_database
from trimtab.backends.journal import SqlJournal
from trimtab.domain import events as e

QUESTIONS: dict[str, Callable[[SqlJournal], Any]] = {
    "the newest": lambda journal: journal.newest(5),
    "of a page": lambda journal: journal.newest(5, before=9),
    "of a deployment": lambda journal: journal.newest(5, "d", before=9),
    "of kinds": lambda journal: journal.newest(5, None, ["scaled", "proven"]),
    "of kinds and a deployment": lambda journal: journal.newest(5, "d", ["scaled"], 9),
    "about subjects": lambda journal: journal.about(["i1", "i2"]),
    "what follows an entry": lambda journal: journal.entries(3, 10),
    "what waits": lambda journal: journal.pending(),
    "a piece of the chain": lambda journal: journal.verify(1, 1),
    "a commit": lambda journal: journal.commit(
        1,
        [e.NewEntry(at=1.0, actor="ann", event=e.IncidentOpened(incident("i3")), deployment="d")],
        [e.Effect("key", e.Notify(incident("i3")))],
    ),
    "an effect that is done": lambda journal: journal.done(1, "key"),
}


@pytest.mark.parametrize("asked", QUESTIONS)
def test_no_question_walks_the_whole_journal(tmp_path: Path, asked: str) -> None:
    engine = open_database(tmp_path / "control.db")
    journal = SqlJournal(engine)
    journal.commit(journal.lead("one", 0.0), [_paused(), _paused()], [])
    plans: list[tuple[str, str]] = []

    def explain(
        connection: Connection, cursor: Any, statement: str, parameters: Any, *_: object
    ) -> None:
        if statement.startswith(("SELECT", "UPDATE")):
            cursor.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
            plans.extend((statement, row[-1]) for row in cursor.fetchall())

    event.listen(engine, "before_cursor_execute", explain)
    QUESTIONS[asked](journal)
    engine.dispose()
    assert plans
    assert [plan for plan in plans if not _bounded(*plan)] == []


def _bounded(statement: str, step: str) -> bool:
    """Whether a step of a plan reads no more than what is asked for.

    The newest of all entries are the end of the table itself, read backwards up to a limit."""
    if step.startswith("SCAN"):
        return "LIMIT" in statement and "WHERE" not in statement
    return "TEMP B-TREE" not in step


def _paused() -> e.NewEntry:
    return e.NewEntry(at=1.0, actor="ann", event=e.RolloutPaused("r"), deployment="d")
