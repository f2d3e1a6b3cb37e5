"""A gateway as a process of its own, with a worker that is one too."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support.machine import Machine
from tests.unit.gateway.support import NUMERIC, snapshot, target, tensor, write_routing

pytestmark = pytest.mark.e2e


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """A machine with a stable release 1."""
    made = Machine(tmp_path)
    release = target(1, "run/w/1.sock", signature=NUMERIC)
    write_routing(tmp_path, snapshot(1, [release], [(1, "stable", 10_000)]))
    try:
        yield made
    finally:
        made.stop()


def body(number: int) -> dict[str, Any]:
    """A request whose answer is `number + 1`."""
    inputs = [tensor("a", "FP64", [number]), tensor("b", "INT32", [1])]
    return {"id": f"q{number}", "inputs": inputs}


def test_answered_requests_and_labels_survive_a_kill(machine: Machine) -> None:
    """Nothing was sealed yet when the gateway is killed; all of it is in its spool."""
    machine.worker(1)
    gateway = machine.gateway()
    with httpx.Client(base_url=machine.url) as client:
        for number in range(30):
            answer = client.post("/v2/models/d/infer", json=body(number))
            assert answer.json()["outputs"][0]["data"] == [number + 1.0]
        label = {"labels": [{"id": "q3", "label": 1}]}
        assert client.post("/v2/models/d/feedback", json=label).json() == {"accepted": 1}
    assert machine.rows() == {}
    gateway.kill()
    gateway.wait()
    assert machine.rows()["request_id"] == [f"q{number}" for number in range(30)]
    assert machine.rows()["in.a"] == [float(number) for number in range(30)]
    assert machine.labels()["request_id"] == ["q3"]


def test_sigterm_answers_what_it_has_and_seals_the_log(machine: Machine) -> None:
    machine.worker(1)
    gateway = machine.gateway()
    with httpx.Client(base_url=machine.url) as client:
        assert client.post("/v2/models/d/infer", json=body(1)).status_code == 200
        facts = json.loads((machine.home / "run/gateway-0.json").read_text())
        assert facts == {"pid": gateway.pid, "version": 1, "epoch": 1}
        gateway.send_signal(signal.SIGTERM)
        assert gateway.wait(10) == 0
    assert machine.rows()["request_id"] == ["q1"]
    assert list((machine.home / "spool").glob("*.l*")) == []
    assert not (machine.home / "run/gateway-0.json").exists()


def test_a_gateway_ends_with_its_parent(machine: Machine) -> None:
    gateway = machine.gateway()
    assert machine.parent is not None
    os.close(machine.parent)
    machine.parent = None
    assert gateway.wait(10) == 0


def test_segments_appear_while_serving(machine: Machine) -> None:
    machine.worker(1)
    machine.gateway(flush_seconds=0.05)
    httpx.post(f"{machine.url}/v2/models/d/infer", json=body(1))
    limit = time.monotonic() + 10
    while not machine.rows() and time.monotonic() < limit:
        threading.Event().wait(0.01)
    assert machine.rows()["out.sum"] == [2.0]


def test_killing_a_worker_under_load_fails_no_request(machine: Machine) -> None:
    """The clients wait through the restart; the log has one final answer for each of them."""
    victim = machine.worker(1)
    machine.gateway()
    codes: list[int] = []
    stop = threading.Event()

    def load(base: int) -> None:
        with httpx.Client(base_url=machine.url, timeout=30) as client:
            number = base
            while not stop.is_set():
                answer = client.post("/v2/models/d/infer", json=body(number))
                codes.append(answer.status_code)
                number += 1

    threads = [threading.Thread(target=load, args=(base,)) for base in (0, 100_000)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        wanted = len(codes) + 20
        while len(codes) < wanted and all(thread.is_alive() for thread in threads):
            stop.wait(0.005)
        victim.kill()
        victim.wait()
        victim = machine.worker(1)
    stop.set()
    for thread in threads:
        thread.join()
    assert set(codes) == {200}


def test_the_gateway_imports_no_model_library(machine: Machine) -> None:
    code = (
        "import sys, trimtab.gateway.__main__;"
        "print([m for m in ('pandas', 'sklearn', 'duckdb', 'sqlalchemy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
    assert machine.url
