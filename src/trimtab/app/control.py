"""The controller process."""

from dataclasses import dataclass
from pathlib import Path

from trimtab import errors
from trimtab.app.projects import Project, project_at
from trimtab.app.stores import request_log
from trimtab.backends.blobs import ObjectBlobs
from trimtab.backends.breath import Breath
from trimtab.backends.catalog import SqlCatalog
from trimtab.backends.clock import SystemClock
from trimtab.backends.database import may_pass, open_database
from trimtab.backends.host import LinuxHost
from trimtab.backends.journal import SqlJournal
from trimtab.backends.node_client import NodeClient
from trimtab.backends.notifier import FileNotifier
from trimtab.backends.pace import BRIEF, Pace
from trimtab.backends.requestlog import FolderRequestLog
from trimtab.domain import layout
from trimtab.judge.guard import Guard
from trimtab.judge.monitors import Monitors
from trimtab.loop.controller import Controller, Parts
from trimtab.loop.judges import Judges
from trimtab.loop.observer import Observer, Sources
from trimtab.loop.runs import Place
from trimtab.loop.service import Control

SHARE = 0.5
"""Of a processor, while the controller's loop is at work."""
MOST_REST = 0.05
"""Seconds by which rests may prolong a turn of the loop: what is left is done at full speed."""


@dataclass(frozen=True, slots=True)
class ControlRoom:
    """Everything that the controller process holds."""

    project: Project
    controller: Controller
    control: Control
    observer: Observer
    log: FolderRequestLog
    node: NodeClient
    clock: SystemClock
    breath: Breath


def cannot_start_yet(problem: errors.TrimtabError) -> bool:
    """Whether a control room that could not be made, or not lead, may be after a while."""
    return may_pass(problem)


def control_room(home: Path, project: Path) -> ControlRoom:
    """Put the controller together. Raises `Permanent` TT-503 and `Integrity` TT-501."""
    found = project_at(project, home)
    clock = SystemClock()
    engine = open_database(home / layout.DATABASE, home / layout.ROUTING)
    journal, catalog = SqlJournal(engine), SqlCatalog(engine)
    blobs = ObjectBlobs.local(home / layout.BLOBS)
    log = request_log(home, found.config)
    observer = Observer(
        Sources(log, catalog, blobs, clock),
        Judges(Monitors.start, Monitors.load, Guard.start, Guard.load),
    )
    node = NodeClient(home)
    notifier = FileNotifier(home / layout.PROCESS_LOGS / "notifications.jsonl", clock)
    parts = Parts(journal, catalog, blobs, node, notifier, clock, observer, LinuxHost())
    controller = Controller(parts, Place(home, found.folder))
    breath = Breath(Pace(SHARE, BRIEF, MOST_REST))
    return ControlRoom(
        found, controller, Control(controller, log), observer, log, node, clock, breath
    )
