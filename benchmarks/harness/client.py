"""The process of a load generator: reads a `Load` from stdin, writes a `Measured` to stdout.

One thread around epoll: an event loop with protocols and futures would double the cost of a
request. The waits of the open loop are made with `select` on the epoll descriptor, whose timeout
is not rounded to milliseconds.
"""

import ctypes
import gc
import os
import random
import select
import sys
import time
from collections import Counter, deque

import msgspec

from harness.answers import Judge
from harness.grpc_line import GrpcLine
from harness.lines import HttpLine, Line
from harness.load import Load, Measured, floats
from harness.processes import many_files, processor_seconds

_clock = time.perf_counter
_SET_TIMER_SLACK = 29
"""Of prctl: the kernel may otherwise add 50 µs to every wait."""


def connected(load: Load, poll: select.epoll) -> Line:
    """A connection that speaks the load's dialect. Raises `OSError`."""
    kind = GrpcLine if load.dialect.startswith("grpc") else HttpLine
    return kind(load.port, poll)


class Client:
    """All connections of one process, and what they saw since the window opened."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._requests = load.requests
        self._poll = select.epoll()
        self._lines: dict[int, Line] = {}
        self._free: list[Line] = []
        self._judge = Judge(load)
        self._asked = 0
        self._counting = False
        self._latencies: list[float] = []
        self._delays: list[float] = []
        self._outcomes: Counter[str] = Counter()
        self._good = 0
        for _ in range(load.connections):
            self._free.append(self._connect())

    def run(self) -> Measured:
        """Warm up, then measure for the load's seconds."""
        load = self._load
        step = self._closed if load.rate is None else self._open
        step(load.warmup)
        gc.collect()
        gc.freeze()
        self._counting = True
        busy, server = time.process_time(), processor_seconds(load.watched)
        began = _clock()
        step(load.seconds)
        seconds = max(_clock() - began, load.seconds)
        server = processor_seconds(load.watched) - server
        busy = time.process_time() - busy
        self._finish()
        wrong = self._judge.wrong_in_sample()
        self._outcomes["wrong"] += wrong
        self._outcomes["200"] -= wrong
        return Measured(
            seconds=seconds,
            window=load.seconds,
            outcomes={name: count for name, count in self._outcomes.items() if count},
            good=self._good,
            latencies=floats(self._latencies),
            delays=floats(self._delays),
            client_cpu=busy,
            server_cpu=server,
            problems=self._judge.problems[:3],
        )

    def _connect(self) -> Line:
        line = connected(self._load, self._poll)
        self._lines[line.fileno()] = line
        return line

    def _ask(self, line: Line, due: float) -> None:
        line.due = due
        line.counted = self._counting
        line.number = self._asked % len(self._requests)
        self._asked += 1
        try:
            line.ask(self._requests[line.number])
        except OSError as error:
            self._free.append(self._lost(line, error))

    def _closed(self, seconds: float) -> None:
        now = _clock()
        end = now + seconds
        while now < end:
            while self._free:
                self._ask(self._free.pop(), now)
            for descriptor, event in self._poll.poll(0.1):
                ready = self._heard(self._lines[descriptor], event)
                if ready is not None:
                    self._ask(ready, _clock())
            now = _clock()

    def _open(self, seconds: float) -> None:
        """Arrivals for so long, and then until the last is answered or patience ends."""
        rate, free, waiting = self._load.rate, self._free, deque[float]()
        assert rate is not None
        draw = random.Random(self._load.seed + self._counting).expovariate
        begin = _clock()
        end, due = begin + seconds, begin + draw(rate)
        while True:
            now = _clock()
            while due <= now and due < end:
                if free and self._counting:
                    self._delays.append(now - due)
                waiting.append(due)
                due += draw(rate)
            self._send_waiting(waiting)
            if now >= end and self._over(waiting, now - end):
                return
            pause = max(0.0, min(due, end) - now) if now < end else 0.05
            select.select([self._poll], [], [], pause)
            for descriptor, event in self._poll.poll(0):
                ready = self._heard(self._lines[descriptor], event)
                if ready is not None:
                    free.append(ready)

    def _send_waiting(self, waiting: deque[float]) -> None:
        """A deadline that was partly waited away here would be a lie to the server."""
        while waiting and self._free:
            self._ask(self._free.pop(), waiting.popleft())
        if self._load.deadline is not None:
            self._outcomes["unsent"] += len(waiting) * self._counting
            waiting.clear()

    def _over(self, waiting: deque[float], after: float) -> bool:
        out = len(self._lines) - len(self._free)
        if not out and not waiting:
            return True
        if after <= self._load.patience:
            return False
        self._outcomes["unanswered"] += len(waiting) * self._counting
        return True

    def _heard(self, line: Line, event: int) -> Line | None:
        """The line, or the one that replaces it, when it may ask again."""
        try:
            found = line.received(event)
        except OSError as error:
            return self._lost(line, error)
        if found is None:
            return None
        outcome = self._judge.outcome(line.number, *found)
        if line.counted:
            self._outcomes[outcome] += 1
            if outcome == "200":
                took = _clock() - line.due
                self._latencies.append(took)
                self._good += self._load.deadline is None or took <= self._load.deadline
        line.counted = False
        return line

    def _lost(self, line: Line, error: OSError) -> Line:
        """The line that replaces one that broke, which may have been idle."""
        self._outcomes["closed"] += line.counted
        if len(self._judge.problems) < 3:
            self._judge.problems.append(f"closed: {error}")
        if line in self._free:
            self._free.remove(line)
        del self._lines[line.fileno()]
        line.close()
        return self._connect()

    def _finish(self) -> None:
        """Close; what an open loop has not heard by now, it never will."""
        for line in self._lines.values():
            if self._load.rate is not None:
                self._outcomes["unanswered"] += line.counted
            line.close()


def main() -> None:
    """Run the load that stdin holds."""
    load = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Load)
    if load.cores is not None:
        os.sched_setaffinity(0, load.cores)
    many_files()
    ctypes.CDLL(None).prctl(_SET_TIMER_SLACK, 1)
    sys.stdout.buffer.write(msgspec.msgpack.encode(Client(load).run()))


if __name__ == "__main__":
    main()
