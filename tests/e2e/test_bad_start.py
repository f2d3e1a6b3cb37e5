"""What cannot start says why, and leaves alone what it found."""

import shutil
import socket
from pathlib import Path
from typing import Any

import pytest
from tests.support.project import BUILD, CONFIG, MODEL, write_csv
from tests.support.system import System, refused

from trimtab.domain import layout

pytestmark = pytest.mark.e2e


@pytest.fixture
def bare(tmp_path: Path) -> System:
    """A project that was never built and does not run."""
    (tmp_path / "trimtab.toml").write_text(CONFIG, encoding="utf-8")
    (tmp_path / "model.py").write_text(MODEL, encoding="utf-8")
    return System(tmp_path)


@pytest.mark.parametrize("verb", ["check", "up", "build"])
def test_an_unknown_key_stops_a_verb_before_it_does_anything(bare: System, verb: str) -> None:
    (bare.folder / "trimtab.toml").write_text(CONFIG.replace("shadow =", "shadwo ="))
    said = bare.typed(verb, *(["risk"] if verb == "build" else []))
    refused(said, 2, "TT-101")
    assert "did you mean" in said.err
    assert not bare.home.exists()


@pytest.mark.parametrize(
    "text", ["[deployment.risk\n", "\xff", '[deployment.risk]\nscale = { min = "x" }\n']
)
def test_a_configuration_that_is_none_is_told_where(bare: System, text: str) -> None:
    (bare.folder / "trimtab.toml").write_bytes(text.encode("latin-1"))
    refused(bare.typed("up"), 2, "TT-102")
    assert not bare.home.exists()


@pytest.mark.parametrize("name", ["INFERENCE", "GRPC", "ADMIN"])
def test_a_port_in_use_is_named(bare: System, name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        said = bare.verb("up", **{f"TRIMTAB_SERVER_{name}": address})
    refused(said, 3, "TT-108")
    assert address in said.err
    assert bare.processes() == {}


def test_an_admin_listener_for_everybody_is_refused(bare: System) -> None:
    refused(bare.verb("up", TRIMTAB_SERVER_ADMIN="0.0.0.0:0"), 1, "TT-110")


@pytest.mark.parametrize("verb", [("up",), ("releases",), (*BUILD, "--model", "model:Risk")])
def test_a_state_folder_that_cannot_be_written(bare: System, verb: tuple[str, ...]) -> None:
    """A path below a file: even the superuser cannot make a folder there."""
    write_csv(bare.folder / "reference.csv", [{"person": "p", "left": "yes"}])
    (bare.folder / "requirements.txt").write_text("numpy\n")
    said = bare.typed(*verb, TRIMTAB_HOME=str(bare.folder / "model.py" / "state"))
    refused(said, 3, "TT-105")
    assert (bare.folder / "model.py").read_text() == MODEL


@pytest.mark.parametrize("verb", ["up", "releases"])
def test_a_state_folder_of_a_newer_version_is_not_touched(bare: System, verb: str) -> None:
    bare.home.mkdir()
    (bare.home / layout.VERSION).write_text("99\n")
    refused(bare.typed(verb), 3, "TT-106")
    assert [path.name for path in bare.home.iterdir()] == [layout.VERSION]


def test_a_database_that_is_none_is_not_written_over(bare: System) -> None:
    bare.home.mkdir()
    database = bare.home / layout.DATABASE
    database.write_bytes(b"this is not a database" * 100)
    refused(bare.typed("releases"), 3, "TT-105")
    assert database.read_bytes() == b"this is not a database" * 100


def test_verbs_without_a_project_or_a_server(bare: System, tmp_path_factory: Any) -> None:
    refused(bare.typed("status"), 3, "TT-109")
    nowhere = System(tmp_path_factory.mktemp("nowhere"))
    refused(nowhere.typed("up"), 2, "TT-103")
    shutil.copy(bare.folder / "trimtab.toml", nowhere.folder)
    refused(nowhere.typed("init", "."), 2, "TT-104")
