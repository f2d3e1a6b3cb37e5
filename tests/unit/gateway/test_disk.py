"""A disk that lets one wait holds up nobody who asks for an answer."""

import asyncio
import io
import threading
import time
from functools import partial
from pathlib import Path

import msgspec
import pytest
from tests.unit.gateway.harness import running
from tests.unit.gateway.scenarios import STABLE, run, score, times, worker
from tests.unit.gateway.support import request

from trimtab.gateway.disk import Disk
from trimtab.gateway.logs import Log
from trimtab.gateway.main import CALM_POLL_SECONDS
from trimtab.gateway.table import POLL_SECONDS


def test_answers_leave_and_are_logged_while_the_disk_renames_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Spool and counts are handed over by renames, which may take long."""
    may_go_on, waits = threading.Event(), threading.Event()
    rename = Path.rename

    def slow(self: Path, target: Path) -> Path:
        waits.set()
        assert may_go_on.wait(15)
        return rename(self, target)

    async def scenario() -> None:
        await worker(tmp_path, 1, times(2))
        async with running(tmp_path, STABLE) as it:
            assert score(await it.infer(request([1]))) == 2.0
            monkeypatch.setattr(Path, "rename", slow)
            handing_over = asyncio.ensure_future(it.gateway.recorder.flush())
            await asyncio.to_thread(waits.wait, 15)
            for value in (2, 3, 4):
                assert score(await it.infer(request([value]))) == 2.0 * value
            assert not handing_over.done()
            may_go_on.set()
            await handing_over
            assert sorted((await it.rows())["in.x"]) == [1.0, 2.0, 3.0, 4.0]

    run(scenario)


def test_work_is_done_in_the_order_in_which_it_was_asked_for() -> None:
    async def scenario() -> None:
        disk = Disk(Log(io.StringIO()))
        done: list[int] = []
        for number in range(50):
            disk.later("failed", partial(done.append, number))
        await disk.do(lambda: done.append(50))
        assert done == list(range(51))
        disk.close()

    run(scenario)


def test_what_fails_is_told_to_whom_it_concerns() -> None:
    def fails() -> None:
        raise OSError("no space")

    async def scenario() -> None:
        stream = io.StringIO()
        disk = Disk(Log(stream))
        with pytest.raises(OSError, match="no space"):
            await disk.do(fails)
        assert not stream.getvalue()
        disk.later("mark.failed", fails, deployment="d")
        disk.close()
        assert "mark.failed" in stream.getvalue()
        assert '"deployment":"d"' in stream.getvalue()

    run(scenario)


def test_a_gateway_that_nobody_asks_looks_less_often_for_another_routing(tmp_path: Path) -> None:
    async def scenario() -> None:
        await worker(tmp_path, 1, times(2))
        async with running(tmp_path, STABLE) as it:
            assert it.gateway._poll_seconds() == CALM_POLL_SECONDS
            await it.infer(request())
            assert it.gateway._poll_seconds() == POLL_SECONDS
            await it.route(msgspec.structs.replace(STABLE, version=2))

    run(scenario)


def test_a_gateway_that_ends_takes_back_an_acknowledgement_that_is_still_on_its_way(
    tmp_path: Path,
) -> None:
    facts = tmp_path / "run" / "gateway-0.json"

    def acknowledge() -> None:
        time.sleep(0.05)
        facts.write_text("{}")

    async def scenario() -> None:
        await worker(tmp_path, 1, times(2))
        async with running(tmp_path, STABLE) as it:
            it.gateway._disk.later("failed", acknowledge)
        assert not facts.exists()

    run(scenario)
