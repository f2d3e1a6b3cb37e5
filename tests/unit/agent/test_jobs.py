"""One-off processes of the agent, whatever becomes of the disk and of the agent itself."""

import asyncio
import sys
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path

import pytest

from trimtab import errors
from trimtab.agent.jobs import Jobs
from trimtab.agent.options import silent
from trimtab.agent.process import Nursery
from trimtab.domain import layout
from trimtab.domain.processes import JobStatus

SLEEPS = (sys.executable, "-I", "-S", "-c", "import time; time.sleep(600)")
FAILS = (sys.executable, "-I", "-S", "-c", "raise SystemExit(4)")


@pytest.fixture
def nursery(tmp_path: Path) -> Iterator[Nursery]:
    for name in (layout.PROCESS_LOGS, layout.RUNS):
        (tmp_path / name).mkdir(parents=True)
    made = Nursery(tmp_path)
    yield made
    made.close()


def run(work: Callable[[], Coroutine[None, None, None]]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(20):
            await work()

    asyncio.run(limited())


@pytest.mark.parametrize("damage", [b"", b"{", b'{"id":"\xff"}'])
def test_a_job_whose_file_cannot_be_read_is_not_known(nursery: Nursery, damage: bytes) -> None:
    folder = nursery.home / layout.RUNS / "d-run1"
    folder.mkdir()
    (folder / "job.json").write_bytes(damage)
    assert Jobs(nursery.home, nursery, silent).status == ()


def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_bytes", refuse)


async def ended(jobs: Jobs) -> JobStatus:
    while (job := jobs.status[0]).exit_code is None:  # noqa: ASYNC110 - no event tells
        await asyncio.sleep(0.01)
    return job


def test_a_job_runs_once_and_its_end_is_known_on_a_full_disk(
    nursery: Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work() -> None:
        jobs = Jobs(nursery.home, nursery, silent)
        full_disk(monkeypatch)
        jobs.start("d-run1", FAILS, {})
        pid = jobs.status[0].pid
        jobs.start("d-run1", FAILS, {})
        assert jobs.status[0].pid == pid
        assert (await ended(jobs)).exit_code == 4

    run(work)


def test_a_job_that_the_agent_ended_with_itself_is_unknown_to_the_next_one(
    nursery: Nursery,
) -> None:
    async def work() -> None:
        jobs = Jobs(nursery.home, nursery, silent)
        jobs.start("d-run1", SLEEPS, {})
        await jobs.stop(5.0)
        assert [(job.id, job.exit_code) for job in jobs.status] == [("d-run1", None)], (
            "a controller that sees the agent stop does not take the run for a failed one"
        )
        again = Jobs(nursery.home, nursery, silent)
        assert again.status == ()
        again.start("d-run1", FAILS, {})
        assert (await ended(again)).exit_code == 4
        assert Jobs(nursery.home, nursery, silent).status == again.status

    run(work)


def test_no_job_is_started_while_the_agent_stops(nursery: Nursery) -> None:
    async def work() -> None:
        jobs = Jobs(nursery.home, nursery, silent)
        await jobs.stop(5.0)
        with pytest.raises(errors.Permanent) as caught:
            jobs.start("d-run1", SLEEPS, {})
        assert caught.value.code == errors.SPAWN_FAILED
        assert jobs.status == ()

    run(work)
