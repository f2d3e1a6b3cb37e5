"""What may be lost is counted from nothing on, so that the first loss is an increase."""

import asyncio
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.unit.gateway.harness import Harness, running
from tests.unit.gateway.scenarios import STABLE, run, times, waiting, worker
from tests.unit.gateway.support import request

from trimtab.domain.otel import Destination, Export
from trimtab.gateway.metrics import Meter
from trimtab.gateway.schedule import Limits

Samples = dict[str, dict[tuple[str, ...], float]]


async def samples(it: Harness) -> Samples:
    """Every series that a gateway shows, by name and the values of its labels."""
    found: Samples = {}
    for family in text_string_to_metric_families((await it.client.get("/metrics")).text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found


def test_losses_are_nought_before_the_first(tmp_path: Path) -> None:
    async def scenario() -> None:
        export = Export(traces=Destination("http://127.0.0.1:1/v1/traces"))
        async with running(tmp_path, STABLE, export=export) as it:
            seen = await samples(it)
        shed = seen["trimtab_shed_total"]
        assert {labels[1] for labels in shed} == {"realtime", "batch", "shadow"}
        assert set(shed.values()) == {0.0}
        assert seen["trimtab_log_dropped_rows_total"] == {("d",): 0.0}
        assert seen["trimtab_retries_total"] == {("d", "canary"): 0.0, ("d", "worker"): 0.0}
        assert seen["trimtab_shadow_dropped_total"] == {("d",): 0.0}
        assert seen["trimtab_log_unreadable_spools"] == {(): 0.0}
        assert seen["trimtab_spans_dropped_total"][("full",)] == 0.0
        assert seen["trimtab_export_failures_total"][("traces",)] == 0.0

    run(scenario)


def test_rows_that_the_disk_refuses_are_counted_and_their_requests_answered(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        (tmp_path / "spool").write_text("no folder can be made here")
        await worker(tmp_path, 1, times(2))
        async with running(tmp_path, STABLE) as it:
            assert (await it.infer(request([1.0, 2.0]))).status_code == 200
            seen = await samples(it)
            assert seen["trimtab_log_dropped_rows_total"] == {("d",): 2.0}
            assert seen["trimtab_log_rows_total"] == {("d",): 0.0}
            (tmp_path / "spool").unlink()
            assert (await it.infer(request())).status_code == 200
            seen = await samples(it)
            assert seen["trimtab_log_dropped_rows_total"] == {("d",): 2.0}
            assert seen["trimtab_log_rows_total"] == {("d",): 1.0}

    run(scenario)


def test_a_spool_that_no_segment_can_be_made_of_is_shown(tmp_path: Path) -> None:
    async def scenario() -> None:
        await worker(tmp_path, 1, times(2))
        async with running(tmp_path, STABLE) as it:
            assert (await it.infer(request())).status_code == 200
            await it.gateway.recorder.flush()
            (spool,) = (tmp_path / "spool").glob("*.log")
            spool.write_bytes(struct.pack("<II", 1, zlib.crc32(b"?")) + b"?")
            await it.publish()
            assert (await samples(it))["trimtab_log_unreadable_spools"] == {(): 1.0}

    run(scenario)


def test_what_is_shed_and_why_each_batch_left_are_told_apart(tmp_path: Path) -> None:
    async def scenario() -> None:
        made = await worker(tmp_path, 1, times(2))
        limits = Limits(queue=3, batch_requests=2)
        async with running(tmp_path, STABLE, limits) as it:
            made.gate.clear()
            first = asyncio.ensure_future(it.infer(request()))
            await made.arrived.wait()
            queued = [asyncio.ensure_future(it.infer(request())) for _ in range(3)]
            await waiting(it, 3)
            assert (await it.infer(request())).status_code == 429
            made.gate.set()
            answers = await asyncio.gather(first, *queued)
            assert [answer.status_code for answer in answers] == [200] * 4
            seen = await samples(it)
        shed = {labels: count for labels, count in seen["trimtab_shed_total"].items() if count}
        assert shed == {("d", "realtime", "full"): 1.0}
        assert seen["trimtab_batches_total"] == {
            ("realtime", "idle", "m@1"): 1.0,
            ("realtime", "full", "m@1"): 1.0,
            ("realtime", "freed", "m@1"): 1.0,
        }

    run(scenario)


def test_metrics_that_cannot_be_told_are_an_error_and_no_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Meter) -> Iterator[bytes]:
        raise ValueError("a bug")

    monkeypatch.setattr(Meter, "exposition", broken)

    async def scenario() -> None:
        async with running(tmp_path) as it:
            answer = await it.client.get("/metrics")
            assert answer.status_code == 500
            assert "a bug" in (tmp_path / "gateway.log").read_text()

    run(scenario)
