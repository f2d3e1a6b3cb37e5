"""What the controller has to tell a monitoring system, left for the gateways to show.

Prometheus asks the gateways, which answer without asking anybody. A controller that is gone leaves
nothing new, and after a while the gateways show nothing of it: an alert can tell that as well.
"""

import contextlib
from pathlib import Path

import msgspec

from trimtab.domain import layout, telemetry
from trimtab.domain.counts import Count, Sample
from trimtab.domain.state import SystemState

EVERY_SECONDS = 5.0
STALE_AFTER = 6
"""Counts that may be missed, by a loop that waits for a processor, before they mean nothing."""
TIERS = ("page", "ticket", "note")


def told(state: SystemState) -> Count:
    """Open incidents of each deployment by tier, also where there are none."""
    samples: list[Sample] = [
        ((name, tier), float(sum(incident.tier == tier for incident in each.incidents)))
        for name, each in state.deployments.items()
        for tier in TIERS
    ]
    gauges = {telemetry.INCIDENTS.name: samples}
    return Count({}, {}, gauges, EVERY_SECONDS * STALE_AFTER)


def leave(count: Count) -> None:
    """Write into the state folder, the working directory; a disk that refuses costs this count."""
    path = Path(layout.CONTROLLER_COUNT)
    unfinished = path.with_suffix(".tmp")
    with contextlib.suppress(OSError):
        unfinished.write_bytes(msgspec.msgpack.encode(count))
        unfinished.replace(path)
