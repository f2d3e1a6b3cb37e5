"""A request's way through the gateway, with fake workers behind real sockets."""

import asyncio
import json
from pathlib import Path

import msgspec
import pytest
from tests.unit.gateway.harness import Harness, running
from tests.unit.gateway.scenarios import (
    STABLE,
    canary_at,
    crash,
    die,
    run,
    score,
    socket_of,
    times,
    waiting,
    worker,
)
from tests.unit.gateway.support import (
    NUMERIC,
    FakeWorker,
    digest,
    request,
    scored,
    snapshot,
    summed,
    target,
    tensor,
    until,
)

from trimtab.backends.spool import SpoolLog
from trimtab.domain.routing import DeploymentRoute
from trimtab.gateway.answers import answer
from trimtab.gateway.assign import goes_to_canary, unit_hash
from trimtab.gateway.call import Call
from trimtab.gateway.record import Recorder
from trimtab.gateway.schedule import Limits, Schedule
from trimtab.gateway.values import OutputValues
from trimtab.worker.frames import Frame, Tensor


def test_an_answer_names_release_and_id_and_is_logged_with_its_values(tmp_path: Path) -> None:
    async def scenario() -> None:
        await worker(tmp_path, 1, times(2))
        async with running(tmp_path, STABLE) as it:
            answer = await it.infer(
                request(
                    [1.5, None],
                    id="q1",
                    parameters={"event_time": "2013-04-01T12:00:00Z", "unit": "u"},
                )
            )
            assert answer.status_code == 200
            assert answer.headers["x-trimtab-release"] == "m@1"
            assert answer.headers["x-request-id"] == "q1"
            assert answer.json() == {
                "model_name": "d",
                "model_version": "1",
                "id": "q1",
                "outputs": [
                    {"name": "score", "datatype": "FP64", "shape": [2], "data": [3.0, 0.0]},
                    {"name": "label", "datatype": "BYTES", "shape": [2], "data": ["AA", "AA"]},
                    {
                        "name": "pair",
                        "datatype": "FP32",
                        "shape": [2, 2],
                        "data": [3.0, -3.0, 0.0, 0.0],
                    },
                ],
            }
            rows = await it.rows()
            assert rows["request_id"] == ["q1", "q1"]
            assert rows["row"] == [0, 1]
            assert rows["event_time"] == [1364817600.0] * 2
            assert rows["unit"] == [unit_hash("r1", "u")] * 2
            assert rows["release"] == [digest(1)] * 2
            assert rows["mode"] == ["stable"] * 2
            assert rows["outcome"] == ["ok"] * 2
            assert rows["final"] == [True, True]
            assert rows["worker"] == ["1-0"] * 2
            assert rows["in.x"] == [1.5, None]
            assert rows["in.n"] == [0.0, 1.0]
            assert rows["in.carrier"] == ["AA", "AA"]
            assert rows["in.late"] == [1.0, 1.0]
            assert rows["out.score"] == [3.0, 0.0]
            assert rows["out.pair"] == [[3.0, -3.0], [0.0, 0.0]]
            assert all(0 <= t < 5 for t in rows["total_seconds"] + rows["queue_seconds"])

    run(scenario)


def test_a_matrix_and_named_columns_give_the_same(tmp_path: Path) -> None:
    async def scenario() -> None:
        await worker(tmp_path, 1, summed)
        routing = snapshot(1, [target(1, socket_of(1), signature=NUMERIC)], [(1, "stable", 10_000)])
        async with running(tmp_path, routing) as it:
            for inputs in (
                [tensor("a", "FP64", [1, 2]), tensor("b", "INT32", [3, 4])],
                [{"name": "m", "datatype": "FP64", "shape": [2, 2], "data": [1, 3, 2, 4]}],
                [{"name": "m", "datatype": "FP64", "shape": [2, 2], "data": [[1, 3], [2, 4]]}],
            ):
                answer = await it.infer(json.dumps({"inputs": inputs}).encode())
                assert answer.json()["outputs"][0]["data"] == [4.0, 6.0]

    run(scenario)


def test_only_the_outputs_asked_for_are_returned(tmp_path: Path) -> None:
    async def scenario() -> None:
        await worker(tmp_path, 1, times(2))
        async with running(tmp_path, STABLE) as it:
            answer = await it.infer(request(outputs=[{"name": "label"}]))
            assert [output["name"] for output in answer.json()["outputs"]] == ["label"]
            refused = await it.infer(request(outputs=[{"name": "lable"}]))
            assert refused.status_code == 400
            assert "did you mean 'label'" in refused.json()["error"]

    run(scenario)


def test_a_refused_request_is_logged_as_rejected(tmp_path: Path) -> None:
    async def scenario() -> None:
        await worker(tmp_path, 1, times(2))
        async with running(tmp_path, STABLE) as it:
            answer = await it.infer(b'{"inputs": [], "id": "bad"}')
            assert answer.status_code == 400
            rows = await it.rows()
            assert rows["outcome"] == ["rejected"]
            assert rows["request_id"] == ["bad"]
            assert rows["in.x"] == [None]

    run(scenario)


def test_what_waits_while_a_worker_is_busy_becomes_one_batch(tmp_path: Path) -> None:
    async def scenario() -> None:
        one = await worker(tmp_path, 1, times(2))
        one.gate.clear()
        async with running(tmp_path, STABLE) as it:
            first = asyncio.create_task(it.infer(request([1.0])))
            await one.arrived.wait()
            others = [asyncio.create_task(it.infer(request([float(i)]))) for i in range(2, 8)]
            await waiting(it, 6)
            one.gate.set()
            answers = [await each for each in (first, *others)]
            assert one.sizes == [1, 6]
            assert [score(answer) for answer in answers] == [2.0 * i for i in range(1, 8)]

    run(scenario)


def test_work_that_a_busy_gateway_gathers_goes_back_to_its_callers(tmp_path: Path) -> None:
    async def scenario() -> None:
        one = await worker(tmp_path, 1, times(2))
        one.kept = 0.5
        async with running(tmp_path, STABLE) as it:
            alone = [await it.infer(request([float(i)])) for i in range(12)]
            together = await asyncio.gather(*(it.infer(request([float(i)])) for i in range(40)))
            assert [score(answer) for answer in alone] == [2.0 * i for i in range(12)]
            assert [score(answer) for answer in together] == [2.0 * i for i in range(40)]
            assert sum(one.sizes) == 52

    run(scenario)


def test_an_answer_that_cannot_be_encoded_costs_only_its_sender(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(call: Call, values: list[OutputValues], start: int) -> tuple[bytes, bytes]:
        if call.request_id == "odd":
            raise RuntimeError("a bug")
        return answer(call, values, start)

    monkeypatch.setattr("trimtab.gateway.rest.answer", broken)

    async def scenario() -> None:
        one = await worker(tmp_path, 1, times(1))
        one.gate.clear()
        async with running(tmp_path, STABLE) as it:
            first = asyncio.create_task(it.infer(request([1.0])))
            await one.arrived.wait()
            ids = ("a", "odd", "b")
            others = [asyncio.create_task(it.infer(request([2.0], id=name))) for name in ids]
            await waiting(it, 3)
            one.gate.set()
            codes = [(await each).status_code for each in (first, *others)]
            assert codes == [200, 200, 500, 200]

    run(scenario)


def test_rows_that_cannot_be_spooled_are_counted_and_cost_no_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise TypeError("what cannot be encoded")

    async def scenario() -> None:
        await worker(tmp_path, 1, times(1))
        async with running(tmp_path, STABLE) as it:
            monkeypatch.setattr(SpoolLog, "spool", refused)
            assert (await it.infer(request([1.0]))).status_code == 200
            shown = (await it.client.get("/metrics")).text
            assert 'trimtab_log_dropped_rows_total{deployment="d"} 1.0' in shown

    run(scenario)


def test_calls_that_cannot_be_queued_are_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    async def scenario() -> None:
        await worker(tmp_path, 1, times(1))
        async with running(tmp_path, STABLE) as it:
            with monkeypatch.context() as patched:
                patched.setattr(Schedule, "admit", broken)
                codes = [(await it.infer(request([1.0]))).status_code for _ in range(2)]
            assert codes == [500, 500]
            assert (await it.infer(request([1.0]))).status_code == 200
            assert (await it.rows())["outcome"] == ["failed", "failed", "ok"]

    run(scenario)


def test_a_lone_answer_does_not_wait_for_the_end_of_the_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        await worker(tmp_path, 1, times(1))
        async with running(tmp_path, STABLE) as it:
            monkeypatch.setattr(Recorder, "_schedule", lambda _: None)
            assert (await it.infer(request([1.0]))).status_code == 200
            assert (await it.rows())["outcome"] == ["ok"]

    run(scenario)


def test_one_poisonous_row_hurts_only_its_sender(tmp_path: Path) -> None:
    def no_thirteen(frame: Frame) -> list[Tensor]:
        outputs = scored(frame, 1)
        if b"\0\0\0\0\0\0\x2a\x40" in bytes(outputs[0].data):
            raise ValueError("13 brings bad luck")
        return outputs

    async def scenario() -> None:
        one = await worker(tmp_path, 1, no_thirteen)
        one.gate.clear()
        async with running(tmp_path, STABLE) as it:
            first = asyncio.create_task(it.infer(request([1.0])))
            await one.arrived.wait()
            others = [asyncio.create_task(it.infer(request([float(i)]))) for i in (12, 13, 14)]
            await waiting(it, 3)
            one.gate.set()
            codes = [(await each).status_code for each in (first, *others)]
            assert codes == [200, 200, 500, 200]
            error = (await others[1]).json()["error"]
            assert "bad luck" not in error
            rows = await it.rows()
            assert sorted(rows["outcome"]) == ["failed", "ok", "ok", "ok"]
            assert "model: 13 brings bad luck" in rows["error"]

    run(scenario)


def test_realtime_goes_before_batch(tmp_path: Path) -> None:
    async def scenario() -> None:
        one = await worker(tmp_path, 1, times(1))
        one.gate.clear()
        async with running(tmp_path, STABLE) as it:
            first = asyncio.create_task(it.infer(request([1.0])))
            await one.arrived.wait()
            batch = asyncio.create_task(it.infer(request([1.0, 2.0], parameters={"priority": 2})))
            await waiting(it, 1, "batch")
            realtime = asyncio.create_task(it.infer(request([1.0, 2.0, 3.0])))
            await waiting(it, 1)
            one.gate.set()
            await asyncio.gather(first, batch, realtime)
            assert one.sizes == [1, 3, 2]

    run(scenario)


def test_a_full_queue_says_429_and_when_to_come_back(tmp_path: Path) -> None:
    async def scenario() -> None:
        one = await worker(tmp_path, 1, times(1))
        one.gate.clear()
        async with running(tmp_path, STABLE, Limits(queue=2)) as it:
            tasks = [asyncio.create_task(it.infer(request()))]
            await one.arrived.wait()
            tasks += [asyncio.create_task(it.infer(request())) for _ in range(2)]
            await waiting(it, 2)
            refused = await it.infer(request())
            assert refused.status_code == 429
            assert refused.headers["retry-after"] == "1"
            one.gate.set()
            assert {(await task).status_code for task in tasks} == {200}
            rows = await it.rows()
            assert sorted(rows["outcome"]) == ["ok", "ok", "ok", "shed"]

    run(scenario)


def test_a_deadline_is_answered_when_it_passes(tmp_path: Path) -> None:
    """Both the request a worker is busy with and the one behind it are told in time."""

    async def scenario() -> None:
        one = await worker(tmp_path, 1, times(1))
        one.gate.clear()
        async with running(tmp_path, STABLE) as it:
            soon = {"timeout": 100_000}
            tasks = [asyncio.create_task(it.infer(request(parameters=soon)))]
            await one.arrived.wait()
            tasks.append(asyncio.create_task(it.infer(request(parameters=soon))))
            answers = await asyncio.gather(*tasks)
            assert [answer.status_code for answer in answers] == [504, 504]
            one.gate.set()
            assert (await it.infer(request())).status_code == 200
            rows = await it.rows()
            assert rows["outcome"] == ["failed", "shed", "ok"]

    run(scenario)


def test_a_failing_canary_costs_no_client_anything(tmp_path: Path) -> None:
    async def scenario() -> None:
        await worker(tmp_path, 1, times(1))
        await worker(tmp_path, 2, crash)
        async with running(tmp_path, canary_at(10_000)) as it:
            answer = await it.infer(request([7.0], id="q"))
            assert answer.status_code == 200
            assert answer.headers["x-trimtab-release"] == "m@1"
            assert score(answer) == 7.0
            rows = await it.rows()
            told = list(
                zip(rows["attempt"], rows["mode"], rows["outcome"], rows["final"], strict=True)
            )
            assert sorted(told) == [(0, "canary", "failed", False), (1, "stable", "ok", True)]
            assert set(rows["weight"]) == {10_000}

    run(scenario)


@pytest.mark.parametrize("how", ["dead", "absent", "hanging", "other signature"])
def test_a_canary_that_cannot_answer_leaves_it_to_stable(tmp_path: Path, how: str) -> None:
    async def scenario() -> None:
        await worker(tmp_path, 1, times(1))
        # Only who hangs is waited for, half of the time: the others do not depend on a deadline.
        routing = canary_at(10_000, deadline_seconds=3.0 if how == "hanging" else 10.0)
        if how == "other signature":
            targets = [target(1, socket_of(1)), target(2, socket_of(2), signature=NUMERIC)]
            routing = snapshot(1, targets, [(1, "stable", 0), (2, "canary", 10_000)])
        if how != "absent":
            two = await worker(tmp_path, 2, die if how == "dead" else times(1))
            if how == "hanging":
                two.gate.clear()
        async with running(tmp_path, routing) as it:
            answer = await it.infer(request([7.0]))
            assert answer.status_code == 200
            assert answer.headers["x-trimtab-release"] == "m@1"
            rows = await it.rows()
            assert rows["mode"].count("canary") == rows["outcome"].count("failed") >= 1
            assert rows["final"].count(True) == 1

    run(scenario)


def test_the_canary_gets_its_share_and_a_unit_stays_where_it_is(tmp_path: Path) -> None:
    units = [f"passenger-{i}" for i in range(20_000)]
    chosen = [unit for unit in units if goes_to_canary(unit_hash("r1", unit), 500)]
    assert 850 < len(chosen) < 1150
    wider = {unit for unit in units if goes_to_canary(unit_hash("r1", unit), 2500)}
    assert set(chosen) < wider
    other = {unit for unit in units if goes_to_canary(unit_hash("r2", unit), 500)}
    assert len(other & set(chosen)) < 200

    async def scenario() -> None:
        await worker(tmp_path, 1, times(1))
        await worker(tmp_path, 2, times(2))
        async with running(tmp_path, canary_at(500)) as it:
            for unit in (chosen[0], units[0] if units[0] != chosen[0] else units[1]):
                for _ in range(3):
                    answer = await it.infer(request(parameters={"unit": unit}))
                    expected = "m@2" if unit in chosen else "m@1"
                    assert answer.headers["x-trimtab-release"] == expected

    run(scenario)


def test_a_dying_workers_requests_are_answered_by_another(tmp_path: Path) -> None:
    async def scenario() -> None:
        victim = await worker(tmp_path, 1, die, "0")
        victim.gate.clear()
        routing = snapshot(
            1, [target(1, socket_of(1, "0"), socket_of(1, "1"))], [(1, "stable", 10_000)]
        )
        async with running(tmp_path, routing) as it:
            task = asyncio.create_task(it.infer(request([3.0])))
            await victim.arrived.wait()
            await worker(tmp_path, 1, times(1), "1")
            victim.gate.set()
            victim.die()
            answer = await task
            assert answer.status_code == 200
            assert score(answer) == 3.0
            rows = await it.rows()
            assert list(zip(rows["attempt"], rows["outcome"], strict=True)) == [
                (0, "failed"),
                (1, "ok"),
            ]

    run(scenario)


def test_a_request_waits_for_a_worker_that_is_coming_back(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path, STABLE) as it:
            assert (await it.client.get("/v2/health/ready")).status_code == 503
            task = asyncio.create_task(it.infer(request([3.0])))
            await waiting(it, 1)
            await worker(tmp_path, 1, times(1))
            assert (await task).status_code == 200
            assert (await it.client.get("/v2/health/ready")).json() == {
                "live": True,
                "ready": True,
            }

    run(scenario)


def test_a_deployment_without_a_release_takes_no_other_out_of_a_balancer(tmp_path: Path) -> None:
    new = DeploymentRoute("new", ())

    async def scenario() -> None:
        routing = msgspec.structs.replace(STABLE, deployments=(new,))
        async with running(tmp_path, routing) as it:
            await worker(tmp_path, 1, times(1))
            assert (await it.client.get("/v2/health/ready")).status_code == 503
            both = (*STABLE.deployments, new)
            await it.route(msgspec.structs.replace(STABLE, version=9, deployments=both))
            assert (await it.client.get("/v2/models/d/ready")).status_code == 200
            assert (await it.client.get("/v2/models/new/ready")).status_code == 503
            assert (await it.client.get("/v2/health/ready")).status_code == 200

    run(scenario)


def test_a_worker_of_another_release_is_never_asked(tmp_path: Path) -> None:
    async def scenario() -> None:
        imposter = FakeWorker(str(tmp_path / socket_of(1)), digest(9), times(1))
        await imposter.start()
        async with running(tmp_path, STABLE) as it:
            answer = await it.infer(request(parameters={"timeout": 300_000}))
            assert answer.status_code == 504
            assert imposter.sizes == []

    run(scenario)


def test_wrong_rows_from_a_worker_are_its_failure(tmp_path: Path) -> None:
    def one_too_few(frame: Frame) -> list[Tensor]:
        return [
            Tensor(t.name, t.datatype, (1, *t.shape[1:]), t.data[: len(t.data) // 2])
            for t in scored(frame, 1)
        ]

    async def scenario() -> None:
        await worker(tmp_path, 1, one_too_few)
        async with running(tmp_path, STABLE) as it:
            answer = await it.infer(request([1.0, 2.0]))
            assert answer.status_code == 500
            rows = await it.rows()
            assert rows["outcome"] == ["failed", "failed"]
            assert rows["error"][0].startswith("output: ")

    run(scenario)


def test_a_shadow_sees_the_requests_and_no_client_sees_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        await worker(tmp_path, 1, times(1))
        two = await worker(tmp_path, 2, times(5))
        routing = snapshot(
            1,
            [target(1, socket_of(1)), target(2, socket_of(2))],
            [(1, "stable", 10_000), (2, "shadow", 0)],
        )
        async with running(tmp_path, routing) as it:
            answer = await it.infer(request([2.0], id="q"))
            assert answer.headers["x-trimtab-release"] == "m@1"
            await two.arrived.wait()
            rows = await it.rows()
            while len(rows["mode"]) < 2:
                rows = await it.rows()
            copies = [i for i, mode in enumerate(rows["mode"]) if mode == "shadow"]
            assert [rows["out.score"][i] for i in copies] == [10.0]
            assert [rows["final"][i] for i in copies] == [False]
            assert rows["request_id"] == ["q", "q"]

    run(scenario)


def test_an_explicit_version_is_answered_by_exactly_that_release(tmp_path: Path) -> None:
    async def scenario() -> None:
        await worker(tmp_path, 1, times(1))
        await worker(tmp_path, 2, times(2))
        routing = snapshot(
            1, [target(1, socket_of(1)), target(2, socket_of(2))], [(1, "stable", 10_000)]
        )
        async with running(tmp_path, routing) as it:
            answer = await it.infer(request(), "/v2/models/d/versions/2/infer")
            assert answer.json()["model_version"] == "2"
            missing = await it.infer(request(), "/v2/models/d/versions/3/infer")
            assert missing.status_code == 404
            rows = await it.rows()
            assert rows["mode"] == ["explicit"]

    run(scenario)


def test_swapping_routes_under_load_fails_no_request(tmp_path: Path) -> None:
    async def scenario() -> None:
        await worker(tmp_path, 1, times(1))
        await worker(tmp_path, 2, times(2))
        both = [target(1, socket_of(1)), target(2, socket_of(2))]
        stop = asyncio.Event()

        async def client(it: Harness) -> list[int]:
            codes = []
            while not stop.is_set():
                codes.append((await it.infer(request())).status_code)
            return codes

        async with running(tmp_path, STABLE) as it:
            clients = [asyncio.create_task(client(it)) for _ in range(4)]
            for version in range(2, 12):
                release = 1 + version % 2
                kept = both if version % 3 else [both[release - 1]]
                await it.route(snapshot(version, kept, [(release, "stable", 10_000)]))
            stop.set()
            codes = [code for each in clients for code in await each]
            assert len(codes) > 20
            assert set(codes) == {200}

    run(scenario)


def test_a_stale_leaders_or_unreadable_snapshot_changes_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        await worker(tmp_path, 1, times(1))
        async with running(tmp_path, STABLE) as it:
            (tmp_path / "run/routing.json").write_text("{")
            await it.gateway.table.refresh()
            assert (await it.infer(request())).status_code == 200

    run(scenario)


def test_without_routes_the_gateway_says_so(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as it:
            answer = await it.infer(request())
            assert answer.status_code == 503
            assert answer.headers["retry-after"] == "1"
            assert (await it.client.get("/v2/health/live")).json() == {"live": True}

    run(scenario)


def test_a_client_that_leaves_frees_its_place_in_the_queue(tmp_path: Path) -> None:
    async def scenario() -> None:
        one = await worker(tmp_path, 1, times(1))
        one.gate.clear()
        async with running(tmp_path, STABLE) as it:
            first = asyncio.create_task(it.infer(request()))
            await one.arrived.wait()
            _, writer = await asyncio.open_connection("127.0.0.1", it.port)
            body = request([1.0, 2.0])
            head = f"POST /v2/models/d/infer HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}"
            writer.write(head.encode() + b"\r\n\r\n" + body)
            await waiting(it, 1)
            writer.transport.abort()
            await until(lambda: len(it.gateway.http.connections) == 1)
            one.gate.set()
            assert (await first).status_code == 200
            assert (await it.infer(request())).status_code == 200
            assert one.sizes == [1, 1]

    run(scenario)
