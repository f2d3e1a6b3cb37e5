"""What every request must pass before a route sees it: Host, Origin, intent, and the headers of
every answer.

A page of a foreign site, opened in a browser on this machine, must not be able to read or to act,
neither directly nor by rebinding its name to a loopback address. There are no cookies and no CORS.
"""

from collections.abc import Iterable
from email.utils import formatdate
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from trimtab import errors
from trimtab.web.answers import ANSWER_HEADERS, failed

LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
ACTION_HEADER = "x-trimtab-action"
SAFE_METHODS = frozenset({"GET", "HEAD"})


class Guard:
    """The middleware. `hosts` are names the listener is called by, besides those of loopback;
    `asking` the routes of policy `ask`."""

    def __init__(
        self, app: ASGIApp, hosts: Iterable[str] = (), asking: Iterable[BaseRoute] = ()
    ) -> None:
        self._app = app
        self._hosts = LOOPBACK | {host.lower() for host in hosts}
        self._asking = tuple(asking)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or pass on and add the headers."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                dated = {"Date": formatdate(usegmt=True)}
                MutableHeaders(scope=message).update({**ANSWER_HEADERS, **dated})
            await send(message)

        try:
            self._check(scope, Headers(scope=scope))
        except errors.TrimtabError as refusal:
            await failed(refusal, 403)(scope, receive, guarded)
            return
        await self._app(scope, receive, guarded)

    def _check(self, scope: Scope, headers: Headers) -> None:
        method, path = str(scope["method"]), str(scope["path"])
        host = headers.get("host", "")
        if name_of(host) not in self._hosts or len(headers.getlist("host")) != 1:
            raise _foreign(method, path, f"the Host {host!r} is not a name of this listener")
        if method not in SAFE_METHODS:
            check_origin(method, path, headers)
            if all(route.matches(scope)[0] is not Match.FULL for route in self._asking):
                check_intent(method, path, headers)


def check_origin(method: str, path: str, headers: Headers) -> None:
    """Raises `Refused` TT-112 when a browser says that a foreign page posts."""
    origin = headers.get("origin")
    host = headers.get("host", "")
    if origin is not None and origin != f"http://{host}":
        raise _foreign(method, path, f"the Origin {origin!r} is not this listener")
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise _foreign(method, path, "the request comes from another site")


def check_intent(method: str, path: str, headers: Headers) -> None:
    """Raises `Refused` TT-112 unless the request comes from our own page or from no page.

    A browser always tells the Origin of a page that posts, and asks first (and is refused, for
    there is no CORS) before a page may send our header or JSON to another origin."""
    origin = headers.get("origin")
    plain_json = headers.get("content-type", "").partition(";")[0] == "application/json"
    if headers.get(ACTION_HEADER) != "1" and not (plain_json and origin is not None):
        raise _foreign(method, path, f"an order carries the header {ACTION_HEADER}: 1")


def name_of(host: str) -> str:
    """The host name of a Host header, lower-case, without the port."""
    try:
        parts = urlsplit(f"//{host}")
        name = parts.hostname or ""
        _ = parts.port
    except ValueError:
        return ""
    if parts.username is not None or parts.path:
        return ""
    return f"[{name}]" if ":" in name else name


def _foreign(method: str, path: str, problem: str) -> errors.Refused:
    return errors.Refused(
        errors.FOREIGN_REQUEST,
        method,
        path,
        problem,
        unchanged="nothing was changed",
        hint="open the address that `trimtab up` printed",
    )
