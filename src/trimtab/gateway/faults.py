"""What a client is told when its request is not answered with a prediction."""

from math import ceil


class Fault(Exception):
    """An HTTP error answer: `status`, a text for the client, and extra headers."""

    def __init__(self, status: int, text: str, headers: bytes = b"") -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.headers = headers


def bad(text: str) -> Fault:
    """The request itself is wrong: 400."""
    return Fault(400, text)


def not_found(text: str) -> Fault:
    """The named thing does not exist: 404."""
    return Fault(404, text)


def unavailable(text: str) -> Fault:
    """Nothing can answer now: 503, and the client should come back in a second."""
    return Fault(503, text, b"Retry-After: 1\r\n")


def shed(wait: float = 0.0) -> Fault:
    """There is no room: 429, which says *full* where 503 would say *broken*."""
    return Fault(429, "too many requests are waiting for this release", _retry_after(wait))


def hopeless(wait: float) -> Fault:
    """The deadline cannot be met: 429 at once instead of 504 later. `wait` in seconds."""
    text = f"the deadline cannot be met: about {wait:.3g} s of work are waiting before this request"
    return Fault(429, text, _retry_after(wait))


def late() -> Fault:
    """The deadline passed: 504."""
    return Fault(504, "the deadline passed before the release answered")


def internal(request_id: str) -> Fault:
    """The release failed: 500 with nothing but the id under which the log has the detail."""
    return Fault(500, f"the request failed; its id in the gateway's log is {request_id}")


def _retry_after(wait: float) -> bytes:
    """The header counts whole seconds."""
    return b"Retry-After: %d\r\n" % max(ceil(wait), 1)
