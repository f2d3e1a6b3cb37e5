"""A step of a pipeline, called by the worker's program in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from trimtab.backends import shim

pytestmark = pytest.mark.e2e

PIPELINE = """
from neighbour import WORD

def model(source, out, params):
    print("noise")
    (out / "made").write_text(f"{WORD} {source.name} {params['n']}")

def broken(missing): ...

def wrong(source):
    int(WORD)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A user's pipeline with a module beside it."""
    (tmp_path / "neighbour.py").write_text("WORD = 'hello'\n")
    (tmp_path / "pipeline.py").write_text(PIPELINE)
    return tmp_path


def called(folder: Path, function: str) -> tuple[int, dict[str, Any]]:
    """Exit code and result of a step."""
    result = folder / "result.json"
    arguments = (
        *("step", "--module", str(folder / "pipeline.py"), "--function", function),
        *("--inputs", json.dumps({"source": "data.csv", "unused": "x"})),
        *("--params", '{"n": 3}', "--out", str(folder / "out"), "--result", str(result)),
    )
    done = subprocess.run(
        shim.worker_argv(Path(sys.executable), shim.install(folder / "home"), arguments),
        env=shim.worker_environment(shim.EXECUTION_SERVING),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == ""
    return done.returncode, json.loads(result.read_text())


def test_a_step_is_given_what_it_declares(folder: Path) -> None:
    code, output = called(folder, "model")
    assert (code, output["ok"], output["error"]) == (0, True, None)
    assert (folder / "out" / "made").read_text() == "hello data.csv 3"


def test_a_step_that_asks_for_what_nobody_has_says_so(folder: Path) -> None:
    code, output = called(folder, "broken")
    assert (code, output["ok"]) == (1, False)
    assert "asks for ['missing']" in output["error"]


def test_a_step_that_fails_names_its_line(folder: Path) -> None:
    _, output = called(folder, "wrong")
    assert output["error"].startswith("ValueError: invalid literal")
    line = PIPELINE.splitlines().index("    int(WORD)") + 1
    assert output["error"].endswith(f"(pipeline.py, line {line})")
