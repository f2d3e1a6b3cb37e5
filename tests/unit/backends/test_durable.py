"""What is acknowledged can be found after a power loss: its bytes, its name, its folders."""

import os
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from tests.support.control import incident

from trimtab.backends.home import open_home
from trimtab.backends.memory import VirtualClock
from trimtab.backends.notifier import FileNotifier
from trimtab.backends.publishing import write_segment


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
