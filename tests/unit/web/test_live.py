"""The listener as it runs: on an inherited socket, pushing what changed."""

import http.client
import json
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from tests.support.admin import admin
from tests.support.scenes import in_canary, serving

from trimtab.domain import events as e


def events_of(url: str, path: str, wanted: int) -> list[tuple[str, str]]:
    """The first `wanted` server-sent events at `path`."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=10)
    connection.request("GET", path)
    answer = connection.getresponse()
    assert answer.getheader("content-type") == "text/event-stream; charset=utf-8"
    found: list[tuple[str, str]] = []
    kind, data = "", []
    while len(found) < wanted:
        line = answer.readline().decode().rstrip("\n")
        if line.startswith("event: "):
            kind = line.removeprefix("event: ")
        elif line.startswith("data: "):
            data.append(line.removeprefix("data: "))
        elif kind:
            found.append((kind, "\n".join(data)))
            kind, data = "", []
    connection.close()
    return found


def test_the_status_is_pushed_when_it_changed() -> None:
    system = serving()
    with admin(system) as listener:
        kind, first = events_of(listener.url, "/api/events", 1)[0]
        assert kind == "status"
        assert json.loads(first)["deployments"][0]["state"] == "healthy"


def test_answers_tell_when_they_were_given() -> None:
    with admin(serving()) as listener:
        parts = urlsplit(listener.url)
        connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=10)
        connection.request("GET", "/api/status")
        answer = connection.getresponse()
        told = parsedate_to_datetime(answer.headers["Date"])
        assert abs((datetime.now(UTC) - told).total_seconds()) < 60
        answer.read()
        connection.close()


def test_a_page_is_pushed_as_its_regions() -> None:
    system = in_canary()
    with admin(system) as listener:
        kind, html = events_of(listener.url, "/api/events?page=/deployments/flight-delay", 1)[0]
        assert kind == "page"
        assert '<section id="region-rollout" data-live>' in html


def test_a_quiet_system_sends_beats() -> None:
    with admin(serving()) as listener:
        kinds = [kind for kind, _ in events_of(listener.url, "/api/events?page=/", 2)]
        assert kinds == ["page", "beat"]


def test_a_page_that_does_not_exist_has_no_stream() -> None:
    with admin(serving()) as listener:
        parts = urlsplit(listener.url)
        connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=10)
        for page in ("/nowhere", "/deployments/other"):
            connection.request("GET", f"/api/events?page={page}")
            answer = connection.getresponse()
            assert answer.status == 404
            answer.read()
        connection.close()


def test_an_open_stream_does_not_keep_the_listener_from_ending() -> None:
    system = serving()
    with admin(system) as listener:
        parts = urlsplit(listener.url)
        connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=10)
        connection.request("GET", "/api/events")
        answer = connection.getresponse()
        answer.readline()
        system.tell(e.RolloutPaused("none"))
    connection.close()
