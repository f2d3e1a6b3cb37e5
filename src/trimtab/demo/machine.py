"""The demonstration's own machine: a state folder, a server in a process of its own."""

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

import msgspec

from trimtab import errors
from trimtab.app.projects import Project, open_project
from trimtab.app.releases import find_release, register, reproduce_release
from trimtab.app.runs import RunOrder, carry_out, pipeline_of
from trimtab.app.stores import request_log
from trimtab.demo.stage import Built, Exposure, Reproduced, Urls
from trimtab.domain import layout

START_SECONDS = 60.0
STOP_SECONDS = 60.0

_EXPOSURE = """
    select count(distinct request_id),
           count(distinct request_id) filter (where outcome = 'failed'),
           min(received_at), max(received_at)
    from rows where mode = 'canary' and release = '{digest}'
"""


class _Facts(msgspec.Struct):
    pid: int
    inference: str
    admin: str


class LocalMachine:
    """`Stage` on this machine. `home` is the state folder; the project's own setting is not used.

    The server listens on free ports of the loopback, so that nothing that runs here is in its way.
    """

    def __init__(self, home: Path, deployment: str) -> None:
        self._home = home
        self._deployment = deployment
        self._server: subprocess.Popen[bytes] | None = None
        self._runs = 0
        self._first: Project | None = None

    def build_pipeline_release(self, project: Path, model: str, known_by: datetime) -> Built:
        """Run the pipeline here; the release is registered wherever the journal is held."""
        started = time.monotonic()
        found = self._opened(project)
        self._runs += 1
        live = self._server is not None
        order = RunOrder(
            run=f"demo-{self._runs}",
            model=model,
            deployment=self._deployment if live else None,
            until=known_by.timestamp(),
        )
        digest = carry_out(found, order, lambda line: None)
        release = register(found, digest)
        metrics = self._metrics(order.run, pipeline_of(found.config, model).steps[-1])
        return Built(release.name, digest, time.monotonic() - started, metrics)

    def start(self, project: Path) -> Urls:
        """Start `trimtab up` and wait until it says where it listens."""
        self._opened(project)
        environment = {
            **os.environ,
            "TRIMTAB_HOME": str(self._home),
            "TRIMTAB_SERVER_INFERENCE": "127.0.0.1:0",
            "TRIMTAB_SERVER_GRPC": "127.0.0.1:0",
            "TRIMTAB_SERVER_ADMIN": "127.0.0.1:0",
        }
        log = self._log()
        self._server = subprocess.Popen(
            [sys.executable, "-P", "-m", "trimtab.cli", "up"],
            cwd=project,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        log.close()
        return self._listening()

    def exposure(self, deployment: str, release: str) -> Exposure:
        """Counted in the request log."""
        found = find_release(self._project(), release)
        log = request_log(self._home, self._project().config)
        table = log.query(deployment, _EXPOSURE.format(digest=found.digest))
        (requests, failed, first, last) = (column[0].as_py() for column in table.columns)
        return Exposure(int(requests), int(failed), first, last)

    def reproduce(self, release: str) -> Reproduced:
        """In a private environment that is made from the lock."""
        result = reproduce_release(self._project(), release, lambda line: None)
        return Reproduced(
            release=result.release,
            integrity=result.integrity,
            environment=result.environment or "not built",
            behaviour=result.behaviour,
            max_difference=result.max_difference,
            tolerance=result.tolerance,
            retrain=result.retrain,
        )

    def stop(self) -> None:
        """End the server and wait for it; it drains by itself."""
        if self._server is None:
            return
        self._server.send_signal(signal.SIGTERM)
        try:
            self._server.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait()
        self._server = None

    def _opened(self, folder: Path) -> Project:
        """The project in `folder` with this machine's state; the first one is kept."""
        project = open_project(folder, {**os.environ, "TRIMTAB_HOME": str(self._home)})
        if self._first is None:
            self._first = project
        return project

    def _project(self) -> Project:
        if self._first is None:
            raise RuntimeError("no project was built or started")
        return self._first

    def _log(self) -> IO[bytes]:
        folder = self._home / layout.PROCESS_LOGS
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return (folder / "up.log").open("ab")

    def _listening(self) -> Urls:
        server = self._server
        facts = self._home / layout.AGENT_FACTS
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            if server is None or server.poll() is not None:
                raise self._not_started("it ended at once")
            try:
                found = msgspec.json.decode(facts.read_bytes(), type=_Facts)
                if found.pid == server.pid and _answers(found.inference, found.admin):
                    return Urls(found.inference, found.admin)
            except (OSError, msgspec.DecodeError):
                pass
            time.sleep(0.05)
        raise self._not_started(f"it does not answer after {START_SECONDS:g} s")

    def _not_started(self, problem: str) -> errors.Unavailable:
        log = self._home / layout.PROCESS_LOGS / "up.log"
        tail = log.read_text(encoding="utf-8", errors="replace")[-2000:] if log.exists() else ""
        return errors.Unavailable(
            errors.NOT_RUNNING,
            "start",
            "trimtab up",
            f"{problem}; it said: {tail.strip() or 'nothing'}",
            hint="trimtab check",
        )

    def _metrics(self, run: str, step: str) -> dict[str, float]:
        path = self._home / layout.RUNS / run / step / "metrics.json"
        try:
            found = json.loads(path.read_bytes())
        except (OSError, ValueError):
            return {}
        return {
            name: float(value) for name, value in found.items() if isinstance(value, int | float)
        }


def _answers(*urls: str) -> bool:
    """Whether every listener takes connections and answers."""
    for url in urls:
        parts = urlsplit(url)
        line = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=2)
        try:
            line.request("GET", "/v2/health/live" if url is urls[0] else "/api/status")
            if line.getresponse().status != http.client.OK:
                return False
        except (OSError, http.client.HTTPException):
            return False
        finally:
            line.close()
    return True
