"""Views as JSON: snake_case, RFC 3339, the same bytes for the same view."""

import msgspec

from trimtab.errors import TrimtabError
from trimtab.views.shapes import ErrorView


def to_json(view: msgspec.Struct) -> bytes:
    """One line of JSON; dict-valued fields in key order, fields in the order of the shape."""
    return msgspec.json.encode(view, order="deterministic")


def error_view(error: TrimtabError) -> ErrorView:
    """The `error` shape."""
    return ErrorView(error.report())
