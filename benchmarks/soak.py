"""Whether trimtab stays as it began: memory, files, threads and latency under steady mixed load.

usage: scripts/bench soak [--minutes 10] [--rate 500] [--kills N] [--model logreg] [--json]

One-row requests arrive at random, some with 100 rows, while a batch client asks for 1,000 rows at
a time; N workers are killed on the way (two serve, so no client may notice). Ends with exit code 1
when an answer was wrong or missing, or when a process keeps growing.
"""

import argparse
import json
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from harness import processes
from harness.asked import BATCH_LANE, lane_load
from harness.generator import generate
from harness.load import Result
from harness.measures import workers
from harness.models import MODELS, Trained, train
from harness.ours import Trimtab
from harness.servers import Place, Running, first_answer, load

EVERY_SECONDS = 5.0
SETTLED = 0.4
"""The part of the run after which memory should have stopped growing."""

GROWTH_MIB_PER_HOUR = 60.0
LEAST_GROWTH_MIB = 8.0
"""Less than this over the settled part is noise, whatever it comes to in an hour."""

LOADING_SECONDS = 10.0
"""A process that was started on the way may first load what it serves."""

LARGE_RATE_SHARE = 0.02
WORKERS = 2


class Sample(msgspec.Struct, frozen=True):
    """One process at one moment; memory in bytes."""

    at: float
    pid: int
    role: str
    memory: int
    files: int
    threads: int


@dataclass(slots=True)
class Watch:
    """Samples of all processes of a tree, taken from a thread until `stop`."""

    root: int
    samples: list[Sample] = field(default_factory=list)
    _stopped: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Sample now and then."""
        begun = time.monotonic()
        while not self._stopped.wait(EVERY_SECONDS):
            at = time.monotonic() - begun
            found = [_sample(at, pid) for pid in processes.tree(self.root)]
            self.samples += [sample for sample in found if sample is not None]

    def stop(self) -> None:
        """Take no more."""
        self._stopped.set()


def _sample(at: float, pid: int) -> Sample | None:
    folder = Path(f"/proc/{pid}")
    try:
        files = len(list((folder / "fd").iterdir()))
        threads = len(list((folder / "task").iterdir()))
    except OSError:
        return None
    return Sample(at, pid, _role(pid), processes.memory(pid, "Pss"), files, threads)


def _role(pid: int) -> str:
    words = processes.command_line(pid)
    for mark, role in (
        ("trimtab.gateway", "gateway"),
        ("trimtab.web", "controller"),
        ("trimtab_worker", "worker"),
        ("trimtab.cli", "agent"),
    ):
        if mark in words:
            return role
    return "helper"


@dataclass(frozen=True, slots=True)
class Growth:
    """A process over the settled part of the run; memory in MiB."""

    role: str
    pid: int
    memory: float
    grown: float
    per_hour: float
    files: tuple[int, int]
    threads: tuple[int, int]

    @property
    def steady(self) -> bool:
        """Whether it stopped growing."""
        return self.grown < LEAST_GROWTH_MIB or self.per_hour < GROWTH_MIB_PER_HOUR


def growths(samples: Sequence[Sample], seconds: float) -> list[Growth]:
    """A line fitted through each process that lived through the settled part."""
    settled: dict[int, list[Sample]] = {}
    born: dict[int, float] = {}
    for sample in samples:
        first = born.setdefault(sample.pid, sample.at)
        if sample.at >= max(SETTLED * seconds, first + LOADING_SECONDS):
            settled.setdefault(sample.pid, []).append(sample)
    found = []
    for pid, seen in settled.items():
        if len(seen) < 4:
            continue
        memory = np.array([sample.memory for sample in seen]) / 2**20
        at = np.array([sample.at for sample in seen])
        slope = float(np.polyfit(at, memory, 1)[0])
        files, threads = ([getattr(s, name) for s in seen] for name in ("files", "threads"))
        found.append(
            Growth(
                role=seen[0].role,
                pid=pid,
                memory=float(memory[-1]),
                grown=slope * float(at[-1] - at[0]),
                per_hour=slope * 3600.0,
                files=(files[0], files[-1]),
                threads=(threads[0], threads[-1]),
            )
        )
    return found


def kill_workers(home: Path, times: int, seconds: float) -> None:
    """Kill a ready worker `times`, spread over the run."""
    for _ in range(times):
        time.sleep(seconds / (times + 1))
        ready = [worker.pid for worker in workers(home) if worker.state == "ready" and worker.pid]
        if len(ready) >= WORKERS:
            os.kill(ready[0], signal.SIGKILL)
            print(f"killed worker {ready[0]}", file=sys.stderr, flush=True)


def soaked(running: Running, model: Trained, options: argparse.Namespace) -> dict[str, Result]:
    """Three clients at once for the whole time."""
    window: dict[str, Any] = {"seconds": options.minutes * 60.0, "warmup": 2.0, "patience": 35.0}
    large = max(1.0, options.rate * LARGE_RATE_SHARE)
    small = load(running, model, "json", 1, connections=32, rate=options.rate, **window)
    hundred = load(running, model, "json", 100, connections=8, rate=large, **window)
    batch = lane_load(
        running, model, 1_000, timeout=30.0, priority=BATCH_LANE, connections=1, **window
    )
    named = {"one row": small, "100 rows": hundred, "batch of 1,000": batch}
    return dict(zip(named, generate(*named.values()), strict=True))


def report(results: Mapping[str, Result], found: Sequence[Growth]) -> str:
    """The tables."""
    lines = ["| client | answers/s | p50 ms | p99 ms | p99.9 ms | outcomes |"]
    lines.append("|---|---:|---:|---:|---:|---|")
    for name, result in results.items():
        times = " | ".join(f"{t * 1e3:.2f}" for t in (result.p50, result.p99, result.p999))
        lines.append(f"| {name} | {result.rate:,.0f} | {times} | {result.outcomes} |")
    lines += ["", "| process | MiB | grown MiB | MiB/hour | files | threads | |"]
    lines.append("|---|---:|---:|---:|---:|---:|---|")
    for each in found:
        files, threads = (f"{a} → {b}" for a, b in (each.files, each.threads))
        sizes = f"{each.memory:.1f} | {each.grown:+.1f} | {each.per_hour:+.0f}"
        sign = "✓" if each.steady else "✗"
        lines.append(f"| {each.role} {each.pid} | {sizes} | {files} | {threads} | {sign} |")
    return "\n".join(lines)


def main() -> None:
    """Run, tell, judge."""
    parser = argparse.ArgumentParser(description="Steady mixed load for a while.")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--rate", type=float, default=500.0, help="one-row requests per second")
    parser.add_argument("--kills", type=int, default=2, help="workers to kill on the way")
    parser.add_argument("--model", choices=MODELS, default="logreg")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="trimtab-soak-") as folder:
        model = train(Path(folder))[options.model]
        trimtab = Trimtab("trimtab")
        trimtab.prepare(model)
        running = trimtab.start(model, Place(Path(folder) / "logs", processes=WORKERS))
        try:
            results, found = watched(running, model, trimtab, options)
        finally:
            running.stop()
    if options.json:
        plain = {"clients": results, "processes": found}
        print(json.dumps(msgspec.to_builtins(plain), indent=1))
    else:
        print(report(results, found))
    clean = all(result.errors == 0 for result in results.values())
    sys.exit(0 if clean and all(each.steady for each in found) else 1)


def watched(
    running: Running, model: Trained, trimtab: Trimtab, options: argparse.Namespace
) -> tuple[dict[str, Result], list[Growth]]:
    """The load, with the processes watched and workers killed beside it."""
    first_answer(running, model)
    seconds = options.minutes * 60.0
    watch = Watch(running.pid)
    home = trimtab.home(model.folder, model)
    threads = [
        threading.Thread(target=watch.run, daemon=True),
        threading.Thread(target=kill_workers, args=(home, options.kills, seconds), daemon=True),
    ]
    for thread in threads:
        thread.start()
    results = soaked(running, model, options)
    watch.stop()
    return results, growths(watch.samples, seconds)


if __name__ == "__main__":
    main()
