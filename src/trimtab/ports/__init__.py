"""Protocols for the outside world; each has an in-memory twin and one contract suite.

Belongs here: the smallest interface that machinery needs of storage, processes, time and the
network, with each method's idempotency and errors in its docstring. May not be here: any
implementation (that is `backends`) or any decision (that is `judge`).
"""

from trimtab.ports.blobs import Blobs
from trimtab.ports.catalog import Catalog
from trimtab.ports.clock import Clock
from trimtab.ports.environments import Environments
from trimtab.ports.journal import Journal
from trimtab.ports.node import Node
from trimtab.ports.notifier import Notifier
from trimtab.ports.requestlog import RequestLog

__all__ = [
    "Blobs",
    "Catalog",
    "Clock",
    "Environments",
    "Journal",
    "Node",
    "Notifier",
    "RequestLog",
]
