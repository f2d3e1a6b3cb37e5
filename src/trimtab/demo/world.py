"""The world: flights as request bodies and label deliveries, in the order in which they happen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trimtab.demo.moments import text_of
from trimtab.domain.records import Floats, Ints
from trimtab.examples.flights.data import EVENT_TIME, INPUTS, KEY, LABEL, LABEL_TIME
from trimtab.examples.flights.faults import Span

_CHUNK = 400
_MOST_LABELS = 2000
_SECOND = 1_000_000


@dataclass(frozen=True, slots=True)
class Request:
    """One inference request; its rows are the flights from `first` to `first + rows`."""

    number: int
    id: str
    time: float
    first: int
    rows: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Delivery:
    """Labels that have become known by `due`, in the order of landing."""

    due: float
    count: int
    body: bytes


def history(flights: pa.Table, start: datetime) -> pa.Table:
    """The flights before `start` whose label is known by then: what the first release may learn."""
    moment = pa.scalar(start, flights[EVENT_TIME].type)
    before = pc.less(flights[EVENT_TIME], moment)
    return flights.filter(pc.and_(before, pc.less_equal(flights[LABEL_TIME], moment)))


def during(flights: pa.Table, span: Span) -> pa.Table:
    """The flights scheduled in `span`."""
    times = flights[EVENT_TIME]
    start, end = (pa.scalar(bound, times.type) for bound in (span.start, span.end))
    return flights.filter(pc.and_(pc.greater_equal(times, start), pc.less(times, end)))


class World:
    """Flights, grouped into requests by origin and scheduled time, with their labels.

    `flights` is the table in the order of requests; `time`, `truth` (1 late, 0 not, NaN never
    known) and `landed` (NaN where never) are its columns as arrays, times in epoch seconds.
    A request holds the flights of one origin that are scheduled in the same `group_minutes`; its
    event time is that of the first of them.
    """

    def __init__(self, flights: pa.Table, group_minutes: int = 1) -> None:
        width = 60 * group_minutes
        slot = _epoch(flights, EVENT_TIME).astype(np.int64) // width * width
        origin = np.array(flights["origin"].to_pylist())
        order = np.lexsort((origin, slot))
        slot, origin = slot[order], origin[order]
        self.flights = flights.take(order).combine_chunks()
        self.time = _epoch(self.flights, EVENT_TIME)
        self.landed = _epoch(self.flights, LABEL_TIME)
        self.truth = _floats(self.flights, LABEL)
        self._edges = _edges(slot, origin)

    @property
    def requests(self) -> int:
        """How many requests there are."""
        return len(self._edges) - 1

    def bodies(self) -> Iterator[Request]:
        """Every request in the order of the event clock, made as it is taken."""
        kinds = {name: _datatype(self.flights.schema.field(name).type) for name in (KEY, *INPUTS)}
        shapes = _Shapes(kinds)
        for start in range(0, self.requests, _CHUNK):
            edges = self._edges[start : start + _CHUNK + 1].tolist()
            part = self.flights.slice(edges[0], edges[-1] - edges[0])
            columns = [_texts(part[name], kind) for name, kind in kinds.items()]
            origins = part["origin"].to_pylist()
            for number, (first, last) in enumerate(pairwise(edges), start):
                low, high = first - edges[0], last - edges[0]
                moment = float(self.time[first])
                text = text_of(moment)
                name = f"{origins[low]}-{text}"
                body = shapes.body(name, text, [column[low:high] for column in columns])
                yield Request(number, name, moment, first, last - first, body)

    def deliveries(self, end: float, minutes: int) -> Iterator[Delivery]:
        """Every label known before `end`, collected for `minutes` of event time, never early."""
        known = np.flatnonzero(self.landed < end)
        known = known[np.argsort(self.landed[known], kind="stable")]
        width = 60 * minutes
        slots = self.landed[known].astype(np.int64) // width
        for chosen in np.split(known, np.flatnonzero(np.diff(slots)) + 1):
            for start in range(0, len(chosen), _MOST_LABELS):
                rows = chosen[start : start + _MOST_LABELS]
                due = (int(self.landed[rows[-1]]) // width + 1) * width
                yield Delivery(min(float(due), end), len(rows), self._labels(rows))

    def _labels(self, rows: Ints) -> bytes:
        keys = self.flights[KEY].take(rows).to_pylist()
        entries = [
            {"key": key, "label": int(self.truth[row]), "at": text_of(float(self.landed[row]))}
            for key, row in zip(keys, rows.tolist(), strict=True)
        ]
        return msgspec.json.encode({"labels": entries})


class _Shapes:
    """Bodies by filling in a text that is made once for each number of rows."""

    def __init__(self, kinds: Mapping[str, str]) -> None:
        self._kinds = kinds
        self._made: dict[int, str] = {}

    def body(self, name: str, moment: str, columns: Sequence[list[str]]) -> bytes:
        rows = len(columns[0])
        form = self._made.get(rows) or self._made.setdefault(rows, self._form(rows))
        if rows == 1:
            return (form % (name, moment, *[column[0] for column in columns])).encode()
        return (form % (name, moment, *[",".join(column) for column in columns])).encode()

    def _form(self, rows: int) -> str:
        tensors = ",".join(
            f'{{"name":"{name}","datatype":"{kind}","shape":[{rows}],"data":[%s]}}'
            for name, kind in self._kinds.items()
        )
        return f'{{"id":"%s","parameters":{{"event_time":"%s"}},"inputs":[{tensors}]}}'


def _edges(slot: Ints, origin: np.ndarray) -> Ints:
    new = np.flatnonzero((slot[1:] != slot[:-1]) | (origin[1:] != origin[:-1])) + 1
    return np.array([0, *new.tolist(), len(slot)] if len(slot) else [0], dtype=np.int64)


def _datatype(kind: pa.DataType) -> str:
    if pa.types.is_integer(kind):
        return "INT64"
    return "FP64" if pa.types.is_floating(kind) else "BYTES"


def _texts(column: pa.ChunkedArray[Any], datatype: str) -> list[str]:
    """The values as JSON; Arrow writes the shortest number that reads back the same."""
    if datatype == "BYTES":
        values = column.to_pylist()
        quoted = {value: msgspec.json.encode(value).decode() for value in set(values)}
        return [quoted[value] for value in values]
    return ["null" if value is None else value for value in column.cast(pa.string()).to_pylist()]


def _epoch(table: pa.Table, name: str) -> Floats:
    whole = table[name].cast(pa.int64())
    return np.asarray(pc.divide(pc.cast(whole, pa.float64()), float(_SECOND)).to_numpy())


def _floats(table: pa.Table, name: str) -> Floats:
    return np.asarray(table[name].cast(pa.float64()).to_numpy())
