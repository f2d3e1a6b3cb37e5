"""Folders that a build works in."""

import os
from pathlib import Path

import pytest

from trimtab.build.scratch import scratch


def aged(folder: Path) -> Path:
    """A folder that was not touched for an hour."""
    (folder / "environment").mkdir(parents=True, exist_ok=True)
    os.utime(folder, (folder.stat().st_mtime - 3600.0,) * 2)
    return folder


def test_what_a_killed_build_left_goes_with_the_next_and_what_is_worked_in_stays(
    tmp_path: Path,
) -> None:
    left, young = aged(tmp_path / "build-1"), tmp_path / "build-2"
    young.mkdir()
    (tmp_path / "notes.txt").write_text("mine")
    os.utime(tmp_path / "notes.txt", (0.0, 0.0))
    with scratch(tmp_path, "build-") as mine:
        aged(mine)
        assert not left.exists()
        with scratch(tmp_path, "reproduce-") as other:
            assert mine.exists()
            assert other.name.startswith("reproduce-")
        assert not other.exists()
        assert young.exists()
    assert not mine.exists()
    assert (tmp_path / "notes.txt").exists()


def failed(folder: Path) -> None:
    """A build that gets half-way."""
    with scratch(folder, "build-") as mine:
        (mine / "half").write_text("a release")
        raise ValueError("no")


def test_a_folder_goes_also_when_its_build_fails(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no"):
        failed(tmp_path / "new")
    assert list((tmp_path / "new").iterdir()) == []
