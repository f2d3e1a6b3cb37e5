"""Views and errors as JSON: snake_case, RFC 3339, the same bytes for the same view."""

import msgspec

from trimtab import errors
from trimtab.views.shapes import ErrorView

STATUS: tuple[tuple[type[errors.TrimtabError], int], ...] = (
    (errors.Usage, 400),
    (errors.NotFound, 404),
    (errors.Refused, 409),
    (errors.Conflict, 409),
    (errors.Integrity, 422),
    (errors.Permanent, 500),
    (errors.Unavailable, 503),
    (errors.TimedOut, 504),
)
"""The HTTP status of each family; reading it backwards, 409 means `Refused`."""


def to_json(view: msgspec.Struct) -> bytes:
    """One line of JSON; dict-valued fields in key order, fields in the order of the shape."""
    return msgspec.json.encode(view, order="deterministic")


def error_view(error: errors.TrimtabError) -> ErrorView:
    """The `error` shape."""
    return ErrorView(error.report())
