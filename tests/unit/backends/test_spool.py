"""The spool that a gateway appends to, and how it is handed over."""

import fcntl
import os
from pathlib import Path

import pytest
from tests.support.spools import (
    entry,
    handed_over,
    ids,
    killed,
    killed_here,
    labels,
    schema,
    segments,
    spools,
)

from trimtab.backends.publishing import publish, waits
from trimtab.backends.spool import SpoolLog


def test_a_spool_grows_while_nobody_takes_the_one_before(tmp_path: Path) -> None:
    log = SpoolLog(tmp_path, "g0-1")
    for name in ("a", "b", "c"):
        log.spool([(schema(), [entry(name)])])
        handed_over(log)
    assert spools(tmp_path) == ["g0-1.0.log", "g0-1.1.live"]
    assert publish(tmp_path) == 1
    handed_over(log)
    assert publish(tmp_path) == 1
    assert ids(tmp_path) == ["a", "b", "c"]
    assert list(segments(tmp_path)) == ["g0-1-0.arrow", "g0-1-1000.arrow"]


def test_what_is_spooled_while_a_spool_is_handed_over_is_in_the_next(tmp_path: Path) -> None:
    log = SpoolLog(tmp_path, "g0-1")
    log.spool([(schema(), [entry("a")])])
    assert log.prepare()
    log.spool([(schema(), [entry("b")])])
    log.turn()
    log.spool([(schema(), [entry("c")])])
    assert spools(tmp_path) == ["g0-1.0.live", "g0-1.1.live"]
    assert not log.prepare(), "the one before is not even sealed"
    log.seal()
    publish(tmp_path)
    assert ids(tmp_path) == ["a", "b"]
    log.close()
    publish(tmp_path)
    assert ids(tmp_path) == ["a", "b", "c"]


def test_a_spool_that_cannot_be_renamed_is_handed_over_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = SpoolLog(tmp_path, "g0-1")
    log.spool([(schema(), [entry("a")])])
    assert log.prepare()
    log.turn()
    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", killed_here)
        with pytest.raises(OSError, match="killed"):
            log.seal()
    log.spool([(schema(), [entry("b")])])
    log.close()
    publish(tmp_path)
    assert ids(tmp_path) == ["a", "b"]


@pytest.mark.parametrize("turned", [False, True])
def test_a_writer_that_is_killed_while_it_hands_over_loses_nothing(
    tmp_path: Path, turned: bool
) -> None:
    dead = SpoolLog(tmp_path, "g0-1")
    dead.spool([(schema(), [entry("a")])])
    assert dead.prepare()
    waiting = dead._next if not turned else dead._file
    if turned:
        dead.turn()
    dead.spool([(schema(), [entry("b")])])
    assert waiting is not None
    os.close(waiting.descriptor)
    killed(dead)
    publish(tmp_path)
    assert ids(tmp_path) == ["a", "b"]
    assert spools(tmp_path) == []


def test_a_writer_knows_how_long_its_oldest_spool_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    log = SpoolLog(tmp_path, "g0-1")
    assert log.behind() == 0.0
    log.spool([(schema(), [entry("a")])])
    handed_over(log)
    now[0] += 7.0
    assert log.behind() == 7.0
    publish(tmp_path)
    assert log.behind() == 0.0


def test_only_a_spool_that_holds_something_is_waited_for(tmp_path: Path) -> None:
    assert not waits(tmp_path)
    log = SpoolLog(tmp_path, "g0-1")
    handed_over(log)
    assert spools(tmp_path) == ["g0-1.0.live"]
    assert not waits(tmp_path)
    log.spool([(schema(), [entry("a")])])
    assert waits(tmp_path)
    handed_over(log)
    assert waits(tmp_path)
    publish(tmp_path)
    assert not waits(tmp_path)


def test_an_idle_writer_hands_nothing_over(tmp_path: Path) -> None:
    log = SpoolLog(tmp_path, "g0-1")
    for _ in range(3):
        handed_over(log)
    assert spools(tmp_path) == ["g0-1.0.live"]
    log.close()
    assert spools(tmp_path) == []


@pytest.mark.parametrize("held", [False, True])
def test_a_spool_that_is_taken_before_it_is_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: bool
) -> None:
    """It is published, as empty as it is, or just looked at."""
    real, calls = fcntl.flock, 0

    def between(descriptor: int, how: int) -> None:
        nonlocal calls
        calls += 1
        if calls == 1 and held:
            raise BlockingIOError
        if calls == 1:
            assert publish(tmp_path) == 1
        real(descriptor, how)

    (tmp_path / "spool").mkdir()
    monkeypatch.setattr(fcntl, "flock", between)
    log = SpoolLog(tmp_path, "g0-1")
    log.spool([(schema(), [entry("a")])])
    log.close()
    publish(tmp_path)
    assert ids(tmp_path) == ["a"]
    assert spools(tmp_path) == []


def test_labels_can_be_made_durable_after_their_spool_was_sealed(tmp_path: Path) -> None:
    log = SpoolLog(tmp_path, "g0-1")
    descriptor = log.spool_labels(labels("yes"))
    handed_over(log)
    publish(tmp_path)
    log.sync(descriptor)
    assert list(segments(tmp_path, "labels")) == ["g0-1-0.arrow"]


def test_a_write_that_fails_leaves_the_spool_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = SpoolLog(tmp_path, "g0-1")
    log.spool([(schema(), [entry("a")])])
    before = (tmp_path / "spool/g0-1.0.live").read_bytes()
    real = os.write

    def disk_full(descriptor: int, data: bytes) -> int:
        if len(data) < 20:
            raise OSError(28, "No space left on device")
        return real(descriptor, data[:-10])

    monkeypatch.setattr(os, "write", disk_full)
    with pytest.raises(OSError, match="No space"):
        log.spool([(schema("r2"), [entry("b")])])
    monkeypatch.undo()
    assert (tmp_path / "spool/g0-1.0.live").read_bytes() == before
    log.spool([(schema("r2"), [entry("c")])])
    log.close()
    publish(tmp_path)
    assert ids(tmp_path) == ["a", "c"]


def test_nothing_is_appended_behind_half_a_record_that_could_not_be_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full file system may refuse to cut a file too. What came behind would be read by nobody."""
    log = SpoolLog(tmp_path, "g0-1")
    log.spool([(schema(), [entry("a")])])
    real = os.write

    def full(descriptor: int, data: bytes) -> int:
        if len(data) < 20:
            raise OSError(28, "No space left on device")
        return real(descriptor, data[:-10])

    def refused(descriptor: int, size: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "ftruncate", refused)
        patched.setattr(os, "write", full)
        with pytest.raises(OSError, match="No space"):
            log.spool([(schema(), [entry("b")])])
        patched.setattr(os, "write", real)
        with pytest.raises(OSError, match="No space"):
            log.spool([(schema(), [entry("c")])])
    log.spool([(schema(), [entry("d")])])
    log.close()
    publish(tmp_path)
    assert ids(tmp_path) == ["a", "d"]


def test_what_no_record_holds_leaves_the_spool_as_it_was(tmp_path: Path) -> None:
    log = SpoolLog(tmp_path, "g0-1")
    with pytest.raises(TypeError):
        log.spool([(schema(), [entry("a"), entry("b", worker=object())])])
    log.spool([(schema(), [entry("c")])])
    log.close()
    publish(tmp_path)
    assert ids(tmp_path) == ["c"]
