"""What a process wrote to its stderr, on disk and bounded, and its last lines in memory."""

import contextlib
from collections import deque
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

_CRASH = "Fatal Python error: "
_FRAME = "  File "
LIMIT = 10_000_000
LINE = 8192
TAIL = 150
"""Lines that are remembered: a trace that Python leaves has a hundred frames."""
KEPT_SECONDS = 30 * 86_400.0
"""For how long the log of a process is kept that nothing is added to."""


def forget_old(folder: Path, now: float) -> None:
    """Remove logs of workers and zygotes to which nothing was added for long: each release has its
    own. One that cannot be removed stays."""
    for kind in ("worker", "zygote"):
        for path in folder.glob(f"{kind}-*.log*"):
            with contextlib.suppress(OSError):
                if now - path.stat().st_mtime > KEPT_SECONDS:
                    path.unlink()


def last_word(lines: Sequence[str]) -> str:
    """What says best how a process ended: its last line, or of a trace that Python left when the
    process crashed, which ends with the least telling frame, the signal and the first frame."""
    for number, line in enumerate(lines):
        if line.startswith(_CRASH):
            frames = (each.strip() for each in lines[number:] if each.startswith(_FRAME))
            return " at ".join([line, *islice(frames, 1)])
    return lines[-1] if lines else ""


class LogFile:
    """`<name>.log`, and `<name>.log.1` once it grew past `limit` bytes."""

    def __init__(self, path: Path, limit: int = LIMIT) -> None:
        self._path = path
        self._limit = limit
        self._file = path.open("ab", buffering=0)
        self._size = path.stat().st_size
        self._tail: deque[bytes] = deque(maxlen=TAIL)
        self._partial = b""

    def write(self, data: bytes) -> None:
        """Append; a disk that is full loses the text, not the process that wrote it."""
        self._remember(data)
        try:
            if self._size > self._limit:
                self._rotate()
            self._file.write(data)
            self._size += len(data)
        except OSError:
            return

    def _rotate(self) -> None:
        self._file.close()
        with contextlib.suppress(FileNotFoundError):  # whoever took it away
            self._path.replace(self._path.with_name(f"{self._path.name}.1"))
        self._file = self._path.open("ab", buffering=0)
        self._size = 0

    def _remember(self, data: bytes) -> None:
        *lines, partial = (self._partial + data).split(b"\n")
        self._tail.extend(line[:LINE] for line in lines if line.strip())
        self._partial = partial[-LINE:]

    @property
    def last_lines(self) -> tuple[str, ...]:
        """The last lines, oldest first, without empty ones."""
        lines = [*self._tail, self._partial] if self._partial.strip() else self._tail
        return tuple(line.decode(errors="replace") for line in lines)

    def close(self) -> None:
        """No more."""
        self._file.close()
