"""Flights become requests and labels in the order and at the moments in which they happen."""

from datetime import timedelta

import msgspec
from tests.unit.demo.flights import START, at, flight, table

from trimtab.demo.faults import Faults
from trimtab.demo.options import DemoOptions
from trimtab.demo.world import World, history
from trimtab.examples.flights.data import INPUTS


def test_flights_of_one_origin_and_minute_share_a_request() -> None:
    """The rows of a request are consecutive flights of the world."""
    world = World(table(flight(1), flight(1, "JFK"), flight(1, flight_id="b"), flight(2)))
    requests = list(world.bodies())
    assert [(r.id, r.rows) for r in requests] == [
        ("EWR-2013-04-01T05:00:00Z", 2),
        ("JFK-2013-04-01T05:00:00Z", 1),
        ("EWR-2013-04-01T06:00:00Z", 1),
    ]
    assert [r.first for r in requests] == [0, 2, 3]
    assert world.requests == 3


def test_requests_come_in_the_order_of_the_event_clock_and_carry_it() -> None:
    """Whatever the order of origins, time never goes back."""
    flights = table(*(flight(h / 7, origin) for h in range(40) for origin in ("JFK", "EWR")))
    times = [request.time for request in World(flights).bodies()]
    assert times == sorted(times)
    body = msgspec.json.decode(next(iter(World(flights).bodies())).body)
    assert body["parameters"]["event_time"] == "2013-04-01T04:00:00Z"


def test_wider_groups_make_fewer_requests_whose_event_time_is_the_first_flights() -> None:
    """Throughput may be bought with coarser groups, never with a time before the flight."""
    world = World(table(flight(1.1), flight(1.4), flight(2.1)), group_minutes=60)
    assert [(r.rows, r.time) for r in world.bodies()] == [(2, at(1.1)), (1, at(2.1))]


def test_a_body_holds_one_tensor_for_each_column_and_null_for_what_is_missing() -> None:
    """Whole numbers, numbers and texts travel as such, with the key beside the inputs."""
    row = flight(1, temp=None, wind_dir=270.0, carrier='"U%A', distance=1400)
    body = msgspec.json.decode(next(World(table(row)).bodies()).body)
    tensors = {tensor["name"]: tensor for tensor in body["inputs"]}
    assert set(tensors) == {"flight_id", *INPUTS}
    assert tensors["temp"] == {"name": "temp", "datatype": "FP64", "shape": [1], "data": [None]}
    assert tensors["wind_dir"]["data"] == [270]
    assert tensors["distance"] | {"datatype": "INT64", "data": [1400]} == tensors["distance"]
    assert tensors["carrier"]["data"] == ['"U%A']


def test_labels_are_due_after_the_landing_in_the_order_of_landing() -> None:
    """A delivery holds what landed in its hour; what never landed has no label."""
    landed = [START + timedelta(hours=h) for h in (5.5, 3.25, 3.75)]
    rows = [flight(h, landed_at=landed[h], late=h % 2) for h in range(3)]
    world = World(table(*rows, flight(2.5, landed_at=None, late=None)))
    deliveries = list(world.deliveries(at(24), 60))
    assert [(d.due, d.count) for d in deliveries] == [(at(4), 2), (at(6), 1)]
    first = msgspec.json.decode(deliveries[0].body)["labels"]
    assert [(label["key"], label["label"]) for label in first] == [("EWR1", 1), ("EWR2", 0)]
    assert first[0]["at"] == "2013-04-01T07:15:00Z"


def test_labels_that_land_after_the_end_are_never_told() -> None:
    """The last delivery is due at the end and holds nothing later."""
    world = World(table(flight(1), flight(2)))
    assert [(d.due, d.count) for d in world.deliveries(at(4.5), 60)] == [(at(4.5), 1)]


def test_history_holds_only_what_was_known_on_the_first_day() -> None:
    """A flight before the start whose landing came later is not known."""
    rows = table(flight(-5), flight(-2), flight(1), flight(-8, landed_at=None, late=None))
    assert history(rows, START)["flight_id"].to_pylist() == ["EWR-5"]


def test_faults_are_chosen_by_the_seed_inside_the_replayed_year() -> None:
    """The same seed gives the same faults; every seed leaves time to notice and to recover."""
    end = DemoOptions(data=None).end  # type: ignore[arg-type]
    for seed in range(50):
        faults = Faults.choose(seed)
        assert faults == Faults.choose(seed)
        assert START < faults.release_at < faults.feed.span.start < faults.feed.span.end
        assert faults.feed.span.end < end - timedelta(days=20)
    assert {Faults.choose(seed).feed.kind for seed in range(50)} == {"metric_units", "weather_lost"}
