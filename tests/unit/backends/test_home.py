"""The state folder is usable, or says why not before anything is started."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from trimtab import errors
from trimtab.backends.home import open_home, open_project


@pytest.fixture
def careless() -> Iterator[None]:
    """A umask that keeps nobody out."""
    before = os.umask(0)
    yield
    os.umask(before)


def test_a_new_home_is_private_and_marked_with_its_version(tmp_path: Path) -> None:
    home = open_home(tmp_path / "state")
    assert home.stat().st_mode & 0o077 == 0
    assert (home / "VERSION").read_text() == "1\n"


def test_an_empty_folder_that_was_made_for_the_state_becomes_private(tmp_path: Path) -> None:
    made = tmp_path / "state"
    made.mkdir()
    made.chmod(0o755)
    assert open_home(made).stat().st_mode & 0o077 == 0
    made.chmod(0o750)
    assert open_home(made).stat().st_mode & 0o077 == 0o050


def test_a_folder_that_holds_something_else_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("x")
    tmp_path.chmod(0o755)
    assert open_home(tmp_path).stat().st_mode & 0o077 == 0o055


@pytest.mark.usefixtures("careless")
def test_whatever_the_umask_nobody_else_can_reach_into_a_folder_of_the_state(
    tmp_path: Path,
) -> None:
    open_home(tmp_path)
    folders = [path for path in tmp_path.rglob("*") if path.is_dir()]
    assert folders
    assert not [path for path in folders if path.stat().st_mode & 0o077]


def test_opening_a_home_again_changes_nothing(tmp_path: Path) -> None:
    open_home(tmp_path)
    (tmp_path / "run" / "keep").write_text("x")
    open_home(tmp_path)
    assert (tmp_path / "run" / "keep").read_text() == "x"


def test_a_home_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "VERSION").write_text("99\n")
    with pytest.raises(errors.Unavailable) as caught:
        open_home(tmp_path)
    assert caught.value.code == errors.HOME_TOO_NEW
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("held", [b"", b"\xff\x00"])
def test_a_damaged_marker_is_not_taken_for_a_newer_version(tmp_path: Path, held: bytes) -> None:
    (tmp_path / "VERSION").write_bytes(held)
    with pytest.raises(errors.Unavailable, match="VERSION should hold a number") as caught:
        open_home(tmp_path)
    assert caught.value.hint.startswith("if this version wrote it: echo 1 >")


def test_a_home_that_cannot_be_made_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(errors.Unavailable) as caught:
        open_home(tmp_path / "file" / "state")
    assert caught.value.code == errors.HOME_NOT_WRITABLE
    assert "TRIMTAB_HOME" in caught.value.hint


def test_a_path_that_is_no_text_is_told_and_nothing_is_made(tmp_path: Path) -> None:
    with pytest.raises(errors.Unavailable, match="no UTF-8") as caught:
        open_home(tmp_path / os.fsdecode(b"caf\xe9") / "state")
    assert caught.value.code == errors.HOME_NOT_WRITABLE
    assert caught.value.subject.isascii()
    assert list(tmp_path.iterdir()) == []


def test_the_project_is_found_from_a_folder_below_it(tmp_path: Path) -> None:
    (tmp_path / "trimtab.toml").write_text("[server]\ngateways = 2\n")
    (tmp_path / "deep" / "er").mkdir(parents=True)
    project = open_project(tmp_path / "deep" / "er", {})
    assert project.folder == tmp_path
    assert project.home == tmp_path / ".trimtab"
    assert project.config.server.gateways == 2


def test_the_environment_may_move_the_state(tmp_path: Path) -> None:
    (tmp_path / "trimtab.toml").write_text("")
    home = tmp_path / "elsewhere"
    assert open_project(tmp_path, {"TRIMTAB_HOME": str(home)}).home == home
    assert open_project(tmp_path, {"TRIMTAB_HOME": ""}).home == tmp_path / ".trimtab"


def test_no_project_is_an_error_with_a_way_on(tmp_path: Path) -> None:
    with pytest.raises(errors.Usage) as caught:
        open_project(tmp_path, {})
    assert caught.value.hint == "trimtab init my-project"


def test_the_byte_order_mark_of_windows_editors_is_no_part_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "trimtab.toml").write_text("[server]\ngateways = 2\n", encoding="utf-8-sig")
    assert open_project(tmp_path, {}).config.server.gateways == 2


def test_a_file_that_is_not_toml_names_the_line(tmp_path: Path) -> None:
    (tmp_path / "trimtab.toml").write_text("[server\n")
    with pytest.raises(errors.Usage, match="line 1"):
        open_project(tmp_path, {})
