"""`trimtab score` as it is typed, and interrupted."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

from tests.support.system import CLI, until
from tests.unit.scoring.server import deployed

from trimtab.domain import layout


def test_an_interrupted_scoring_ends_at_once_also_while_nothing_answers(tmp_path: Path) -> None:
    """Threads that ask a server that hangs would wait for it for a minute."""
    (tmp_path / "trimtab.toml").touch()
    (tmp_path / "in.csv").write_text("x,carrier\n" + "1.5,AA\n" * 40_000)
    facts = tmp_path / ".trimtab" / layout.AGENT_FACTS
    facts.parent.mkdir(parents=True)
    with deployed() as server:
        server.hangs_after = 20
        server.metadata["outputs"].pop()
        told = {"pid": os.getpid(), "inference": server.url, "admin": server.url, "started_at": 0.0}
        facts.write_text(json.dumps(told))
        with subprocess.Popen(
            [*CLI, "score", "d", "in.csv", "out.csv"],
            cwd=tmp_path,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        ) as scoring:
            until(lambda: server.requests > 20)
            interrupted = time.monotonic()
            scoring.send_signal(signal.SIGINT)
            said = scoring.communicate(timeout=20)[1]
    assert scoring.returncode == 1
    assert time.monotonic() - interrupted < 10
    assert said == (
        "interrupted: finished rows stay in out.csv.scoring, and the same command goes on from "
        "there\n"
    )
    assert (tmp_path / "out.csv.scoring").is_dir()
