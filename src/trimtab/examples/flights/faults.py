"""Ways in which the weather feed breaks before its values reach a request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from trimtab.examples.flights.data import EVENT_TIME, WEATHER

if TYPE_CHECKING:
    from datetime import datetime

_KILOMETRES = 1.609344
_MILLIMETRES = 25.4


@dataclass(frozen=True, slots=True)
class Span:
    """Event times from `start` up to, and without, `end`; both aware."""

    start: datetime
    end: datetime


def metric_units(requests: pa.Table, span: Span) -> pa.Table:
    """`requests` whose weather inside `span` arrives in °C, km/h, mm and km.

    Humidity, wind direction and pressure (hPa in both systems) stay as they are.
    """
    during = _inside(requests, span)
    for name in ("temp", "dewp"):
        celsius = pc.multiply(pc.subtract(requests[name], 32.0), 5.0 / 9.0)
        requests = _replace(requests, name, pc.if_else(during, celsius, requests[name]))
    factors = {"wind_speed": _KILOMETRES, "visib": _KILOMETRES, "precip": _MILLIMETRES}
    for name, factor in factors.items():
        scaled = pc.multiply(requests[name], factor)
        requests = _replace(requests, name, pc.if_else(during, scaled, requests[name]))
    return requests


def weather_lost(requests: pa.Table, span: Span, origin: str) -> pa.Table:
    """`requests` without any weather for the airport `origin` inside `span`."""
    lost = pc.and_(_inside(requests, span), pc.equal(requests["origin"], pa.scalar(origin)))
    for name in WEATHER:
        column = requests[name]
        requests = _replace(requests, name, pc.if_else(lost, pa.scalar(None, column.type), column))
    return requests


def _inside(requests: pa.Table, span: Span) -> pa.BooleanArray:
    times = requests[EVENT_TIME]
    start, end = (pa.scalar(bound, times.type) for bound in (span.start, span.end))
    return pc.and_(pc.greater_equal(times, start), pc.less(times, end))


def _replace(table: pa.Table, name: str, values: pa.ChunkedArray[Any]) -> pa.Table:
    return table.set_column(table.schema.get_field_index(name), name, values)
