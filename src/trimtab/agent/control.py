"""The control socket: one JSON object a line, one answer a line (docs/wire.md)."""

import asyncio
import contextlib
import os
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

    do: Literal["apply", "status", "start_job", "relieve", "changed"]
    wanted: WantedWorkers | None = None
    job: str = ""
    argv: tuple[str, ...] = ()
    environment: dict[str, str] = {}
    worker: str = ""
    seen: str = ""


class Refused(msgspec.Struct, frozen=True):
    """Why it was not done."""

    code: str
    message: str


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """Either the node's status, or an error; `seen` beside a change that was waited for."""

    status: NodeStatus | None = None
    error: Refused | None = None
    seen: str = ""


class Changes:
    """Counts what becomes of processes, and lets somebody wait for the next."""

    def __init__(self) -> None:
        self._count = 0
        self._next = asyncio.Event()

    def tell(self) -> None:
        """Something has become of a process."""
        self._count += 1
        self._next.set()
        self._next = asyncio.Event()

    @property
    def count(self) -> str:
        """How often that was so, with this agent."""
        return f"{os.getpid()}.{self._count}"

    async def beyond(self, seen: str) -> None:
        """Wait until the count is another one."""
        if seen == self.count:
            await self._next.wait()


class Control:
    """Answers controllers. `gateways` tells the process ids of the gateways that live now."""

    def __init__(
        self,
        workforce: Workforce,
        jobs: Jobs,
        gateways: Callable[[], tuple[int, ...]],
        changes: Changes,
    ) -> None:
        self._workforce = workforce
        self._jobs = jobs
        self._gateways = gateways
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.StreamWriter] = set()
        self._changes = changes

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
        self._changes.tell()
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
                    writer.write(msgspec.json.encode(await self._answer(line)) + b"\n")
                    await writer.drain()
        finally:
            self._connections.discard(writer)
            writer.close()

    async def _answer(self, line: bytes) -> Answer:
        try:
            request = msgspec.json.decode(line, type=Request)
            if request.do == "changed":
                await self._changes.beyond(request.seen)
                return Answer(self.status, seen=self._changes.count)
            self._do(request)
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
