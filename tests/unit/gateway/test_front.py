"""Labels, keys and the endpoints that describe a deployment."""

import gc
import json
import tracemalloc
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pytest
from tests.unit.gateway.harness import running
from tests.unit.gateway.scenarios import STABLE, canary_at, run, socket_of, times, worker
from tests.unit.gateway.support import SIGNATURE, request, snapshot, target, tensor
from tests.unit.gateway.test_http11 import exchange

from trimtab.domain.signature import Column, Datatype, Output, Signature, Task
from trimtab.gateway.answers import metadata
from trimtab.gateway.plan import Plan


def test_labels_are_accepted_whole_or_not_at_all(tmp_path: Path) -> None:
    async def scenario() -> None:
        await worker(tmp_path, 1, times(1))
        routing = snapshot(1, [target(1, socket_of(1))], [(1, "stable", 0)], key="order")
        async with running(tmp_path, routing) as it:

            async def send(labels: Any, path: str = "/v2/models/d/feedback") -> Any:
                return await it.client.post(path, json={"labels": labels})

            good = [
                {"id": "q", "row": 1, "label": 1.0, "at": "2013-04-01T12:00:00+00:00"},
                {"key": 17, "label": True},
                {"key": "k", "label": None},
            ]
            answer = await send(good)
            assert answer.json() == {"accepted": 3}
            for bad, where in (
                ({"label": 1}, "labels[1]"),
                ({"id": "a"}, "labels[1]"),
                ({"id": "a", "key": "b", "label": 1}, "labels[1]"),
                ({"id": "a", "label": [1]}, "labels[1]"),
                ({"id": "a", "label": 1, "at": "yesterday"}, "labels[1].at"),
            ):
                refused = await send([good[0], bad])
                assert refused.status_code == 400
                assert where in refused.json()["error"]
            assert (await send([], "/v2/models/nobody/feedback")).status_code == 404
            assert (await send([good[0]] * 10_001)).status_code == 400
            assert (
                'trimtab_labels_total{deployment="d"} 3.0' in (await it.client.get("/metrics")).text
            )
            await it.publish()
            (path,) = (tmp_path / "log/d/labels").glob("*.arrow")
            table = pa.ipc.open_file(path.read_bytes()).read_all().to_pydict()
            assert table["label"] == ["1", "true", None]
            assert table["key"] == [None, "17", "k"]
            assert table["request_id"] == ["q", None, None]
            assert table["at"][0] == 1364817600.0

    run(scenario)


@pytest.mark.parametrize(
    ("task", "outputs", "told"),
    [
        (
            "binary",
            (Output("score", Datatype.FP64), Output("label", Datatype.BYTES)),
            [{"positive": "c"}, {"classes": ["a", "b", "c"]}],
        ),
        (
            "multiclass",
            (Output("scores", Datatype.FP64, (3,)), Output("label", Datatype.BYTES)),
            [{"classes": ["a", "b", "c"]}, {"classes": ["a", "b", "c"]}],
        ),
    ],
)
def test_metadata_name_the_classes_in_the_order_of_the_scores(
    task: Task, outputs: tuple[Output, ...], told: list[Any]
) -> None:
    signature = Signature((Column("x", Datatype.FP64),), outputs, task, ("a", "b", "c"))
    plan = Plan(target(1, signature=signature))
    described = json.loads(metadata(plan, "d", (1,)))["outputs"]
    assert [each["parameters"] for each in described] == told


def test_who_sends_labels_of_no_class_is_told_so_and_they_are_stored(tmp_path: Path) -> None:
    async def scenario() -> None:
        await worker(tmp_path, 1, times(1))
        signature = msgspec.structs.replace(SIGNATURE, task="binary", classes=("0", "1"))
        routing = snapshot(1, [target(1, socket_of(1), signature=signature)], [(1, "stable", 0)])
        async with running(tmp_path, routing) as it:
            labels = [{"id": name, "label": name} for name in ("7", "1.0", "no")]
            answer = await it.client.post("/v2/models/d/feedback", json={"labels": labels})
            assert answer.json() == {
                "accepted": 3,
                "unusable": 2,
                "warning": "2 of 3 labels, such as '7', none of the classes '0', '1' of m@1: "
                "stored, but no evidence",
            }
            await it.publish()
            (path,) = (tmp_path / "log/d/labels").glob("*.arrow")
            table = pa.ipc.open_file(path.read_bytes()).read_all().to_pydict()
            assert table["label"] == ["7", "1", "no"]

    run(scenario)


def test_who_labels_by_key_where_the_deployment_has_none_is_told_so(tmp_path: Path) -> None:
    async def scenario() -> None:
        await worker(tmp_path, 1, times(1))
        async with running(tmp_path, STABLE) as it:
            labels = [{"key": "a", "label": 1}, {"id": "q", "label": 1}]
            answer = await it.client.post("/v2/models/d/feedback", json={"labels": labels})
            assert answer.json() == {
                "accepted": 2,
                "unusable": 1,
                "warning": "1 of 2 labels is by key, and the deployment has no monitor.key: "
                "stored, but no evidence",
            }

    run(scenario)


def test_a_business_key_is_logged_but_not_sent_to_the_model(tmp_path: Path) -> None:
    async def scenario() -> None:
        await worker(tmp_path, 1, times(1))
        routing = snapshot(1, [target(1, socket_of(1))], [(1, "stable", 10_000)], key="flight_id")
        async with running(tmp_path, routing) as it:
            body = json.loads(request([1.0, 2.0]))
            body["inputs"].append(tensor("flight_id", "INT64", [17, 18]))
            assert (await it.infer(json.dumps(body).encode())).status_code == 200
            assert (await it.infer(request([3.0]))).status_code == 200
            rows = await it.rows()
            assert rows["in.flight_id"] == ["17", "18", None]

    run(scenario)


def test_the_descriptive_endpoints_tell_the_truth(tmp_path: Path) -> None:
    async def scenario() -> None:
        await worker(tmp_path, 1, times(1))
        await worker(tmp_path, 2, times(1))
        async with running(tmp_path, canary_at(500)) as it:
            get = it.client.get
            await it.infer(request(parameters={"unit": "a"}))
            for path in ("/v2", "/v2/"):
                server = (await get(path)).json()
                assert set(server) == {"name", "version", "extensions"}
            metadata = (await get("/v2/models/d")).json()
            assert metadata["versions"] == ["1", "2"]
            assert metadata["outputs"][2] == {
                "name": "pair",
                "datatype": "FP32",
                "shape": [-1, 2],
            }
            assert (await get("/v2/models/d/versions/2/ready")).json()["ready"] is True
            weights = [
                r["weight_ratio"] for r in (await get("/v2/models/d/config")).json()["routes"]
            ]
            assert weights == [0.95, 0.05]
            (stats,) = (await get("/v2/models/d/stats")).json()["model_stats"]
            assert stats["inference_stats"]["success"]["count"] == 1
            assert stats["inference_stats"]["success"]["ns"] > 0
            assert (stats["inference_count"], stats["execution_count"]) == (1, 1)
            assert (await get("/v2/models/stats")).json() == {"model_stats": [stats]}
            metrics = (await get("/metrics")).text
            assert 'trimtab_requests_total{code="200"' in metrics
            assert "trimtab_request_duration_seconds_bucket" in metrics
            assert "trimtab_routing_version 1.0" in metrics
            paths = (await get("/openapi.json")).json()["paths"]
            assert "/v2/models/{model}/infer" in paths
            for path, status in (
                ("/nowhere", 404),
                ("/v2/models/nobody", 404),
                ("/v2/models/d/versions/x", 404),
                ("/v2/models/d/infer", 405),
                ("/v2/models/d/", 404),
            ):
                answer = await get(path)
                assert answer.status_code == status
                assert set(answer.json()) == {"error"}

    run(scenario)


def test_long_paths_that_lead_nowhere_are_not_remembered(tmp_path: Path) -> None:
    async def scenario() -> None:
        await worker(tmp_path, 1, times(1))
        async with running(tmp_path, STABLE) as it:
            tracemalloc.start()
            try:
                for number in range(60):
                    path = b"/v2/models/%d%b" % (number, b"x" * 60_000)
                    answers = await exchange(it, b"GET %b HTTP/1.1\r\n\r\n" % path)
                    assert answers[0][0] == 404
                gc.collect()
                kept, _ = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
            assert kept < 3_000_000

    run(scenario)
