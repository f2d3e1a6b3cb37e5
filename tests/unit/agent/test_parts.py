"""The small parts of the agent: pauses, logs, births, greetings."""

import asyncio
import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from trimtab import errors
from trimtab.agent import nanny
from trimtab.agent.backoff import Backoff
from trimtab.agent.lock import hold_home
from trimtab.agent.logfile import LogFile
from trimtab.agent.options import Patience
from trimtab.agent.readiness import greeted
from trimtab.agent.usage import Privates, Steady, children, resident_bytes, usage
from trimtab.domain.names import Digest
from trimtab.domain.processes import WorkerSlot

SLOT = WorkerSlot(Digest("sha256:aaaaaaaaaaaabb"), 0)


def test_the_first_quick_death_is_forgiven_and_the_next_ones_cost_ever_more() -> None:
    backoff = Backoff(Patience())
    assert [backoff.pause(0.1) for _ in range(9)] == [0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5, 5]
    assert backoff.pause(10.0) == 0.0
    assert backoff.pause(0.1) == 0.0


def test_a_log_whose_file_was_taken_away_is_begun_anew(tmp_path: Path) -> None:
    """By whoever tidies up, or because a full disk had no room for the next one."""
    log = LogFile(tmp_path / "w.log", limit=100)
    (tmp_path / "w.log").unlink()
    for number in range(40):
        log.write(f"line {number}\n".encode())
    log.close()
    assert b"line 39\n" in (tmp_path / "w.log").read_bytes()


def test_a_log_is_bounded_and_remembers_the_last_lines(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "w.log", limit=100)
    for number in range(40):
        log.write(f"line {number}\nhal".encode())
        log.write(b"f\n\n")
    log.write(b"no newline")
    assert log.last_lines[-3:] == ("line 39", "half", "no newline")
    log.close()
    sizes = [(tmp_path / name).stat().st_size for name in ("w.log", "w.log.1")]
    assert all(0 < size <= 120 for size in sizes)


def test_a_full_disk_loses_log_text_only(tmp_path: Path) -> None:
    path = tmp_path / "w.log"
    path.symlink_to("/dev/full")
    log = LogFile(path)
    log.write(b"lost\n")
    assert log.last_lines == ("lost",)
    log.close()


def test_a_birth_names_one_life_of_a_process_id() -> None:
    assert nanny.birth(os.getpid()) == nanny.birth(os.getpid()) != ""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert nanny.birth(child.pid) == ""
    assert not nanny.exists(child.pid)


def test_the_nanny_kills_a_group_but_not_a_stranger_of_the_same_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(nanny, "GRACE_SECONDS", 0.0)
    code = "import sys; sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, start_new_session=True
    ) as child:
        nanny.clean_up({child.pid: "another birth"})
        assert child.poll() is None
        nanny.clean_up({child.pid: nanny.birth(child.pid)})
        assert child.wait() == -9


def test_resident_memory_is_that_of_the_process() -> None:
    assert resident_bytes(os.getpid()) > 1_000_000
    assert resident_bytes(2**30) == 0


def test_usage_is_that_of_a_process_and_all_that_it_started() -> None:
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'])"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE) as parent:
        while usage(parent.pid).processes < 2:
            assert parent.poll() is None
        assert usage(parent.pid).resident_bytes > resident_bytes(parent.pid) > 0
        parent.communicate(b"\n")
    assert usage(parent.pid).resident_bytes == 0


GROWS = """
import subprocess, sys
for line in sys.stdin:
    kept = bytearray(30_000_000) if line == "grow\\n" else subprocess.Popen([sys.executable, "-c",
        "import time; time.sleep(600)"])
    print("done", flush=True)
"""


def test_a_look_at_a_process_sees_what_it_got_and_what_it_started() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", GROWS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as grower:
        assert grower.stdin is not None
        assert grower.stdout is not None
        steady = Steady(grower.pid)
        grower.stdin.write("grow\n")
        grower.stdin.flush()
        assert grower.stdout.readline() == "done\n"
        before = steady.look()
        assert before == steady.look() == usage(grower.pid)
        grower.stdin.write("grow\n" * 2 + "start\n")
        grower.stdin.flush()
        assert [grower.stdout.readline() for _ in range(3)] == ["done\n"] * 3
        assert steady.look().processes == 2
        for child in children(grower.pid):
            os.kill(child, 9)
        grower.kill()
    assert steady.look().resident_bytes == 0


def test_a_steady_process_is_looked_at_in_full_now_and_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked: list[int] = []

    def seen(pid: int) -> list[int]:
        looked.append(pid)
        return [pid]

    monkeypatch.setattr("trimtab.agent.usage.family", seen)
    monkeypatch.setattr("trimtab.agent.usage._mark", lambda pid: (1, 2))
    steady = Steady(os.getpid())
    for _ in range(20):
        steady.look()
    assert len(looked) == 2


def test_what_is_private_is_asked_again_when_a_process_changed_or_now_and_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sizes = iter(range(100, 200))
    monkeypatch.setattr("trimtab.agent.usage._private_bytes", lambda folder: next(sizes))
    privates, told = Privates(), []
    for mark in [1] * 10 + [1] + [2]:
        privates.begin()
        told.append(privates.of(7, (mark,)))
    assert told == [100] * 10 + [101, 102]
    privates.begin()
    privates.begin()
    assert privates.of(7, (2,)) == 103


def test_a_folder_is_held_by_one_agent(tmp_path: Path) -> None:
    with hold_home(tmp_path):
        with pytest.raises(errors.Unavailable) as caught, hold_home(tmp_path):
            pass
        assert caught.value.code == errors.HOME_IN_USE
    with hold_home(tmp_path):
        pass


def greet(tmp_path: Path, **changes: object) -> None:
    """Wait for a worker that greets with `changes`."""
    hello = {
        "protocol": 1,
        "release": SLOT.release,
        "name": "m@1",
        "worker": SLOT.id,
        "pid": 7,
        **changes,
    }
    asyncio.run(_greet(tmp_path / "w.sock", json.dumps(hello).encode()))


async def _greet(path: Path, header: bytes) -> None:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(struct.pack("<IBI", 5 + len(header), 1, len(header)) + header)
        await writer.drain()
        writer.close()

    async with await asyncio.start_unix_server(answer, path=str(path)), asyncio.timeout(10):
        await greeted(path, SLOT, 7)


def test_a_worker_is_ready_when_it_greets_as_the_right_one(tmp_path: Path) -> None:
    greet(tmp_path)


@pytest.mark.parametrize(
    "change", [{"release": "sha256:other"}, {"pid": 8}, {"worker": "x-1"}, {"protocol": 2}]
)
def test_another_worker_at_the_socket_is_not_taken_for_it(
    tmp_path: Path, change: dict[str, object]
) -> None:
    with pytest.raises(errors.Permanent) as caught:
        greet(tmp_path, **change)
    assert caught.value.code == errors.WORKER_FAILED
