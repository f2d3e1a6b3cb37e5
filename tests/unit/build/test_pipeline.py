"""Steps run once per content; a run that was stopped goes on where it was."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from trimtab import errors
from trimtab.backends.blobs import ObjectBlobs
from trimtab.build.pipeline import PipelineRun, run_steps
from trimtab.build.request import Tools
from trimtab.domain.deployment import PipelineSpec
from trimtab.domain.release import EnvironmentLock
from trimtab.ports.environments import Environments

PIPELINE = """
def dataset(source, out): ...
def model(dataset, params, out): ...
"""


class Steps:
    """Stands in for the worker: writes what it was asked into the step's folder."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.fails: str | None = None
        self.killed = False

    def run(self, python: Path, arguments: Sequence[str], execution: Mapping[str, str]) -> str:
        options = dict(zip(arguments[1::2], arguments[2::2], strict=True))
        step = options["--function"]
        self.ran.append(step)
        inputs = json.loads(options["--inputs"])
        Path(options["--out"], "made").write_text(
            step + "".join(sorted(Path(p).name for p in inputs.values())) + options["--params"]
        )
        if self.killed:
            return ""
        result = {"ok": step != self.fails, "seconds": 0.0, "error": "ValueError: no data"}
        Path(options["--result"]).write_text(json.dumps(result))
        return ""


class Ready:
    """The pipeline gets its environment ready-made; `damage` is what is wrong with it."""

    def __init__(self) -> None:
        self.damage = ""

    def examine(self, lock: EnvironmentLock) -> None:
        if self.damage:
            raise errors.Integrity(errors.LOCK_MISMATCH, "use", "the environment", self.damage)


@pytest.fixture
def steps() -> Steps:
    return Steps()


@pytest.fixture
def tools(steps: Steps, tmp_path: Path) -> Tools:
    environments: Environments = Ready()  # type: ignore[assignment]
    blobs, cache = ObjectBlobs.in_memory(), tmp_path / "cache"
    return Tools(blobs, environments, steps, tmp_path, cache, {}, (), lambda line: None)


def a_run(folder: Path, number: int, **params: str) -> PipelineRun:
    project = folder / "project"
    if not project.exists():
        project.mkdir()
        (project / "pipeline.py").write_text(PIPELINE)
        (project / "source.csv").write_text("x\n1\n")
    spec = PipelineSpec("m", "pipeline.py", ("dataset", "model"), "r.txt", params=params)
    return PipelineRun(
        spec,
        project,
        {"source": project / "source.csv"},
        folder / f"run-{number}",
        folder / "cache",
        EnvironmentLock("3.11.7", "linux", ()),
        Path("python"),
    )


def test_steps_run_in_order_and_leave_their_output(
    tmp_path: Path, steps: Steps, tools: Tools
) -> None:
    records = run_steps(a_run(tmp_path, 1), tools)
    assert steps.ran == ["dataset", "model"]
    assert [record.cached for record in records] == [False, False]
    assert (tmp_path / "run-1" / "model" / "made").exists()


def test_a_step_whose_inputs_are_the_same_is_not_run_again(
    tmp_path: Path, steps: Steps, tools: Tools
) -> None:
    first = run_steps(a_run(tmp_path, 1), tools)
    second = run_steps(a_run(tmp_path, 2), tools)
    assert steps.ran == ["dataset", "model"]
    assert [record.tree for record in second] == [record.tree for record in first]
    assert all(record.cached for record in second)
    assert (tmp_path / "run-2" / "model" / "made").exists()


def test_changed_data_or_code_or_parameters_run_it_again(
    tmp_path: Path, steps: Steps, tools: Tools
) -> None:
    run_steps(a_run(tmp_path, 1), tools)
    (tmp_path / "project" / "source.csv").write_text("x\n2\n")
    run_steps(a_run(tmp_path, 2), tools)
    (tmp_path / "project" / "pipeline.py").write_text(PIPELINE + "\nX = 1\n")
    run_steps(a_run(tmp_path, 3), tools)
    run_steps(a_run(tmp_path, 4, depth="3"), tools)
    assert steps.ran.count("dataset") == 4


def test_a_helper_module_of_the_pipeline_is_part_of_its_code(
    tmp_path: Path, steps: Steps, tools: Tools
) -> None:
    run = a_run(tmp_path, 1)
    (run.project / "pipeline.py").write_text("import helper\n" + PIPELINE)
    (run.project / "helper.py").write_text("A = 1\n")
    run_steps(run, tools)
    (run.project / "helper.py").write_text("A = 2\n")
    run_steps(a_run(tmp_path, 2), tools)
    assert steps.ran.count("dataset") == 2


def test_a_helper_beside_a_pipeline_in_a_folder_is_part_of_its_code(
    tmp_path: Path, steps: Steps, tools: Tools
) -> None:
    run = a_run(tmp_path, 1)
    folder = run.project / "training"
    folder.mkdir()
    (folder / "pipeline.py").write_text("import helper\n" + PIPELINE)
    for number in (1, 2):
        (folder / "helper.py").write_text(f"A = {number}\n")
        spec = msgspec.structs.replace(run.spec, module="training/pipeline.py")
        run_steps(replace(a_run(tmp_path, number), spec=spec), tools)
    assert steps.ran.count("dataset") == 2


def test_a_step_that_takes_everything_runs_again_when_anything_changed(
    tmp_path: Path, steps: Steps, tools: Tools
) -> None:
    run = a_run(tmp_path, 1)
    (run.project / "pipeline.py").write_text(
        "def dataset(out, **files): ...\ndef model(out, **there): ...\n"
    )
    run_steps(run, tools)
    run_steps(a_run(tmp_path, 2), tools)
    assert steps.ran == ["dataset", "model"]
    (run.project / "source.csv").write_text("x\n2\n")
    run_steps(a_run(tmp_path, 3), tools)
    assert steps.ran[2:] == ["dataset", "model"]


def test_a_run_that_failed_goes_on_after_the_finished_steps(
    tmp_path: Path, steps: Steps, tools: Tools
) -> None:
    steps.fails = "model"
    with pytest.raises(errors.Permanent, match="no data") as caught:
        run_steps(a_run(tmp_path, 1), tools)
    assert caught.value.code == errors.RUN_FAILED
    assert caught.value.hint == f"cat {tmp_path}/run-1/log.txt"
    steps.fails = None
    run_steps(a_run(tmp_path, 1), tools)
    assert steps.ran == ["dataset", "model", "model"]


def test_a_record_that_a_power_loss_tore_is_made_again(
    tmp_path: Path, steps: Steps, tools: Tools
) -> None:
    run_steps(a_run(tmp_path, 1), tools)
    for record in (tmp_path / "cache").glob("*.json"):
        record.write_bytes(b"")
    run_steps(a_run(tmp_path, 2), tools)
    assert steps.ran == ["dataset", "model"] * 2
    assert all(record.cached for record in run_steps(a_run(tmp_path, 3), tools))


def test_a_step_whose_output_the_store_has_lost_or_changed_is_run_again(
    tmp_path: Path, steps: Steps, tools: Tools
) -> None:
    kit = replace(tools, blobs=ObjectBlobs.local(tmp_path / "blobs"))
    first = run_steps(a_run(tmp_path, 1), kit)
    for number, record in enumerate(first):
        (made,) = kit.blobs.tree(record.tree).entries
        digest = made.digest.removeprefix("sha256:")
        blob = tmp_path / "blobs" / "sha256" / digest[:2] / digest
        if number:
            blob.write_bytes(b"other bytes")
        else:
            blob.unlink()
    assert [each.tree for each in run_steps(a_run(tmp_path, 2), kit)] == [r.tree for r in first]
    assert steps.ran == ["dataset", "model"] * 2
    assert all(record.cached for record in run_steps(a_run(tmp_path, 3), kit))


def test_a_step_that_is_killed_is_told_as_such(tmp_path: Path, steps: Steps, tools: Tools) -> None:
    steps.killed = True
    with pytest.raises(errors.Permanent, match="ended before the step did") as caught:
        run_steps(a_run(tmp_path, 1), tools)
    assert (caught.value.code, caught.value.subject) == (errors.RUN_FAILED, "dataset")


@pytest.mark.parametrize("killed", [True, False])
def test_a_step_that_fails_in_a_damaged_environment_is_told_so(
    tmp_path: Path, steps: Steps, tools: Tools, killed: bool
) -> None:
    steps.killed, steps.fails = killed, "dataset"
    tools.environments.damage = "numpy lacks a file"  # type: ignore[attr-defined]
    with pytest.raises(errors.Integrity, match="numpy lacks a file"):
        run_steps(a_run(tmp_path, 1), tools)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("def dataset(source, out:", r"pipeline\.py, line 1: "),
        ("def model(dataset, out): ...", "no function 'dataset'"),
        ("def dataset(origin, out): ...", "'origin' is no earlier step"),
    ],
)
def test_a_pipeline_that_does_not_fit_says_where(
    tmp_path: Path, tools: Tools, text: str, problem: str
) -> None:
    run = a_run(tmp_path, 1)
    (run.project / "pipeline.py").write_text(text)
    with pytest.raises(errors.Permanent, match=problem):
        run_steps(run, tools)


def test_a_missing_pipeline_file_is_named(tmp_path: Path, tools: Tools) -> None:
    run = a_run(tmp_path, 1)
    (run.project / "pipeline.py").unlink()
    with pytest.raises(errors.Permanent, match=r"no pipeline\.py"):
        run_steps(run, tools)
