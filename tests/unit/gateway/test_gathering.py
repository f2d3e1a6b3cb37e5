"""What arrives while work for an idle worker is gathered."""

import asyncio
from pathlib import Path

import pytest
from tests.unit.gateway.harness import Harness, running
from tests.unit.gateway.scenarios import STABLE, run, score, times, waiting, worker
from tests.unit.gateway.support import request, until

from trimtab.gateway.schedule import Schedule


class Arrivals:
    """Stands for a client's transport."""

    def __init__(self) -> None:
        self.answers: list[bytes] = []
        self.write = self.answers.append

    def is_closing(self) -> bool:
        return False

    def ask(self, it: Harness, value: float) -> None:
        """One more request is read off its socket."""
        body = request([value])
        head = f"POST /v2/models/d/infer HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        self.connection = it.gateway.http.connection()
        self.connection.connection_made(self)  # type: ignore[arg-type]
        self.connection.data_received(head.encode() + body)


def test_what_is_read_in_the_turn_that_gives_work_out_goes_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        one = await worker(tmp_path, 1, times(2))
        late = Arrivals()
        async with running(tmp_path, STABLE) as it:
            one.gate.clear()
            first = asyncio.create_task(it.infer(request([1.0])))
            await until(lambda: one.sizes == [1])
            second = asyncio.create_task(it.infer(request([2.0])))
            await waiting(it, 1)

            def gathers(_: Schedule, since: float) -> bool:
                if since and not late.answers:
                    asyncio.get_running_loop().call_soon(late.ask, it, 3.0)
                    monkeypatch.setattr(Schedule, "gathers", lambda _, since: True)
                return True

            monkeypatch.setattr(Schedule, "gathers", gathers)
            one.gate.set()
            assert [score(await each) for each in (first, second)] == [2.0, 4.0]
            await until(lambda: bool(late.answers))
            late.connection.connection_lost(None)
            assert one.sizes == [1, 2]

    run(scenario)
