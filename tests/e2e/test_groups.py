"""Control groups of the kernel itself, where this process may make some."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.system import alive, until

from trimtab.agent.groups import Groups
from trimtab.domain.processes import WorkerLimits

pytestmark = pytest.mark.e2e

FAMILY = """
import os, time
if os.fork() == 0:
    os.setsid()
    print(os.getpid(), flush=True)
    time.sleep(600)
time.sleep(600)
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A group without processes, below the one that is the root here."""
    mounts = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified"))
    root = next((each for each in mounts if (each / "cgroup.controllers").exists()), mounts[0])
    made = root / f"trimtab-test-{os.getpid()}"
    try:
        made.mkdir()
    except OSError:
        pytest.skip("this process may not make control groups")
    yield made
    until(lambda: removed(made))


def removed(folder: Path) -> bool:
    try:
        for group in (*folder.glob("*/"), folder):
            group.rmdir()
    except OSError:
        return False
    return True


def test_whatever_a_worker_has_started_ends_with_it(folder: Path) -> None:
    """Also what left its session, and though nobody is its parent any more."""
    groups = Groups(folder)
    argv = [sys.executable, "-c", "input()\n" + FAMILY]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as worker:
        assert worker.stdin is not None
        assert worker.stdout is not None
        groups.hold(worker.pid, WorkerLimits())
        worker.stdin.write(b"\n")
        worker.stdin.flush()
        hidden = int(worker.stdout.readline())
        worker.kill()
    assert alive(hidden)
    assert groups.leave(worker.pid) is False
    until(lambda: not alive(hidden))
