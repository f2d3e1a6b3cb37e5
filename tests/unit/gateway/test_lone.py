"""A request that is alone in the gateway."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.unit.gateway.harness import running
from tests.unit.gateway.scenarios import STABLE, run, score, times, worker
from tests.unit.gateway.support import request

from trimtab.backends.spool import SpoolLog
from trimtab.domain import telemetry
from trimtab.gateway.http11 import Exchange
from trimtab.gateway.layers import Layers
from trimtab.gateway.metrics import Meter
from trimtab.gateway.schedule import Schedule


def test_a_lone_request_is_not_held_for_company(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[bool] = []
    gathers = Schedule.gathers

    def noting(schedule: Schedule, since: float) -> bool:
        told.append(gathers(schedule, since))
        return told[-1]

    monkeypatch.setattr(Schedule, "gathers", noting)

    async def scenario() -> None:
        one = await worker(tmp_path, 1, times(2))
        one.kept = 0.5
        async with running(tmp_path, STABLE) as it:
            for i in range(12):
                assert score(await it.infer(request([float(i)]))) == 2.0 * i
            assert told
            assert not any(told)

    run(scenario)


def test_a_lone_answer_leaves_before_anything_is_learned_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []

    def noting(what: str, do: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*given: Any, **named: Any) -> Any:
            done.append(what)
            return do(*given, **named)

        return noted

    for owner, name in ((Exchange, "respond"), (Layers, "observe"), (Schedule, "learn")):
        monkeypatch.setattr(owner, name, noting(name, getattr(owner, name)))
    monkeypatch.setattr(SpoolLog, "spool", noting("log", SpoolLog.spool))
    count = Meter.count

    def counting(
        meter: Meter, metric: telemetry.Metric, labels: tuple[str, ...], by: int = 1
    ) -> None:
        if by and metric in (telemetry.REQUESTS, telemetry.LOG_ROWS):
            done.append(metric.name)
        count(meter, metric, labels, by)

    monkeypatch.setattr(Meter, "count", counting)

    async def scenario() -> None:
        await worker(tmp_path, 1, times(2))
        async with running(tmp_path, STABLE) as it:
            assert score(await it.infer(request([1.0]))) == 2.0
            answered = [telemetry.REQUESTS.name, "observe", telemetry.LOG_ROWS.name]
            assert done == ["log", "respond", *answered, "learn"]

    run(scenario)
