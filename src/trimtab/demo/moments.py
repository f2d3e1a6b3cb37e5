"""Moments of event and wall time: epoch seconds inside, RFC 3339 outside."""

from datetime import UTC, datetime


def text_of(seconds: float) -> str:
    """RFC 3339 in UTC, to the second."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def day_of(seconds: float) -> str:
    """The moment as the timeline shows it, e.g. `15 Apr 09:30`, in UTC."""
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment.day:>2} {moment:%b %H:%M}"
