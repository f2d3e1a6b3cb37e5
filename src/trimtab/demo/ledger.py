"""The client's own book: what was asked, who answered it and when, which labels were taken."""

import time
from dataclasses import dataclass

import msgspec
import numpy as np

from trimtab.demo.connection import Reply
from trimtab.demo.world import Request, World
from trimtab.domain.records import Floats

OK = 200
_HOUR = 3_600.0


class _Output(msgspec.Struct):
    name: str
    data: msgspec.Raw


class _Answer(msgspec.Struct):
    outputs: list[_Output] = []


_decode = msgspec.json.Decoder(_Answer).decode
_scores = msgspec.json.Decoder(list[float]).decode


@dataclass(slots=True)
class Served:
    """The requests that one release answered; `first` and `last` are wall epoch seconds, `since`
    and `until` the event times of the requests."""

    requests: int
    first: float
    last: float
    since: float
    until: float


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over the ledger. `retried` requests were sent more than once."""

    requests: int
    rows: int
    failed: int
    retried: int
    labels_due: int
    labels_accepted: int


class Ledger:
    """What the client knows for itself, by request number and by flight of `world`.

    `status` is 0 for a request without an answer and -1 for one not sent yet; `seconds` is how long
    the answer took, of a request about the event time `at`; `release` is an index into `releases`,
    -1 for none; `score` is NaN where no score came.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self.status = np.full(world.requests, -1, dtype=np.int16)
        self.release = np.full(len(world.time), -1, dtype=np.int16)
        self.at = np.full(world.requests, np.nan)
        self.seconds = np.full(world.requests, np.nan, dtype=np.float32)
        self.score = np.full(len(world.time), np.nan)
        self.releases: dict[str, int] = {}
        self.served: dict[str, Served] = {}
        self.refusals: list[str] = []
        self.done = 0
        self._rows = 0
        self._failed = 0
        self._retried = 0
        self._labels_due = 0
        self._labels_accepted = 0

    def answered(self, request: Request, reply: Reply, seconds: float) -> None:
        """Write down how a request ended."""
        self.done += 1
        self._rows += request.rows
        self._retried += reply.attempts > 1
        self.status[request.number] = reply.status
        self.at[request.number] = request.time
        self.seconds[request.number] = seconds
        if reply.status != OK or not self._keep(request, reply):
            self._failed += 1
            if len(self.refusals) < 10:
                text = reply.body[:200].decode(errors="replace")
                self.refusals.append(f"{request.id}: status {reply.status} {text}")

    def _keep(self, request: Request, reply: Reply) -> bool:
        """The scores of an answer; whether it has one for each row."""
        rows = slice(request.first, request.first + request.rows)
        score = next((o for o in _decode(reply.body).outputs if o.name == "score"), None)
        values = _scores(score.data) if score else []
        if len(values) != request.rows:
            return False
        self.score[rows] = values
        self.release[rows] = self.releases.setdefault(reply.release, len(self.releases))
        self._serve(reply.release, request.time)
        return True

    def _serve(self, release: str, moment: float) -> None:
        now = time.time()
        served = self.served.get(release)
        if served is None:
            self.served[release] = Served(1, now, now, moment, moment)
            return
        served.requests += 1
        served.last = now
        served.until = max(served.until, moment)

    def labelled(self, due: int, accepted: int) -> None:
        """Write down how a delivery of labels ended."""
        self._labels_due += due
        self._labels_accepted += accepted

    def totals(self) -> Totals:
        """The sums so far."""
        return Totals(
            self.done,
            self._rows,
            self._failed,
            self._retried,
            self._labels_due,
            self._labels_accepted,
        )

    def latency(self, quantile: float) -> float | None:
        """Seconds from sending to the answer, retries included; None before the first answer."""
        known = self.seconds[~np.isnan(self.seconds)]
        return float(np.quantile(known, quantile)) if len(known) else None

    def slow(self, start: float, end: float, limit: float) -> float:
        """Share of answers that took longer than `limit` seconds, in that hour of event time in
        [`start`, `end`) in which it was largest."""
        chosen = (self.at >= start) & (self.at < end)
        hours = (self.at[chosen] // _HOUR).astype(np.int64)
        if not len(hours):
            return 0.0
        hours -= hours.min()
        slow = np.bincount(hours, weights=self.seconds[chosen] > limit)
        every = np.bincount(hours)
        return float((slow[every > 0] / every[every > 0]).max())

    def loss(
        self, start: float, end: float, release: str | None = None
    ) -> tuple[float, int] | None:
        """Mean Brier loss, and its rows, of what was asked in [`start`, `end`) and landed by `end`.

        `release` limits it to the answers of one release; None when there is no such row."""
        losses = self._losses(start, end, release)
        return (float(losses.mean()), len(losses)) if len(losses) else None

    def _losses(self, start: float, end: float, release: str | None) -> Floats:
        world = self._world
        chosen = (world.time >= start) & (world.time < end) & (world.landed < end)
        if release is not None:
            chosen &= self.release == self.releases.get(release, -2)
        losses: Floats = (self.score[chosen] - world.truth[chosen]) ** 2
        return losses[~np.isnan(losses)]
