"""What headers of a request mean."""

import pytest

from trimtab.gateway.faults import Fault
from trimtab.gateway.heads import BINARY, CSV, JSON, heading
from trimtab.gateway.http11 import Headers


@pytest.mark.parametrize(
    ("headers", "content"),
    [
        ({}, JSON),
        ({b"content-type": b"application/json; charset=utf-8"}, JSON),
        ({b"content-type": b"Application/JSON"}, JSON),
        ({b"content-type": b"application/vnd.x+json"}, JSON),
        ({b"content-type": b"text/csv; charset=utf-8"}, CSV),
        ({b"content-type": b"application/octet-stream"}, BINARY),
        ({b"content-type": b"text/plain", b"inference-header-content-length": b"2"}, BINARY),
    ],
)
def test_the_kind_of_content_is_known(headers: dict[bytes, bytes], content: str) -> None:
    assert heading(Headers(headers)).content == content


@pytest.mark.parametrize(
    "kind", [b"text/plain", b"", b"application/x-www-form-urlencoded", b"\xff"]
)
def test_other_content_is_refused(kind: bytes) -> None:
    with pytest.raises(Fault) as caught:
        heading(Headers({b"content-type": kind}))
    assert caught.value.status == 415


def test_bytes_without_a_type_are_not_taken_from_a_web_page() -> None:
    with pytest.raises(Fault, match="from a web page") as caught:
        heading(Headers({b"origin": b"null"}))
    assert caught.value.status == 415
    typed = Headers({b"origin": b"https://a.example", b"content-type": b"application/json"})
    assert heading(typed).content == JSON


def test_who_lets_curl_choose_the_type_is_told_how_to_say_it() -> None:
    with pytest.raises(Fault, match="use curl --json"):
        heading(Headers({b"content-type": b"application/x-www-form-urlencoded"}))


def test_lane_deadline_and_id_may_come_by_header() -> None:
    said = heading(
        Headers(
            {
                b"x-trimtab-priority": b"2",
                b"x-trimtab-timeout-ms": b"250",
                b"x-envoy-expected-rq-timeout-ms": b"15000",
                b"x-request-id": b"q1",
            }
        )
    )
    assert (said.asked.lane, said.asked.timeout, said.request_id) == ("batch", 0.25, "q1")


def test_a_proxy_that_sets_no_timeout_says_zero() -> None:
    said = heading(Headers({b"x-envoy-expected-rq-timeout-ms": b"0", b"x-request-id": b""}))
    assert (said.asked.lane, said.asked.timeout, said.request_id) == ("realtime", None, None)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"x-trimtab-timeout-ms", b"1.5"),
        (b"x-trimtab-timeout-ms", b"-1"),
        (b"x-trimtab-timeout-ms", b"9" * 16),
        (b"x-trimtab-timeout-ms", "²".encode("latin-1")),
        (b"x-trimtab-priority", b"high"),
        (b"inference-header-content-length", b""),
        (b"x-request-id", b"\xe9"),
        (b"x-request-id", b"a" * 257),
    ],
)
def test_headers_that_cannot_be_read_are_named(name: bytes, value: bytes) -> None:
    with pytest.raises(Fault) as caught:
        heading(Headers({name: value}))
    assert caught.value.status == 400


def test_what_was_made_of_a_head_stays_with_it() -> None:
    headers = Headers({b"x-request-id": b"a"})
    assert heading(headers) is heading(headers)
