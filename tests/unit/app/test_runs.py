"""The process of a pipeline run says why it failed, whatever it failed at."""

from pathlib import Path

import msgspec
import pytest

from trimtab.app import __main__ as program
from trimtab.app.__main__ import main
from trimtab.domain import layout
from trimtab.domain.processes import NodeStatus
from trimtab.domain.state import Run
from trimtab.loop.runs import Place, Runs, RunStatus

UNTRUSTED = """[model.m]
pipeline = "m.py"
steps = ["fit"]
requirements = "requirements.txt"
format = "python"
model_file = "m:Model"
"""
"""Neither the pipeline nor the requirements are there: it is refused before they are looked for."""
RUN = Run(id="d-run1", model="m", cause="drift", requested_clock=1.0)


@pytest.fixture(autouse=True)
def at_full_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a process yields it does not get back."""
    monkeypatch.setattr(program, "yield_by", lambda niceness: None)


def test_a_run_that_fails_in_an_unexpected_way_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise KeyError("no such column")

    monkeypatch.setattr(program, "project_at", fail)
    places = ["--home", str(tmp_path), "--project", str(tmp_path)]
    assert main(["run", *places, "--run", "d-run1", "--model", "m", "--deployment", "d"]) == 1
    result = Runs(Place(tmp_path, tmp_path)).result(RUN, NodeStatus(()))
    assert result == RunStatus("failed", error="KeyError: 'no such column'")


@pytest.mark.parametrize("damage", [b"", b"{", b'{"state":"\xff"}'])
def test_a_run_whose_status_cannot_be_read_has_said_nothing(tmp_path: Path, damage: bytes) -> None:
    folder = tmp_path / layout.RUNS / RUN.id
    folder.mkdir(parents=True)
    (folder / "status.json").write_bytes(damage)
    assert Runs(Place(tmp_path, tmp_path)).status(RUN.id) is None


@pytest.mark.parametrize(
    ("config", "error"),
    [
        ("[deployment.d\n", "it is not TOML"),
        ('[deployment.d]\nmodel = "m"\n', r"trimtab.toml has no [model.m]"),
        (UNTRUSTED, "the format python runs its author's code"),
    ],
)
def test_a_run_on_a_configuration_that_was_edited_to_nonsense_says_so(
    tmp_path: Path, config: str, error: str
) -> None:
    (tmp_path / "trimtab.toml").write_text(config)
    home = tmp_path / "home"
    places = ["--home", str(home), "--project", str(tmp_path)]
    assert main(["run", *places, "--run", "d-run1", "--model", "m", "--deployment", "d"]) == 1
    result = Runs(Place(home, tmp_path)).result(RUN, NodeStatus(()))
    assert result is not None
    assert result.state == "failed"
    assert error in result.error


def test_a_result_that_was_told_before_stays(tmp_path: Path) -> None:
    """What follows the run, such as a comparison with what was served, may fail by itself."""
    folder = tmp_path / "home/runs/d-run1"
    folder.mkdir(parents=True)
    told = RunStatus("succeeded", release="sha256:aa")
    (folder / "status.json").write_bytes(msgspec.json.encode(told))
    places = ["--home", str(tmp_path / "home"), "--project", str(tmp_path / "nowhere")]
    assert main(["run", *places, "--run", "d-run1", "--model", "m", "--deployment", "d"]) == 1
    assert Runs(Place(tmp_path / "home", tmp_path)).result(RUN, NodeStatus(())) == told
