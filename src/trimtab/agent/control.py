"""The control socket: one JSON object a line, one answer a line (docs/wire.md)."""

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec

from trimtab import errors
from trimtab.agent.jobs import Jobs
from trimtab.agent.workforce import Workforce
from trimtab.domain import layout
from trimtab.domain.processes import NodeStatus, WantedWorkers

LONGEST_LINE = 16_000_000


class Request(msgspec.Struct, frozen=True):
    """What a controller asks."""

    do: Literal["apply", "status", "start_job", "relieve"]
    wanted: WantedWorkers | None = None
    job: str = ""
    argv: tuple[str, ...] = ()
    environment: dict[str, str] = {}
    worker: str = ""


class Refused(msgspec.Struct, frozen=True):
    """Why it was not done."""

    code: str
    message: str


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """Either the node's status, or an error."""

    status: NodeStatus | None = None
    error: Refused | None = None


class Control:
    """Answers controllers. `gateways` tells the process ids of the gateways that live now."""

    def __init__(
        self, workforce: Workforce, jobs: Jobs, gateways: Callable[[], tuple[int, ...]]
    ) -> None:
        self._workforce = workforce
        self._jobs = jobs
        self._gateways = gateways
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.StreamWriter] = set()

    async def listen(self) -> None:
        """Listen in the state folder, which is the working directory."""
        path = Path(layout.AGENT_SOCKET)
        path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(
            self._serve, path=str(path), limit=LONGEST_LINE
        )
        path.chmod(0o600)

    async def close(self) -> None:
        """Stop answering."""
        if self._server is None:
            return
        self._server.close()
        for writer in list(self._connections):
            writer.close()
        await self._server.wait_closed()
        Path(layout.AGENT_SOCKET).unlink(missing_ok=True)

    @property
    def status(self) -> NodeStatus:
        """Everything the agent knows."""
        return NodeStatus(self._workforce.status, self._jobs.status, self._gateways())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        try:
            with contextlib.suppress(ConnectionError, ValueError):
                while line := await reader.readline():
                    writer.write(msgspec.json.encode(self._answer(line)) + b"\n")
                    await writer.drain()
        finally:
            self._connections.discard(writer)
            writer.close()

    def _answer(self, line: bytes) -> Answer:
        try:
            self._do(msgspec.json.decode(line, type=Request))
        except msgspec.DecodeError as error:
            return Answer(error=Refused(errors.BAD_VALUE, str(error)))
        except errors.TrimtabError as error:
            return Answer(error=Refused(error.code, error.message))
        return Answer(self.status)

    def _do(self, request: Request) -> None:
        if request.do == "apply":
            if request.wanted is None:
                raise errors.Usage(errors.BAD_VALUE, "apply", "wanted", "it is missing")
            self._workforce.apply(request.wanted)
        elif request.do == "start_job":
            self._jobs.start(request.job, request.argv, request.environment)
        elif request.do == "relieve":
            self._workforce.relieve(request.worker)
