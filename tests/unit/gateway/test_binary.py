"""Binary tensors over REST: bodies of JSON and bytes, both ways."""

import asyncio
import contextlib
import json
import struct
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.gateway.harness import Harness, running
from tests.unit.gateway.scenarios import STABLE, run, socket_of, times, worker
from tests.unit.gateway.support import (
    NUMERIC,
    FakeWorker,
    digest,
    snapshot,
    summed,
    target,
    tensor,
)

from trimtab.domain.signature import Column, Datatype, Output, Signature
from trimtab.gateway.binary import MIXED, binary_outputs, lone_tensor, parse_binary
from trimtab.gateway.faults import Fault
from trimtab.gateway.plan import Plan
from trimtab.gateway.raw_inputs import RAW
from trimtab.gateway.tensors import inputs_of
from trimtab.worker.frames import encode_texts

PLAN = Plan(target(1))
MATRIX = Plan(target(2, signature=NUMERIC))
TEXT = Plan(
    target(3, signature=Signature((Column("t", Datatype.BYTES),), (Output("o", Datatype.FP64),)))
)
SUMMING = snapshot(
    1, [target(1, socket_of(1), signature=NUMERIC)], [(1, "stable", 10_000)], deadline_seconds=5.0
)


def described(name: str, datatype: str, shape: list[int], size: Any) -> dict[str, Any]:
    """An input whose bytes follow the JSON."""
    return {
        "name": name,
        "datatype": datatype,
        "shape": shape,
        "parameters": {"binary_data_size": size},
    }


def body(inputs: list[dict[str, Any]], *raw: bytes, **fields: Any) -> tuple[bytes, int]:
    """A body with tensors behind its JSON, and the size of the JSON."""
    head = json.dumps({"inputs": inputs, **fields}).encode()
    return b"".join([head, *raw]), len(head)


async def send(it: Harness, sent: tuple[bytes, int], **headers: str) -> httpx.Response:
    data, size = sent
    return await it.client.post(
        "/v2/models/d/infer",
        content=data,
        headers={"Inference-Header-Content-Length": str(size), **headers},
    )


def opened(answer: httpx.Response) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The JSON of a binary answer and the bytes of its outputs."""
    size = int(answer.headers["inference-header-content-length"])
    said = json.loads(answer.content[:size])
    raw: dict[str, bytes] = {}
    offset = size
    for output in said["outputs"]:
        if "binary_data_size" in output.get("parameters", {}):
            length = output["parameters"]["binary_data_size"]
            raw[output["name"]] = answer.content[offset : offset + length]
            offset += length
    assert offset == len(answer.content)
    return said, raw


def mixed_inputs() -> tuple[list[dict[str, Any]], list[bytes]]:
    """Two rows of the tests' `SIGNATURE`, two columns as bytes and two as JSON."""
    texts = encode_texts(["AA", "é"])
    numbers = np.array([1.5, np.nan]).tobytes()
    return [
        described("carrier", "BYTES", [2], len(texts)),
        tensor("n", "INT32", [1, 2]),
        described("x", "FP64", [2], len(numbers)),
        tensor("late", "BOOL", [True, False]),
    ], [texts, numbers]


def test_inputs_may_be_mixed_and_outputs_chosen_one_by_one(tmp_path: Path) -> None:
    async def scenario() -> None:
        await worker(tmp_path, 1, times(2))
        async with running(tmp_path, STABLE) as it:
            inputs, raw = mixed_inputs()
            outputs = [
                {"name": "label"},
                {"name": "pair", "parameters": {"binary_data": False}},
                {"name": "score", "parameters": {"binary_data": True}},
            ]
            asked = {"outputs": outputs, "parameters": {"binary_data_output": True}, "id": "q"}
            answer = await send(it, body(inputs, *raw, **asked))
            assert answer.status_code == 200
            assert answer.headers["content-type"] == "application/octet-stream"
            assert answer.headers["x-request-id"] == "q"
            said, data = opened(answer)
            assert [each["name"] for each in said["outputs"]] == ["label", "pair", "score"]
            assert said["outputs"][0] == {
                "name": "label",
                "datatype": "BYTES",
                "shape": [2],
                "parameters": {"binary_data_size": 12},
            }
            assert said["outputs"][1]["data"] == [3.0, -3.0, 0.0, 0.0]
            assert data == {
                "label": encode_texts(["AA", "é"]),
                "score": np.array([3.0, 0.0]).tobytes(),
            }
            rows = await it.rows()
            assert rows["in.x"] == [1.5, None]
            assert rows["in.carrier"] == ["AA", "é"]

    run(scenario)


def test_json_may_be_answered_with_bytes_and_bytes_with_json(tmp_path: Path) -> None:
    async def scenario() -> None:
        await FakeWorker(str(tmp_path / socket_of(1)), digest(1), summed).start()
        async with running(tmp_path, SUMMING) as it:
            matrix = np.array([[1, 2], [3, 4.0]])
            plain = [tensor("m", "FP64", matrix.ravel().tolist(), shape=[2, 2])]
            asked = {"inputs": plain, "parameters": {"binary_data_output": True}}
            _, data = opened(await it.infer(json.dumps(asked).encode()))
            assert np.frombuffer(data["sum"]).tolist() == [3.0, 7.0]
            answer = await send(it, body([described("m", "FP64", [2, 2], 32)], matrix.tobytes()))
            assert "inference-header-content-length" not in answer.headers
            assert answer.json()["outputs"][0]["data"] == [3.0, 7.0]

    run(scenario)


def test_a_body_without_json_is_the_matrix(tmp_path: Path) -> None:
    async def scenario() -> None:
        await FakeWorker(str(tmp_path / socket_of(1)), digest(1), summed).start()
        async with running(tmp_path, SUMMING) as it:
            sent = np.array([[1, 2], [3, 4.0]]).tobytes()
            answer = await send(it, (sent, 0), **{"X-Request-Id": "mine"})
            said, data = opened(answer)
            assert said["id"] == "mine"
            assert np.frombuffer(data["sum"]).tolist() == [3.0, 7.0]
            assert (await it.rows())["request_id"] == ["mine", "mine"]
            for wrong in (sent[:-1], b""):
                assert (await send(it, (wrong, 0))).status_code == 400

    run(scenario)


def test_rows_of_a_batch_go_back_to_their_callers(tmp_path: Path) -> None:
    async def scenario() -> None:
        fake = await worker(tmp_path, 1, times(1))
        async with running(tmp_path, STABLE) as it:
            fake.gate.clear()

            async def ask(number: int) -> bytes:
                texts = encode_texts([f"c{number}" * number])
                inputs = [
                    tensor("x", "FP64", [number]),
                    tensor("n", "INT32", [number]),
                    described("carrier", "BYTES", [1], len(texts)),
                    tensor("late", "BOOL", [True]),
                ]
                outputs = [{"name": "label", "parameters": {"binary_data": True}}]
                answer = await send(it, body(inputs, texts, outputs=outputs))
                return opened(answer)[1]["label"]

            asking = [asyncio.create_task(ask(number)) for number in range(8)]
            await fake.arrived.wait()
            fake.gate.set()
            answers = await asyncio.gather(*asking)
            assert answers == [encode_texts([f"c{number}" * number]) for number in range(8)]

    run(scenario)


def test_batch_work_by_header_is_sent_in_parts_and_comes_back_whole(tmp_path: Path) -> None:
    async def scenario() -> None:
        fake = await FakeWorker(str(tmp_path / socket_of(1)), digest(1), summed).start()
        async with running(tmp_path, SUMMING) as it:
            matrix = np.arange(600.0).reshape(300, 2)
            batch = {"X-Trimtab-Priority": "2", "X-Trimtab-Timeout-Ms": "4000"}
            _, data = opened(await send(it, (matrix.tobytes(), 0), **batch))
            assert np.frombuffer(data["sum"]).tolist() == matrix.sum(axis=1).tolist()
            assert len(fake.sizes) > 1
            assert (await it.rows())["lane"] == ["batch"] * 300

    run(scenario)


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ((b"{}", 3), "is 3, the body has 2 bytes"),
        (body([described("x", "FP64", [1], 8)]), "describe 8 bytes after the JSON"),
        (body([described("x", "FP64", [1], 8)], bytes(9)), "the body has 9"),
        (body([described("x", "FP64", [1], -8)], bytes(8)), "not a whole number"),
        (body([described("x", "FP64", [1], True)], bytes(1)), "not a whole number"),
        (body([described("x", "FP64", [1], 8.0)], bytes(8)), "not a whole number"),
        (body([described("x", "FP64", [1], 2**62)], bytes(8)), "describe 4611686018427387904"),
        (
            body([{**described("x", "FP64", [1], 8), "data": [1]}], bytes(8)),
            "both data and binary_data_size",
        ),
        (body([described("x", "FP64", [-1], 8)], bytes(8)), "at least one is needed"),
        (body([described("x", "FP64", [2**62], 8)], bytes(8)), "has 8 bytes, FP64 of shape"),
        (body([described("x", "FP64", [2**64], 8)], bytes(8)), "not an inference request"),
        (body([described("x", "FP64", [1], 8)], struct.pack("<d", np.inf)), "inf is not a value"),
    ],
)
def test_bodies_that_do_not_add_up_are_named(sent: tuple[bytes, int], said: str) -> None:
    with pytest.raises(Fault) as caught:
        inputs_of(parse_binary(*sent)[1], MIXED, PLAN, None)
    assert caught.value.status == 400
    assert said in caught.value.text


@pytest.mark.parametrize(
    "fields",
    [
        {"parameters": {"binary_data_output": 1}},
        {"outputs": [{"name": "o", "parameters": {"binary_data": "yes"}}]},
    ],
)
def test_a_wish_for_bytes_is_true_or_false(fields: dict[str, Any]) -> None:
    with pytest.raises(Fault, match="not true or false"):
        binary_outputs(parse_binary(*body([], **fields))[0])


def test_a_lone_text_has_no_length() -> None:
    taken = inputs_of([lone_tensor(TEXT, "é\0".encode())], RAW, TEXT, None)
    assert taken.columns == [["é\0"]]
    with pytest.raises(Fault, match="cannot be read"):
        inputs_of([lone_tensor(TEXT, b"\xff")], RAW, TEXT, None)


def test_a_lone_tensor_needs_one_input_or_a_matrix() -> None:
    with pytest.raises(Fault, match="the release takes 4 inputs"):
        lone_tensor(PLAN, bytes(8))
    with pytest.raises(Fault, match="a row of 2 FP64 has 16"):
        lone_tensor(MATRIX, bytes(8))


ENTRIES = st.fixed_dictionaries(
    {"name": st.sampled_from(["x", "n", "carrier", "late", "a", "b"]) | st.text(max_size=3)},
    optional={
        "datatype": st.sampled_from([each.value for each in Datatype]) | st.text(max_size=3),
        "shape": st.lists(st.integers(-2, 3) | st.integers(), max_size=3),
        "data": st.lists(st.none() | st.integers(-1, 2) | st.text(max_size=2), max_size=3),
        "parameters": st.dictionaries(
            st.sampled_from(["binary_data_size", "binary_data"]),
            st.integers(-1, 16) | st.booleans() | st.integers() | st.floats() | st.text(max_size=2),
        ),
    },
)


@given(
    st.lists(ENTRIES, max_size=5),
    st.binary(max_size=48),
    st.integers(-3, 3) | st.just(0),
    st.sampled_from([PLAN, MATRIX, TEXT]),
)
def test_whatever_comes_is_taken_whole_or_refused(
    entries: list[dict[str, Any]], raw: bytes, slip: int, plan: Plan
) -> None:
    """No body raises anything but a `Fault`."""
    data, size = body(entries, raw)
    with contextlib.suppress(Fault):
        taken = inputs_of(parse_binary(data, max(size + slip, 0))[1], MIXED, plan, None)
        assert taken.rows > 0
    with contextlib.suppress(Fault):
        assert inputs_of([lone_tensor(plan, raw)], RAW, plan, None).rows > 0
