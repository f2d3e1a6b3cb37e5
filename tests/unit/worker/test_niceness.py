"""Processes that yield to what is served: trimtab's own, and workers of the batch lane."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ASKED = """
import json, os
from pathlib import Path
from trimtab.worker.niceness import yield_by
yield_by(7)
group = Path("/proc/self/autogroup")
said = group.read_text().split()[-1] if group.exists() else None
print(json.dumps([os.nice(0), said]))
"""


@pytest.fixture
def said() -> tuple[int, str | None]:
    """The niceness of a process that yields, and that of its session, None without such a thing."""
    done = subprocess.run(
        [sys.executable, "-c", ASKED],
        check=True,
        capture_output=True,
        text=True,
        start_new_session=True,
    )
    own, session = json.loads(done.stdout)
    return own, session


def test_a_process_yields_by_its_own_niceness(said: tuple[int, str | None]) -> None:
    assert said[0] == os.nice(0) + 7


def test_its_session_yields_where_processors_are_shared_by_session(
    said: tuple[int, str | None],
) -> None:
    if not Path("/proc/self/autogroup").exists():
        pytest.skip("this system does not share processors out by session")
    assert said[1] == "7"
