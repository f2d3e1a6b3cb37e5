"""Logs of processes that are gone."""

import os
import subprocess
import sys
from pathlib import Path

from trimtab.agent.logfile import KEPT_SECONDS, LogFile, forget_old, last_word

NOW = 2_000_000_000.0


def written(folder: Path, name: str, ago: float) -> Path:
    """A log that was last added to some time ago."""
    path = folder / name
    path.write_text("said\n")
    os.utime(path, (NOW - ago, NOW - ago))
    return path


def test_old_logs_of_workers_and_zygotes_go_and_others_stay(tmp_path: Path) -> None:
    old = KEPT_SECONDS + 1.0
    gone = [written(tmp_path, f"{name}.log", old) for name in ("worker-a-0", "zygote-b-7")]
    gone.append(written(tmp_path, "worker-a-0.log.1", old))
    kept = [
        written(tmp_path, "worker-a-1.log", KEPT_SECONDS - 1.0),
        written(tmp_path, "gateway-0.log", old),
        written(tmp_path, "controller.log", old),
        written(tmp_path, "notifications.jsonl", old),
    ]
    forget_old(tmp_path, NOW)
    assert not [path for path in gone if path.exists()]
    assert [path for path in kept if path.exists()] == kept


def test_a_log_that_cannot_be_removed_stays(tmp_path: Path) -> None:
    (tmp_path / "worker-a-0.log").symlink_to(tmp_path / "nowhere")
    held = tmp_path / "zygote-b.log"
    held.mkdir()
    os.utime(held, (0.0, 0.0))
    forget_old(tmp_path, NOW)
    assert held.is_dir()


def test_a_crash_is_told_by_its_signal_and_where_it_was(tmp_path: Path) -> None:
    crash = "import os\ndef inner(n): inner(n - 1) if n else os.abort()\ninner(200)"
    words = [sys.executable, "-X", "faulthandler", "-c", f"print('hello', flush=True)\n{crash}"]
    done = subprocess.run(words, stdout=-1, stderr=-2, check=False)
    log = LogFile(tmp_path / "worker-a-0.log")
    log.write(done.stdout)
    log.close()
    told = 'Fatal Python error: Aborted at File "<string>", line 3 in inner'
    assert last_word(log.last_lines) == told
    assert last_word(["hello", "ValueError: no"]) == "ValueError: no"
    assert last_word([]) == ""
