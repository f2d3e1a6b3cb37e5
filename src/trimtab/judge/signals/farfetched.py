"""Callers whose rows are far-fetched: possible values that hardly come beside each other.

A client that walks the space of rows, or makes them up, sends what every column may hold. But its
values are beside each other as chance has them, or worse, where those of others go together as on
the reference. Of a row the lifts of all pairs sum up to how much likelier it is beside itself than
by chance (`judge.relations`): in nats below zero, it is a far-fetched one. Some rows always are.
"""

import numpy as np
from numpy.typing import NDArray

from trimtab.domain.profile import MultivariateProfile, ReferenceProfile
from trimtab.domain.records import Rows
from trimtab.judge.relations import lifts, tables
from trimtab.judge.signals.counts import column_of
from trimtab.judge.signals.prominent import Marked, marked


class Lifted:
    """How a release's columns go together; nothing is far-fetched where none do."""

    def __init__(self, profile: ReferenceProfile | None) -> None:
        self._profile = (profile and profile.multivariate) or MultivariateProfile()
        self._tables = tables(self._profile)
        inputs = {} if profile is None else {column.name: column for column in profile.inputs}
        self._inputs = [inputs[column.name] for column in self._profile.columns]

    def count(self, rows: Rows, groups: NDArray[np.int64]) -> dict[int, Marked]:
        """Count the rows of each group, and those that are far-fetched."""
        if not self._tables:
            return {}
        values = {column.name: column_of(rows, column) for column in self._inputs}
        far = np.sum(lifts(self._profile, self._tables, values), axis=0) < 0
        return marked(rows, groups, far)
