"""What a worker is sent at once: several whole calls, or a part of one that is cut."""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import NamedTuple

from trimtab.gateway.call import Call
from trimtab.gateway.plan import Plan
from trimtab.gateway.table import RouteView
from trimtab.gateway.tracing import Trace
from trimtab.gateway.values import Inputs, OutputValues

NUMBER_BYTES = 8
"""Bytes of one value in a matrix."""


@dataclass(frozen=True, slots=True)
class Timing:
    """What a worker said about a batch, in seconds."""

    features: float
    model: float


class Cut:
    """An attempt at a call that is sent in parts: what was sent, and what came back."""

    __slots__ = ("_answered", "_features", "_model", "_parts", "sent")

    def __init__(self) -> None:
        self.sent = 0
        self._answered = 0
        self._features = self._model = 0.0
        self._parts: dict[int, list[OutputValues]] = {}

    def take(self, first: int, values: list[OutputValues], timing: Timing) -> None:
        """The values of the rows from `first` on."""
        self._parts[first] = values
        self._answered += values[0].rows
        self._features += timing.features
        self._model += timing.model

    def complete(self, rows: int) -> bool:
        """Whether all rows came back."""
        return self._answered == rows

    def joined(self) -> tuple[list[OutputValues], Timing]:
        """All rows in their order, and what the parts took together."""
        parts = [self._parts[first] for first in sorted(self._parts)]
        values = [_joined(list(output)) for output in zip(*parts, strict=True)]
        return values, Timing(self._features, self._model)


class Columns(NamedTuple):
    """What the log and the histograms need to know of calls, an entry for each."""

    request_id: tuple[str, ...]
    rows: tuple[int, ...]
    event_time: tuple[float, ...]
    received_at: tuple[float, ...]
    mode: tuple[str, ...]
    lane: tuple[str, ...]
    weight: tuple[int, ...]
    unit: tuple[int, ...]
    attempt: tuple[int, ...]
    shadow: tuple[bool, ...]
    started_at: tuple[float, ...]
    parsed_at: tuple[float, ...]
    queued_at: tuple[float, ...]
    sent_at: tuple[float, ...]
    inputs: tuple[Inputs | None, ...]
    trace: tuple[Trace | None, ...]

    @classmethod
    def of(cls, calls: Sequence[Call]) -> "Columns":
        """Those of calls, of which there is at least one."""
        return cls(*zip(*map(_of_each, calls), strict=True))


_of_each = attrgetter(*Columns._fields)


class Together(NamedTuple):
    """Calls of one deployment that were sent and answered in one batch, of which each has the rows
    from its entry in `starts` on. `matrix` are their values in one, as they were sent; None where
    they were not sent so, or with others'."""

    calls: list[Call]
    starts: list[int]
    columns: Columns
    matrix: bytes | None = None


class Batch:
    """What a link is busy with: each call with the attempt it was sent for and its first row.

    A batch with a `cut` holds one call's rows from `first` on, and nothing else. `matrix` are the
    values of several calls in one, once they were sent. `reason` is why it is not larger; `ends_at`
    is when its answer is expected, `patience` after how many seconds its worker is taken to hang.

    It may be sent `behind` another batch that its worker is busy with, which is `followed` then.
    `sent_at` is when the worker gets to it, and `lapsed` whether every call had expired by then.
    """

    __slots__ = (
        "behind",
        "calls",
        "cut",
        "ends_at",
        "first",
        "followed",
        "lane",
        "lapsed",
        "matrix",
        "number",
        "patience",
        "reason",
        "rows",
        "sent",
        "sent_at",
    )

    def __init__(self, lane: str, reason: str, calls: list[Call]) -> None:
        self.calls = calls
        self.lane = lane
        self.reason = reason
        self.number = 0
        self.rows = 0
        self.first = 0
        self.cut: Cut | None = None
        self.matrix: bytes | None = None
        self.behind: Batch | None = None
        self.followed = self.lapsed = False
        self.ends_at = self.sent_at = self.patience = 0.0
        self.sent: list[tuple[Call, int, int]] = []
        for call in calls:
            self.sent.append((call, call.attempt, self.rows))
            self.rows += call.rows

    @classmethod
    def part(cls, lane: str, call: Call, cut: Cut, rows: int) -> "Batch":
        """The next `rows` of a call."""
        batch = cls(lane, "part", [call])
        batch.cut, batch.first, batch.rows = cut, cut.sent, rows
        return batch

    @property
    def too_late(self) -> bool:
        """Whether every call was told that its deadline passed while its worker had it."""
        if self.lapsed or not self.sent[0][0].done:
            return False
        return all(call.done and not call.client.gone for call, _, _ in self.sent)

    def reach(self, now: float) -> None:
        """Its worker gets to it, and not before."""
        self.sent_at = now
        current = self.current()
        self.lapsed = not current
        for call, _ in current:
            call.reached(now)

    def current(self) -> list[tuple[Call, int]]:
        """Calls that still wait for this very attempt, with their first row."""
        return [
            (call, start)
            for call, attempt, start in self.sent
            if not call.done and call.attempt == attempt
        ]

    def answered(self) -> list[Together]:
        """The same, by deployment."""
        found: dict[RouteView, tuple[list[Call], list[int]]] = {}
        route, calls, starts = None, list[Call](), list[int]()
        for call, attempt, start in self.sent:
            if call.done or call.attempt != attempt:
                continue
            if call.route is not route:
                route = call.route
                calls, starts = found.setdefault(route, ([], []))
            calls.append(call)
            starts.append(start)
        alone = len(found) == 1 and len(calls) == len(self.sent)
        matrix = self.matrix if alone else None
        return [
            Together(calls, starts, Columns.of(calls), matrix) for calls, starts in found.values()
        ]

    def inputs(self, plan: Plan) -> list[Inputs]:
        """The values to send, in the order of the rows."""
        whole = [call.inputs for call, _, _ in self.sent if call.inputs is not None]
        if self.cut is not None:
            return [rows_of(each, plan, self.first, self.rows) for each in whole]
        if not plan.matrix or len(whole) == 1:
            return whole
        self.matrix = b"".join([each.matrix or b"" for each in whole])
        return [Inputs(self.rows, self.matrix, None, None)]


def rows_of(inputs: Inputs, plan: Plan, first: int, rows: int) -> Inputs:
    """Some rows of a call's values, to be sent: without the business key."""
    end = first + rows
    if inputs.matrix is not None:
        width = NUMBER_BYTES * len(plan.columns)
        return Inputs(rows, inputs.matrix[first * width : end * width], None, None)
    columns = inputs.columns or []
    return Inputs(rows, None, [column[first:end] for column in columns], None)


def slices(rows: int, most: int) -> int:
    """Rows of the next part, so that parts of at most `most` rows are about equal."""
    parts = -(-rows // most)
    return -(-rows // parts)


def _joined(parts: list[OutputValues]) -> OutputValues:
    data = b"".join(part.data for part in parts)
    return OutputValues(parts[0].output, data, sum(part.rows for part in parts))
