"""Yielding to other processes while all processors are busy."""

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
    session (`sched_autogroup_enabled`, the default of many distributions outside of containers and
    services) niceness counts inside a session alone, and the session has one of its own (sched(7)).
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
