"""Whether labels still belong to their rows.

Labels that were joined to other requests are as often positive as ever, and know nothing of the
rows that they are at: whatever chances tell apart is lost for that share of them, among the surest
rows as among the others. So does a world whose answers turn around at random, but that moves the
share of positives towards a half.
"""

import math

import msgspec
import numpy as np

from trimtab.domain.records import Floats

LOST = 0.5
"""A share of what scores tell below which a world that changed is not the first thought."""

OPPOSED = 0.75
"""Share of the labels that say the opposite, from which on they are at fault."""

UNMOVED = 0.02
"""Share of positives that may move while as many are positive as ever."""

SURE = 2.0
"""Standard errors that a share may be off by."""


class Tie(msgspec.Struct, frozen=True):
    """How `n` labels go with the chances that their rows were given: how many were `promised` to be
    positive and how many `came`, and, of what chances differ from their mean by, the sum of squares
    (`spread`) and of products with the labels (`joint`). Chances are on the one side of a half or
    on the other: `sure` is how far, twice, all together, and `turned` by how much labels are nearer
    to the other side than was promised, which is as much where all say the opposite."""

    n: int = 0
    promised: float = 0.0
    came: float = 0.0
    spread: float = 0.0
    joint: float = 0.0
    sure: float = 0.0
    turned: float = 0.0

    @classmethod
    def of(cls, chance: Floats, rows: Floats, hits: Floats) -> "Tie":
        """Labels by cell."""
        n, promised = float(rows.sum()), float(rows @ chance)
        apart, side = chance - promised / n, np.sign(1.0 - 2.0 * chance)
        return cls(
            int(n),
            promised,
            float(hits.sum()),
            float(rows @ apart**2),
            float(hits @ apart),
            float(rows @ np.abs(1.0 - 2.0 * chance)),
            float((hits - rows * chance) @ side),
        )

    def merge(self, other: "Tie") -> "Tie":
        """Both; what blocks differ by as wholes is left out."""
        return Tie(
            self.n + other.n,
            self.promised + other.promised,
            self.came + other.came,
            self.spread + other.spread,
            self.joint + other.joint,
            self.sure + other.sure,
            self.turned + other.turned,
        )

    @property
    def kept(self) -> float:
        """How much of the difference that chances make is found in the labels: 1 as it should be, 0
        where labels know nothing of their rows. NaN where chances make none."""
        return self.joint / self.spread if self.spread > 0.0 else math.nan

    @property
    def loose(self) -> bool:
        """Whether more than half of that is lost, and yet as many labels are positive as ever."""
        if not (0.0 < self.came < self.n and self.spread > 0.0):
            return False
        kept = self.kept + SURE * self._error
        return kept <= LOST and self._moved <= self._unsure + UNMOVED

    @property
    def dealt(self) -> bool:
        """Whether labels went to other rows than they are of, since labels that turned around, with
        the same loss, would have changed how many are positive.

        Of labels dealt at random a share that is as positive as all is unrelated to its rows; of
        labels that turn around twice as few do it, and positives come nearer to a half.
        """
        turned = (1.0 - self.kept) / 2.0 * abs(1.0 - 2.0 * self.promised / max(self.n, 1))
        return self.loose and self._moved + self._unsure <= turned / 2.0

    @property
    def opposed(self) -> bool:
        """Whether labels say the opposite of what is known of their rows, nearly all of them: what
        they mean was turned around, since hardly a world makes a model worse than its opposite.

        Labels go against chances then. A part in which answers turn around may do that, if most of
        what chances differ by is in it, but it is no larger than it is; and where far more labels
        are positive than were, they still go with chances.
        """
        if not (0.0 < self.came < self.n and self.spread > 0.0 and self.sure > 0.0):
            return False
        error = math.sqrt(self.n * self._share * (1.0 - self._share)) / self.sure
        against = self.kept + SURE * self._error <= 0.0
        return against and self.turned / self.sure - SURE * error >= OPPOSED

    @property
    def _error(self) -> float:
        return math.sqrt(self._share * (1.0 - self._share) / self.spread)

    @property
    def _share(self) -> float:
        return self.came / self.n

    @property
    def _moved(self) -> float:
        return abs(self.came - self.promised) / self.n

    @property
    def _unsure(self) -> float:
        return SURE * math.sqrt(self._share * (1.0 - self._share) / self.n)

    @property
    def opposite(self) -> str:
        """What is said of labels that are opposed."""
        return (
            f"{self.turned / self.sure:.0%} of the labels say the opposite of what scores tell, "
            f"and {self._share:.1%} are positive where {self.promised / self.n:.1%} were expected"
        )

    def __str__(self) -> str:
        return (
            f"scores tell {max(self.kept, 0.0):.0%} of what they told of the labels, "
            f"{self._share:.1%} of which are positive, as ever ({self.promised / self.n:.1%})"
        )
