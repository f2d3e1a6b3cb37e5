"""What a page of a foreign site can not do, and what every answer carries."""

import pytest
from tests.support.browser import Browser
from tests.support.scenes import in_canary

from trimtab.web.answers import ANSWER_HEADERS
from trimtab.web.guard import name_of

PAUSE = "/api/deployments/flight-delay/pause"
BASE = "http://127.0.0.1:8090"


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8090", "localhost", "LOCALHOST:1", "[::1]:8090", "trimtab.test:80"]
)
def test_names_of_the_listener_are_answered(host: str) -> None:
    assert Browser(in_canary()).get("/api/status", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost@evil", "localhost:x", "", "[::1"]
)
def test_any_other_host_is_refused_so_names_cannot_be_rebound(host: str) -> None:
    answer = Browser(in_canary()).get("/api/status", headers={"Host": host})
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "TT-112"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"X-Trimtab-Action": "1"}, 200),
        ({"X-Trimtab-Action": "1", "Origin": BASE}, 200),
        ({"Content-Type": "application/json", "Origin": BASE}, 200),
        ({}, 403),
        ({"Content-Type": "application/json"}, 403),
        ({"Content-Type": "text/plain", "Origin": BASE}, 403),
        ({"X-Trimtab-Action": "1", "Origin": "http://evil.example"}, 403),
        ({"X-Trimtab-Action": "1", "Origin": "null"}, 403),
        ({"X-Trimtab-Action": "1", "Origin": "http://127.0.0.1:9999"}, 403),
        ({"X-Trimtab-Action": "1", "Sec-Fetch-Site": "cross-site"}, 403),
    ],
)
def test_an_order_needs_proof_that_our_page_or_no_page_sent_it(
    headers: dict[str, str], status: int
) -> None:
    system = in_canary()
    answer = Browser(system, BASE).post(PAUSE, headers=headers)
    assert answer.status_code == status
    rollout = system.deployment("flight-delay").rollout
    assert rollout is not None
    assert rollout.paused is (status == 200)


def test_every_answer_forbids_foreign_content_and_frames() -> None:
    browser = Browser(in_canary())
    for answer in (browser.get("/"), browser.get("/api/nothing"), browser.post(PAUSE)):
        for name, value in ANSWER_HEADERS.items():
            assert answer.headers[name] == value
        assert "access-control-allow-origin" not in answer.headers
        assert "set-cookie" not in answer.headers


def test_a_preflight_of_another_origin_is_refused() -> None:
    answer = Browser(in_canary()).request(
        "OPTIONS", PAUSE, headers={"Origin": "http://evil.example"}
    )
    assert answer.status_code == 403


def test_a_host_header_is_read_without_its_port() -> None:
    assert [name_of(text) for text in ("a:1", "[::1]:2", "a/b", "u@a")] == ["a", "[::1]", "", ""]
