"""Ends a worker whose model does not come back, so that the agent starts another one.

The kernel counts the time and ends the process: code that holds the interpreter's lock, or hangs
outside of it, cannot keep this from happening. What the threads were doing goes to stderr first.
"""

import faulthandler
import signal

_STDERR = 2


def prepare() -> None:
    """Let SIGALRM write every thread's stack and end the process; call it in the main thread."""
    faulthandler.unregister(signal.SIGALRM)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    faulthandler.register(signal.SIGALRM, file=_STDERR, all_threads=True, chain=True)


class patience:  # noqa: N801 - used as a statement, and a generator costs a microsecond each
    """End the process unless the block ends within `seconds`; anything but a number is for ever.

    Call `prepare` first. Code of a release that limits its own time by SIGALRM, as some libraries
    do, leaves a handler of its own behind, which would let the next request hang: that is looked at
    when the answer has left."""

    __slots__ = ("_seconds",)

    def __init__(self, seconds: object) -> None:
        self._seconds = seconds if isinstance(seconds, int | float) else None

    def __enter__(self) -> None:
        if self._seconds is not None:
            signal.setitimer(signal.ITIMER_REAL, max(self._seconds, 0.001))

    def __exit__(self, *_: object) -> None:
        if self._seconds is None:
            return
        signal.setitimer(signal.ITIMER_REAL, 0)
        if signal.getsignal(signal.SIGALRM) is not signal.SIG_DFL:
            prepare()
