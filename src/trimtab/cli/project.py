"""Where the project and its running server are, found without starting anything heavy."""

import fcntl
import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from trimtab import errors
from trimtab.domain import layout

CONFIG = "trimtab.toml"
DEFAULT_HOME = ".trimtab"


class AgentFacts(msgspec.Struct, frozen=True):
    """What a running server says about itself."""

    inference: str
    admin: str
    pid: int = 0
    grpc: str | None = None
    limits: str = ""


def state_folder(start: Path, environment: Mapping[str, str]) -> Path:
    """The state folder that belongs to `start`; an empty variable names none. Raises `Usage` TT-103
    outside any project."""
    if named := environment.get("TRIMTAB_HOME"):
        return Path(named)
    for folder in (start, *start.parents):
        if (folder / CONFIG).is_file():
            return folder / DEFAULT_HOME
    raise errors.Usage(
        errors.NO_PROJECT,
        "find project",
        str(start),
        f"there is no {CONFIG} here or in a folder above",
        hint="trimtab init my-project",
    )


def agent_facts(home: Path | None = None) -> AgentFacts:
    """Where the server of the state folder `home` listens, if that is not the one that belongs to
    this folder. Raises `Unavailable` TT-109 when none runs there."""
    folder = home or state_folder(Path.cwd(), os.environ)
    try:
        facts = msgspec.json.decode((folder / layout.AGENT_FACTS).read_bytes(), type=AgentFacts)
    except (OSError, ValueError) as cause:
        raise not_running(folder.name) from cause
    if _left_behind(folder):
        raise not_running(folder.name)
    return facts


def _left_behind(home: Path) -> bool:
    """Whether the server of a state folder was killed: nobody holds the folder, and where it
    listened there may be that of another project by now, which is given no orders from here."""
    try:
        with (home / layout.LOCK).open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:  # It is held, or cannot be asked.
        return False
    return True


def not_running(subject: str) -> errors.Unavailable:
    """No server answers."""
    return errors.Unavailable(
        errors.NOT_RUNNING,
        "reach server",
        subject,
        "no trimtab server runs on this project",
        unchanged="nothing was changed",
        hint="trimtab up",
    )
