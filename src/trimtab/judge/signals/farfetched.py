"""Callers whose rows are far-fetched: possible values that hardly come beside each other.

A client that walks the space of rows, or makes them up, sends what every column may hold. But its
values are beside each other as chance has them, or worse, where those of others go together as on
the reference. Of a row the lifts of all pairs sum up to how much likelier it is beside itself than
by chance (`judge.relations`): in nats below zero, it is a far-fetched one. Some rows always are.
"""

from collections.abc import Mapping

import msgspec
import numpy as np
from numpy.typing import NDArray

from trimtab.domain.profile import MultivariateProfile, ReferenceProfile
from trimtab.domain.records import Rows
from trimtab.judge.relations import lifts, tables
from trimtab.judge.signals.counts import Tally, column_of
from trimtab.judge.signals.prominent import Prominent


class Fetched(msgspec.Struct, frozen=True, gc=False):
    """Rows of a group of callers, those that are far-fetched, and the first of their ids by the
    alphabet; empty where none is."""

    rows: Tally = Tally()
    sample: str = ""

    def merge(self, other: "Fetched") -> "Fetched":
        """The counts of both."""
        samples = [each for each in (self.sample, other.sample) if each]
        return Fetched(self.rows.merge(other.rows), min(samples, default=""))


class Lifted:
    """How a release's columns go together; nothing is far-fetched where none do."""

    def __init__(self, profile: ReferenceProfile | None) -> None:
        self._profile = (profile and profile.multivariate) or MultivariateProfile()
        self._tables = tables(self._profile)
        inputs = {} if profile is None else {column.name: column for column in profile.inputs}
        self._inputs = [inputs[column.name] for column in self._profile.columns]

    def count(self, rows: Rows, groups: NDArray[np.int64]) -> dict[int, Fetched]:
        """Count the rows of each group, and those that are far-fetched."""
        if not self._tables:
            return {}
        values = {column.name: column_of(rows, column) for column in self._inputs}
        far = np.sum(lifts(self._profile, self._tables, values), axis=0) < 0
        names = rows.fixed["request_id"]
        found = {}
        for group in np.unique(groups).tolist():
            mine = groups == group
            sample = min(names[mine & far].tolist(), default="")
            found[group] = Fetched(Tally.of(far[mine]), sample)
        return found


class FarFetched(Prominent):
    """How much of the rows of each group is far-fetched; samples are such requests."""

    def take(self, start: float, came: Mapping[int, Fetched], log10_threshold: float) -> None:
        """Take in the block that began at `start`."""
        if not came:
            return
        hits, total = (
            sum(getattr(each.rows, key) for each in came.values()) for key in ("hits", "n")
        )

        def shares(group: int) -> tuple[float, float]:
            mine = came[group].rows
            return mine.hits / mine.n, (hits - mine.hits) / (total - mine.n)

        sizes = {group: each.rows.n for group, each in came.items()}
        self.settle(start, sizes, shares, log10_threshold)
        told = {group: came[group].sample for group in self.broken if group in came}
        self.samples = {group: told.get(group) or self.samples[group] for group in self.broken}
