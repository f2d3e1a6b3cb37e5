"""What the whole system costs and how fast it is, measured on the project of `trimtab init`.

Run: scripts/bench system [--seconds 5] [--trials 10] [--write]

Requests are one row of JSON, closed loop, from one uvloop client on the same machine. Memory is
what the whole process tree occupies, each page counted once (`harness.processes.occupied`).
`--write` puts the table into docs/benchmarks/system.md.
"""

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np
import uvloop
from harness import processes

from trimtab.app.projects import open_project
from trimtab.app.releases import find_release, tools
from trimtab.app.runs import run_pipeline
from trimtab.backends.requestlog import FolderRequestLog
from trimtab.demo.connection import Address, Line
from trimtab.demo.machine import LocalMachine
from trimtab.demo.stage import Urls
from trimtab.domain.profile import ReferenceProfile
from trimtab.judge.monitors import Monitors
from trimtab.judge.reports import Surroundings
from trimtab.ports.requestlog import Cursor

NAME = "my-model"
CONNECTIONS = (1, 16, 64)
STARTS = 3
MONITOR_ROUNDS = 5


@dataclass
class Findings:
    """Rows of the table: what was measured, and the figure."""

    rows: list[tuple[str, str]] = field(default_factory=list)

    def add(self, what: str, figure: str) -> None:
        """Tell and keep a figure."""
        print(f"{what}: {figure}", flush=True)
        self.rows.append((what, figure))


class Bench:
    """One installation in a temporary folder."""

    def __init__(self, root: Path, options: argparse.Namespace) -> None:
        self.project = root / NAME
        self.home = root / "state"
        self.machine = LocalMachine(self.home, NAME)
        self.options = options
        self.found = Findings()
        self.urls = Urls("", "")

    def run(self) -> None:
        """Everything, in an order in which nothing disturbs what follows."""
        command = [sys.executable, "-m", "trimtab.cli", "init", NAME]
        subprocess.run(command, cwd=self.project.parent, check=True, capture_output=True)
        self._build()
        self.urls = self.machine.start(self.project)
        try:
            uvloop.run(self._deployed())
            self.machine.stop()
            self._starts()
            self._memory()
            uvloop.run(self._throughput())
            self._monitors()
            uvloop.run(self._rollbacks())
        finally:
            self.machine.stop()

    def _build(self) -> None:
        environment = {**os.environ, "TRIMTAB_HOME": str(self.home)}
        project = open_project(self.project, environment)
        run_pipeline(project, NAME, lambda line: None)
        toml = self.project / "trimtab.toml"
        toml.write_text(toml.read_text().replace('seed = "0"', 'seed = "1"'))
        second = open_project(self.project, environment)
        run_pipeline(second, NAME, lambda line: None)

    async def _deployed(self) -> None:
        await self._order("deploy", {"release": f"{NAME}@1"})
        await self._answered(Line(Address.of(self.urls.inference)))

    async def _order(self, verb: str, order: dict[str, str]) -> None:
        address = Address.of(self.urls.admin)
        head = address.head("POST", f"/api/deployments/{NAME}/{verb}", b"X-Trimtab-Action: 1\r\n")
        line = Line(address)
        reply = await line.call(head, msgspec.json.encode(order), 30.0)
        line.close()
        if reply.status != 200:
            raise RuntimeError(f"{verb}: {reply.body!r}")

    def _body(self) -> bytes:
        release = find_release(
            open_project(self.project, {"TRIMTAB_HOME": str(self.home)}), f"{NAME}@1"
        )
        inputs = [
            {"name": c.name, "datatype": c.datatype, "shape": [1], "data": [c.minimum or 0.0]}
            for c in release.manifest.signature.inputs
        ]
        return msgspec.json.encode({"inputs": inputs})

    def _head(self) -> bytes:
        return Address.of(self.urls.inference).head("POST", f"/v2/models/{NAME}/infer")

    async def _answered(self, line: Line) -> None:
        body = self._body()
        for _ in range(10_000):
            if (await line.call(self._head(), body, 30.0)).status == 200:
                return
            await asyncio.sleep(0.005)
        raise RuntimeError("no answer")

    def _starts(self) -> None:
        seconds = []
        for _ in range(STARTS):
            begun = time.monotonic()
            self.urls = self.machine.start(self.project)
            uvloop.run(self._answered(Line(Address.of(self.urls.inference))))
            seconds.append(time.monotonic() - begun)
            if len(seconds) < STARTS:
                self.machine.stop()
        figure = f"{statistics.median(seconds):.2f} s (median of {STARTS})"
        self.found.add("`trimtab up` to the first answer, release deployed before", figure)

    def _memory(self) -> None:
        time.sleep(2.0)
        facts = msgspec.json.decode((self.home / "run" / "agent.json").read_bytes())
        sizes = processes.occupied(list(processes.tree(int(facts["pid"]))))
        told = ", ".join(f"{_role(pid)} {size / 2**20:.0f}" for pid, size in sizes.items())
        self.found.add(
            "resident memory of the idle system, each page counted once",
            f"{sum(sizes.values()) / 2**20:.0f} MiB: {told}",
        )

    async def _throughput(self) -> None:
        head, body = self._head(), self._body()
        for count in CONNECTIONS:
            await _closed_loop(self.urls, head, body, count, 1.0)
            rate, times = await _closed_loop(self.urls, head, body, count, self.options.seconds)
            p50, p99 = np.quantile(times, [0.5, 0.99]) * 1000
            figure = f"{rate:,.0f}/s, p50 {p50:.2f} ms, p99 {p99:.2f} ms"
            self.found.add(f"one-row requests, {count} connections", figure)

    def _monitors(self) -> None:
        time.sleep(2.0)
        project = open_project(self.project, {"TRIMTAB_HOME": str(self.home)})
        release = find_release(project, f"{NAME}@1")
        log, spec = FolderRequestLog(self.home), project.config.deployments[0]
        segments = [s for s in log.segments(NAME, Cursor()) if s.kind == "rows"]
        batches = [log.rows(segment) for segment in segments]
        blobs = tools(self.home, lambda line: None).blobs
        profile = msgspec.json.decode(
            blobs.get(release.manifest.profile or release.digest), type=ReferenceProfile
        )
        signature, costs = release.manifest.signature, []
        for _ in range(MONITOR_ROUNDS):
            monitors = Monitors.start(spec, signature, profile, release.digest, 0.0)
            begun = time.perf_counter()
            for rows in batches:
                monitors.observe(rows)
                monitors.assess(float(rows.fixed["event_time"][-1]), (), Surroundings())
            costs.append((time.perf_counter() - begun) / sum(map(len, batches)))
        figure = f"{statistics.median(costs) * 1e6:.1f} µs ({sum(map(len, batches)):,} rows)"
        self.found.add("monitors, per row of 10 inputs, judged four times a second", figure)

    async def _rollbacks(self) -> None:
        """From the order that ends a canary to its last answer, under traffic."""
        left = [await self._one_rollback() for _ in range(self.options.trials)]
        p50, worst = statistics.median(left), max(left)
        self.found.add(
            "end of a canary decided → last answer of its release, under load",
            f"median {p50 * 1000:.0f} ms, largest of {len(left)}: {worst * 1000:.0f} ms",
        )

    async def _one_rollback(self) -> float:
        head, body, last = self._head(), self._body(), 0.0
        bad, stop = f"{NAME}@2", asyncio.Event()
        seen = asyncio.Event()

        async def client() -> None:
            nonlocal last
            line = Line(Address.of(self.urls.inference))
            while not stop.is_set():
                if (await line.call(head, body, 5.0)).release == bad:
                    last = time.monotonic()
                    seen.set()
            line.close()

        clients = [asyncio.create_task(client()) for _ in range(8)]
        await self._order("deploy", {"release": bad, "strategy": "steps"})
        await asyncio.wait_for(seen.wait(), 60.0)
        await asyncio.sleep(0.5)
        decided = time.monotonic()
        await self._order("abort", {})
        await asyncio.sleep(1.5)
        stop.set()
        await asyncio.gather(*clients)
        return max(0.0, last - decided)


async def _closed_loop(
    urls: Urls, head: bytes, body: bytes, connections: int, seconds: float
) -> tuple[float, np.ndarray]:
    """Requests per second and every request's time in seconds."""
    end = time.monotonic() + seconds
    times: list[float] = []

    async def client() -> None:
        line = Line(Address.of(urls.inference))
        while (begun := time.monotonic()) < end:
            reply = await line.call(head, body, 10.0)
            if reply.status != 200:
                raise RuntimeError(f"status {reply.status}: {reply.body!r}")
            times.append(time.monotonic() - begun)
        line.close()

    await asyncio.gather(*(client() for _ in range(connections)))
    return len(times) / seconds, np.array(times)


def _role(pid: int) -> str:
    name = Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip()
    words = processes.command_line(pid)
    if name == "trimtab-web" or "trimtab.web" in words:
        return "controller"
    if name.startswith("trimtab-"):
        return name.removeprefix("trimtab-")
    marks = {"trimtab.gateway": "gateway", "nanny": "nanny"}
    return next((role for mark, role in marks.items() if mark in words), "agent")


def main() -> None:
    """Measure, tell, and write the table when asked to."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--trials", type=int, default=10)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="trimtab-bench-") as folder:
        bench = Bench(Path(folder), options)
        bench.run()
    if options.write:
        table = "\n".join(f"| {what} | {figure} |" for what, figure in bench.found.rows)
        Path("docs/benchmarks/system.md").write_text(
            "# The whole system\n\n"
            f"Made by `scripts/bench {' '.join(['system', *sys.argv[1:]])}` on "
            f"{time.strftime('%Y-%m-%d')}: {processes.machine()}. "
            "Client and server share the machine.\n\n"
            "The project is the one of `trimtab init`: scikit-learn's logistic regression behind a "
            "scaler, ten inputs through pandas, one worker, everything on (request log, monitors, "
            "routing, validation, deadlines).\n\n"
            f"| what | measured |\n|---|---|\n{table}\n",
            encoding="utf-8",
        )


if __name__ == "__main__":
    main()
