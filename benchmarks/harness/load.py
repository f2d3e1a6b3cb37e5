"""What a load generator is asked for, and what it hands back."""

from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """One run against one server on this machine.

    `requests` are sent in turn, whole as they are; `expected` holds, for each, the probability of
    every row. Without `rate` it is a closed loop: each connection asks again once it is answered.
    With `rate` (requests per second) arrivals are a Poisson process, whatever the server does:
    they wait for a free connection, and latency counts from the arrival. With a `deadline` in
    seconds an answer that comes later is not good, and an arrival that finds no free connection is
    lost. `watched` is the root of the process tree whose processor time is read.
    """

    port: int
    dialect: str
    requests: list[bytes]
    expected: list[list[float]]
    connections: int
    seconds: float
    warmup: float = 1.0
    rate: float | None = None
    deadline: float | None = None
    cores: list[int] | None = None
    watched: int = 0
    seed: int = 0
    patience: float = 10.0


class Measured(msgspec.Struct, kw_only=True):
    """What one process of a load generator saw of the requests of its window.

    `seconds` is from the window's begin to the last of their answers.
    `outcomes` counts by HTTP status or one of `wrong`, `closed`, `unanswered`, `unsent`.
    `latencies` and `delays` are float32 seconds: of right answers, and of sending after an arrival
    for which a connection was free (the generator's own fault).
    """

    seconds: float
    window: float
    outcomes: dict[str, int]
    good: int
    latencies: bytes
    delays: bytes
    client_cpu: float
    server_cpu: float
    problems: list[str]


@dataclass(frozen=True, slots=True)
class Result:
    """One run, summed up. Times in seconds; `server_cpu` is processor time per answered request.
    `rate` is of right answers; `goodput` of those within the deadline, per second of arrivals.

    `errors` counts everything but right answers, refusals included."""

    rate: float
    goodput: float
    p50: float
    p99: float
    p999: float
    answered: int
    errors: int
    outcomes: dict[str, int]
    server_cpu: float
    client_busy: float
    delay_p99: float
    problems: tuple[str, ...] = ()


def summary(parts: Sequence[Measured]) -> Result:
    """One result of all processes of a generator, which ran at the same time."""
    seconds = max(part.seconds for part in parts)
    outcomes: Counter[str] = Counter()
    for part in parts:
        outcomes.update(part.outcomes)
    times = _seconds(parts, "latencies")
    right = outcomes.get("200", 0)
    p50, p99, p999 = np.quantile(times, [0.5, 0.99, 0.999]) if len(times) else [float("nan")] * 3
    delays = _seconds(parts, "delays")
    return Result(
        rate=right / seconds,
        goodput=sum(part.good / part.window for part in parts),
        p50=float(p50),
        p99=float(p99),
        p999=float(p999),
        answered=right,
        errors=outcomes.total() - right,
        outcomes=dict(outcomes),
        server_cpu=max(part.server_cpu for part in parts) / right if right else float("nan"),
        client_busy=max(part.client_cpu / part.seconds for part in parts),
        delay_p99=float(np.quantile(delays, 0.99)) if len(delays) else 0.0,
        problems=tuple(problem for part in parts for problem in part.problems)[:5],
    )


def _seconds(parts: Sequence[Measured], name: str) -> np.ndarray:
    return np.concatenate([np.frombuffer(getattr(part, name), dtype=np.float32) for part in parts])


def floats(values: Sequence[float]) -> bytes:
    """Values as the float32 bytes of `Measured`."""
    return array("f", values).tobytes()
