"""Answers of the admin listener: views as JSON, errors in one shape with the right status."""

from email.utils import formatdate

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from trimtab import errors
from trimtab.views.encode import STATUS, error_view, to_json

ANSWER_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; object-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def json(view: msgspec.Struct, status: int = 200) -> Response:
    """A view as JSON, never kept by a cache."""
    return Response(
        to_json(view), status, media_type="application/json", headers={"Cache-Control": "no-store"}
    )


def failed(error: errors.TrimtabError, status: int | None = None) -> Response:
    """An error in the `error` shape, with the status of its family."""
    found = next((code for family, code in STATUS if isinstance(error, family)), 500)
    return json(error_view(error), status or found)


async def on_trimtab_error(request: Request, error: Exception) -> Response:
    """Expected failures keep their words."""
    assert isinstance(error, errors.TrimtabError)
    return failed(error)


async def on_http_error(request: Request, error: Exception) -> Response:
    """What the router says about unknown paths and methods."""
    assert isinstance(error, HTTPException)
    missing = error.status_code == 404
    family = errors.NotFound if missing else errors.Usage
    message = "there is no such page" if missing else str(error.detail)
    told = family(errors.BAD_REQUEST, request.method, request.url.path, message, hint="GET /")
    return failed(told, error.status_code)


async def on_fault(request: Request, error: Exception) -> Response:
    """A fault of trimtab's own: its words may hold internals, so they go to the log only.

    It is told outside of all middleware, so the headers of every answer are set here."""
    told = errors.Permanent(
        errors.UNEXPECTED,
        request.method,
        request.url.path,
        "a fault inside trimtab; its log has the details",
        hint="read .trimtab/logs/",
    )
    answer = failed(told)
    answer.headers.update({**ANSWER_HEADERS, "Date": formatdate(usegmt=True)})
    return answer
