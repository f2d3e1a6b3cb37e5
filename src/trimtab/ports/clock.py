"""Time as an argument of the outside world."""

from typing import Protocol


class Clock(Protocol):
    """The two clocks: `now` for history, `monotonic` for timeouts; both in seconds."""

    def now(self) -> float:
        """Epoch seconds; may jump."""
        ...

    def monotonic(self) -> float:
        """Seconds since an arbitrary point; never goes back."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait on this clock."""
        ...
