"""From a table to its scores: chunks in order, requests at the pace of the server."""

import re
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from trimtab import errors
from trimtab.client import Client, Prediction
from trimtab.scoring.fit import Deployment, cells, size
from trimtab.scoring.pace import Pace
from trimtab.scoring.table import CSV, Source, check_writable, ending
from trimtab.scoring.work import Manifest, Work, digest_of

REQUEST_CELLS = 8_000
"""Values in one request: few enough for a gateway to read between two realtime requests."""
REQUEST_BYTES = 1024 * 1024
"""Of long texts and tensors, what is sent at once: as JSON it is up to three times as large."""
REQUESTS_PER_CHUNK = 16
MOST_ROWS = 1_000


@dataclass(frozen=True, slots=True)
class Order:
    """What to score, with what, and where to. `patience` is how long one request may be tried."""

    url: str
    deployment: str
    source: Path
    output: Path
    prefix: str = ""
    concurrency: int = 8
    patience: float = 600.0


@dataclass(slots=True)
class Progress:
    """Rows done, of them those that an earlier run had scored, and who answered the others; `late`
    counts the times that a request was not answered in time and was sent again."""

    rows: int = 0
    resumed: int = 0
    refusals: int = 0
    late: int = 0
    releases: Counter[str] = field(default_factory=Counter)


Told = Callable[[Progress], None]


def score(order: Order, told: Told = lambda _: None) -> Progress:
    """Score every row once, in order; `told` hears of progress.

    Raises `Usage` TT-904 before any work if the table does not fit, `Refused` TT-905 if the work
    folder of the output belongs to another table, `Conflict` TT-905 while another run writes it,
    and what `Client` raises when the server stays away. What was finished stays, and the next run
    goes on from there. `KeyboardInterrupt` waits for no answer: threads may still do so after it.
    """
    with Client(order.url) as client:
        deployment = Deployment.ask(client, order.deployment)
    # From CSV to CSV a column that only goes through stays as it is written: `00123` is no 123.
    source = Source(order.source, deployment.csv_types(), verbatim=ending(order.output) in CSV)
    deployment.check(source.schema, str(order.source), order.prefix)
    return _Scoring(order, deployment, source, told).run()


class _Scoring:
    """One run."""

    def __init__(self, order: Order, deployment: Deployment, source: Source, told: Told) -> None:
        schema = source.schema
        self._order = order
        self._deployment = deployment
        self._source = source
        self._told = told
        self._sent = deployment.sent(schema)
        self._schema = deployment.result_schema(schema, order.prefix)
        check_writable(order.output, self._schema)
        self._request_rows = max(1, min(MOST_ROWS, REQUEST_CELLS // max(len(self._sent), 1)))
        self._chunk_rows = self._request_rows * REQUESTS_PER_CHUNK
        self._digest = digest_of(order.source)
        self._pace = Pace(order.concurrency)
        self._progress = Progress()
        self._local = threading.local()
        self._clients: list[Client] = []
        self._given_up = threading.Event()
        manifest = Manifest(
            order.deployment, order.source.name, self._digest, self._chunk_rows, order.prefix
        )
        self._work = Work(order.output, manifest)

    def run(self) -> Progress:
        """Every chunk, then the output."""
        with self._work.open():
            pool, waits = ThreadPoolExecutor(self._order.concurrency, "score"), True
            try:
                chunks = self._all_chunks(pool)
            except KeyboardInterrupt:
                waits = False
                raise
            finally:
                # Without this the threads would go on for as long as a request may be tried.
                self._given_up.set()
                pool.shutdown(waits, cancel_futures=True)
                for client in self._clients:
                    client.close()
            self._work.publish(chunks, self._schema)
        return self._progress

    def _all_chunks(self, pool: ThreadPoolExecutor) -> int:
        """Chunks overlap, so that the server never waits for the end of one; returns how many."""
        open_chunks: deque[tuple[int, pa.Table, list[Future[Prediction]]]] = deque()
        number = -1
        for number, chunk in enumerate(self._source.chunks(self._chunk_rows)):
            if self._work.finished(number, len(chunk), self._schema):
                self._progress.rows += len(chunk)
                self._progress.resumed += len(chunk)
                continue
            futures = [pool.submit(self._answer, *each) for each in self._requests(number, chunk)]
            open_chunks.append((number, chunk, futures))
            if len(open_chunks) > 1:
                self._close(*open_chunks.popleft())
        while open_chunks:
            self._close(*open_chunks.popleft())
        return number + 1

    def _requests(self, number: int, chunk: pa.Table) -> Iterator[tuple[str, int, pa.Table]]:
        """Name, place in the table and rows of each request of a chunk.

        Labels find an answer by the name and a row of it, which mean one row of the table however
        many rows a request has: another release may take more columns, and so fewer rows."""
        place = number * self._chunk_rows
        for start in range(0, len(chunk), self._request_rows):
            for rows in _pieces(chunk.slice(start, self._request_rows), self._sent):
                yield f"score-{self._digest[:16]}-{place}", place, rows
                place += len(rows)

    def _answer(self, name: str, place: int, rows: pa.Table) -> Prediction:
        try:
            return self._ask(name, rows)
        except errors.TrimtabError as error:
            raise type(error)(
                error.code,
                f"score row {place:,} and the {len(rows) - 1:,} behind it of",
                str(self._order.source),
                _placed(error.message, place),
                unchanged="there is no output yet; finished rows are kept for the next run",
                hint=error.hint,
            ) from error.__cause__

    def _ask(self, name: str, rows: pa.Table) -> Prediction:
        """One request until it is answered; a deadline that passed is no reason to give up."""
        client = self._client()
        values = cells(rows, self._sent)
        end = time.monotonic() + self._order.patience
        while True:
            before = client.refusals
            try:
                with self._pace.turn():
                    if self._given_up.is_set():
                        raise CancelledError
                    found = client.predict(
                        self._order.deployment, values, id=name, deadline=60.0, lane="batch"
                    )
            except errors.TimedOut:
                self._pace.refused()
                self._progress.late += 1
                self._told(self._progress)
                if time.monotonic() > end:
                    raise
                continue
            if client.refusals > before:
                self._pace.refused()
            else:
                self._pace.taken()
            return found

    def _close(self, number: int, chunk: pa.Table, futures: list[Future[Prediction]]) -> None:
        found = [future.result() for future in futures]
        self._work.keep(number, self._result(chunk, found))
        progress = self._progress
        progress.rows += len(chunk)
        progress.refusals = sum(client.refusals for client in self._clients)
        for each in found:
            progress.releases[each.release] += len(each)
        self._told(progress)

    def _result(self, chunk: pa.Table, found: list[Prediction]) -> pa.Table:
        added: list[list[Any]] = [
            [value for each in found for value in each.outputs[name]]
            for name in self._deployment.outputs
        ]
        added.append([each.release for each in found for _ in range(len(each))])
        added.append([each.id for each in found for _ in range(len(each))])
        added.append([number for each in found for number in range(len(each))])
        kinds = [field.type for field in self._schema][chunk.num_columns :]
        arrays = [pa.chunked_array([pa.array(v, k)]) for v, k in zip(added, kinds, strict=True)]
        return pa.Table.from_arrays([*chunk.columns, *arrays], schema=self._schema)

    def _client(self) -> Client:
        """The client of this thread."""
        client: Client | None = getattr(self._local, "client", None)
        if client is None:
            client = self._local.client = Client(self._order.url)
            self._clients.append(client)
        return client


def _pieces(rows: pa.Table, names: Sequence[str]) -> Iterator[pa.Table]:
    """The rows in order, halved until each part is small enough for one request."""
    if len(rows) < 2 or size(rows, names) <= REQUEST_BYTES:
        yield rows
        return
    half = len(rows) // 2
    yield from _pieces(rows.slice(0, half), names)
    yield from _pieces(rows.slice(half), names)


def _placed(message: str, place: int) -> str:
    """What a server says of a row of a request, with the row's place in the table."""
    return re.sub(r"\brow (\d+)", lambda row: f"row {place + int(row[1]):,}", message)
