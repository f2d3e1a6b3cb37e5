"""Processes whose parent has died: they become children of the agent, which ends them.

Nothing that code of a release starts outlives it, whatever process group it hides in.
"""

import contextlib
import ctypes
import os
import signal
from collections.abc import Collection

from trimtab.agent.usage import children

_PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> bool:
    """Become the parent of all orphans among this process's descendants; False where the system
    gives them to another."""
    try:
        return bool(ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)
    except (OSError, AttributeError):
        return False


def end_strangers(known: Collection[int]) -> None:
    """Kill and reap the children of this process that it did not start.

    Those in this process's own session, such as tools that a thread waits for, and those in the
    session of a known process, which ends with it, are let live.
    """
    here = os.getsid(0)
    for pid in children(os.getpid()):
        if pid in known:
            continue
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            session = os.getsid(pid)
            if session == here:
                continue
            if session not in known:
                os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, os.WNOHANG)
