"""What a batch costs: seconds fitted to its rows, learned from the batches of the recent past."""

from math import sqrt

_SURPRISE = 2.0
"""Standard deviations beyond which a batch says no more: a pause is no cost of the model."""
_NOISE = 0.15
"""Spread of one batch's time, as a share of what was expected."""
_DRIFT = 0.04
"""How much either part of the cost may move from batch to batch, as a share of it."""
_SMOOTHING = 0.05
_KNOWN = 8
"""Batches before anything is said about the next one, and of several rows before the time of a lone
row is known to be told into what is fixed and what is a row's."""
_REACH = 4
"""Up to this multiple of the largest batch seen, the line is believed."""
_OFTEN = 64
"""Batches that are all learned from; after them every fourth is, which costs less."""
_SHORTEST = 1e-6


class Line:
    """`base + slope * rows` seconds, both never negative, followed from batch to batch.

    A Kalman filter of the two numbers, whose noise and drift are shares of what is expected. Sizes
    that are not seen for a while keep what was known of them, where a regression over a window
    would forget it.
    """

    __slots__ = ("_cross", "_largest", "_of_base", "_of_slope", "base", "slope")

    def __init__(self) -> None:
        self.base = self.slope = 0.0
        self._of_base = self._of_slope = self._cross = 0.0
        self._largest = 1

    def at(self, rows: float) -> float:
        """Seconds for `rows`."""
        return self.base + self.slope * rows

    def learn(self, rows: int, seconds: float) -> None:
        """Take in one batch of at least one row."""
        if not self._of_base:
            self._begin(rows, seconds)
        self._largest = max(self._largest, rows)
        expected = max(self.base + self.slope * rows, _SHORTEST)
        floor = 0.1 * expected
        of_base = self._of_base + (_DRIFT * max(self.base, floor)) ** 2
        of_slope = self._of_slope + (_DRIFT * max(self.slope, floor / self._largest)) ** 2
        to_base, to_slope = of_base + self._cross * rows, self._cross + of_slope * rows
        total = to_base + to_slope * rows + (_NOISE * expected) ** 2
        most = _SURPRISE * sqrt(total)
        surprise = min(max(seconds - expected, -most), most)
        self.base = max(self.base + to_base / total * surprise, 0.0)
        self.slope = max(self.slope + to_slope / total * surprise, 0.0)
        self._of_base = of_base - to_base * to_base / total
        self._of_slope = of_slope - to_slope * to_slope / total
        self._cross -= to_base * to_slope / total

    def _begin(self, rows: int, seconds: float) -> None:
        """Half of the first batch's time is taken to be fixed, with much doubt."""
        seconds = max(seconds, _SHORTEST)
        self.base, self.slope = seconds / 2, seconds / 2 / rows
        self._of_base, self._of_slope = seconds**2, (seconds / rows) ** 2


class Cost:
    """The cost of batches of one release: in the worker, and on the way there and back.

    `known` tells whether enough batches were seen to say anything, `divided` whether enough of them
    had several rows: lone rows alone do not show what a second one would add.
    """

    __slots__ = (
        "_batches",
        "_largest",
        "_overhead",
        "_single",
        "_together",
        "_work",
        "divided",
        "known",
    )

    def __init__(self) -> None:
        self._work = Line()
        self._overhead = 0.0
        self._batches = self._together = 0
        self._largest = 1
        self._single = 0.0
        self.known = self.divided = False

    @property
    def fixed(self) -> float:
        """Seconds in the worker that a batch takes whatever it holds."""
        return self._work.base

    def learn(self, rows: int, work: float, trip: float) -> None:
        """Take in a batch: seconds in features and model, and from sending to the answer."""
        self._batches += 1
        self.known = self._batches >= _KNOWN
        if rows > self._largest:
            self._largest = rows
        elif self._batches > _OFTEN and self._batches & 3:
            return
        if rows > 1:
            self._together += 1
            self.divided = self._together >= _KNOWN
        self._work.learn(rows, work)
        share = max(_SMOOTHING, 1 / self._batches)
        most = 4 * self._overhead if self.known else trip
        self._overhead += share * (min(max(trip - work, 0.0), most) - self._overhead)
        self._single = self._work.at(1) + self._overhead

    def without_batching(self, requests: int, rows: int) -> float:
        """What requests would take if each were sent alone: a bound that is quickly told."""
        return requests * self._single + rows * self._work.slope

    def seconds(self, rows: float) -> float:
        """From sending a batch to its answer; 0 while nothing is known.

        Nothing is claimed of sizes far beyond those seen: they are taken to cost no more.
        """
        if not self.known:
            return 0.0
        return self._work.at(min(rows, self._largest * _REACH)) + self._overhead

    def rows_within(self, work: float) -> int:
        """How many rows a worker does in `work` seconds, at least 1; no unheard-of size."""
        line = self._work
        reach = self._largest * _REACH
        if line.at(reach) <= work:
            return reach
        return max(int((work - line.base) / line.slope), 1) if line.slope else reach
