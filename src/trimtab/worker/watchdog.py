"""Ends a worker whose model does not come back, so that the agent starts another one.

The kernel counts the time and ends the process: code that holds the interpreter's lock, or hangs
outside of it, cannot keep this from happening. What the threads were doing goes to stderr first.
"""

import contextlib
import faulthandler
import signal
from collections.abc import Iterator

_STDERR = 2


def prepare() -> None:
    """Let SIGALRM write every thread's stack and end the process; call it in the main thread."""
    faulthandler.unregister(signal.SIGALRM)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    faulthandler.register(signal.SIGALRM, file=_STDERR, all_threads=True, chain=True)


@contextlib.contextmanager
def patience(seconds: object) -> Iterator[None]:
    """End the process unless the block ends within `seconds`; anything but a number is for ever.

    Call `prepare` first. Code of a release that limits its own time by SIGALRM, as some libraries
    do, leaves a handler of its own behind, which would let the next request hang."""
    if not isinstance(seconds, int | float):
        yield
        return
    if signal.getsignal(signal.SIGALRM) is not signal.SIG_DFL:
        prepare()
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.001))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
