"""Callers whose calls take too long by themselves: one that asks for far too much.

A client that sends whole tables, or rows that feature code takes long over, is slow first of all to
itself; then others wait behind it, and all that is seen is a service that is slow. So the time in
the model alone is looked at, of each caller that counts as many, against the others at the same
time: what slows a machine or a dependency down slows all of them.
"""

import numpy as np
from numpy.typing import NDArray

from trimtab.domain.records import Outcome, Rows
from trimtab.judge.signals.prominent import Marked, marked


def heavy(rows: Rows, groups: NDArray[np.int64], seconds: float) -> dict[int, Marked]:
    """Count the rows of each group, and those whose model alone took longer than `seconds`; who
    waits for no answer is never slow. Nothing is counted of rows of a table, which took no time."""
    took = rows.fixed.get("model_seconds")
    if took is None:
        return {}
    slow = took > seconds
    if slow.any():
        slow = slow & rows.has("outcome", Outcome.OK) & rows.prompt
    return marked(rows, groups, slow)
