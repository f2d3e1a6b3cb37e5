"""The JSON API: views as they are, errors in one shape with the status of their family."""

import json
from typing import Any

import pytest
from tests.support.browser import Browser
from tests.support.scenes import NAME, NOW, MemorySystem, digest, in_canary, incident, serving

from trimtab import errors
from trimtab.domain import events as e
from trimtab.judge.reports import GuardReport

PROOF = {"X-Trimtab-Action": "1", "X-Trimtab-Actor": "ada"}


def ordered(system: MemorySystem, path: str, status: int = 200, **body: object) -> Any:
    answer = Browser(system).post(f"/api/{path}", json=body, headers=PROOF)
    assert answer.status_code == status, answer.text
    return answer.json()


@pytest.mark.parametrize(
    ("path", "key", "count"),
    [
        ("status", "deployments", 1),
        ("status/flight-delay", "deployments", 1),
        ("plan/flight-delay", "unknown", 1),
        ("releases", "releases", 3),
        ("releases?model=flight-delay", "releases", 3),
        ("releases?model=other", "releases", 0),
        ("history", "events", 13),
        ("history?limit=2", "events", 2),
        ("history?before=5", "events", 4),
        ("history?deployment=flight-delay&limit=3&before=12", "events", 3),
        ("why?limit=1", "incidents", 1),
        ("why?before=1", "incidents", 0),
        ("runs?limit=1&before=3", "runs", 0),
        ("why", "incidents", 1),
        ("why/flight-delay-i1", "incidents", 1),
        ("why?deployment=flight-delay", "incidents", 1),
        ("runs", "runs", 0),
        ("evidence/flight-delay", "series", 4),
        ("traffic/flight-delay", "points", 3),
    ],
)
def test_what_can_be_read(path: str, key: str, count: int) -> None:
    system = in_canary()
    system.tell(e.IncidentOpened(incident()))
    answer = Browser(system).get(f"/api/{path}")
    assert answer.status_code == 200
    assert len(answer.json()[key]) == count


def test_pages_of_the_past_lead_to_its_beginning() -> None:
    browser = Browser(in_canary())
    found: list[int] = []
    asked = "/api/history?limit=5"
    while asked:
        page = browser.get(asked).json()
        found = [event["seq"] for event in page["events"]] + found
        asked = page["earlier"] and f"/api/history?limit=5&before={page['earlier']}"
    assert found == list(range(1, 13))


def test_an_incident_that_is_open_is_told_whatever_came_after_it() -> None:
    system = in_canary()
    for number in (1, 2, 3):
        system.tell(e.IncidentOpened(incident(number)))
    system.tell(e.IncidentClosed("flight-delay-i2", NOW))
    system.tell(e.IncidentClosed("flight-delay-i3", NOW))
    told = Browser(system).get("/api/why?limit=1").json()
    assert {each["id"] for each in told["incidents"]} == {"flight-delay-i1", "flight-delay-i3"}
    older = Browser(system).get(f"/api/why?limit=1&before={told['earlier']}").json()
    assert [each["id"] for each in older["incidents"]] == ["flight-delay-i2"]


def test_a_release_is_found_by_number_and_by_digest() -> None:
    shown = Browser(serving()).get("/api/releases/flight-delay@2").json()
    assert shown["release"] == "flight-delay@2"
    again = Browser(serving()).get(f"/api/releases/{digest(2)}").json()
    assert again == shown


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("status/other", 404, errors.NO_SUCH_DEPLOYMENT),
        ("why?deployment=other", 404, errors.NO_SUCH_DEPLOYMENT),
        ("why/i9", 404, errors.NO_SUCH_INCIDENT),
        ("releases/flight-delay@9", 404, errors.NO_SUCH_RELEASE),
        ("releases/-", 400, errors.NO_SUCH_RELEASE),
        ("history?limit=0", 400, errors.BAD_REQUEST),
        ("history?limit=x", 400, errors.BAD_REQUEST),
        ("history?before=0", 400, errors.BAD_REQUEST),
        ("why?limit=1001", 400, errors.BAD_REQUEST),
        ("runs?before=99999999999999999999", 400, errors.BAD_REQUEST),
        ("nothing", 404, errors.BAD_REQUEST),
        ("evidence/other", 404, errors.NO_SUCH_DEPLOYMENT),
    ],
)
def test_what_is_not_there_is_said_in_the_error_shape(path: str, status: int, code: str) -> None:
    answer = Browser(serving()).get(f"/api/{path}")
    assert answer.status_code == status
    assert answer.json()["error"]["code"] == code


@pytest.mark.parametrize(
    ("family", "status"),
    [
        (errors.Usage, 400),
        (errors.NotFound, 404),
        (errors.Refused, 409),
        (errors.Conflict, 409),
        (errors.Integrity, 422),
        (errors.Permanent, 500),
        (errors.Unavailable, 503),
        (errors.TimedOut, 504),
    ],
)
def test_each_family_has_its_status_and_one_shape(
    family: type[errors.TrimtabError], status: int
) -> None:
    system = serving()
    system.failure = family(errors.STORE_FAILED, "look", "state", "why", "as it was", "do this")
    answer = Browser(system).get("/api/status")
    assert answer.status_code == status
    assert answer.json() == {
        "error": {
            "code": "TT-503",
            "operation": "look",
            "subject": "state",
            "message": "why",
            "causes": [],
            "unchanged": "as it was",
            "hint": "do this",
            "retryable": family in (errors.Unavailable, errors.TimedOut),
        }
    }


def test_a_fault_of_our_own_tells_no_internals(monkeypatch: pytest.MonkeyPatch) -> None:
    system = serving()
    monkeypatch.setattr(system, "seen", lambda: 1 / 0)
    answer = Browser(system).get("/api/status")
    assert answer.status_code == 500
    assert "division" not in answer.text
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert {"Date", "Content-Security-Policy"} <= {name.title() for name in answer.headers}
    assert answer.json()["error"]["code"] == errors.UNEXPECTED


def test_a_rollout_is_ordered_step_by_step_and_undone() -> None:
    system = serving()
    begun = ordered(system, f"deployments/{NAME}/deploy", release="flight-delay@2", reason="try")
    assert begun["rollout"]["state"] == "preparing"
    assert begun["undo"] == "trimtab abort flight-delay"
    assert (system.journal[-1].actor, system.journal[-1].reason) == ("ada", "try")
    assert ordered(system, f"deployments/{NAME}/promote")["rollout"]["state"] == "shadow"
    assert ordered(system, f"deployments/{NAME}/pause")["rollout"]["paused"] is True
    assert ordered(system, f"deployments/{NAME}/pause")["changed"] is False
    assert ordered(system, f"deployments/{NAME}/resume")["rollout"]["paused"] is False
    ended = ordered(system, f"deployments/{NAME}/abort")
    assert ended["rollout"]["outcome"] == "aborted"
    assert ended["undo"] == "trimtab deploy flight-delay --release flight-delay@2"


def test_a_promotion_without_evidence_is_refused_and_says_what_is_missing() -> None:
    refused = ordered(in_canary(), f"deployments/{NAME}/promote", 409)["error"]
    assert "2 400 more requests" in refused["message"]
    assert refused["unchanged"] == "it stays in canary"
    system = in_canary()
    system.guards[NAME] = GuardReport("ok", "unknown", ())
    told = ordered(system, f"deployments/{NAME}/promote", override=True, reason="known")
    assert told["rollout"]["step"] == 2


def test_a_rollback_goes_to_the_release_that_was_named() -> None:
    system = serving()
    for event in (
        e.RolloutStarted("r2", system.state.deployments[NAME].proven[0], "now", NOW),
        e.RolloutEnded("r2", system.state.deployments[NAME].proven[0], "aborted", NOW),
    ):
        system.tell(event)
    refused = ordered(system, f"deployments/{NAME}/rollback", 409, to="flight-delay@3")
    assert refused["error"]["code"] == errors.NO_ROLLBACK_TARGET


def test_a_retrain_may_be_asked_for_by_deployment() -> None:
    system = serving()
    assert ordered(system, f"models/{NAME}/retrain")["run"] == "flight-delay-run1"
    assert ordered(system, f"models/{NAME}/retrain", 409)["error"]["code"] == "TT-607"


def test_told_values_are_compared() -> None:
    system = serving()
    told = ordered(system, f"deployments/{NAME}/parity", id=["a", "b"], values={"temp": [1, None]})
    assert (told["compared"], told["repeated"], told["unmatched"]) == (1, 0, 1)
    assert system.told[0].values == {"temp": [1, None]}
    assert ordered(system, "deployments/nobody/parity", 404, values={})["error"]["code"] == "TT-601"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"values": {"x": [[1]]}}', "Expected"),
        (b'{"values": {}, "reason": "why"}', "unknown field"),
        (b'{"values": {"x": [' + b"0," * 10_000 + b"0]}}", "at most 10000"),
        (b" " * (32 * 1024 * 1024 + 1), "larger than"),
    ],
)
def test_told_values_of_the_wrong_form_are_refused_as_a_whole(body: bytes, said: str) -> None:
    system = serving()
    answer = Browser(system).post(f"/api/deployments/{NAME}/parity", content=body, headers=PROOF)
    assert answer.status_code == 400
    assert said in answer.json()["error"]["message"]
    assert system.told == []


def test_a_release_is_registered_by_its_digest() -> None:
    system = serving()
    assert ordered(system, "releases", digest=digest(4))["release"] == "flight-delay@4"
    assert ordered(system, "releases", 422, digest=digest(9))["error"]["code"] == "TT-209"


@pytest.mark.parametrize("said", ["", "ab12cd", "sha256:../../../etc/passwd", "sha256:" + "a" * 65])
def test_what_is_no_digest_is_refused_as_such(said: str) -> None:
    error = ordered(serving(), "releases", 400, digest=said)["error"]
    assert (error["code"], error["operation"]) == (errors.BAD_VALUE, "read digest")


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b'{"release": 3}', b'{"relase": "m@1"}', b"{}", b"\xff", b" " * 70_000]
)
def test_an_order_of_the_wrong_form_changes_nothing(body: bytes) -> None:
    system = serving()
    answer = Browser(system).post(f"/api/deployments/{NAME}/deploy", content=body, headers=PROOF)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == errors.BAD_REQUEST
    assert system.deployment(NAME).rollout is None


def test_an_actor_that_is_no_name_is_not_believed() -> None:
    system = in_canary()
    path = f"/api/deployments/{NAME}/pause"
    Browser(system).post(path, headers={**PROOF, "X-Trimtab-Actor": "a <script>"})
    assert system.journal[-1].actor == "dashboard"


def test_a_page_of_evidence_grows_with_every_look() -> None:
    system = in_canary()
    api = Browser(system)
    for _ in range(4):
        system.now += 60
        answer = api.get("/api/evidence/flight-delay")
    points = {series["signal"]: len(series["points"]) for series in answer.json()["series"]}
    assert points["error"] >= 2
    assert json.dumps(points)
