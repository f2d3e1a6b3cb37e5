"""The host's clocks."""

import asyncio
import time


class SystemClock:
    """`ports.Clock` of this machine."""

    def now(self) -> float:
        """See `ports.Clock`."""
        return time.time()

    def monotonic(self) -> float:
        """See `ports.Clock`."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """See `ports.Clock`."""
        await asyncio.sleep(seconds)
