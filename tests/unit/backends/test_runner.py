"""What a worker says in one of its one-off modes reaches the person who builds, with a way on."""

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.system import alive, until

from trimtab import errors
from trimtab.backends.runner import SubprocessRunner

STEP = """
import os
import time
from pathlib import Path

def train():
    unfinished = Path("{folder}/unfinished")
    unfinished.write_text(str(os.getpid()))
    unfinished.rename("{folder}/pid")
    time.sleep(60)
"""
BUILD = """
import signal
import sys
from pathlib import Path

# Tests may run where the end of the terminal is ignored, as under nohup.
signal.signal(signal.SIGHUP, signal.SIG_DFL)

from trimtab.backends.runner import SubprocessRunner

home, *arguments = sys.argv[1:]
SubprocessRunner(Path(home)).run(Path(sys.executable), arguments, {})
"""


def refusal(folder: Path, last_line: str) -> errors.TrimtabError:
    """What is raised when the worker writes this and ends with 11."""
    python = folder / "python"
    python.write_text(f"#!/bin/sh\ncat >&2 <<'END'\n{last_line}\nEND\nexit 11\n")
    python.chmod(0o755)
    with pytest.raises(errors.TrimtabError) as caught:
        SubprocessRunner(folder / "home").run(python, ["describe"], {})
    return caught.value


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ("Can't get attribute 'Clip' on <module '__main__'>", "a class of your own belongs into"),
        ("No module named 'transforms'", "what the feature code imports: --features"),
        ("The feature names should match those that", "in their order: write the reference as"),
        ("cannot load: FileNotFoundError: 'rules.json'", "and no other file of the project"),
        ("at model: KeyError: 'colour' (odd.py, line 3)", "on a few rows of the reference"),
        ("at output: 'prediction' is not finite in row 10", "--set allow_nan=true"),
        ("the file is damaged", "--requirements belong together"),
    ],
)
def test_a_model_that_cannot_be_loaded_is_told_with_what_to_do(
    tmp_path: Path, said: str, hint: str
) -> None:
    error = refusal(tmp_path, json.dumps({"code": errors.MODEL_FAILED, "error": said}))
    assert (error.code, error.message) == (errors.MODEL_FAILED, said)
    assert hint in error.hint


def test_a_worker_that_was_killed_shows_what_it_last_said(tmp_path: Path) -> None:
    error = refusal(tmp_path, "Segmentation fault")
    assert (error.code, "Segmentation fault" in error.message) == (errors.WORKER_FAILED, True)


def test_what_a_step_prints_and_why_it_fails_is_in_the_log(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text(
        "#!/bin/sh\nprintf '14 rows, caf\\351\\n'; echo 'ValueError: no data' >&2; exit 1\n"
    )
    python.chmod(0o755)
    log = io.StringIO()
    SubprocessRunner(tmp_path / "home", log).run(python, ["step"], {})
    assert log.getvalue() == "14 rows, caf\ufffd\nValueError: no data\n"


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_a_step_ends_with_the_build_that_wants_it(tmp_path: Path, end: signal.Signals) -> None:
    told = tmp_path / "pid"
    step = tmp_path / "step.py"
    step.write_text(STEP.format(folder=tmp_path))
    options = ["--module", str(step), "--function", "train", "--inputs", "{}", "--params", "{}"]
    options += ["--out", str(tmp_path), "--result", str(tmp_path / "result.json")]
    arguments = [str(tmp_path / "home"), "step", *options]
    build = subprocess.Popen([sys.executable, "-c", BUILD, *arguments])
    until(told.exists)
    pid = int(told.read_text())
    build.send_signal(end)
    assert build.wait(10) == -end
    try:
        until(lambda: not alive(pid), 5)
    finally:
        if alive(pid):
            os.kill(pid, signal.SIGKILL)
