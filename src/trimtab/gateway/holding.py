"""How much of their requests all clients of a gateway may have in it at once.

A body is held from its first byte until its answer is on its way, and one that is compressed is up
to two hundred times smaller on the wire: without a bound for all together, a few megabytes that
are sent over many connections would be all the memory there is.
"""

from trimtab.gateway.faults import Fault

MOST_HELD = 1024 * 1024 * 1024
"""Bytes of bodies in one gateway, without their compression: four lanes full of what may wait."""
SMALL = 64 * 1024
"""Bytes up to which a body is not counted, and never refused for what others send."""


class Holding:
    """Counts the bytes that are here."""

    __slots__ = ("held",)

    def __init__(self) -> None:
        self.held = 0


class Share:
    """What one request has of it, for as long as somebody keeps this."""

    __slots__ = ("_holding", "_size")

    def __init__(self, holding: Holding) -> None:
        self._holding = holding
        self._size = 0

    def become(self, size: int) -> None:
        """Hold `size` bytes from now on; raises a 429 `Fault` where there is no room for more."""
        more = size - self._size
        if more > 0 and self._holding.held + more > MOST_HELD:
            raise Fault(429, "too much of other requests is waiting here", b"Retry-After: 1\r\n")
        self._holding.held += more
        self._size = size

    def __del__(self) -> None:
        self._holding.held -= self._size
