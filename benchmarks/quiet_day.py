"""What a service that is asked now and then costs its controller: a day of it, in some minutes.

usage: scripts/bench quiet_day [--hours 24] [--every 1.0] [--write]

Every request makes a segment of the log, as where they are seconds apart. They are read by the
observer, with the monitors of the project of `trimtab init`, and rolled once a minute, on a clock
that runs as fast as that goes; nobody sends a label, so that all predictions wait. `--write` puts
the table into docs/benchmarks/quiet-day.md.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
from harness.processes import PAGE, machine

from trimtab.app.projects import open_project
from trimtab.app.releases import find_release, tools
from trimtab.app.runs import run_pipeline
from trimtab.backends.catalog import SqlCatalog
from trimtab.backends.database import open_database
from trimtab.backends.requestlog import FolderRequestLog
from trimtab.backends.requestlog_files import ARROW
from trimtab.domain import layout
from trimtab.domain.records import FIXED_COLUMNS
from trimtab.domain.release import Release
from trimtab.domain.rollout import Standing
from trimtab.domain.state import DeploymentState
from trimtab.judge.guard import Guard
from trimtab.judge.monitors import Monitors
from trimtab.loop.judges import Judges
from trimtab.loop.observer import Observer, Sources

NAME = "my-model"
PAGE_NAME = "quiet-day.md"
HOUR = 3600.0
MONDAY = 1_767_571_200.0
PARTS = 6
"""Rows of the table."""
FIXED = {
    "mode": "stable",
    "lane": "realtime",
    "attempt": 0,
    "final": True,
    "outcome": "ok",
    "worker": "w-0",
    "weight": 0,
    "row": 0,
    "queue_seconds": 0.001,
    "model_seconds": 0.002,
    "total_seconds": 0.004,
}


@dataclass(slots=True)
class Clock:
    """`ports.Clock`, set by hand."""

    at: float = MONDAY

    def now(self) -> float:
        """Epoch seconds."""
        return self.at

    def monotonic(self) -> float:
        """The same."""
        return self.at

    async def sleep(self, seconds: float) -> None:
        """Nobody waits."""


@dataclass(slots=True)
class Day:
    """A project with one release that serves, and who watches it."""

    home: Path
    release: Release
    clock: Clock
    log: FolderRequestLog
    observer: Observer
    state: DeploymentState
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    @classmethod
    def of(cls, root: Path) -> "Day":
        """Builds the project."""
        init = [sys.executable, "-m", "trimtab.cli", "init", NAME]
        subprocess.run(init, cwd=root, check=True, capture_output=True)
        home = root / "state"
        project = open_project(root / NAME, {**os.environ, "TRIMTAB_HOME": str(home)})
        run_pipeline(project, NAME, lambda line: None)
        release, clock = find_release(project, f"{NAME}@1"), Clock()
        log = FolderRequestLog(home, now=clock.now)
        catalog = SqlCatalog(open_database(home / layout.DATABASE))
        sources = Sources(log, catalog, tools(home, lambda line: None).blobs, clock)
        judges = Judges(Monitors.start, Monitors.load, Guard.start, Guard.load)
        stable = Standing(release.digest, release.name, release.number)
        state = DeploymentState(
            spec=project.config.deployments[0], stable=stable, serving_since=clock.now()
        )
        made = cls(home, release, clock, log, Observer(sources, judges), state)
        made.follow()
        return made

    def follow(self) -> None:
        """Watch the deployment."""
        self.observer.follow({NAME: self.state}, {})

    def ask(self, number: int) -> None:
        """One request, in a segment of its own."""
        at = self.clock.at
        known = {
            **FIXED,
            "request_id": f"r{number}",
            "event_time": at,
            "received_at": at,
            "release": self.release.digest,
            "unit": number,
        }
        columns = {name: pa.array([known.get(name)], ARROW[kind]) for name, kind in FIXED_COLUMNS}
        for column in self.release.manifest.signature.inputs:
            low, high = column.minimum or 0.0, column.maximum or 1.0
            columns[f"in.{column.name}"] = pa.array([float(self.rng.uniform(low, high))])
        columns["out.score"] = pa.array([float(self.rng.uniform())])
        self._write(pa.table(columns), number)

    def _write(self, rows: pa.Table, number: int) -> None:
        folder = self.home / layout.segments(NAME, "rows")
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"g{number % 2}-{int(MONDAY)}-{number // 2}.arrow"
        unfinished = path.with_suffix(".tmp")
        with pa.ipc.new_file(str(unfinished), rows.schema) as sink:
            sink.write_table(rows)
        os.utime(unfinished, (self.clock.at, self.clock.at))
        unfinished.rename(path)


def lived(day: Day, hours: float, every: float) -> list[str]:
    """Rows of the table."""
    requests = int(hours * HOUR / every)
    part, minute, spent, rows = max(requests // PARTS, 1), max(int(60 / every), 1), 0.0, []
    before = resident()
    for number in range(requests):
        day.clock.at = MONDAY + number * every
        day.ask(number)
        begun = time.perf_counter()
        day.observer.poll()
        spent += time.perf_counter() - begun
        if number % minute == minute - 1:
            day.log.roll(NAME)
            asyncio.run(day.observer.report(NAME))
            day.observer.settled(NAME)
        if number % part == part - 1:
            rows.append(row(day, (number + 1) * every / HOUR, spent / part, before))
            print(rows[-1], flush=True)
            spent = 0.0
    return rows


def row(day: Day, hours: float, poll: float, before: float) -> str:
    """What there is after so many hours."""
    begun = time.perf_counter()
    saved = day.observer.dump()
    dumped = time.perf_counter() - begun
    again = time.perf_counter()
    day.observer.restore(saved)
    day.follow()
    answers = time.perf_counter() - again
    while not asyncio.run(day.observer.refresh()):
        pass
    restored = time.perf_counter() - again
    maps = Path("/proc/self/maps").read_bytes().count(b"\n")
    more = resident() - before
    cells = (
        f"{hours:.0f} h",
        f"{more:.0f} MiB",
        f"{maps:,}",
        f"{poll * 1e3:.1f} ms",
        f"{dumped * 1e3:.0f} ms, {len(saved) / 2**20:.1f} MiB",
        f"{answers * 1e3:.0f} ms, {restored:.1f} s",
    )
    return f"| {' | '.join(cells)} |"


def resident() -> float:
    """MiB of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE / 2**20


HEAD = """# A quiet day

Made by `scripts/bench quiet_day --hours {hours:g} --every {every:g} --write` on {today}:
{machine}, which others used too.

One request every {every:g} s, each in a segment of its own, whose label never comes: all wait.
Beside the monitors of the project of `trimtab init`, one process, on a clock that runs as fast as
that goes.

| after | more memory | mappings | to read and judge one | to save | a start answers, judges after |
|---|--:|--:|--:|--:|--:|
"""


def main() -> None:
    """Live a day, and tell what it cost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--every", type=float, default=1.0, help="seconds between two requests")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = lived(Day.of(Path(folder)), options.hours, options.every)
    told = {"today": datetime.now(UTC).date(), "machine": machine()}
    head = HEAD.format(hours=options.hours, every=options.every, **told)
    page = head + "\n".join(rows)
    if options.write:
        place = Path(__file__).parents[1] / "docs" / "benchmarks" / PAGE_NAME
        place.write_text(page + "\n", encoding="utf-8")
    else:
        print(page)


if __name__ == "__main__":
    main()
