"""What is acknowledged can be found after a power loss: its bytes, its name, its folders."""

import os
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from tests.support.control import incident

from trimtab.backends import environments, shim
from trimtab.backends.durable import sync_files
from trimtab.backends.environments import UvEnvironments
from trimtab.backends.home import open_home
from trimtab.backends.memory import VirtualClock
from trimtab.backends.notifier import FileNotifier
from trimtab.backends.publishing import write_segment
from trimtab.domain.release import EnvironmentLock


def _home(folder: Path) -> None:
    open_home(folder)


def _message(folder: Path) -> None:
    FileNotifier(folder / "logs" / "messages", VirtualClock()).notify("a", incident())


def _labels(folder: Path) -> None:
    path = folder / "log" / "flights" / "labels" / "g0-1-0.arrow"
    write_segment(path, pa.table({"label": ["1"]}), durable=True)


@pytest.mark.parametrize(
    ("do", "flushed"),
    [
        (_home, [f".VERSION.{os.getpid()}"]),
        (_message, ["logs/messages", "logs"]),
        (
            _labels,
            [
                ".",
                "log",
                "log/flights",
                "log/flights/labels/g0-1-0.tmp",
                "log/flights/labels",
            ],
        ),
    ],
)
def test_what_counts_as_written_is_on_the_disk(
    do: Callable[[Path], None],
    flushed: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[str] = []

    def noted(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        seen.append(path.relative_to(tmp_path).as_posix())

    monkeypatch.setattr(os, "fsync", noted)
    do(tmp_path)
    assert seen == flushed


def test_the_workers_code_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody looks into the copy again: what a power loss tore would end every worker."""
    seen: list[list[str]] = []

    def noted(made: Path) -> None:
        seen.append([path.name for path in made.parent.iterdir()])

    monkeypatch.setattr(shim, "sync_files", noted)
    folder = shim.install(tmp_path)
    assert seen == [[f".{folder.name}.{os.getpid()}"]]


def test_an_environment_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    monkeypatch.setattr(environments, "_build", lambda lock, folder, held: folder.mkdir())
    monkeypatch.setattr(environments, "verify", lambda lock, folder: seen.append("used"))
    monkeypatch.setattr(environments, "sync_files", lambda folder: seen.append(folder.name[-10:]))
    lock = EnvironmentLock("3.13.0", "linux", ())
    UvEnvironments(tmp_path).materialise(lock)
    assert seen == ["unfinished", "used"]


def test_files_of_a_folder_that_is_not_there_cannot_be_made_durable(tmp_path: Path) -> None:
    sync_files(tmp_path)
    with pytest.raises(FileNotFoundError):
        sync_files(tmp_path / "gone")
