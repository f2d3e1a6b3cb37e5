"""The gateway's own log: one JSON object a line, on stderr."""

import sys
import time
from typing import Any, TextIO

import msgspec


class Log:
    """Writes events. A log that cannot be written never breaks a request."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr

    def write(self, level: str, event: str, **facts: Any) -> None:
        """One line: time (epoch seconds), level, event and its facts."""
        line = {"at": round(time.time(), 6), "level": level, "event": event, **facts}
        try:
            self._stream.write(msgspec.json.encode(line, enc_hook=str).decode() + "\n")
            self._stream.flush()
        except OSError:
            return

    def info(self, event: str, **facts: Any) -> None:
        """Something worth knowing."""
        self.write("info", event, **facts)

    def error(self, event: str, **facts: Any) -> None:
        """Something that somebody should look at."""
        self.write("error", event, **facts)
