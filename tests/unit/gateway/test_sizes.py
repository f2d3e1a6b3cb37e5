"""Wide, long and many-valued: what tabular models and embeddings need of the request path."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.unit.gateway.harness import Harness, running
from tests.unit.gateway.scenarios import run, socket_of
from tests.unit.gateway.support import FakeWorker, digest, snapshot, target, tensor
from tests.unit.gateway.test_binary import body, described, opened, send

from trimtab.domain.signature import Column, Datatype, Output, Signature, Task
from trimtab.gateway.coding import MAX_BODY
from trimtab.worker.frames import Frame, Tensor, decode_texts, encode_texts, tensors_of

WIDE = 1000


def numeric(columns: int, *outputs: Output, task: Task = "other") -> Signature:
    """A release of FP64 columns `c0`, `c1`, ..."""
    inputs = tuple(Column(f"c{i}", Datatype.FP64, nullable=True) for i in range(columns))
    return Signature(inputs, outputs or (Output("sum", Datatype.FP64),), task)


def matrix_of(frame: Frame, columns: int) -> Any:
    (inputs,) = tensors_of(frame, "inputs")
    return np.frombuffer(inputs[0].data, "<f8").reshape(frame.header["rows"], columns)


def sums(columns: int) -> Any:
    """A release that adds its columns up."""

    def answer(frame: Frame) -> list[Tensor]:
        matrix = matrix_of(frame, columns)
        return [Tensor("sum", "FP64", (len(matrix),), np.nansum(matrix, axis=1).tobytes())]

    return answer


def served(tmp_path: Path, signature: Signature, answer: Any, test: Any) -> None:
    """Run `test` against a gateway with one worker of a release."""

    async def scenario() -> None:
        await FakeWorker(str(tmp_path / socket_of(1)), digest(1), answer).start()
        release = target(1, socket_of(1), signature=signature)
        routing = snapshot(1, [release], [(1, "stable", 10_000)], deadline_seconds=15.0)
        async with running(tmp_path, routing) as it:
            await test(it)

    run(scenario)


@pytest.mark.parametrize("rows", [1, 20])
def test_a_thousand_columns_may_come_in_any_form(tmp_path: Path, rows: int) -> None:
    async def test(it: Harness) -> None:
        values = np.arange(rows * WIDE, dtype=np.float64).reshape(rows, WIDE)
        names = [f"c{i}" for i in range(WIDE)]
        wanted = values.sum(axis=1).tolist()
        named = [tensor(name, "FP64", values[:, i].tolist()) for i, name in enumerate(names)]
        shape = [rows, WIDE]
        whole = [tensor("m", "FP64", values.ravel().tolist(), shape=shape)]
        for inputs in (named, whole):
            answer = await it.infer(json.dumps({"inputs": inputs}).encode())
            assert answer.json()["outputs"][0]["data"] == wanted
        raw_named = [described(name, "FP64", [rows], 8 * rows) for name in names]
        sent = body(raw_named, *(values[:, i].tobytes() for i in range(WIDE)))
        assert (await send(it, sent)).json()["outputs"][0]["data"] == wanted
        sent = body([described("m", "FP64", shape, values.nbytes)], values.tobytes())
        assert (await send(it, sent)).json()["outputs"][0]["data"] == wanted
        split = {"dataframe_split": {"columns": names, "data": values.tolist()}}
        answer = await it.client.post("/invocations/d", json=split)
        assert answer.json()["predictions"] == wanted

    served(tmp_path, numeric(WIDE), sums(WIDE), test)


def test_ten_thousand_rows_are_one_request(tmp_path: Path) -> None:
    async def test(it: Harness) -> None:
        values = np.random.default_rng(0).random((10_000, 3))
        inputs = [tensor("m", "FP64", values.ravel().tolist(), shape=[10_000, 3])]
        answer = await it.infer(json.dumps({"inputs": inputs}).encode())
        assert answer.json()["outputs"][0]["data"] == np.nansum(values, axis=1).tolist()
        wish = {"binary_data_output": True}
        sent = body(
            [described("m", "FP64", [10_000, 3], values.nbytes)], values.tobytes(), parameters=wish
        )
        _, raw = opened(await send(it, sent))
        assert raw["sum"] == np.nansum(values, axis=1).tobytes()

    served(tmp_path, numeric(3), sums(3), test)


def test_a_body_may_have_64_mebibytes_and_no_more(tmp_path: Path) -> None:
    async def test(it: Harness) -> None:
        rows = MAX_BODY // (8 * WIDE)
        values = np.ones((rows, WIDE))
        assert 0 < MAX_BODY - values.nbytes < 8 * WIDE
        answer = await send(it, (values.tobytes(), 0))
        _, raw = opened(answer)
        assert np.frombuffer(raw["sum"]).tolist() == [WIDE] * rows
        more = values.tobytes() + bytes(8 * WIDE)
        assert (await send(it, (more, 0))).status_code == 413

    served(tmp_path, numeric(WIDE), sums(WIDE), test)


def test_embeddings_and_class_scores_come_as_vectors(tmp_path: Path) -> None:
    outputs = (
        Output("embedding", Datatype.FP32, (384,)),
        Output("tokens", Datatype.BYTES, (2,)),
        Output("half", Datatype.FP16, (2, 2)),
    )

    def answer(frame: Frame) -> list[Tensor]:
        matrix = matrix_of(frame, 1)
        rows = len(matrix)
        vectors = (matrix * np.arange(384)).astype("<f4")
        texts = encode_texts(f"{value:g}-{i}" for (value,) in matrix for i in range(2))
        halves = np.repeat(matrix, 4).astype("<f2")
        return [
            Tensor("embedding", "FP32", (rows, 384), vectors.tobytes()),
            Tensor("tokens", "BYTES", (rows, 2), texts),
            Tensor("half", "FP16", (rows, 2, 2), halves.tobytes()),
        ]

    async def test(it: Harness) -> None:
        plain = {"inputs": [tensor("c0", "FP64", [1.0, 2.0])]}
        found = {
            each["name"]: each
            for each in (await it.infer(json.dumps(plain).encode())).json()["outputs"]
        }
        assert found["embedding"]["shape"] == [2, 384]
        assert found["embedding"]["data"][383:386] == [383.0, 0.0, 2.0]
        assert found["tokens"]["data"] == ["1-0", "1-1", "2-0", "2-1"]
        assert (found["half"]["datatype"], found["half"]["shape"]) == ("FP32", [2, 2, 2])
        asked = plain | {"parameters": {"binary_data_output": True}}
        said, raw = opened(await it.infer(json.dumps(asked).encode()))
        assert [each["datatype"] for each in said["outputs"]] == ["FP32", "BYTES", "FP16"]
        assert np.frombuffer(raw["embedding"], "<f4").reshape(2, 384)[1, 383] == 766
        assert decode_texts(raw["tokens"], 4) == ["1-0", "1-1", "2-0", "2-1"]
        assert np.frombuffer(raw["half"], "<f2").tolist() == [1.0] * 4 + [2.0] * 4
        records = (await it.client.post("/invocations/d", json={"inputs": [[1.0]]})).json()
        assert records["predictions"][0]["half"] == [[1.0, 1.0], [1.0, 1.0]]
        assert records["predictions"][0]["tokens"] == ["1-0", "1-1"]
        rows = await it.rows()
        assert rows["out.embedding"][1][383] == 766
        assert rows["out.tokens"][0] == '["1-0","1-1"]'

    served(tmp_path, numeric(1, *outputs), answer, test)


def test_a_regression_predicts_numbers(tmp_path: Path) -> None:
    def answer(frame: Frame) -> list[Tensor]:
        matrix = matrix_of(frame, 1)
        return [Tensor("prediction", "FP64", (len(matrix),), (matrix * 2).tobytes())]

    async def test(it: Harness) -> None:
        said = await it.client.post("/invocations", json={"instances": [1, 2.5]})
        assert said.json() == {"predictions": [2.0, 5.0]}

    prediction = Output("prediction", Datatype.FP64)
    served(tmp_path, numeric(1, prediction, task="regression"), answer, test)
