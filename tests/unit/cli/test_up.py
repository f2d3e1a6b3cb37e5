"""What `trimtab up` tells, and to whom."""

import subprocess
import sys
from pathlib import Path

import pytest

from trimtab.agent.options import AgentEvent
from trimtab.cli.screen import Screen
from trimtab.cli.verbs.up import report

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


def test_where_it_listens_is_told_also_from_within_a_state_folder_of_a_relative_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "state"
    (home / "run").mkdir(parents=True)
    (home / "run/agent.json").write_text('{"inference": "http://here:1", "admin": "http://here:2"}')
    monkeypatch.setenv("TRIMTAB_HOME", "state")
    monkeypatch.chdir(home)
    report(Screen(), str(home), AgentEvent("listening", "agent", ""))
    assert "http://here:1" in capsys.readouterr().out
