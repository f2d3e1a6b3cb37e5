"""What a system has decided: as its journal tells it, and as its admin API shows it."""

from pathlib import Path
from typing import Any

from trimtab.backends.database import open_database
from trimtab.backends.journal import SqlJournal
from trimtab.domain import layout
from trimtab.domain.state import SystemState, replay


def recorded(home: Path, last: int | None = None) -> SystemState:
    """The state that the journal, which must verify, folds to."""
    engine = open_database(home / layout.DATABASE)
    try:
        journal = SqlJournal(engine)
        entries = journal.entries()
        assert journal.verify() >= len(entries)
    finally:
        engine.dispose()
    return replay(entry for entry in entries if last is None or entry.seq <= last)


def served(view: Any) -> dict[str, Any]:
    """What the admin API says is decided about a deployment."""
    rollout = view["rollout"]
    return {
        "stable": view["stable"] and (view["stable"]["release"], view["stable"]["digest"]),
        "rollout": rollout and (rollout["id"], rollout["state"]),
        "last": view["last_rollout"] and view["last_rollout"]["id"],
        "incidents": sorted(view["incidents"]),
    }


def folded(state: SystemState, name: str) -> dict[str, Any]:
    """The same of the journal's state."""
    found = state.deployments[name]
    rollout = found.rollout
    return {
        "stable": found.stable and (found.stable.name, found.stable.digest),
        "rollout": rollout and (rollout.id, rollout.phase),
        "last": found.last_rollout and found.last_rollout.id,
        "incidents": sorted(incident.id for incident in found.incidents),
    }
