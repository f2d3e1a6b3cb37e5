"""A gateway and workers as processes of their own, without the rest of the system."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
from tests.unit.gateway.support import digest

from trimtab.backends.publishing import publish

WORKER = Path(__file__).parents[1] / "e2e" / "echo_worker.py"


class Machine:
    """A state folder with processes; everything started here is ended by `stop`."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.grpc_listener = socket.create_server(("127.0.0.1", 0))
        self.grpc = f"127.0.0.1:{self.grpc_listener.getsockname()[1]}"
        self.parent: int | None = None
        self._processes: list[subprocess.Popen[str]] = []
        (home / "run" / "w").mkdir(parents=True)

    def worker(self, number: int, mode: str = "sum") -> subprocess.Popen[str]:
        """A worker of release `number` that listens."""
        path = self.home / f"run/w/{number}.sock"
        path.unlink(missing_ok=True)
        command = [sys.executable, str(WORKER), str(path), digest(number), mode]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self._processes.append(process)
        assert process.stdout is not None
        assert "listening" in process.stdout.readline()
        return process

    def gateway(self, flush_seconds: float = 60.0, index: int = 0) -> subprocess.Popen[str]:
        """A gateway on the shared sockets that routes."""
        pipe, self.parent = os.pipe()
        fd, grpc = self.listener.fileno(), self.grpc_listener.fileno()
        numbers = {"--fd": fd, "--grpc-fd": grpc, "--parent-fd": pipe, "--index": index}
        options = [text for name, number in numbers.items() for text in (name, str(number))]
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "trimtab.gateway", "--home", str(self.home)),
                *(*options, "--flush-seconds", str(flush_seconds)),
            ],
            pass_fds=(fd, grpc, pipe),
            stderr=subprocess.PIPE,
            text=True,
        )
        os.close(pipe)
        self._processes.append(process)
        self.wait_for(process, "gateway.started")
        return process

    def wait_for(self, process: subprocess.Popen[str], event: str) -> dict[str, Any]:
        """Read the process's log until an event."""
        assert process.stderr is not None
        seen = []
        for line in process.stderr:
            seen.append(line)
            if line.startswith("{") and (entry := json.loads(line))["event"] == event:
                return dict(entry)
        raise AssertionError(f"no {event} in: {''.join(seen)}")

    def rows(self) -> dict[str, list[Any]]:
        """Everything in row segments."""
        return self._read("rows")

    def labels(self) -> dict[str, list[Any]]:
        """Everything in label segments."""
        return self._read("labels")

    def _read(self, kind: str) -> dict[str, list[Any]]:
        publish(self.home)
        paths = sorted((self.home / "log/d" / kind).glob("*.arrow"))
        tables = [pa.ipc.open_file(path.read_bytes()).read_all() for path in paths]
        return pa.concat_tables(tables, promote_options="default").to_pydict() if tables else {}

    def stop(self) -> None:
        """End every process."""
        for process in self._processes:
            process.kill()
            process.wait()
            for stream in (process.stdout, process.stderr):
                if stream is not None:
                    stream.close()
        self.listener.close()
        self.grpc_listener.close()
        if self.parent is not None:
            os.close(self.parent)
