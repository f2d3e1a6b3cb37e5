"""Other ways to watch columns together, for the benchmark beside ours: none is in the product.

Each sees the columns in the bins in which trimtab pairs them, and is watched by the same e-detector
with the same tolerance. The codes of bins are middles of their ranks, categories by falling share.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from trimtab.domain.profile import ColumnProfile
from trimtab.judge.column_profile import column_profile
from trimtab.judge.signals import columns
from trimtab.judge.signals.counts import Bins
from trimtab.judge.watch import Watch, Zone
from trimtab.stats.boosting import Boosted
from trimtab.stats.confidence import dkw_half_width

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

TOLERANCE = 0.05
TREES, DEPTH, KEPT = 30, 3, 5_000


@dataclass
class Scaled:
    """Codes of the reference's bins as numbers of mean 0 and variance 1."""

    values: list[Floats]

    @classmethod
    def of(cls, reference: Codes, ordered: list[bool]) -> "Scaled":
        """Learn from bins (rows, columns); `ordered` says which columns are numbers."""
        made = []
        for column, rising in zip(reference.T, ordered, strict=True):
            share = np.bincount(column, minlength=column.max() + 1) / column.size
            order = np.arange(share.size) if rising else np.argsort(-share, kind="stable")
            middle = np.empty(share.size)
            middle[order] = np.cumsum(share[order]) - share[order] / 2.0
            middle -= middle @ share
            made.append(middle / np.sqrt(share @ middle**2 + 1e-12))
        return cls(made)

    def __call__(self, codes: Codes) -> Floats:
        """Scale bins; one that the reference never held is its last."""
        pairs = zip(codes.T, self.values, strict=True)
        return np.column_stack([v[np.minimum(c, v.size - 1)] for c, v in pairs])


Block = Callable[[Codes], None]


@dataclass
class Detector:
    """Something that takes blocks and is in alarm or not."""

    watch: Watch
    take: Callable[["Detector", Codes, int], None]
    seen: list[Codes] = field(default_factory=list)

    def block(self, codes: Codes, number: int) -> bool:
        """Take a block in; True while in alarm."""
        self.take(self, codes, number)
        return self.watch.frozen is not None


def fourier(reference: Codes, scaled: Scaled, limit: float, k: int, among: int) -> Detector:
    """`k` random Fourier features, each of `among` columns, as means in [0, 1]."""
    rng = np.random.default_rng(2)
    width = reference.shape[1]
    weights = np.zeros((width, k))
    for feature in range(k):
        chosen = rng.choice(width, min(among, width), replace=False)
        weights[chosen, feature] = rng.normal(size=chosen.size) * 1.5 / np.sqrt(chosen.size / 3.0)
    phase = rng.uniform(0.0, 2.0 * np.pi, k)

    def features(codes: Codes) -> Floats:
        return (1.0 + np.cos(scaled(codes) @ weights + phase)) / 2.0

    band = TOLERANCE + dkw_half_width(len(reference), 0.01)
    usual = features(reference).mean(axis=0)
    zones = tuple(Zone(float(u - band), float(u + band)) for u in usual)

    def take(mine: Detector, codes: Codes, number: int) -> None:
        mine.watch.take(float(number), features(codes).sum(axis=0).tolist(), len(codes))

    return Detector(Watch(zones, None, limit), take)


def reconstruction(reference: Codes, scaled: Scaled, limit: float, kept: float) -> Detector:
    """What the first principal components, that explain `kept` of the variance, leave out."""
    values, vectors = np.linalg.eigh(np.cov(scaled(reference).T))
    order = np.argsort(-values)
    explained = np.cumsum(values[order]) / values.sum()
    left = vectors[:, order[int(np.searchsorted(explained, kept)) + 1 :]]

    def error(codes: Codes) -> Floats:
        return np.asarray(((scaled(codes) @ left) ** 2).sum(axis=1), dtype=np.float64)

    profile: ColumnProfile = column_profile("error", error(reference), None)
    zones = columns.zones(profile, TOLERANCE, dkw_half_width(len(reference), 0.01))

    def take(mine: Detector, codes: Codes, number: int) -> None:
        found = Bins.of(profile, error(codes))
        mine.watch.take(float(number), columns.totals(profile, found), len(codes))

    return Detector(Watch(zones, None, limit), take)


def classifier(reference: Codes, limit: float) -> Detector:
    """Trees fitted to tell the last live rows from the reference, betting on the next block.

    The bet is on the mean of g(live) - g(reference), |g| <= 1/2 (Shekhar & Ramdas 2023); what the
    columns' own distributions give away counts too, so the tolerance is what holds it back.
    """
    half = len(reference) // 2
    fitted, held = reference[:half][:KEPT], reference[half:][:KEPT]
    zone = Zone(None, (1.0 + TOLERANCE) / 2.0)

    def take(mine: Detector, codes: Codes, number: int) -> None:
        if mine.seen:
            live = np.concatenate(mine.seen)[-KEPT:]
            both = np.concatenate([live, fitted])
            told = np.r_[np.ones(len(live)), np.zeros(len(fitted))]
            told += 0.5 - told.mean()
            model = Boosted.fit(both, told, TREES, DEPTH)
            live_g, held_g = (np.clip(model.predict(x) - 0.5, -0.5, 0.5) for x in (codes, held))
            mean = float((1.0 + live_g.mean() - held_g.mean()) / 2.0)
            mine.watch.take(float(number), [mean * len(codes)], len(codes))
        mine.seen = [*mine.seen, codes][-(KEPT // len(codes) + 1) :]

    return Detector(Watch((zone,), None, limit), take)
