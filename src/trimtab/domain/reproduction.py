"""What `reproduce` found out about a release."""

from typing import Literal

import msgspec

Integrity = Literal["ok", "tampered", "missing"]
EnvironmentMatch = Literal["identical", "equivalent", "drifted", "unbuildable"]
Behaviour = Literal["bit_identical", "within_tolerance", "divergent", "not_run"]


class Reproduction(msgspec.Struct, frozen=True, kw_only=True):
    """The three questions, in order; a later one is not asked when an earlier one fails.

    `integrity`: are these the released bytes? `environment`: does the lock still build to the
    same files? `behaviour`: are the golden outputs the same? `max_difference` is the largest
    absolute difference seen, `tolerance` the one learned at build. `problems` says what differed.
    """

    release: str
    integrity: Integrity
    environment: EnvironmentMatch | None = None
    behaviour: Behaviour = "not_run"
    max_difference: float | None = None
    tolerance: float | None = None
    retrain: str | None = None
    problems: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether the release was reproduced."""
        return self.behaviour in {"bit_identical", "within_tolerance"}
