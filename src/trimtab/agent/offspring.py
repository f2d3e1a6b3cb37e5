"""Forking a helper off the process of `trimtab up`, whose memory it then shares.

That is safe only at its very beginning, while it has one thread, no event loop, no lock on the
state folder and no socket; what has to be started later is started from its program file.
"""

import contextlib
import gc
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from trimtab.agent.process import Forked

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD)


def fork_off(home: Path, run: Callable[[socket.socket], NoReturn]) -> Forked | None:
    """Fork a helper that works in `home` and is only `run`, with its end of a line of messages.

    None where this process has a thread besides this one, or does not tell."""
    if threads() != 1:
        return None
    mine, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pipe = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    # What is there now stays shared for as long as no collector marks it, on either side.
    gc.collect()
    gc.freeze()
    pid = os.fork()
    if pid == 0:
        try:
            mine.close()
            _leave(home, its.fileno(), pipe[1])
            run(its)
        finally:
            os._exit(1)
    its.close()
    return Forked(pid, mine, pipe)


def threads() -> int:
    """Threads of this process, whoever started them; 0 where the system does not say."""
    with contextlib.suppress(OSError):
        return len(list(Path("/proc/self/task").iterdir()))
    return 0


def _leave(home: Path, line: int, log: int) -> None:
    """A session of its own, and nothing of the process that it was forked from but the line."""
    os.setsid()
    os.chdir(home)
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream, handle in enumerate((nothing, log, log)):
        os.dup2(handle, stream)
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    most = max(int(entry.name) for entry in Path("/proc/self/fd").iterdir())
    os.closerange(3, line)
    os.closerange(line + 1, most + 1)
