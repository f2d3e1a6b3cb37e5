"""The model repository of the Open Inference Protocol: it lists, and says who loads."""

from dataclasses import dataclass, replace
from typing import Any

import pytest
from tests.support.browser import Browser
from tests.support.scenes import NAME, MemorySystem, digest, in_canary

from trimtab.domain.processes import NodeStatus, WorkerSlot, WorkerState, WorkerStatus
from trimtab.views.seen import Seen

INDEX = "/v2/repository/index"


@dataclass
class Scene(MemorySystem):
    """Releases whose workers are in some state."""

    states: dict[int, WorkerState] | None = None

    def seen(self) -> Seen:
        """One look."""
        workers = tuple(
            WorkerStatus(WorkerSlot(digest(number), 0), state, error="why" * (state == "failed"))
            for number, state in (self.states or {}).items()
        )
        return replace(super().seen(), node=NodeStatus(workers))


def index(states: dict[int, WorkerState], **asked: Any) -> list[dict[str, str]]:
    scene = in_canary()
    system = Scene(**{**scene.__dict__, "states": states})
    answer = Browser(system).post(INDEX, **asked)
    assert answer.status_code == 200, answer.text
    entries: list[dict[str, str]] = answer.json()
    return entries


def test_the_index_lists_releases_with_their_state() -> None:
    assert index({1: "ready", 2: "starting", 3: "failed"}) == [
        {"name": NAME, "version": "1", "state": "READY", "reason": ""},
        {"name": NAME, "version": "2", "state": "LOADING", "reason": ""},
        {"name": NAME, "version": "3", "state": "UNAVAILABLE", "reason": "why"},
    ]
    assert index({})[2]["reason"] == "no worker has it loaded"


def test_the_index_may_be_asked_for_what_is_ready() -> None:
    found = index({1: "ready", 2: "preparing"}, json={"ready": True})
    assert [entry["version"] for entry in found] == ["1"]


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"{", 400), (b'{"ready": 1}', 400), (b"[" * 2000, 400), (b" " * 70_000, 413)],
)
def test_a_wrong_query_is_refused(body: bytes, status: int) -> None:
    answer = Browser(in_canary()).post(INDEX, content=body)
    assert answer.status_code == status
    assert isinstance(answer.json()["error"], str)


@pytest.mark.parametrize(
    ("action", "verb"),
    [("load", f"trimtab deploy {NAME}"), ("unload", f"trimtab rollback {NAME}")],
)
def test_loading_is_refused_with_the_verb_that_does_it(action: str, verb: str) -> None:
    system = in_canary()
    before = len(system.journal)
    answer = Browser(system).post(f"/v2/repository/models/{NAME}/{action}", json={})
    assert answer.status_code == 400
    assert verb in answer.json()["error"]
    assert "nothing was changed" in answer.json()["error"]
    missing = Browser(system).post(f"/v2/repository/models/other/{action}")
    assert (missing.status_code, len(system.journal)) == (404, before)


def test_a_foreign_page_may_not_even_ask() -> None:
    answer = Browser(in_canary()).post(INDEX, headers={"Origin": "http://evil.example"})
    assert answer.status_code == 403
    rebound = Browser(in_canary()).post(INDEX, headers={"Host": "evil.example"})
    assert rebound.status_code == 403
