"""Batch work goes no faster than the log is read, for as long as somebody reads it."""

import asyncio
import time
from math import inf
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.gateway.harness import running
from tests.unit.gateway.scenarios import STABLE, run, times, worker
from tests.unit.gateway.support import request

from trimtab.gateway.arrears import LATE_SECONDS, LEAST_RATE, LESS, Arrears

TICK = 0.5


def loop(arrears: Arrears, reads: float, offered: float, seconds: float) -> tuple[float, float]:
    """A lane that offers and a reader that reads so many rows a second; the rate at which rows came
    in the second half, and the largest age of what waited, as looks each half second see it."""
    written, read, now = [0.0], 0.0, 0.0
    came = oldest = 0.0
    while now < seconds:
        now += TICK
        rows = min(arrears.rate, offered) * TICK
        arrears.took(int(rows), now)
        written.append(written[-1] + rows)
        read = min(written[-1], read + reads * TICK)
        age = now - next((i for i, all_ in enumerate(written) if all_ > read), now / TICK) * TICK
        arrears.look(max(0.0, age), now)
        oldest = max(oldest, age)
        came += rows if now > seconds / 2.0 else 0.0
    return came / (seconds / 2.0), oldest


def test_a_log_that_is_read_in_time_holds_nothing_up() -> None:
    arrears = Arrears(0.0)
    assert loop(arrears, reads=2e5, offered=1e5, seconds=300.0) == (1e5, 0.0)
    assert arrears.rate == inf
    assert arrears.wait(300.0) == 0.0


@pytest.mark.parametrize("reads", [3e3, 1e4, 3e4, 9e4])
def test_a_lane_that_offers_more_gets_about_what_is_read(reads: float) -> None:
    came, oldest = loop(Arrears(0.0), reads, offered=1e5, seconds=2_000.0)
    assert 0.8 * reads < came < 1.05 * reads
    before_it_slows = LATE_SECONDS + TICK / (1.0 - LESS)
    assert oldest < 10.0 * LATE_SECONDS + before_it_slows * 1e5 / reads


def test_where_nobody_reads_batch_work_goes_on_as_it_did() -> None:
    arrears = Arrears(0.0)
    came, _ = loop(arrears, reads=0.0, offered=1e5, seconds=900.0)
    assert came > 0.95e5


def test_a_call_waits_for_the_rows_of_the_one_before() -> None:
    arrears = Arrears(0.0)
    arrears.took(5_000, 1.0)
    arrears.look(LATE_SECONDS + 1.0, 1.0)
    assert arrears.rate == pytest.approx(4_000.0)
    arrears.took(2_000, 1.0)
    assert arrears.wait(1.0) == pytest.approx(0.5)
    assert arrears.wait(2.0) == 0.0
    arrears.look(LATE_SECONDS + 1.0, 1.0)
    assert arrears.rate == pytest.approx(4_000.0), "no time has passed"


@given(st.lists(st.tuples(st.floats(0.0, 300.0), st.integers(0, 10**6)), max_size=60))
def test_the_rate_never_falls_below_what_batch_work_may_always_have(
    looks: list[tuple[float, int]],
) -> None:
    arrears = Arrears(0.0)
    for number, (age, rows) in enumerate(looks):
        arrears.took(rows, number * TICK)
        arrears.look(age, (number + 1) * TICK)
        assert arrears.rate >= LEAST_RATE
        assert arrears.wait(number * TICK) >= 0.0


def test_batch_requests_wait_while_the_log_is_read_too_late_and_others_do_not(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        await worker(tmp_path, 1, times(2))
        async with running(tmp_path, STABLE) as it:
            arrears = it.gateway.recorder.arrears
            arrears.rate = 1_000.0
            arrears.took(400, time.monotonic())
            batch = {"X-Trimtab-Priority": "2"}
            late = asyncio.ensure_future(
                it.client.post("/v2/models/d/infer", content=request(), headers=batch)
            )
            answer = await it.infer(request())
            assert answer.status_code == 200
            assert not late.done()
            assert (await late).status_code == 200

    run(scenario)
