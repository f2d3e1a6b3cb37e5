"""The golden set replayed in place: is the model that serves still the one that was verified?

It is asked a few rows at a time, between requests and never before one that waits, so that the
replay costs requests no more than a part of batch work does.
"""

from collections.abc import Callable, Iterator

from . import golden
from .failures import Refusal
from .frames import Tensor
from .model import Model
from .watchdog import patience

ROWS = 8
"""Rows that are asked at a time."""

PAUSE_SECONDS = 0.02
"""Between two parts, so that a whole replay is no burst."""

HANGS_SECONDS = 60.0
"""A part that takes so long ends the worker, as a request that hangs does."""


class Replay:
    """Replays every `every` seconds, 0 for never. `difference` and `failure` are the last result.

    `clock` tells monotonic seconds.
    """

    def __init__(
        self, model: Model, difference: float | None, every: float, clock: Callable[[], float]
    ) -> None:
        self.difference = difference
        self.failure = ""
        self._model = model
        self._every = every if model.config.golden is not None else 0.0
        self._clock = clock
        self._at = clock() + self._every
        self._round: Iterator[None] | None = None

    def wait(self) -> float | None:
        """Seconds until there is something to do; None for never."""
        return max(0.0, self._at - self._clock()) if self._every > 0.0 else None

    def step(self) -> None:
        """Ask the next rows, if it is time; after the last ones the outputs are compared."""
        if self.wait() != 0.0:
            return
        self._at = self._clock() + PAUSE_SECONDS
        if self._round is None:
            self._round = self._rounds()
        try:
            with patience(HANGS_SECONDS):
                next(self._round)
        except StopIteration:
            self._over("")
        except Refusal as refusal:
            self.difference = refusal.difference
            self._over(str(refusal))

    def _over(self, failure: str) -> None:
        self.failure = failure
        self._round = None
        self._at = self._clock() + self._every

    def _rounds(self) -> Iterator[None]:
        """One replay, a part for each step."""
        stored = self._model.config.golden
        assert stored is not None
        parts: list[list[Tensor]] = []
        with golden.replaying(self._model):
            kept = golden.read(stored.path)
            for inputs, rows in golden.batches(kept, ROWS):
                parts.append(self._model.predict(inputs, rows).outputs)
                yield
            got = golden.joined(parts)
        signature, tolerance = self._model.config.signature, stored.tolerance
        result = golden.compare(kept.outputs, got, signature, tolerance)
        self.difference = golden.settled(self._model, result)
