"""The `Node` port over the control socket of a node agent on this machine."""

import asyncio
import contextlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from trimtab import errors
from trimtab.domain import layout
from trimtab.domain.processes import NodeStatus, WantedWorkers

LONGEST_PATH = 100
LONGEST_LINE = 16_000_000


class _Refused(msgspec.Struct, frozen=True):
    code: str
    message: str


class _Answer(msgspec.Struct, frozen=True):
    status: NodeStatus | None = None
    error: _Refused | None = None
    seen: str = ""


class _Line:
    """One connection, made when needed and made again when it breaks.

    Every call may be repeated safely, so one that met a broken connection is sent once more; an
    answer may take `timeout` seconds, any time with None."""

    def __init__(self, path: Path, timeout: float | None) -> None:
        self._path = path
        self._timeout = timeout
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._turn = asyncio.Lock()

    async def ask(self, question: Mapping[str, Any]) -> tuple[NodeStatus, str]:
        """The status that comes as the answer, and what is said beside it."""
        async with self._turn:
            line = await self._exchange(msgspec.json.encode(question) + b"\n")
        try:
            answer = msgspec.json.decode(line, type=_Answer)
        except msgspec.DecodeError as cause:
            raise _gone(str(cause)) from cause
        if answer.error is not None:
            raise _error(answer.error, str(question["do"]))
        if answer.status is None:
            raise _gone("it answered without a status")
        return answer.status, answer.seen

    async def close(self) -> None:
        """End the connection."""
        if self._streams is not None:
            _, writer = self._streams
            self._streams = None
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _exchange(self, line: bytes) -> bytes:
        known = self._streams is not None
        try:
            return await asyncio.wait_for(self._send(line), self._timeout)
        except (OSError, EOFError, TimeoutError) as cause:
            await self.close()
            if known and not isinstance(cause, TimeoutError):
                return await self._exchange(line)
            raise _gone(str(cause) or type(cause).__name__) from cause

    async def _send(self, line: bytes) -> bytes:
        if self._streams is None:
            self._streams = await asyncio.open_unix_connection(self._address(), limit=LONGEST_LINE)
        reader, writer = self._streams
        writer.write(line)
        await writer.drain()
        return await reader.readuntil(b"\n")

    def _address(self) -> str:
        """The socket's path in a form that fits the kernel's limit."""
        absolute = str(self._path.absolute())
        if len(absolute.encode()) <= LONGEST_PATH:
            return absolute
        return os.path.relpath(absolute)


class NodeClient:
    """A connection for orders, and one on which changes are waited for."""

    def __init__(self, home: Path, timeout: float = 10.0) -> None:
        path = home / layout.AGENT_SOCKET
        self._orders, self._changes = _Line(path, timeout), _Line(path, None)
        self._seen = ""

    async def apply(self, wanted: WantedWorkers) -> NodeStatus:
        """Make the set of workers so. Raises `Conflict` TT-502 and `Unavailable` TT-702."""
        return await self._ask({"do": "apply", "wanted": wanted})

    async def status(self) -> NodeStatus:
        """What exists now. Raises `Unavailable` TT-702."""
        return await self._ask({"do": "status"})

    async def start_job(
        self, job: str, argv: Sequence[str], environment: Mapping[str, str]
    ) -> None:
        """Start a process once per id. Raises `Permanent` TT-701 and `Unavailable` TT-702."""
        await self._ask({"do": "start_job", "job": job, "argv": argv, "environment": environment})

    async def relieve(self, worker: str) -> None:
        """Let another process take a worker's place. Raises `Unavailable` TT-702."""
        await self._ask({"do": "relieve", "worker": worker})

    async def changed(self) -> None:
        """Wait until something has become of a process. Raises `Unavailable` TT-702."""
        _, self._seen = await self._changes.ask({"do": "changed", "seen": self._seen})

    async def close(self) -> None:
        """End the connections."""
        await self._orders.close()
        await self._changes.close()

    async def _ask(self, question: Mapping[str, Any]) -> NodeStatus:
        status, _ = await self._orders.ask(question)
        return status


def _gone(why: str) -> errors.Unavailable:
    return errors.Unavailable(
        errors.AGENT_GONE,
        "ask",
        "the node agent",
        f"it does not answer: {why}",
        unchanged="workers keep running as they are",
        hint="trimtab up",
    )


def _error(refused: _Refused, operation: str) -> errors.TrimtabError:
    family = errors.Conflict if refused.code == errors.STALE_EPOCH else errors.Permanent
    return family(refused.code, operation, "the node agent", refused.message)
