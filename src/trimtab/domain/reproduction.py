"""What `reproduce` found out about a release."""

from typing import Literal

import msgspec

Integrity = Literal["ok", "tampered", "missing"]
EnvironmentMatch = Literal["identical", "equivalent", "drifted", "unbuildable"]
Behaviour = Literal["bit_identical", "within_tolerance", "divergent", "not_run"]


class Replay(msgspec.Struct, frozen=True):
    """The golden set replayed by one engine of the release; `native` is the model itself.

    `max_difference` is None when the engine could not answer."""

    engine: str
    behaviour: Literal["bit_identical", "within_tolerance", "divergent"]
    max_difference: float | None
    tolerance: float


class Reproduction(msgspec.Struct, frozen=True, kw_only=True):
    """The three questions, in order; a later one is not asked when an earlier one fails.

    `integrity`: are these the released bytes? `environment`: does the lock still build to the
    same files? `behaviour`: are the golden outputs the same? It is the worst of all `engines`;
    `max_difference` is the largest absolute difference seen by the one that serves, `tolerance`
    what counts as the same for it. `problems` says what differed.
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
    engines: tuple[Replay, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the release was reproduced."""
        return self.behaviour in {"bit_identical", "within_tolerance"}
