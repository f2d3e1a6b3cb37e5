"""The state folder: found, made, checked; and the project that it belongs to."""

import contextlib
import errno
import os
import shlex
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from trimtab import errors
from trimtab.backends.durable import sync_file
from trimtab.domain import layout
from trimtab.domain.config import parse_config
from trimtab.domain.deployment import ProjectConfig

CONFIG = "trimtab.toml"
DEFAULT_HOME = ".trimtab"


@dataclass(frozen=True, slots=True)
class Project:
    """A folder with a `trimtab.toml`, what it says, and where its state lives."""

    folder: Path
    home: Path
    config: ProjectConfig


def open_project(start: Path, environment: Mapping[str, str]) -> Project:
    """The project of `start` or of a folder above it.

    Raises `Usage`: TT-103 when there is none, TT-101/TT-102 when its file is wrong.
    """
    for folder in (start, *start.parents):
        if (folder / CONFIG).is_file():
            home = Path(environment.get("TRIMTAB_HOME") or folder / DEFAULT_HOME).absolute()
            return Project(folder, home, read_config(folder / CONFIG, environment))
    raise errors.Usage(
        errors.NO_PROJECT,
        "find project",
        str(start),
        f"there is no {CONFIG} here or in a folder above; for a model of your own an empty one is "
        "enough to build it",
        hint="trimtab init my-project",
    )


def read_config(path: Path, environment: Mapping[str, str]) -> ProjectConfig:
    """A checked `trimtab.toml`. Raises `Usage` TT-101, TT-102 or TT-104."""
    try:
        # Editors on Windows begin a file with a byte order mark, which TOML does not know.
        data = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as cause:
        raise errors.Usage(
            errors.BAD_VALUE,
            "read trimtab.toml",
            path.name,
            f"it is not TOML: {cause}",
            unchanged="no setting was changed",
            hint=f"edit {path.name} at the place named above",
        ) from cause
    return parse_config(data, environment)


def open_home(home: Path) -> Path:
    """Make or check the state folder; returns it.

    Raises `Unavailable` TT-105 when it cannot be written, TT-106 when a newer version wrote it.
    """
    _check_name(home)
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryFile(dir=home) as probe:
            probe.write(b"x")
    except OSError as cause:
        raise errors.Unavailable(
            errors.HOME_NOT_WRITABLE,
            "open state folder",
            str(home),
            "it cannot be written",
            unchanged="nothing was started",
            hint=f"df -h {shlex.quote(str(home if home.exists() else home.parent))}"
            if cause.errno == errno.ENOSPC
            else "export TRIMTAB_HOME=$HOME/.trimtab",
        ) from cause
    _check_version(home)
    sockets = Path(layout.WORKER_SOCKETS)
    for folder in (sockets.parent, sockets, layout.SPOOL, layout.LOG, layout.RUNS):
        (home / folder).mkdir(exist_ok=True, mode=0o700)
    (home / layout.PROCESS_LOGS).mkdir(exist_ok=True, mode=0o700)
    return home


def _check_name(home: Path) -> None:
    """Paths below it are sent and stored as text."""
    try:
        str(home).encode()
    except UnicodeEncodeError:
        raise errors.Unavailable(
            errors.HOME_NOT_WRITABLE,
            "open state folder",
            ascii(str(home)),
            "its path is no UTF-8",
            unchanged="nothing was started",
            hint="rename the folder in it that is not",
        ) from None


def _make_private(home: Path) -> None:
    """Keep others out of a folder that somebody has made for the state, as for a container.

    One that holds something else is not ours alone, and may be read by others for a reason; one of
    another owner cannot be changed."""
    if not any(home.iterdir()):
        with contextlib.suppress(PermissionError):
            home.chmod(0o700)


def _check_version(home: Path) -> None:
    marker = home / layout.VERSION
    if not marker.exists():
        _make_private(home)
        partial = home / f".{layout.VERSION}.{os.getpid()}"
        partial.write_text(f"{layout.LAYOUT_VERSION}\n", encoding="ascii")
        sync_file(partial)
        partial.rename(marker)
    text = marker.read_text(encoding="utf-8", errors="replace").strip()
    if text == str(layout.LAYOUT_VERSION):
        return
    problem = f"it has layout version {text}; this trimtab knows {layout.LAYOUT_VERSION}"
    hint = "pip install --upgrade trimtab"
    if not text.isdecimal():
        problem = f"its file {layout.VERSION} should hold a number, and holds {text!r}"
        rewrite = f"echo {layout.LAYOUT_VERSION} > {shlex.quote(str(marker))}"
        hint = f"if this version wrote it: {rewrite}"
    raise errors.Unavailable(
        errors.HOME_TOO_NEW,
        "open state folder",
        str(home),
        problem,
        unchanged="nothing was read or written",
        hint=hint,
    )
