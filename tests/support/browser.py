"""Requests to the admin app without a socket."""

import asyncio
from typing import Any

import httpx
from tests.support.scenes import MemorySystem

from trimtab.web.server import create_app


class Browser:
    """Calls the app over `system`, each request in an event loop of its own."""

    def __init__(self, system: MemorySystem, base: str = "http://localhost") -> None:
        self._app = create_app(system, system, hosts=("trimtab.test",), interval=0.01)
        self._base = base

    def request(self, method: str, path: str, **given: Any) -> httpx.Response:
        """One request; redirects are followed."""

        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(app=self._app, raise_app_exceptions=False)
            async with httpx.AsyncClient(
                transport=transport, base_url=self._base, follow_redirects=True
            ) as client:
                return await client.request(method, path, **given)

        return asyncio.run(send())

    def get(self, path: str, **given: Any) -> httpx.Response:
        """A page or a view."""
        return self.request("GET", path, **given)

    def post(self, path: str, **given: Any) -> httpx.Response:
        """An order."""
        return self.request("POST", path, **given)
