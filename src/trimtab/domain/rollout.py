"""A rollout: one attempt to move a deployment from its stable release to a candidate."""

from typing import Literal

import msgspec

from trimtab.domain.names import Digest

Phase = Literal["preparing", "shadow", "canary", "bake"]
Outcome = Literal["promoted", "rolled_back", "aborted", "superseded"]


class Standing(msgspec.Struct, frozen=True):
    """A release as a deployment refers to it."""

    digest: Digest
    name: str
    number: int


class Rollout(msgspec.Struct, frozen=True, kw_only=True):
    """The rollout in progress. Clocks are seconds on the deployment's clock.

    In `preparing` the candidate's workers start and replay the golden set; in `shadow` they get
    copies of requests; in `canary` the share `weight` (parts per 10,000); in `bake` the candidate
    is already stable and the old release stays resident.
    """

    id: str
    candidate: Standing
    previous: Standing | None
    strategy: str
    phase: Phase
    step: int
    weight: int
    paused: bool
    started_clock: float
    phase_clock: float
