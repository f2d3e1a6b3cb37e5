"""The admin listener: the app put together, and served on a socket somebody else opened."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from trimtab import errors
from trimtab.web import answers, orders, pages, reads, repository, stream
from trimtab.web.guard import Guard
from trimtab.web.live import SAMPLE_SECONDS, Live
from trimtab.web.policy import Policy, only_declared
from trimtab.web.ports import AdminSource, Control

GRACE_SECONDS = 2


def create_app(
    control: Control,
    source: AdminSource,
    *,
    hosts: Iterable[str] = (),
    interval: float = SAMPLE_SECONDS,
    evidence: Path | None = None,
) -> Starlette:
    """The admin app. `hosts` are names the listener answers to besides those of loopback;
    `interval` is the time between samples and live updates, in seconds; `evidence` is the file
    from which charts go on after a restart."""
    live = Live(control, source, interval, evidence)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with live.sampling():
            yield

    routes = (*reads.routes, *orders.routes, *repository.routes, *stream.routes, *pages.routes)
    asking = tuple(route for route in routes if route.policy is Policy.ASK)
    app = Starlette(
        routes=only_declared(routes),
        middleware=[Middleware(Guard, hosts=tuple(hosts), asking=asking)],
        exception_handlers={
            errors.TrimtabError: answers.on_trimtab_error,
            HTTPException: answers.on_http_error,
            Exception: answers.on_fault,
        },
        lifespan=lifespan,
    )
    app.state.live = live
    return app


class _Server(uvicorn.Server):
    """Leaves signals to the process that serves more than this listener."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ending = asyncio.Event()

    async def main_loop(self) -> None:
        """Until told to end, without looking ten times a second whether that is so, or what time
        it is: `Guard` dates the answers."""
        await self.ending.wait()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(app: Starlette, fd: int) -> None:
    """Serve on the listening socket `fd` until cancelled; open streams are then ended first."""
    listener = socket.socket(fileno=fd)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        ws="none",
        lifespan="on",
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        app.state.live.stopping.set()
        server.ending.set()
        await task
        raise
