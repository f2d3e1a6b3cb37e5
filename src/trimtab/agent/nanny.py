"""Ends what a killed agent left. Runs as a process of its own, of the standard library alone.

It reads `+pid` and `-pid` lines, one process group each, from its standard input. When that ends
without warning, the groups still named get a moment to end by themselves and are then killed.
"""

import os
import signal
import sys
import time

GRACE_SECONDS = 2.0


def main() -> None:
    """Read until the agent is gone, then clean up."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    groups: dict[int, str] = {}
    for line in sys.stdin.buffer:
        pid = int(line[1:])
        if line.startswith(b"+"):
            groups[pid] = birth(pid)
        else:
            groups.pop(pid, None)
    clean_up(groups)


def clean_up(groups: dict[int, str]) -> None:
    """Wait for the groups to end, then kill what is left of them."""
    deadline = time.monotonic() + GRACE_SECONDS
    while time.monotonic() < deadline and any(map(exists, groups)):
        time.sleep(0.02)
    for group, born in groups.items():
        # A leader with another birth is a stranger that was given the same number.
        if birth(group) in ("", born) and exists(group):
            os.killpg(group, signal.SIGKILL)


def exists(group: int) -> bool:
    """Whether a process group has a member that we may signal."""
    try:
        os.killpg(group, 0)
    except OSError:
        return False
    return True


def birth(pid: int) -> str:
    """When a process started, in clock ticks as text; empty when it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 - starts faster
            return file.read().rpartition(b")")[2].split()[19].decode()
    except OSError:
        return ""


if __name__ == "__main__":
    main()
