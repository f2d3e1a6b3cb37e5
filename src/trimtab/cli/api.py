"""The admin API as seen by a verb: views come back as views, errors as the families they were."""

import http.client
import json
from collections.abc import Mapping
from typing import Any, TypeVar
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from trimtab import errors
from trimtab.app.person import actor
from trimtab.cli.project import agent_facts, not_running
from trimtab.views.encode import STATUS

ORDER_SECONDS = 30.0
_BYTES = "surrogateescape"
"""How Python says bytes of a command line that are no UTF-8."""
AView = TypeVar("AView", bound=msgspec.Struct)


class Api:
    """One admin listener, by its URL."""

    def __init__(self, url: str, timeout: float = ORDER_SECONDS) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 80
        self._timeout = timeout
        self.url = url

    def get(self, shape: type[AView], *path: str, **query: str | int | None) -> AView:
        """A view at `path`; query values of None are left out."""
        given = {name: str(value) for name, value in query.items() if value is not None}
        suffix = f"?{urlencode(given, errors=_BYTES)}" if given else ""
        return self._call("GET", _path(path) + suffix, shape, None)

    def post(self, shape: type[AView], *path: str, **order: Any) -> AView:
        """Give an order; values of None are left out."""
        given = {name: value for name, value in order.items() if value is not None}
        return self._call("POST", _path(path), shape, given)

    def _call(
        self, method: str, path: str, shape: type[AView], order: Mapping[str, Any] | None
    ) -> AView:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=self._timeout)
        try:
            connection.request(method, path, *_sent(order))
            answer = connection.getresponse()
            status, body = answer.status, answer.read()
        except TimeoutError as cause:
            raise _late(path, self._timeout) from cause
        except (OSError, http.client.HTTPException) as cause:
            raise not_running(self.url) from cause
        finally:
            connection.close()
        if status >= http.client.BAD_REQUEST:
            raise revived(status, body)
        try:
            return msgspec.json.decode(body, type=shape)
        except ValueError as cause:
            raise _foreign(f"its answer is none of trimtab's ({cause})") from cause


def connect(timeout: float = ORDER_SECONDS) -> Api:
    """The server of this project. Raises `Unavailable` TT-109."""
    return Api(agent_facts().admin, timeout)


def _path(parts: tuple[str, ...]) -> str:
    if not all(parts):
        raise errors.Usage(
            errors.WRONG_USAGE,
            "ask",
            "server",
            "a name is empty",
            unchanged="nothing was done",
            hint="trimtab status",
        )
    return "/api/" + "/".join(quote(part, safe="@:", errors=_BYTES) for part in parts)


def _sent(order: Mapping[str, Any] | None) -> tuple[bytes | None, dict[str, str]]:
    if order is None:
        return None, {}
    return json.dumps(order).encode(), {
        "Content-Type": "application/json",
        "X-Trimtab-Action": "1",
        "X-Trimtab-Actor": actor(),
    }


def revived(status: int, body: bytes) -> errors.TrimtabError:
    """The error that the server sent, as the family that its status stands for."""
    try:
        told = msgspec.convert(json.loads(body)["error"], errors.Report)
    except (ValueError, KeyError, TypeError, msgspec.ValidationError):
        return _foreign(f"status {status} without an error in it")
    family = next((f for f, number in STATUS if number == status), errors.Refused)
    known = {entry.code for entry in errors.registry()}
    error = family(
        told.code if told.code in known else errors.UNEXPECTED,
        told.operation,
        told.subject,
        told.message,
        told.unchanged,
        told.hint,
    )
    for cause in reversed(told.causes):
        _chained(error, cause)
    return error


def _foreign(problem: str) -> errors.Permanent:
    return errors.Permanent(
        errors.UNEXPECTED,
        "ask",
        "server",
        f"{problem}: another program may use trimtab's admin port",
        hint="trimtab up",
    )


def _chained(error: errors.TrimtabError, cause: str) -> None:
    outer = RuntimeError(cause)
    outer.__cause__ = error.__cause__
    error.__cause__ = outer


def _late(path: str, seconds: float) -> errors.TimedOut:
    return errors.TimedOut(
        errors.NOT_RUNNING, "wait for", path, f"no answer in {seconds:g} s", hint="trimtab status"
    )
