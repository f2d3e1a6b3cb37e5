"""What `trimtab up` tells, and to whom."""

import subprocess
import sys

TELLS = """
import sys
from trimtab.agent.options import AgentEvent
from trimtab.cli.screen import Screen
from trimtab.cli.verbs.up import report

screen = Screen(False)
sys.stdin.readline()
for word in ("draining", "everything has ended"):
    report(screen, "/home", AgentEvent("stopping", "agent", word))
"""


def test_who_no_longer_listens_does_not_end_the_system() -> None:
    up = subprocess.Popen(
        [sys.executable, "-c", TELLS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    for stream in (up.stdout, up.stderr, up.stdin):
        assert stream is not None
        stream.close()
    assert up.wait(20) == 0
