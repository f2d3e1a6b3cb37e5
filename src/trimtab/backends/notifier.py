"""Messages to people as lines of a file, one JSON object each."""

import os
from pathlib import Path

import msgspec

from trimtab import errors
from trimtab.backends.durable import sync_folder
from trimtab.domain.verdicts import Incident
from trimtab.ports.clock import Clock

REMEMBERED_BYTES = 4 * 1024 * 1024
"""Size of the end of the file that is read at a start: a message that may have to be sent again was
among the last that were written before."""


class Message(msgspec.Struct, frozen=True):
    """One line of the file. `at` is epoch seconds; `key` is the same when it is sent again."""

    key: str
    at: float
    incident: Incident


class FileNotifier:
    """`ports.Notifier` that appends to a JSON Lines file; a key is written once, also after a
    restart. A last line cut short by a crash is written again whole. Lines are on the disk before
    they count as written: who sends them remembers that for ever."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._known: set[str] | None = None

    def notify(self, key: str, incident: Incident) -> None:
        """See `ports.Notifier`. Raises `Unavailable` TT-105 when the file cannot be written."""
        try:
            self._append(key, incident)
        except OSError as error:
            self._known = None
            raise errors.Unavailable(
                errors.HOME_NOT_WRITABLE,
                "notify",
                key,
                f"{self._path.name} cannot be written: {error.strerror}",
                unchanged="the message stays queued",
                hint="check the space left on the disk of the state folder",
            ) from error

    def _append(self, key: str, incident: Incident) -> None:
        if self._known is None:
            self._known = self._read()
        if key in self._known:
            return
        line = msgspec.json.encode(Message(key, self._clock.now(), incident)) + b"\n"
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("ab") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        sync_folder(self._path.parent)
        self._known.add(key)

    def _read(self) -> set[str]:
        if not self._path.exists():
            return set()
        with self._path.open("rb") as file:
            file.seek(max(file.seek(0, os.SEEK_END) - REMEMBERED_BYTES, 0))
            data = file.read()
        whole, _, torn = data.rpartition(b"\n")
        if torn:
            with self._path.open("ab") as file:
                file.write(b"\n")
        return {key for line in whole.splitlines() if (key := _key(line))}


def _key(line: bytes) -> str:
    try:
        return msgspec.json.decode(line, type=Message).key
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
