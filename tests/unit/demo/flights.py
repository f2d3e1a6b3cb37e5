"""A handful of flights in the shape of the example's table."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from trimtab.examples.flights.data import INPUTS

START = datetime(2013, 4, 1, 4, tzinfo=UTC)
_UTC = pa.timestamp("us", tz="UTC")
_TEXTS = ("carrier", "origin", "dest")
_WHOLE = ("distance", "hour", "minute", "weekday")
_TYPES: dict[str, pa.DataType] = {
    "flight_id": pa.string(),
    **dict.fromkeys(INPUTS, pa.float64()),
    **dict.fromkeys(_TEXTS, pa.string()),
    **dict.fromkeys(_WHOLE, pa.int64()),
    "sched_at": _UTC,
    "late": pa.int8(),
    "landed_at": _UTC,
}
SCHEMA = pa.schema(_TYPES)


def flight(hours: float, origin: str = "EWR", **changed: Any) -> dict[str, Any]:
    """A flight scheduled `hours` after the start, which lands three hours later, not late."""
    sched = START + timedelta(hours=hours)
    row: dict[str, Any] = dict.fromkeys(SCHEMA.names, 1)
    row |= {"carrier": "UA", "origin": origin, "dest": "IAH", "temp": 44.06}
    row |= {"sched_at": sched, "landed_at": sched + timedelta(hours=3), "late": 0}
    row |= {"flight_id": f"{origin}{hours}"}
    return row | changed


def table(*rows: dict[str, Any]) -> pa.Table:
    """The flights in order of schedule and key."""
    ordered = sorted(rows, key=lambda row: (row["sched_at"], row["flight_id"]))
    return pa.Table.from_pylist(ordered, schema=SCHEMA)


def at(hours: float) -> float:
    """Epoch seconds of the moment `hours` after the start."""
    return (START + timedelta(hours=hours)).timestamp()
