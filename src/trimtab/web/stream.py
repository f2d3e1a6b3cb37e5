"""Live updates: server-sent events with the fragment of a page, or the status as JSON."""

import re
import time
from collections.abc import AsyncIterator, Callable

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from trimtab import errors
from trimtab.views.encode import error_view, to_json
from trimtab.views.status import build_status
from trimtab.web.live import Live
from trimtab.web.pages import fragment
from trimtab.web.policy import Policy, Routes
from trimtab.web.reads import live_of

routes = Routes()
HEARTBEAT_SECONDS = 2.0
_LINE_END = re.compile(r"\r\n?|\n")


@routes.get("/api/events", policy=Policy.READ)
async def events(request: Request) -> Response:
    """`event: page` with HTML of `?page=`, else `event: status` with JSON; sent when it changed.

    `event: beat` comes when nothing changed, so that silence means a lost connection."""
    live = live_of(request)
    page = request.query_params.get("page")
    if page is None:
        stream = _changes(live, "status", lambda: to_json(build_status(live.look())).decode())
    else:
        fragment(live, page)
        stream = _changes(live, "page", lambda: fragment(live, page))
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(stream, media_type="text/event-stream", headers=headers)


async def _changes(live: Live, kind: str, make: Callable[[], str]) -> AsyncIterator[str]:
    last, spoken = "", time.monotonic()
    going = True
    while going:
        word, text = _attempt(kind, make)
        if text != last:
            last, spoken = text, time.monotonic()
            yield event(word, text)
        elif time.monotonic() - spoken >= HEARTBEAT_SECONDS:
            spoken = time.monotonic()
            yield event("beat", "")
        going = await live.pause()


def _attempt(kind: str, make: Callable[[], str]) -> tuple[str, str]:
    try:
        return kind, make()
    except errors.TrimtabError as error:
        return "failure", to_json(error_view(error)).decode()


def event(kind: str, text: str) -> str:
    """One server-sent event (WHATWG HTML §9.2): a line of data for each line of text.

    A carriage return ends a line there too: one in a value that a client sent, or in a reason,
    would begin a field of its own, and two would cut the page."""
    lines = "".join(f"data: {line}\n" for line in _LINE_END.split(text))
    return f"event: {kind}\n{lines}\n"
