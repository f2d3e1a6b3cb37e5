"""A requirements file means what pip takes it for, with the files that it names."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from trimtab import errors
from trimtab.backends.blobs import ObjectBlobs
from trimtab.build.request import Tools
from trimtab.build.requirements import read_requirements, requirement_lines
from trimtab.build.run import RunJob, run
from trimtab.domain.deployment import PipelineSpec
from trimtab.domain.release import EnvironmentLock


def written(folder: Path, **files: str) -> Path:
    """Files `NAME.txt` in a folder; returns the first."""
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.txt").write_text(text)
    return folder / f"{next(iter(files))}.txt"


def test_included_files_are_read_from_beside_the_file_that_names_them(tmp_path: Path) -> None:
    written(tmp_path / "deep", shared="joblib==1.5\n-r ../all.txt\n")
    file = written(
        tmp_path,
        all="-r base.txt  # first\n--requirement=deep/shared.txt\nskops\n",
        base="numpy>=2\n\n# nothing\n",
    )
    assert requirement_lines(file, "skops", features=False) == ["numpy>=2", "joblib==1.5", "skops"]


@pytest.mark.parametrize("line", ["-c bounds.txt", "-cbounds.txt", "--constraint bounds.txt"])
def test_constraints_are_named_by_their_whole_path(tmp_path: Path, line: str) -> None:
    file = written(tmp_path, all=f"{line}\nnumpy\n", bounds="numpy<3\n")
    read = read_requirements(file)
    assert read.lines == [f"-c {tmp_path}/bounds.txt", "numpy"]
    assert read.files == (file, tmp_path / "bounds.txt")


def test_what_uv_reads_by_itself_is_left_to_it(tmp_path: Path) -> None:
    lines = ["-r https://example.org/r.txt", "--find-links https://example.org/wheels", "numpy"]
    assert read_requirements(written(tmp_path, all="\n".join(lines))).lines == lines


@pytest.mark.parametrize("line", ["-r base.txt", "-c base.txt"])
def test_a_file_that_is_named_and_missing_is_told_with_its_path(tmp_path: Path, line: str) -> None:
    with pytest.raises(errors.Usage) as caught:
        read_requirements(written(tmp_path, all=f"{line}\n"))
    assert caught.value.code == errors.MISSING_FILE
    assert caught.value.subject == f"{tmp_path}/base.txt"


class Environments:
    """Locks whatever it is asked for, and has no environment."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    def lock(self, requirements: Sequence[str]) -> EnvironmentLock:
        self.asked.append(list(requirements))
        return EnvironmentLock("3.11.7", "linux", ())

    def fits(self, lock: EnvironmentLock) -> bool:
        return True

    def materialise(self, lock: EnvironmentLock) -> Path:
        raise errors.Permanent(errors.ENVIRONMENT_FAILED, "build", "environment", "not here")


def test_a_pipeline_is_locked_again_when_an_included_file_changed(tmp_path: Path) -> None:
    spec = PipelineSpec("m", "pipeline.py", ("model",), "all.txt")
    job = RunJob("m-1", spec, tmp_path, tmp_path / "run", lambda: None)
    environments: Any = Environments()
    runner: Any = None
    blobs = ObjectBlobs.in_memory()
    kit = Tools(
        *(blobs, environments, runner, tmp_path, tmp_path / "cache", {}, ()), lambda line: None
    )
    for numpy in ("numpy==2.3", "numpy==2.3", "numpy==2.4"):
        written(tmp_path, all="-r base.txt\n", base=numpy)
        assert run(job, kit).state == "failed"
    assert environments.asked == [["numpy==2.3"], ["numpy==2.4"]]
