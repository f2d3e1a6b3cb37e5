"""What is left of the service when more is asked than it can do.

usage: scripts/bench overload [--quick] [--only goodput,lanes,slow] [--peers NAME,NAME]
           [--model logreg] [--seconds S] [--rounds N] [--json] [--write]

goodput  answers within their deadline, at 1, 2 and 3 times the peak (server on one core)
lanes    real-time beside a batch lane that is full of 1,000-row requests (both cores)
slow     real-time beside clients that send or read almost nothing (server on one core)
"""

import argparse
import contextlib
import json
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from harness import processes
from harness.asked import BATCH_LANE, lane_load
from harness.generator import generate
from harness.load import Load, Result
from harness.models import MODELS, Trained, train
from harness.ours import Trimtab
from harness.peers import PEERS
from harness.servers import Place, Running, Server, first_answer, requests

PAGE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks" / "overload.md"
DEADLINE = 0.1
OVERLOADS = (1.0, 2.0, 3.0)
CLIENTS, FEW = 64, 16
REALTIME_RATE = 300.0
BATCH_ROWS, BATCH_CONNECTIONS, BATCH_TIMEOUT = 1_000, 8, 30.0
SLOW_CLIENTS = 200
GOODPUT_KEPT, BATCH_KEPT = 0.9, 0.7
P99_TIMES, P99_MORE = 1.5, 0.002


METHOD = """\
Model: {model}. Deadlines are {deadline:g} ms, said in `parameters.timeout` and kept by the client
too: an answer that comes later is lost, and so is an arrival that finds no free connection. There
are more connections than requests can arrive within a deadline, as if each came from a client of
its own. Batch requests have `parameters.priority` 2. Latency counts from the arrival.
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. `reached` is None where nothing is promised."""

    what: str
    server: str
    measured: str
    reached: bool | None = None


@dataclass(slots=True)
class Bench:
    """All rows of a run, told as they come."""

    model: Trained
    seconds: float
    rounds: int
    rows: list[Row] = field(default_factory=list)

    def add(self, what: str, server: str, measured: str, reached: bool | None = None) -> None:
        """Keep and tell a row."""
        self.rows.append(Row(what, server, measured, reached))
        sign = {True: " ✓", False: " ✗", None: ""}[reached]
        print(f"{server}: {what}: {measured}{sign}", file=sys.stderr, flush=True)

    def attempt(self, name: str, server: Server, measure: Callable[[Server], None]) -> None:
        """Measure; what fails becomes a row, and the rest goes on."""
        try:
            server.prepare(self.model)
            measure(server)
        except Exception as error:  # whatever a server does under overload is a finding
            self.add(name, server.name, f"failed: {' '.join(str(error).split())[:400]}", False)

    @contextlib.contextmanager
    def serving(self, server: Server, cores: tuple[int, ...] | None) -> Iterator[Running]:
        """The server, answering."""
        running = server.start(self.model, Place(self.model.folder / "logs", cores))
        try:
            first_answer(running, self.model)
            yield running
        finally:
            running.stop()

    def goodput(self, server: Server) -> None:
        """Answers within the deadline at rising multiples of what a closed loop gets."""
        with self.serving(server, (1,)) as running:
            peak = self._median(lambda: self._closed(running)).rate
            self.add("peak, closed loop of 64", server.name, f"{peak:,.0f}/s")
            found = [
                self._median(partial(self._open, running, times * peak)) for times in OVERLOADS
            ]
        best = max(peak, *(result.goodput for result in found))
        for times, result in zip(OVERLOADS, found, strict=True):
            kept = result.goodput / best
            told = (
                f"{result.goodput:,.0f}/s = {kept:.0%} of the peak, p99 of answers "
                f"{result.p99 * 1e3:.1f} ms, {_outcomes(result)}"
            )
            ours = isinstance(server, Trimtab) and times == OVERLOADS[-1]
            promised = kept >= GOODPUT_KEPT if ours else None
            self.add(f"goodput at {times:g} × the peak", server.name, told, promised)

    def _closed(self, running: Running) -> Result:
        return self._one(lane_load(running, self.model, 1, connections=64, **self._window([0])))

    def _open(self, running: Running, rate: float) -> Result:
        return self._one(
            lane_load(
                running,
                self.model,
                1,
                timeout=DEADLINE,
                connections=CLIENTS + round(1.2 * rate * DEADLINE),
                rate=rate,
                patience=3.0,
                **self._window([0]),
            )
        )

    def _window(self, cores: list[int] | None) -> dict[str, Any]:
        return {"seconds": self.seconds, "warmup": min(2.0, self.seconds), "cores": cores}

    def _one(self, asked: Load) -> Result:
        (result,) = generate(asked)
        return result

    def _median(self, measure: Callable[[], Result]) -> Result:
        """The run whose goodput is the median."""
        found = sorted((measure() for _ in range(self.rounds)), key=lambda r: r.goodput)
        return found[len(found) // 2]

    def lanes(self, server: Server) -> None:
        """Real-time alone, batch alone, both; interleaved, medians over rounds."""
        with self.serving(server, None) as running:
            realtime = lane_load(
                running, self.model, 1, connections=FEW, rate=REALTIME_RATE, **self._window(None)
            )
            batch = lane_load(
                running,
                self.model,
                BATCH_ROWS,
                timeout=BATCH_TIMEOUT,
                priority=BATCH_LANE,
                connections=BATCH_CONNECTIONS,
                **self._window(None),
            )
            found = [
                (*generate(realtime), *generate(batch), *generate(realtime, batch))
                for _ in range(self.rounds)
            ]
        alone, idle, beside, full = ([each[part] for each in found] for part in range(4))
        self._lanes_told(server.name, alone, idle, beside, full)

    def _lanes_told(
        self,
        name: str,
        alone: Sequence[Result],
        idle: Sequence[Result],
        beside: Sequence[Result],
        full: Sequence[Result],
    ) -> None:
        before, after = _p99(alone), _p99(beside)
        limit = max(P99_TIMES * before, before + P99_MORE)
        self.add(f"real-time p99 alone, {REALTIME_RATE:g}/s", name, f"{before * 1e3:.2f} ms")
        told = f"{after * 1e3:.2f} ms (limit {limit * 1e3:.2f} ms), {_outcomes(beside[-1])}"
        self.add("real-time p99 beside a full batch lane", name, told, after <= limit)
        capacity, kept = (statistics.median(r.rate for r in part) for part in (idle, full))
        rows = f"{capacity * BATCH_ROWS:,.0f} rows/s"
        self.add(f"batch capacity alone, {BATCH_ROWS:,} rows a request", name, rows)
        told = f"{kept * BATCH_ROWS:,.0f} rows/s = {kept / capacity:.0%}, {_outcomes(full[-1])}"
        self.add("batch beside real-time", name, told, kept >= BATCH_KEPT * capacity)

    def slow(self, server: Server) -> None:
        """Real-time alone, then beside clients that hold connections and do next to nothing."""
        with self.serving(server, (1,)) as running:
            asked = lane_load(
                running, self.model, 1, connections=FEW, rate=REALTIME_RATE, **self._window([0])
            )
            alone = [self._one(asked) for _ in range(self.rounds)]
            with slow_clients(running, self.model) as clients:
                beside = [self._one(asked) for _ in range(self.rounds)]
                ended = sum(_ended(client) for client in clients)
            before, after = _p99(alone), _p99(beside)
            limit = max(P99_TIMES * before, before + P99_MORE)
            self.add(f"p99 alone, {REALTIME_RATE:g}/s", server.name, f"{before * 1e3:.2f} ms")
            told = f"{after * 1e3:.2f} ms (limit {limit * 1e3:.2f} ms), {_outcomes(beside[-1])}"
            self.add(f"p99 beside {SLOW_CLIENTS} slow clients", server.name, told, after <= limit)
            held = f"{ended} of {SLOW_CLIENTS} within {self.rounds * self.seconds:g} s"
            self.add("slow clients whose connection it ended", server.name, held)


@contextlib.contextmanager
def slow_clients(running: Running, model: Trained) -> Iterator[list[socket.socket]]:
    """Nine in ten stop in the middle of a body; the tenth asks for 3,000 rows and never reads."""
    endpoint = running.endpoints["json"]
    (small, *_), _ = requests(endpoint, model, 1)
    (large, *_), _ = requests(endpoint, model, BATCH_ROWS)
    clients = [
        socket.create_connection(("127.0.0.1", endpoint.port), 5.0) for _ in range(SLOW_CLIENTS)
    ]
    try:
        for number, client in enumerate(clients):
            client.settimeout(0.05)
            with contextlib.suppress(OSError):
                client.sendall(large * 3 if number % 10 == 0 else small[: len(small) // 2])
            client.setblocking(False)
        time.sleep(1.0)
        yield clients
    finally:
        for client in clients:
            client.close()


def _ended(client: socket.socket) -> bool:
    """Whether the other side has closed a connection, after whatever it had sent."""
    try:
        while data := client.recv(1 << 20):
            del data
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _p99(results: Sequence[Result]) -> float:
    return statistics.median(result.p99 for result in results)


def _outcomes(result: Result) -> str:
    words = {"200": "answered", "unsent": "without a connection"}
    return ", ".join(
        f"{count:,} {words.get(name, name)}" for name, count in result.outcomes.items()
    )


def page(bench: Bench) -> str:
    """The page."""
    command = f"scripts/bench {' '.join(['overload', *sys.argv[1:]])}"
    lines = [
        "# Overload",
        "",
        f"Made by `{command}` on {time.strftime('%Y-%m-%d')}: {processes.machine()}.",
        "",
        METHOD.format(model=bench.model.name, deadline=DEADLINE * 1e3),
        "| server | what | measured | |",
        "|---|---|---|---|",
    ]
    for row in bench.rows:
        sign = {True: "✓", False: "✗", None: ""}[row.reached]
        lines.append(f"| {row.server} | {row.what} | {row.measured.replace('|', '/')} | {sign} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, tell, and write the page when asked to."""
    parser = argparse.ArgumentParser(description="Behaviour under overload.")
    parser.add_argument("--quick", action="store_true", help="a smoke run: one short round")
    parser.add_argument("--only", default="goodput,lanes,slow", metavar="CASE,CASE")
    parser.add_argument("--peers", default="", metavar="NAME,NAME", help="for goodput and slow")
    parser.add_argument("--model", choices=MODELS, default="logreg")
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    peers = [PEERS[name] for name in options.peers.split(",") if name]
    with tempfile.TemporaryDirectory(prefix="trimtab-overload-") as folder:
        model = train(Path(folder))[options.model]
        seconds = options.seconds or (1.5 if options.quick else 8.0)
        bench = Bench(model, seconds, options.rounds or (1 if options.quick else 3))
        measures = {"goodput": bench.goodput, "lanes": bench.lanes, "slow": bench.slow}
        try:
            for name in options.only.split(","):
                servers: list[Server] = [Trimtab("trimtab")]
                servers += peers if name != "lanes" else []
                for server in servers:
                    bench.attempt(name, server, measures[name])
        except KeyboardInterrupt:
            print("interrupted: what was measured before is kept", file=sys.stderr)
    if options.write:
        PAGE.write_text(page(bench), encoding="utf-8")
    if options.json:
        print(json.dumps([msgspec.to_builtins(row) for row in bench.rows], indent=1))
    elif not options.write:
        print(page(bench))


if __name__ == "__main__":
    main()
