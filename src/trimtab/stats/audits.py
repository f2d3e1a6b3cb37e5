"""An audit by chance: a mean of all rows from labels of few, with an interval valid at any time.

Each row is audited with a known chance ``rate``, whatever its outcome. With a predicted loss f of
every row, ``Z = f + audited (Y - f) / rate`` has the conditional mean of Y, however good f is; the
better f, the less Z varies. Z lies in an interval of width ``2 / rate - 1``, so the
empirical-Bernstein mixture of :mod:`trimtab.stats.sequences` covers its running mean at all times
at once.

Sources: Angelopoulos, Bates, Fannjiang, Jordan & Zrnic, Prediction-powered inference, Science 2023;
Zrnic & Candès, Active statistical inference, ICML 2024 (known chances of being labelled); Howard,
Ramdas, McAuliffe & Sekhon, arXiv 1810.08240, theorem 4.
"""

from dataclasses import dataclass

from trimtab.stats.logspace import FloatArray
from trimtab.stats.sequences import Interval, deviation


@dataclass(frozen=True, slots=True)
class AuditedCells:
    """Counts per cell (C,) of rows with the same predicted loss, and what the audited ones lost.

    ``rows`` are all rows, ``audited`` those of them whose label is known by the audit, ``lost`` and
    ``squares`` the sums of their losses in [0, 1] and of the squares; ``predicted`` is the
    predicted loss in [0, 1], known before any label.
    """

    predicted: FloatArray
    rows: FloatArray
    audited: FloatArray
    lost: FloatArray
    squares: FloatArray

    def sums(self, rate: float) -> tuple[float, float, float]:
        """Return the rows, and the sums of Z and of its squares, at a chance of ``rate``."""
        f, k = self.predicted, self.audited
        over, over_squared = self.lost - k * f, self.squares - 2.0 * f * self.lost + k * f**2
        total = float((self.rows * f + over / rate).sum())
        squares = self.rows * f**2 + 2.0 * f * over / rate + over_squared / rate**2
        return float(self.rows.sum()), total, float(squares.sum())


@dataclass(slots=True)
class AuditSequence:
    """Interval for the running mean loss of all rows; its state is three numbers.

    ``least`` is the smallest chance of an audit that any block may have, ``centre`` a guess at the
    mean, made beforehand: the better it is, the narrower the interval; any is valid.

    >>> import numpy as np
    >>> seen = AuditSequence(least=0.1, centre=0.15)
    >>> block = map(np.array, ([0.1, 0.6], [9000, 1000], [900, 100], [90.0, 60.0], [90.0, 60.0]))
    >>> seen.update(AuditedCells(*block), 0.1)
    >>> round(seen.estimate or 0.0, 4), [round(end, 3) for end in seen.interval()]
    (0.15, [0.105, 0.195])
    """

    least: float
    centre: float
    rows: float = 0.0
    total: float = 0.0
    spread: float = 0.0

    def __post_init__(self) -> None:
        """Raise ``ValueError`` unless 0 < least <= 1 and the centre is in [0, 1]."""
        if not (0.0 < self.least <= 1.0 and 0.0 <= self.centre <= 1.0):
            raise ValueError(f"need chances, not least={self.least!r}, centre={self.centre!r}")

    def update(self, cells: AuditedCells, rate: float) -> None:
        """Take in a block that was audited with a chance of ``rate``.

        ``ValueError`` unless least <= rate <= 1.
        """
        if not self.least <= rate <= 1.0:
            raise ValueError(f"need {self.least} <= rate <= 1, not {rate!r}")
        rows, total, squares = cells.sums(rate)
        # The given centre weighs as one row, so that the first rows do not throw it far off.
        before = (self.centre + self.total) / (1.0 + self.rows)
        centre = min(max(before, 0.0), 1.0)
        self.spread += max(squares - 2.0 * centre * total + rows * centre**2, 0.0)
        self.rows += rows
        self.total += total

    @property
    def estimate(self) -> float | None:
        """The mean, ``None`` without rows; chance may put it outside [0, 1]."""
        return self.total / self.rows if self.rows else None

    def interval(self, alpha: float = 0.05) -> Interval:
        """The interval at all times at once; (0, 1) without rows."""
        if not self.rows:
            return Interval(0.0, 1.0)
        width = 2.0 / self.least - 1.0
        half = width * deviation(self.spread / width**2, alpha / 2.0) / self.rows
        mean = self.total / self.rows
        return Interval(min(max(mean - half, 0.0), 1.0), max(min(mean + half, 1.0), 0.0))
