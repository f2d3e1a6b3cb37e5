"""The admin JSON API, as a client reads it: the shapes of `trimtab.views`, decoded again."""

from typing import TypeVar

import msgspec

from trimtab import errors
from trimtab.demo.connection import Address, Line
from trimtab.views.shapes import (
    EventView,
    HistoryView,
    IncidentView,
    ReleasesView,
    ReleaseView,
    RunsView,
    RunView,
    StatusView,
    WhyView,
)

_T = TypeVar("_T")
_OK = range(200, 300)
_SECONDS = 30.0
_MOST_EVENTS = 10_000
_INTENT = b"X-Trimtab-Action: 1\r\nX-Trimtab-Actor: demo\r\n"


class _ErrorBody(msgspec.Struct):
    code: str = ""
    operation: str = ""
    subject: str = ""
    message: str = ""
    unchanged: str = ""
    hint: str = ""


class _Error(msgspec.Struct):
    error: _ErrorBody


class Admin:
    """The admin listener. One caller at a time.

    Calls raise `Refused` when the listener says no, and `Unavailable` TT-109 when it is gone."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._line = Line(address)

    async def status(self) -> StatusView:
        """All deployments."""
        return await self._get("/api/status", StatusView)

    async def why(self) -> tuple[IncidentView, ...]:
        """Every incident, open or closed, newest first."""
        return (await self._get("/api/why", WhyView)).incidents

    async def runs(self) -> tuple[RunView, ...]:
        """Every pipeline run, newest first."""
        return (await self._get("/api/runs", RunsView)).runs

    async def releases(self) -> tuple[ReleaseView, ...]:
        """Every release, newest first."""
        return (await self._get("/api/releases", ReleasesView)).releases

    async def history(self, newest: int) -> tuple[EventView, ...]:
        """The `newest` entries of the journal, oldest first."""
        limit = min(newest, _MOST_EVENTS)
        return (await self._get(f"/api/history?limit={limit}", HistoryView)).events

    async def deploy(self, deployment: str, release: str, strategy: str | None = None) -> None:
        """Begin a rollout of `release`; without a `strategy` by the deployment's own plan."""
        path = f"/api/deployments/{deployment}/deploy"
        order = {"release": release} | ({"strategy": strategy} if strategy else {})
        await self._call("POST", path, msgspec.json.encode(order))

    def close(self) -> None:
        """Close the connection."""
        self._line.close()

    async def _get(self, path: str, kind: type[_T]) -> _T:
        return msgspec.json.decode(await self._call("GET", path, b""), type=kind)

    async def _call(self, method: str, path: str, body: bytes) -> bytes:
        head = self._address.head(method, path, _INTENT if method == "POST" else b"")
        reply = await self._line.call(head, body, _SECONDS)
        if reply.status in _OK:
            return reply.body
        if not reply.status:
            raise errors.Unavailable(
                errors.NOT_RUNNING,
                "ask",
                path,
                f"no answer in {_SECONDS:g} s",
                hint="scripts/demo",
            )
        raise _refused(path, reply.status, reply.body)


def _refused(path: str, status: int, body: bytes) -> errors.Refused:
    try:
        told = msgspec.json.decode(body, type=_Error).error
    except msgspec.DecodeError:
        told = _ErrorBody(message=f"status {status}: {body[:200].decode(errors='replace')}")
    known = {entry.code for entry in errors.registry()}
    return errors.Refused(
        told.code if told.code in known else errors.REQUEST_FAILED,
        told.operation or "ask",
        told.subject or path,
        told.message,
        told.unchanged,
        told.hint,
    )
