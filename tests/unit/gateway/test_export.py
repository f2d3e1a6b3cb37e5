"""Spans and metrics reach a collector, and no request waits for one."""

import asyncio
import io
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.collector import Receiver, attributes, receiving
from tests.unit.gateway.grpc_scenes import MATRIX, Client, matrix
from tests.unit.gateway.harness import Harness, running
from tests.unit.gateway.scenarios import (
    STABLE,
    canary_at,
    crash,
    die,
    run,
    socket_of,
    times,
    waiting,
    worker,
)
from tests.unit.gateway.support import (
    Answerer,
    FakeWorker,
    digest,
    request,
    snapshot,
    summed,
    target,
    tensor,
    until,
)
from tests.unit.gateway.test_tracing import INFER, TRACE, noting

from trimtab.domain import telemetry
from trimtab.domain.otel import Destination, Export
from trimtab.gateway import export as export_module
from trimtab.gateway.collector import Collector, Reply
from trimtab.gateway.export import Exports, SpanSender
from trimtab.gateway.logs import Log
from trimtab.gateway.metrics import Meter
from trimtab.gateway.tracing import Span, Spans

CLIENT = "b7ad6b7169203331"
SAMPLED = {"traceparent": f"00-{TRACE}-{CLIENT}-01", "tracestate": "a=1"}
UNSAMPLED = {"traceparent": f"00-{TRACE}-{CLIENT}-00"}
ONE = {"queue", "batch_wait", "attempt m@1", "features", "model"}
LAYERS = {*ONE, "parse", "route", "encode"}

Scenario = Callable[[Harness], Awaitable[None]]


def exporting(
    home: Path,
    receiver: Receiver,
    scenario: Scenario,
    *answers: Answerer,
    routing: Any = STABLE,
    **options: Any,
) -> None:
    """A scenario with a gateway that sends spans, and a worker of release 1, 2, … for each answer.

    When it has ended all spans were sent."""
    options = {"traces": Destination(f"{receiver.url}/v1/traces"), **options}

    async def scene() -> None:
        for number, answer in enumerate(answers, start=1):
            await worker(home, number, answer)
        async with running(home, routing, export=Export(**options)) as it:
            await scenario(it)

    run(scene)


def asks(headers: dict[str, str], body: bytes | None = None, code: int = 200) -> Scenario:
    """One request."""

    async def scenario(it: Harness) -> None:
        answer = await it.client.post(INFER, content=body or request(), headers=headers)
        assert answer.status_code == code

    return scenario


def test_a_sampled_request_is_a_tree_of_spans_below_that_of_its_client(tmp_path: Path) -> None:
    seen: list[dict[str, Any]] = []
    responses: list[str] = []

    async def scenario(it: Harness) -> None:
        answer = await it.client.post(INFER, content=request(id="q"), headers=SAMPLED)
        responses.append(answer.headers["traceresponse"])

    with receiving() as receiver:
        named = {"service.name": "risk"}
        exporting(tmp_path, receiver, scenario, noting(seen), attributes=named)
    (root,) = receiver.named("infer d")
    spans = {span.name: span for span in receiver.spans if span is not root}
    assert set(spans) == LAYERS
    assert len(spans) == len(receiver.spans) - 1
    assert {span.trace_id.hex() for span in receiver.spans} == {TRACE}
    assert (root.parent_span_id.hex(), root.kind, root.trace_state) == (CLIENT, 2, "a=1")
    assert responses == [f"00-{TRACE}-{root.span_id.hex()}-01"]
    attempt = spans["attempt m@1"]
    below = {name for name, span in spans.items() if span.parent_span_id == attempt.span_id}
    assert below == {"features", "model"}
    assert {s.parent_span_id for n, s in spans.items() if n not in below} == {root.span_id}
    ((handed_on,),) = [header["traces"] for header in seen]
    assert handed_on == {
        "traceparent": f"00-{TRACE}-{attempt.span_id.hex()}-01",
        "tracestate": "a=1",
    }
    assert attributes(root) == {
        "trimtab.request_id": "q",
        "trimtab.deployment": "d",
        "trimtab.release": "m@1",
        "trimtab.mode": "stable",
        "trimtab.lane": "realtime",
        "trimtab.rows": 1,
        "trimtab.attempts": 1,
        "http.request.method": "POST",
        "http.response.status_code": 200,
    }
    assert attributes(attempt)["trimtab.worker"] == "1-0"
    assert not any(span.status.code for span in receiver.spans)
    resource = receiver.traces[0].resource_spans[0].resource
    assert attributes(resource)["service.name"] == "risk"
    in_order = ("parse", "route", "queue", "batch_wait", "attempt m@1", "encode")
    edges = [
        at for name in in_order for at in (spans[name].start_time_unix_nano, _end(spans[name]))
    ]
    assert edges == sorted(edges)
    assert root.start_time_unix_nano == edges[0]
    assert _end(root) == edges[-1]
    assert _end(spans["model"]) - spans["model"].start_time_unix_nano == pytest.approx(2e6, abs=1e3)


def _end(span: Any) -> int:
    return int(span.end_time_unix_nano)


@pytest.mark.parametrize("headers", [{}, {"traceparent": "broken"}])
def test_a_request_without_a_trace_begins_one(tmp_path: Path, headers: dict[str, str]) -> None:
    logged: list[str] = []

    async def scenario(it: Harness) -> None:
        await asks(headers)(it)
        logged.extend((await it.rows())["trace_id"])

    with receiving() as receiver:
        exporting(tmp_path, receiver, scenario, times(2))
    (root,) = receiver.named("infer d")
    assert root.parent_span_id == b""
    assert [root.trace_id.hex()] == logged


@pytest.mark.parametrize(
    ("headers", "options", "roots"),
    [
        ({}, {"ratio": 0.0}, 0),
        (SAMPLED, {"ratio": 0.0}, 1),
        (UNSAMPLED, {"ratio": 1.0}, 0),
        (UNSAMPLED, {"ratio": 1.0, "parent_based": False}, 1),
        (SAMPLED, {"ratio": 0.0, "parent_based": False}, 0),
    ],
)
def test_the_sampler_decides_what_is_recorded(
    tmp_path: Path, headers: dict[str, str], options: dict[str, Any], roots: int
) -> None:
    seen: list[dict[str, Any]] = []
    with receiving() as receiver:
        exporting(tmp_path, receiver, asks(headers), noting(seen), **options)
    assert len(receiver.named("infer d")) == roots
    traces = [each["traceparent"] for each in seen[0].get("traces", [])]
    assert all(each.endswith(f"-0{roots}") for each in traces)
    assert len(traces) == (1 if headers else 0)


def test_a_share_of_the_traces_is_sampled_by_their_ids(tmp_path: Path) -> None:
    """So that all services that see a trace decide alike."""
    low, high = f"{'f' * 16}{'3' * 16}", f"{'0' * 15}1{'5' * 16}"

    async def scenario(it: Harness) -> None:
        for trace in (low, high):
            await asks({"traceparent": f"00-{trace}-{CLIENT}-00"})(it)

    with receiving() as receiver:
        exporting(tmp_path, receiver, scenario, times(2), ratio=0.25, parent_based=False)
    assert [root.trace_id.hex() for root in receiver.named("infer d")] == [low]


def test_an_unsampled_request_hands_on_what_came(tmp_path: Path) -> None:
    seen: list[dict[str, Any]] = []
    with receiving() as receiver:
        exporting(tmp_path, receiver, asks(UNSAMPLED), noting(seen))
    assert seen[0]["traces"] == [UNSAMPLED]


def test_what_failed_on_the_canary_and_what_answered_are_two_attempts(tmp_path: Path) -> None:
    with receiving() as receiver:
        routing = canary_at(10_000)
        exporting(tmp_path, receiver, asks(SAMPLED), times(2), crash, routing=routing)
    (failed,), (answered,) = receiver.named("attempt m@2"), receiver.named("attempt m@1")
    assert (failed.status.code, failed.status.message) == (2, "model: boom")
    assert attributes(answered)["trimtab.attempt"] == 1
    assert answered.status.code == 0
    (root,) = receiver.named("infer d")
    assert root.status.code == 0
    assert attributes(root)["trimtab.attempts"] == 2
    assert len(receiver.named("parse")) == len(receiver.named("route")) == 1
    assert len(receiver.named("queue")) == 2


def test_a_release_that_fails_makes_the_request_an_error(tmp_path: Path) -> None:
    with receiving() as receiver:
        exporting(tmp_path, receiver, asks(SAMPLED, code=500), crash)
    (root,) = receiver.named("infer d")
    assert (root.status.code, root.status.message) == (2, "500")
    assert attributes(root)["http.response.status_code"] == 500


def test_a_worker_that_dies_is_an_attempt_and_another_follows(tmp_path: Path) -> None:
    async def scenario(it: Harness) -> None:
        await worker(tmp_path, 1, die)
        await until(lambda: any(pool.connected for pool in it.gateway.pools))
        asked = asyncio.ensure_future(asks(SAMPLED)(it))
        await until(lambda: not any(pool.connected for pool in it.gateway.pools))
        await worker(tmp_path, 1, times(2))
        await asked

    with receiving() as receiver:
        exporting(tmp_path, receiver, scenario)
    codes = [span.status.code for span in receiver.named("attempt m@1")]
    assert codes == [2, 0]


def test_a_refused_request_is_no_error_of_this_service(tmp_path: Path) -> None:
    body = request(inputs=[tensor("x", "FP64", ["no"])])
    with receiving() as receiver:
        exporting(tmp_path, receiver, asks(SAMPLED, body, code=400))
    (root,) = receiver.named("infer d")
    assert root.status.code == 0
    assert attributes(root)["http.response.status_code"] == 400
    assert {span.name for span in receiver.spans} == {"infer d", "parse", "route"}


def test_a_client_that_left_is_told_from_one_that_was_answered(tmp_path: Path) -> None:
    async def scenario(it: Harness) -> None:
        made = await worker(tmp_path, 1, times(2))
        made.gate.clear()
        first = asyncio.ensure_future(asks({})(it))
        await made.arrived.wait()
        second = asyncio.ensure_future(asks(SAMPLED)(it))
        await waiting(it, 1)
        second.cancel()
        await until(lambda: len(it.gateway.http.connections) == 1)
        made.gate.set()
        await first

    with receiving() as receiver:
        exporting(tmp_path, receiver, scenario, ratio=0.0)
    (root,) = receiver.named("infer d")
    assert attributes(root)["http.response.status_code"] == 499


def test_a_call_that_is_sent_in_parts_is_one_attempt(tmp_path: Path) -> None:
    seen: list[dict[str, Any]] = []

    async def scenario(it: Harness) -> None:
        headers = {**SAMPLED, "X-Trimtab-Priority": "2"}
        answer = await it.client.post(INFER, content=request([1.0] * 200), headers=headers)
        assert answer.status_code == 200

    with receiving() as receiver:
        exporting(tmp_path, receiver, scenario, noting(seen))
    assert len(seen) > 1
    (attempt,) = receiver.named("attempt m@1")
    parents = {each["traceparent"].split("-")[2] for header in seen for each in header["traces"]}
    assert parents == {attempt.span_id.hex()}


def test_what_is_repeated_in_less_company_is_told_so(tmp_path: Path) -> None:
    async def scenario(it: Harness) -> None:
        made = await worker(tmp_path, 1, bad_in_company)
        made.gate.clear()
        first = asyncio.ensure_future(asks({})(it))
        await made.arrived.wait()
        traced = [asyncio.ensure_future(asks(SAMPLED)(it)) for _ in range(2)]
        await waiting(it, 2)
        made.gate.set()
        await asyncio.gather(first, *traced)

    def bad_in_company(frame: Any) -> Any:
        if frame.header["rows"] > 1:
            raise ValueError("one of them")
        return times(2)(frame)

    with receiving() as receiver:
        exporting(tmp_path, receiver, scenario, ratio=0.0)
    messages = sorted(span.status.message for span in receiver.named("attempt m@1"))
    assert messages == ["", "", "repeated in less company", "repeated in less company"]


def test_a_shadow_copy_is_below_the_request_that_it_is_a_copy_of(tmp_path: Path) -> None:
    routing = snapshot(
        1,
        [target(1, socket_of(1)), target(2, socket_of(2))],
        [(1, "stable", 10_000), (2, "shadow", 0)],
        shadow_ratio=1.0,
    )

    async def scenario(it: Harness) -> None:
        await asks(SAMPLED)(it)
        (sender,) = it.gateway._exports._senders
        assert isinstance(sender, SpanSender)
        await until(lambda: sender._count >= 14)

    with receiving() as receiver:
        exporting(tmp_path, receiver, scenario, times(2), times(3), routing=routing)
    (root,), (copy,) = receiver.named("infer d"), receiver.named("shadow d")
    assert copy.parent_span_id == root.span_id
    assert copy.kind == 1
    assert copy.start_time_unix_nano >= root.start_time_unix_nano
    (attempt,) = receiver.named("attempt m@2")
    assert attempt.parent_span_id == copy.span_id


def test_over_grpc_the_code_is_that_of_grpc(tmp_path: Path) -> None:
    async def scenario(it: Harness) -> None:
        client = Client(it.grpc_port)
        try:
            metadata = tuple(SAMPLED.items())
            await client.call("ModelInfer", matrix(1), metadata=metadata)
        finally:
            client.channel.close()

    with receiving() as receiver:
        exporting(tmp_path, receiver, scenario, summed, routing=MATRIX)
    (root,) = receiver.named("infer d")
    found = attributes(root)
    assert (found["rpc.system"], found["rpc.grpc.status_code"]) == ("grpc", 0)
    assert root.parent_span_id.hex() == CLIENT


def test_metrics_are_those_that_prometheus_is_shown(tmp_path: Path) -> None:
    async def scenario(it: Harness) -> None:
        for _ in range(3):
            await asks({})(it)

    with receiving() as receiver:
        metrics = Destination(f"{receiver.url}/v1/metrics")
        exporting(tmp_path, receiver, scenario, times(2), traces=None, metrics=metrics)
    answered = receiver.points("trimtab_requests_total")
    assert [point.as_double for point in answered.values()] == [3.0]
    total = receiver.points("trimtab_request_duration_seconds")["d", "m@1", "realtime", "total"]
    assert total.count == 3
    assert receiver.traces == []


def test_only_the_first_gateway_sends_the_metrics_of_all() -> None:
    async def looked() -> None: ...

    async def scenario() -> None:
        export = Export(metrics=Destination("http://127.0.0.1:1"))
        for index, count in ((0, 1), (1, 0)):
            made = Exports(export, Meter(), looked, Log(io.StringIO()), index=index, instance="i")
            assert len(made._senders) == count

    run(scenario)


def test_headers_are_sent_and_bodies_compressed(tmp_path: Path) -> None:
    with receiving() as receiver:
        to = Destination(
            f"{receiver.url}/v1/traces", {"api-key": "k", "Host": "no"}, compressed=True
        )
        exporting(tmp_path, receiver, asks(SAMPLED), times(2), traces=to)
    assert receiver.named("infer d")
    (headers,) = receiver.headers
    assert headers["api-key"] == "k"
    assert headers["content-encoding"] == "gzip"
    assert headers["content-type"] == "application/x-protobuf"
    assert headers["host"] == receiver.url.removeprefix("http://")


def test_a_password_in_the_endpoint_is_sent(tmp_path: Path) -> None:
    with receiving() as receiver:
        place = receiver.url.removeprefix("http://")
        to = Destination(f"http://ada:pass%20word@{place}/v1/traces")
        exporting(tmp_path, receiver, asks(SAMPLED), times(2), traces=to)
    (headers,) = receiver.headers
    assert headers["authorization"] == "Basic YWRhOnBhc3Mgd29yZA=="
    assert headers["host"] == place


def test_a_header_that_is_given_goes_before_a_password_in_the_endpoint(tmp_path: Path) -> None:
    with receiving() as receiver:
        place = receiver.url.removeprefix("http://")
        to = Destination(f"http://ada:pw@{place}/v1/traces", {"authorization": "Bearer t"})
        exporting(tmp_path, receiver, asks(SAMPLED), times(2), traces=to)
    assert receiver.headers[0]["authorization"] == "Bearer t"


def test_a_collector_that_hangs_keeps_nobody_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_module, "DELAY_SECONDS", 0.0)
    monkeypatch.setattr(export_module, "MOST_WAITING", 40)
    shown: list[str] = []

    async def scenario(it: Harness) -> None:
        await asks({})(it)
        await until(lambda: receiver.posts == 1)
        for _ in range(10):
            await asks({})(it)
        shown.append((await it.client.get("/metrics")).text)
        receiver.gate.set()

    with receiving() as receiver:
        receiver.gate.clear()
        exporting(tmp_path, receiver, scenario, times(2))
    assert 'trimtab_spans_dropped_total{reason="full"} 54.0' in shown[0]
    assert len(receiver.named("infer d")) == 5


def spans(count: int) -> Spans:
    span = Span(b"12345678", b"", "s", 1, 0.0, 1.0)
    return Spans(b"1" * 16, "", 1.7e9, [span] * count)


class Line:
    """Answers as it is told."""

    def __init__(self, *replies: Reply) -> None:
        self.replies = list(replies)
        self.complaints: list[tuple[int, str]] = []

    async def post(self, _: bytes) -> Reply:
        return self.replies.pop(0)

    def complain(self, count: int, why: str) -> None:
        self.complaints.append((count, why))


def sent(monkeypatch: pytest.MonkeyPatch, *replies: Reply) -> tuple[Meter, Line]:
    """Three spans, and what came of them."""
    monkeypatch.setattr(export_module, "FIRST_PAUSE", 0.0)
    meter, line = Meter(), Line(*replies)

    async def scenario() -> None:
        sender = SpanSender(line, b"", meter)  # type: ignore[arg-type]
        sender.take(spans(3))
        await sender._send(export_module.TRIES)

    run(scenario)
    return meter, line


def test_what_a_collector_cannot_take_now_is_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    meter, line = sent(monkeypatch, Reply(503), Reply(), Reply(429), Reply(200))
    assert meter.counted(telemetry.SPANS) == {(): 3}
    assert line.replies == []


def test_what_a_collector_will_not_take_is_dropped_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    meter, line = sent(monkeypatch, Reply(400), Reply(200))
    assert meter.counted(telemetry.SPANS_DROPPED) == {("refused",): 3}
    assert len(line.replies) == 1


def test_a_collector_that_is_away_for_long_costs_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    meter, _ = sent(monkeypatch, *[Reply()] * export_module.TRIES)
    assert meter.counted(telemetry.SPANS_DROPPED) == {("unreachable",): 3}


def test_what_is_refused_of_what_was_taken_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = b"\x0a\x0b\x08\x02\x12\x07too old"
    meter, line = sent(monkeypatch, Reply(200, body=answer))
    assert meter.counted(telemetry.SPANS) == {(): 1}
    assert meter.counted(telemetry.SPANS_DROPPED) == {("refused",): 2}
    assert line.complaints == [(2, "too old")]


def test_an_answer_that_cannot_be_read_is_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    meter, _ = sent(monkeypatch, Reply(200, body=b"<html>"))
    assert meter.counted(telemetry.SPANS) == {(): 3}


def test_a_failing_collector_is_logged_when_it_begins_and_when_it_ends(tmp_path: Path) -> None:
    async def scenario() -> None:
        meter, log = Meter(), io.StringIO()
        secret = receiver.url.replace("://", "://ada:hidden@")
        to = Destination(f"{secret}/v1/traces?key=hidden")
        line = export_module._Line("traces", to, meter, Log(log))
        receiver.statuses += [500, 503]
        for _ in range(4):
            await line.post(b"")
        events = [line.split('"event":"')[1].split('"')[0] for line in log.getvalue().splitlines()]
        assert events == ["export.failed", "export.works"]
        assert f'"url":"{receiver.url}/v1/traces"' in log.getvalue()
        assert "hidden" not in log.getvalue()
        assert meter.counted(telemetry.EXPORT_FAILURES) == {("traces",): 2}

    with receiving() as receiver:
        run(scenario)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
    ],
)
def test_what_is_no_answer_is_as_good_as_nobody_there(answer: bytes) -> None:
    async def scenario() -> None:
        async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\nx")
            writer.write(answer)
            writer.close()

        server = await asyncio.start_server(speak, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server:
            with pytest.raises(OSError, match="answer"):
                await Collector(Destination(f"http://127.0.0.1:{port}/v1/traces")).post(b"x")

    run(scenario)


def test_an_answer_in_chunks_and_a_pause_that_is_asked_for_are_understood() -> None:
    async def scenario() -> None:
        async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\nbody")
            writer.write(
                b"HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nTransfer-Encoding: chunked\r\n\r\n"
            )
            writer.write(b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n")
            await writer.drain()
            await reader.read()
            writer.close()

        server = await asyncio.start_server(speak, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server:
            reply = await Collector(Destination(f"http://127.0.0.1:{port}")).post(b"body")
        assert (reply.status, reply.pause, reply.body) == (503, 7.0, b"abc")
        assert reply.try_again

    run(scenario)


def test_a_collector_has_a_limited_time_to_answer() -> None:
    async def scenario() -> None:
        to = Destination(receiver.url, timeout_seconds=0.05)
        with pytest.raises(OSError, match=r"no answer within 0\.05 s"):
            await Collector(to).post(b"x")

    with receiving() as receiver:
        receiver.gate.clear()
        run(scenario)


@pytest.mark.parametrize("certificate", ["", "missing.pem"])
def test_a_connection_that_cannot_be_trusted_is_none(certificate: str) -> None:
    async def scenario() -> None:
        to = Destination(receiver.url.replace("http:", "https:"), certificate=certificate)
        with pytest.raises(OSError):  # noqa: PT011 - what TLS says of it is not ours
            await Collector(to).post(b"x")

    with receiving() as receiver:
        run(scenario)
    assert receiver.posts == 0


def test_nothing_is_begun_where_nothing_is_exported(tmp_path: Path) -> None:
    async def scenario() -> None:
        made = await FakeWorker(str(tmp_path / socket_of(1)), digest(1), times(2)).start()
        async with running(tmp_path, STABLE) as it:
            answer = await it.client.post(INFER, content=request(), headers=SAMPLED)
            assert answer.status_code == 200
            assert "traceresponse" not in answer.headers
            assert not it.gateway._exports._senders
        assert made.sizes == [1]

    run(scenario)
