"""The replay against a server that hangs up, is full, or says no."""

import asyncio
from collections import Counter
from dataclasses import replace

import pytest
from tests.unit.demo.flights import at, flight, table
from tests.unit.demo.server import Answer, Asked, Server, by_path, running, scored

from trimtab.demo.connection import Line, Reply
from trimtab.demo.gate import Gate
from trimtab.demo.ledger import Ledger
from trimtab.demo.options import Pace
from trimtab.demo.replay import Replay
from trimtab.demo.world import World
from trimtab.errors import Permanent

HOURS = 30
END = at(HOURS + 4)
PACE = Pace(connections=4, deadline_seconds=5.0)


def world() -> World:
    """Flights of two airports, one in each minute of some hours, and two of one minute."""
    rows = [flight(h, origin) for h in range(HOURS) for origin in ("EWR", "JFK")]
    return World(table(*rows, flight(2, flight_id="second")))


def played(server: Server, pace: Pace = PACE) -> Ledger:
    """A replay from beginning to end, the clock free."""
    flights, gate = world(), Gate(at(0))
    ledger = Ledger(flights)
    gate.allow(END)
    asyncio.run(Replay(flights, gate, ledger, server.address, pace).run(END))
    return ledger


def infer_ids(server: Server) -> list[str]:
    """Ids of inference requests in the order of arrival."""
    return [body["id"] for body in server.bodies("/infer")]


def test_every_request_is_sent_once_and_every_label_delivered() -> None:
    """The ledger counts what the server saw."""
    with running(Server()) as server:
        ledger = played(server)
    totals = ledger.totals()
    assert Counter(infer_ids(server)).most_common(1)[0][1] == 1
    assert (totals.requests, totals.rows, totals.failed) == (60, 61, 0)
    labels = [label for body in server.bodies("/feedback") for label in body["labels"]]
    assert (totals.labels_due, totals.labels_accepted, len(labels)) == (61, 61, 61)
    assert ledger.served["m@1"].requests == 60


def test_on_one_connection_requests_arrive_in_the_order_of_the_schedule() -> None:
    """More connections may overtake each other only as far as there are connections."""
    with running(Server()) as server:
        played(server, replace(PACE, connections=1))
    times = [body["parameters"]["event_time"] for body in server.bodies("/infer")]
    assert times == sorted(times)


def test_a_label_never_arrives_before_a_request_that_came_before_the_landing() -> None:
    """With one connection, whoever landed at a moment is told after what was asked until then."""
    with running(Server()) as server:
        played(server, replace(PACE, connections=1))
    asked = ""
    for request in server.asked:
        if request.path.endswith("/infer"):
            asked = request.json["parameters"]["event_time"]
        elif asked != "2013-04-02T09:00:00Z":
            assert max(label["at"] for label in request.json["labels"]) <= asked


def test_a_lost_connection_is_answered_by_the_same_request_again() -> None:
    """A server that dies after it took the request in gets the same id again."""
    counts = Counter[bytes]()

    def hang_up(asked: Asked) -> Answer:
        counts[asked.body] += 1
        return Answer(0) if counts[asked.body] == 1 else by_path(asked)

    with running(Server(hang_up)) as server:
        totals = played(server).totals()
    assert (totals.failed, totals.retried, totals.requests) == (0, 60, 60)
    assert set(Counter(infer_ids(server)).values()) == {2}
    assert totals.labels_accepted == totals.labels_due == 61


def test_a_full_server_is_asked_again_and_a_refusal_is_not() -> None:
    """503 and 429 pass; 400 is an answer, and counts as a failed request."""
    counts = Counter[bytes]()

    def moody(asked: Asked) -> Answer:
        counts[asked.body] += 1
        if asked.path.endswith("/infer") and asked.json["id"].startswith("EWR-2013-04-01T05"):
            return Answer(400, b"no")
        return (
            by_path(asked) if counts[asked.body] > 2 else Answer((503, 429)[counts[asked.body] - 1])
        )

    with running(Server(moody)) as server:
        ledger = played(server)
    assert ledger.refusals == ["EWR-2013-04-01T05:00:00Z: status 400 no"]
    assert ledger.totals().failed == 1
    assert counts.most_common()[-1][1] == 1
    assert counts.most_common()[-2][1] == 3


def test_a_request_without_an_answer_before_its_deadline_has_failed() -> None:
    """The deadline ends the attempts, and the ledger says status 0."""

    def deaf(asked: Asked) -> Answer:
        lost = asked.path.endswith("/infer") and asked.json["id"].startswith("JFK-2013-04-01T06")
        return Answer(0) if lost else by_path(asked)

    with running(Server(deaf)) as server:
        ledger = played(server, replace(PACE, deadline_seconds=0.2))
    assert ledger.totals().failed == 1
    assert ledger.refusals == ["JFK-2013-04-01T06:00:00Z: status 0 "]
    assert sorted(ledger.status.tolist())[:2] == [0, 200]


def test_an_answer_with_too_few_scores_is_a_failed_request() -> None:
    """Rows returned are rows sent, or the client counts a failure."""

    def short(asked: Asked) -> Answer:
        return Answer(200, b'{"outputs":[{"name":"score","data":[]}]}', "m@1")

    def handler(asked: Asked) -> Answer:
        return by_path(asked) if asked.path.endswith("/feedback") else short(asked)

    with running(Server(handler)) as server:
        totals = played(server).totals()
    assert totals.failed == totals.requests == 60


def test_refused_labels_end_the_replay() -> None:
    """A label is never dropped in silence."""

    def handler(asked: Asked) -> Answer:
        return Answer(400, b"no") if asked.path.endswith("/feedback") else scored(asked)

    with running(Server(handler)) as server, pytest.raises(ExceptionGroup) as raised:
        played(server)
    assert raised.group_contains(Permanent, match="status 400: no")


def test_the_ledger_knows_the_loss_of_each_release_in_a_span() -> None:
    """Brier of what was asked in the span and landed by its end."""
    flights = World(table(flight(1), flight(2, late=1), flight(20)))
    ledger = Ledger(flights)
    releases = ("m@1", "m@2", "m@1")
    for request, release in zip(flights.bodies(), releases, strict=True):
        body = b'{"outputs":[{"name":"label","data":["0"]},{"name":"score","data":[0.5]}]}'
        ledger.answered(request, Reply(200, release, body), 0.01)
    assert ledger.loss(at(0), at(10)) == (0.25, 2)
    assert ledger.loss(at(0), at(4.5)) == (0.25, 1)
    assert ledger.loss(at(0), at(10), "m@2") == (0.25, 1)
    assert ledger.loss(at(0), at(10), "m@3") is None
    assert ledger.latency(0.5) == pytest.approx(0.01)


def test_a_line_opens_its_connection_again_after_it_was_closed() -> None:
    """An idle connection that the server closed is no error."""

    async def twice(server: Server) -> list[int]:
        line = Line(server.address)
        head = server.address.head("POST", "/v2/models/m/feedback")
        first = await line.call(head, b'{"labels":[]}', 5)
        line.close()
        second = await line.call(head, b'{"labels":[]}', 5)
        line.close()
        return [first.status, second.status]

    with running(Server()) as server:
        assert asyncio.run(twice(server)) == [200, 200]
