"""Names of files inside the state folder, so that every process agrees on them (docs/wire.md)."""

LAYOUT_VERSION = 1

VERSION = "VERSION"
LOCK = "lock"
DATABASE = "control.db"
BLOBS = "blobs"
ENVIRONMENTS = "envs"
SHIM = "shim"
RELEASES = "releases"
AGENT_FACTS = "run/agent.json"
AGENT_SOCKET = "run/agent.sock"
AGENT_COUNT = "run/agent.count"
CONTROLLER_COUNT = "run/controller.count"
GATEWAY_EXPORT = "run/export.json"
"""What gateways send to collectors; only its owner may read it, since headers may hold a secret."""
ROUTING = "run/routing.json"
WANTED = "run/wanted.json"
EVIDENCE = "run/evidence.json"
WORKER_SOCKETS = "run/w"
WAKE = "run/wake"
SPOOL = "spool"
UNREADABLE = ".unreadable"
"""Ending of a spool that no segment can be made of."""
LOG = "log"
RUNS = "runs"
PROCESS_LOGS = "logs"


def worker_socket(slot_id: str) -> str:
    """Path of a worker's socket, relative to the state folder."""
    return f"{WORKER_SOCKETS}/{slot_id}.sock"


def wake(deployment: str) -> str:
    """Path of the file by which a gateway asks for the workers of a sleeping deployment."""
    return f"{WAKE}/{deployment}"


def gateway_facts(index: int) -> str:
    """Path of the file in which gateway `index` says which snapshot it routes by."""
    return f"run/gateway-{index}.json"


GATEWAY_COUNTS = "gateway-*.count"
"""The counts of all gateways, in the folder of `gateway_count`."""


def gateway_count(index: int) -> str:
    """Path of the file in which gateway `index` leaves what it counted."""
    return f"run/gateway-{index}.count"


def segments(deployment: str, kind: str) -> str:
    """Folder of a deployment's finished segments of `kind` (`rows`, `labels` or `parity`)."""
    return f"{LOG}/{deployment}/{kind}"


def checkout(digest: str) -> str:
    """Folder of a release's checkout on this machine."""
    return f"{RELEASES}/{digest.removeprefix('sha256:')[:12]}"
