"""How often attempts may be repeated, so that a failing release is not given more work for it."""

SHARE = 0.2
"""Of the calls that came, how many may be asked again."""
RESERVE = 512
"""Repetitions that are there at first: what two full batches lose with their workers."""


class RetryBudget:
    """Fills with the calls that come, empties with the repetitions that are allowed."""

    __slots__ = ("_left", "_seen")

    def __init__(self) -> None:
        self._left = float(RESERVE)
        self._seen = 0

    def take(self, came: int) -> bool:
        """Whether one more repetition is allowed after `came` calls since the start."""
        self._left = min(self._left + SHARE * (came - self._seen), RESERVE)
        self._seen = came
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True
