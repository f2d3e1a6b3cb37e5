"""Backends that several processes put together in the same way."""

from pathlib import Path

from trimtab.backends.blobs import ObjectBlobs
from trimtab.backends.catalog import SqlCatalog
from trimtab.backends.clock import SystemClock
from trimtab.backends.database import open_database
from trimtab.backends.journal import SqlJournal
from trimtab.backends.requestlog import FolderRequestLog
from trimtab.domain import layout
from trimtab.domain.deployment import ProjectConfig
from trimtab.loop.store import Store

TIDYING = 0.5
"""Share of a processor that publishing and rolling the log may take: beside requests neither runs
on for long."""


def request_log(home: Path, config: ProjectConfig) -> FolderRequestLog:
    """The request log of an installation, with the business keys that its labels may use."""
    keys = {spec.name: spec.monitor.key for spec in config.deployments}
    return FolderRequestLog(home, keys.get, share=TIDYING)


def open_store(home: Path) -> Store:
    """The journal and catalog of a state folder, without a controller."""
    engine = open_database(home / layout.DATABASE, home / layout.ROUTING)
    blobs = ObjectBlobs.local(home / layout.BLOBS)
    return Store(SqlJournal(engine), SqlCatalog(engine), blobs, SystemClock())
