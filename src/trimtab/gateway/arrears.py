"""How far whoever reads the log is behind, and how fast batch work may go on meanwhile.

The controller yields to answers. While batch work fills every processor it would fall behind
without bound, and real-time requests would be judged ever later, a bad candidate among them. So the
batch lane is read at a rate that goes down as long as the log is read too late, and up again when
it is not, as a sender does on a crowded line (Chiu and Jain 1989: multiplicative decrease).
"""

from math import inf

LATE_SECONDS = 5.0
"""Age of what waits to be read of the log from which on batch work slows down."""
DEAD_SECONDS = 120.0
"""For how long nothing must have been read before nobody is thought to: batch work does not wait
for a controller that is not there."""
LESS, MORE = 0.8, 1.25
"""What the rate is multiplied by from look to look."""
LEAST_RATE = 1_000.0
"""Rows a second that batch work may always have."""


class Arrears:
    """The `rate` of the batch lane in rows a second. `look` is called now and again with the `age`
    in seconds of the oldest rows that wait to be read, 0 without any; times are monotonic."""

    def __init__(self, now: float) -> None:
        self.rate = inf
        self.age = 0.0
        self._rows = 0
        self._looked_at = self._next_at = self._read_at = now

    def look(self, age: float, now: float) -> None:
        """Fewer rows while they are read too late and ever later, more when they are not."""
        seconds, rows = now - self._looked_at, self._rows
        if seconds <= 0.0:
            return
        came, grows = rows / seconds, age >= self.age
        if not age or age < self.age + seconds / 2.0:  # what nobody reads is as much older
            self._read_at = now
        self._looked_at, self._rows, self.age = now, 0, age
        if age > LATE_SECONDS and now - self._read_at < DEAD_SECONDS:
            if grows and rows:
                self.rate = max(LEAST_RATE, LESS * min(self.rate, came))
        elif came < self.rate / 2.0:
            self.rate = inf
        else:
            self.rate *= MORE

    def took(self, rows: int, now: float) -> None:
        """A call of the batch lane with so many rows was read."""
        self._rows += rows
        self._next_at = max(self._next_at, now) + rows / self.rate

    def wait(self, now: float) -> float:
        """Seconds until the next one may be."""
        return max(0.0, self._next_at - now)
