"""The routing snapshot: the one immutable, versioned document that gateways route from."""

from typing import Literal

import msgspec

from trimtab.domain.names import Digest
from trimtab.domain.signature import Signature

Mode = Literal["stable", "canary", "shadow"]


class Target(msgspec.Struct, frozen=True):
    """A release that may answer: where its workers listen and what it takes."""

    release: Digest
    name: str
    number: int
    signature: Signature
    workers: tuple[str, ...]
    """Paths of worker sockets, relative to the state folder."""
    batch_workers: tuple[str, ...] = ()
    """The same of workers for the batch lane alone."""


class Route(msgspec.Struct, frozen=True):
    """A release's share of a deployment. `weight` is in parts per 10,000; shadow has weight 0."""

    release: Digest
    mode: Mode
    weight: int


class DeploymentRoute(msgspec.Struct, frozen=True):
    """How one deployment is answered. `key` names the business-key column, if labels use one."""

    name: str
    routes: tuple[Route, ...]
    deadline_seconds: float = 10.0
    shadow_ratio: float = 1.0
    key: str | None = None
    rollout: str | None = None
    """Id of the rollout in progress; part of the hash that assigns requests to the canary."""
    asleep: bool = False
    """No worker runs. The places named are those of the workers that will: a request waits for
    them, and the gateway asks for them (docs/wire.md, "A sleeping deployment")."""


class RoutingSnapshot(msgspec.Struct, frozen=True):
    """All routes of an installation. `version` grows with every change; `epoch` is the leader's.

    `releases` are every resident release, also those no route names (a warm rollback target):
    they answer only when a client asks for their version explicitly.
    """

    version: int
    epoch: int
    deployments: tuple[DeploymentRoute, ...]
    releases: tuple[Target, ...]


TOTAL_WEIGHT = 10_000
