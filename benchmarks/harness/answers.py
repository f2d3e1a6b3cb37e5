"""Judging answers: every one by status and number of outputs, a sample by its values."""

from collections.abc import Callable

from harness.dialects import DIALECTS
from harness.load import Load

SAMPLED = 97
"""Every so manieth answer is kept and decoded after the run."""

TOLERANCE = 1e-6
KEPT = 2_000


class Judge:
    """Holds the shape of a right answer, and the sample.

    The first answer of a run is decoded and compared in full; later ones must have its shape: a
    number that a dialect reads off an answer's bytes for the price of one scan.
    """

    def __init__(self, load: Load) -> None:
        dialect = DIALECTS[load.dialect]
        self._decode = dialect.decode
        self._shape: Callable[[bytes], int] = dialect.shape
        self._expected = load.expected
        self._right: int | None = None
        self._sample: list[tuple[int, bytes]] = []
        self._seen = 0
        self.problems: list[str] = []

    def outcome(self, number: int, status: str, answer: bytes) -> str:
        """`200` for a right answer, `wrong` for another 200, otherwise the status."""
        if status != "200":
            if len(self.problems) < 3:
                self.problems.append(f"{status}: {answer[-300:]!r}")
            return status
        if self._right is None:
            if not self._equal(number, answer):
                return "wrong"
            self._right = self._shape(answer)
        elif self._shape(answer) != self._right:
            self.problems.append(f"another shape: {answer[-300:]!r}")
            return "wrong"
        self._seen += 1
        if self._seen % SAMPLED == 0 and len(self._sample) < KEPT:
            self._sample.append((number, answer))
        return "200"

    def wrong_in_sample(self) -> int:
        """How many of the kept answers hold other values than the model gives."""
        return sum(not self._equal(number, answer) for number, answer in self._sample)

    def _equal(self, number: int, answer: bytes) -> bool:
        expected = self._expected[number]
        try:
            found = self._decode(answer)
        except Exception as error:  # whatever an unknown server sent, it is a wrong answer
            self.problems.append(f"not decoded ({error!r}): {answer[-300:]!r}")
            return False
        if len(found) == len(expected) and all(
            abs(a - b) <= TOLERANCE for a, b in zip(found, expected, strict=True)
        ):
            return True
        self.problems.append(f"expected {expected[:2]} of {len(expected)}, got {found[:2]}")
        return False
