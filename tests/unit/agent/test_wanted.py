"""The workers that were last wanted, in a file that may have come to harm."""

from pathlib import Path

import pytest

from trimtab.agent.wanted import keep, kept
from trimtab.domain import layout
from trimtab.domain.names import Digest
from trimtab.domain.processes import WantedWorkers, WorkerSlot


def test_what_was_wanted_is_wanted_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path(layout.WANTED).parent.mkdir()
    wanted = WantedWorkers(3, (WorkerSlot(Digest("sha256:aa"), 0),))
    keep(wanted)
    assert kept() == wanted


@pytest.mark.parametrize("damage", [None, b"", b"{", b'{"epoch":1,"slots":[{"release":"\xff"}]}'])
def test_nobody_is_wanted_where_it_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: bytes | None
) -> None:
    """The controller says soon who is; without this the system would not start at all."""
    monkeypatch.chdir(tmp_path)
    Path(layout.WANTED).parent.mkdir()
    if damage is not None:
        Path(layout.WANTED).write_bytes(damage)
    assert kept() == WantedWorkers(0, ())
