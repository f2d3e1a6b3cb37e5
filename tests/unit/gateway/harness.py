"""A gateway inside the test's event loop: real sockets, real log, no subprocess."""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pandas  # noqa: F401 - Arrow does so in its first table: within the time of a test
import pyarrow as pa
from tests.unit.gateway.support import write_routing

from trimtab.backends.publishing import publish
from trimtab.backends.spool import SpoolLog
from trimtab.domain.otel import Export
from trimtab.domain.routing import RoutingSnapshot
from trimtab.gateway.logs import Log
from trimtab.gateway.main import Gateway, GatewayOptions
from trimtab.gateway.schedule import Limits


class Harness:
    """A running gateway and a client for it. The working directory is the state folder."""

    def __init__(self, home: Path, client: httpx.AsyncClient, gateway: Gateway, port: int) -> None:
        self.home = home
        self.client = client
        self.gateway = gateway
        self.port = port
        self.grpc_port = 0

    async def infer(self, body: bytes, path: str = "/v2/models/d/infer") -> httpx.Response:
        """POST an inference request."""
        return await self.client.post(path, content=body)

    async def route(self, routing: RoutingSnapshot) -> None:
        """Write a snapshot and wait until the gateway routes by it."""
        write_routing(self.home, routing)
        facts = self.home / "run" / "gateway-0.json"
        async with asyncio.timeout(5):
            while True:
                if facts.exists():
                    said = msgspec.json.decode(facts.read_bytes())
                    if said["version"] == routing.version:
                        return
                await asyncio.sleep(0.005)

    async def publish(self) -> None:
        """Make segments of everything logged so far."""
        await self.gateway.recorder.flush()
        await asyncio.to_thread(publish, self.home)

    async def rows(self) -> dict[str, list[Any]]:
        """Everything logged for deployment `d` so far."""
        await self.publish()
        paths = sorted((self.home / "log/d/rows").glob("*.arrow"), key=_sequence)
        tables = [pa.ipc.open_file(path.read_bytes()).read_all() for path in paths]
        return pa.concat_tables(tables, promote_options="default").to_pydict()


def _sequence(path: Path) -> int:
    return int(path.stem.rpartition("-")[2])


@contextlib.asynccontextmanager
async def running(
    home: Path,
    routing: RoutingSnapshot | None = None,
    limits: Limits | None = None,
    export: Export | None = None,
) -> AsyncIterator[Harness]:
    """A gateway on a free port; `routing` is on disk before it starts."""
    before = Path.cwd()
    os.chdir(home)
    if routing is not None:
        write_routing(home, routing)
    listener, grpc = (socket.create_server(("127.0.0.1", 0)) for _ in range(2))
    port, grpc_port = (each.getsockname()[1] for each in (listener, grpc))
    options = GatewayOptions(
        *(home, 0, listener.detach(), grpc.detach()),
        flush_seconds=30,
        limits=limits or Limits(),
        export=export or Export(),
        drain_seconds=2,
    )
    with (home / "gateway.log").open("w") as stream:
        gateway = Gateway(options, SpoolLog(Path(), "g0-1"), Log(stream))
        await gateway.start()
        try:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=15) as client:
                harness = Harness(home, client, gateway, port)
                harness.grpc_port = grpc_port
                yield harness
        finally:
            await gateway.stop()
            os.chdir(before)
