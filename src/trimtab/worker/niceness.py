"""Yielding to other workers while all processors are busy: what a worker of the batch lane does."""

import contextlib
import os
import time
from pathlib import Path

_TRIES = 5
_APART_SECONDS = 0.15
"""The system takes one such change of a session in a tenth of a second, whoever asks."""


def yield_by(niceness: int) -> None:
    """Let this process, the leader of its session, yield to others by so much.

    Threads take it over that are started afterwards. Where the scheduler shares processors out by
    session, niceness counts inside a session alone, and the session has one of its own (sched(7)).
    """
    os.nice(niceness)
    with contextlib.suppress(OSError):
        for _ in range(_TRIES):
            try:
                Path("/proc/self/autogroup").write_text(str(niceness), encoding="ascii")
            except BlockingIOError:
                time.sleep(_APART_SECONDS)
            else:
                return
