"""The real admin app over a system in memory, on a loopback port."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass

from tests.support.scenes import MemorySystem

from trimtab.web.server import create_app, serve


@dataclass
class Listener:
    """Where the app listens."""

    url: str
    system: MemorySystem


@contextlib.contextmanager
def admin(system: MemorySystem) -> Iterator[Listener]:
    """Serve `system` from a thread until the block ends."""
    listening = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    loop = asyncio.new_event_loop()
    task = loop.create_task(serve(create_app(system, system, interval=0.02), listening.detach()))

    def run() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            loop.run_until_complete(task)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield Listener(url, system)
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join()
        loop.close()
