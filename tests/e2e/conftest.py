"""What the tests of the whole system share."""

from pathlib import Path

import pytest
from tests.support.project import BUILD, write_project
from tests.support.system import System


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with the releases risk@1 and risk@2; never started, only copied."""
    folder = tmp_path_factory.mktemp("built") / "project"
    write_project(folder)
    system = System(folder)
    for entry in ("model:Risk", "model:Newer"):
        said = system.verb(*BUILD, "--model", entry)
        assert said.code == 0, said
    return folder


@pytest.fixture(scope="session")
def environments(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of environments for projects that need the same libraries; see `sharing`."""
    return tmp_path_factory.mktemp("environments")
