"""Who yields to whom while all processors are busy."""

import os
import time
from pathlib import Path

CONTROLLER = 8
"""Reading the log yields to answering requests: it comes in bursts that would otherwise show in
their latency. It still gets a thirteenth of a processor against two others, and more than it
needs."""
JOB = 10
"""A training run yields to what is served meanwhile."""
BATCH = 10
"""So do workers of the batch lane: against one other process at work on their processor they get a
tenth of it."""

_TRIES = 5
_APART_SECONDS = 0.15
"""The system takes one such change in a tenth of a second, whoever asks."""


def yield_by(niceness: int) -> None:
    """Let this process, the leader of its session, yield to others by so much.

    Where the scheduler shares processors out by session (`sched_autogroup_enabled`, the default of
    many distributions outside of containers and services) niceness counts inside a session alone,
    and the session has one of its own (sched(7)).
    """
    os.nice(niceness)
    group = Path("/proc/self/autogroup")
    for _ in range(_TRIES):
        try:
            group.write_text(str(niceness), encoding="ascii")
        except BlockingIOError:
            time.sleep(_APART_SECONDS)
        except OSError:
            return
        else:
            return
