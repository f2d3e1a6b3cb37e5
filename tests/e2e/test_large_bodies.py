"""A large table keeps nobody waiting and takes no more memory than its numbers and its bytes."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support.machine import Machine
from tests.unit.gateway.support import NUMERIC, snapshot, target, tensor, write_routing

pytestmark = pytest.mark.e2e

ROWS = 600_000
CSV = b"a,b\n" + b"1.234567890123,123456\n" * ROWS
JSON = json.dumps(
    {"dataframe_split": {"columns": ["a", "b"], "data": [[1.234567890123, 123456]] * ROWS}}
).encode()
TENSORS = json.dumps(
    {"inputs": [tensor("a", "FP64", [1.234567890123] * ROWS), tensor("b", "INT32", [1] * ROWS)]}
).encode()
ENOUGH = 5
"""Requests, one after another; if the table were read at once, one or two might be before it."""

GOOD = {"inputs": [tensor("a", "FP64", [1.0]), tensor("b", "INT32", [2])]}


class Gateway:
    """A gateway and its process."""

    def __init__(self, url: str, pid: int) -> None:
        self.url = url
        self.client = httpx.Client(timeout=120)
        self._status = Path(f"/proc/{pid}/status")

    @property
    def peak(self) -> int:
        """The most bytes that were resident so far."""
        line = next(ln for ln in self._status.read_text().splitlines() if ln.startswith("VmHWM"))
        return int(line.split()[1]) * 1024

    def good(self) -> list[float]:
        """What a small request is answered."""
        answer = self.client.post(f"{self.url}/v2/models/d/infer", json=GOOD)
        data: list[float] = answer.json()["outputs"][0]["data"]
        return data


SENT = {
    "csv": ("invocations/d", "text/csv", CSV),
    "mlflow": ("invocations/d", "application/json", JSON),
    "tensors": ("v2/models/d/infer", "application/json", TENSORS),
}


@pytest.fixture(params=SENT)
def sent(request: pytest.FixtureRequest) -> tuple[str, str, bytes]:
    """Path, type and body of a table of several MiB."""
    return SENT[request.param]


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    machine = Machine(tmp_path)
    release = target(1, "run/w/1.sock", signature=NUMERIC)
    patient = snapshot(1, [release], [(1, "stable", 10_000)], deadline_seconds=120.0)
    write_routing(tmp_path, patient)
    try:
        machine.worker(1)
        process = machine.gateway()
        made = Gateway(machine.url, process.pid)
        with made.client:
            yield made
    finally:
        machine.stop()


def test_small_requests_are_answered_before_the_large_one_is_read(
    gateway: Gateway, sent: tuple[str, str, bytes]
) -> None:
    assert gateway.good() == [3.0]
    before = gateway.peak
    path, content, body = sent
    answers: list[Any] = []

    def post() -> None:
        headers = {"Content-Type": content}
        url = f"{gateway.url}/{path}"
        answers.append(httpx.post(url, content=body, headers=headers, timeout=120))

    large = threading.Thread(target=post)
    large.start()
    answered = 0
    while answered < ENOUGH and not answers:
        assert gateway.good() == [3.0]
        answered += not answers
    large.join()
    assert answered == ENOUGH
    assert answers[0].status_code == 200, answers[0].text[:300]
    found = answers[0].json()
    predictions = found["predictions"] if "predictions" in found else found["outputs"][0]["data"]
    assert len(predictions) == ROWS
    assert gateway.peak - before < 8 * len(body)
