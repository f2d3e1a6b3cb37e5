"""The set of workers while the agent ends."""

import asyncio
import os
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from trimtab import errors
from trimtab.agent import worker
from trimtab.agent.hands import PreparedRelease
from trimtab.agent.options import AgentEvent, Patience, silent
from trimtab.agent.process import Nursery
from trimtab.agent.worker import Equipment, WorkerKeeper
from trimtab.agent.workforce import Workforce
from trimtab.agent.zygotes import Zygotes
from trimtab.domain import layout
from trimtab.domain.names import Digest
from trimtab.domain.processes import WantedWorkers, WorkerLimits, WorkerSlot

SLOT = WorkerSlot(Digest("sha256:aaaaaaaaaaaabb"), 0)


class Empty:
    """Hands that hold no release."""

    def prepare(self, release: Digest) -> PreparedRelease:
        raise errors.Integrity(errors.MISSING_BLOB, "read blob", release, "it is not there")


def test_a_controller_that_goes_on_asking_does_not_keep_a_draining_agent_from_its_end(
    tmp_path: Path,
) -> None:
    """The controller ends after the workers, and sees them go: it asks for them once more."""
    wanted = WantedWorkers(epoch=1, slots=(SLOT,))

    async def drain(nursery: Nursery) -> None:
        workforce = Workforce(Empty(), nursery, Patience(), silent)
        workforce.apply(wanted)
        stopping = asyncio.ensure_future(workforce.stop())
        await asyncio.sleep(0)
        workforce.apply(wanted)
        async with asyncio.timeout(5):
            await stopping
        assert workforce.status == ()

    nursery = Nursery(tmp_path)
    try:
        asyncio.run(drain(nursery))
    finally:
        nursery.close()


@pytest.mark.parametrize("limited", [False, True])
def test_a_worker_that_does_nothing_is_looked_at_soon_only_for_its_memory(limited: bool) -> None:
    limits = WorkerLimits(memory_bytes=2**40 if limited else None)
    nothing: Any = None
    equipment = Equipment(nothing, lambda release: limits, nothing, -1, Patience(), silent)

    async def looked(pid: int) -> list[bool]:
        keeper = WorkerKeeper(SLOT, equipment)
        assert not keeper.check_limits()
        keeper._child = cast(Any, SimpleNamespace(pid=pid, running=True))
        return [keeper.check_limits() for _ in range(3)]

    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as idle:
        assert idle.stdin is not None
        assert idle.stdout is not None
        idle.stdin.write(b"here\n")
        idle.stdin.flush()
        idle.stdout.readline()
        assert asyncio.run(looked(idle.pid))[1:] == [limited, limited]
        idle.stdin.close()


def test_a_fault_of_watching_a_worker_ends_it_and_its_slot_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next one would meet it at its socket, and nobody would know of it."""
    monkeypatch.chdir(tmp_path)

    async def prepare(release: Digest) -> PreparedRelease:
        return PreparedRelease(Path("worker.json"), lambda arguments: ["sleep", "60"], {})

    async def out_of_files(*_: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(worker, "greeted", out_of_files)
    (tmp_path / layout.PROCESS_LOGS).mkdir(parents=True)
    told: list[AgentEvent] = []
    nursery, patience = Nursery(tmp_path), Patience(refused=(60.0,))
    zygotes = Zygotes(nursery, patience, silent)
    equipment = Equipment(prepare, lambda _: WorkerLimits(), zygotes, 0, patience, told.append)

    async def lived() -> None:
        keeper = WorkerKeeper(SLOT, equipment)
        life = asyncio.ensure_future(keeper.run())
        async with asyncio.timeout(20):
            while not keeper.status.error:  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(0.01)
        assert "Too many open files" in keeper.status.error
        assert keeper.status.pid is None
        assert [event.kind for event in told] == ["started", "failed"]
        assert told[0].pid is not None
        with pytest.raises(ProcessLookupError):
            os.kill(told[0].pid, 0)
        await keeper.stop()
        await life

    try:
        asyncio.run(lived())
    finally:
        nursery.close()


def test_a_worker_that_fails_in_a_damaged_environment_says_which(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it says itself is that its library is not there, or nothing at all."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / layout.PROCESS_LOGS).mkdir(parents=True)

    def examine() -> None:
        raise errors.Integrity(errors.LOCK_MISMATCH, "use", "the environment", "numpy is damaged")

    async def prepare(release: Digest) -> PreparedRelease:
        argv = ["/bin/sh", "-c", "echo Bus error; exit 135"]
        return PreparedRelease(Path("worker.json"), lambda _: argv, {}, examine=examine)

    async def lived(nursery: Nursery) -> None:
        patience = Patience(refused=(60.0,))
        zygotes = Zygotes(nursery, patience, silent)
        equipment = Equipment(prepare, lambda _: WorkerLimits(), zygotes, 0, patience, silent)
        keeper = WorkerKeeper(SLOT, equipment)
        life = asyncio.ensure_future(keeper.run())
        async with asyncio.timeout(20):
            while not keeper.status.error:  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(0.01)
        assert keeper.status.code == errors.LOCK_MISMATCH
        assert keeper.status.error == (
            "use the environment: numpy is damaged (it ended with 135 before it was ready: "
            "Bus error)"
        )
        await keeper.stop()
        await life

    nursery = Nursery(tmp_path)
    try:
        asyncio.run(lived(nursery))
    finally:
        nursery.close()
