"""Counts of processes name releases as people do."""

from trimtab.domain import telemetry
from trimtab.domain.counts import Count


def test_releases_are_called_by_their_names_where_these_are_known() -> None:
    name = telemetry.WORKER_CPU.name
    count = Count(
        {name: [(("sha256:a", "a-0"), 1.5), (("sha256:b", "b-0"), 2)]},
        {telemetry.DURATION.name: [(("d", "sha256:a", "realtime", "total"), ([1], 0.5))]},
        {telemetry.GPU_BUSY.name: [(("sha256:a",), 0.5)]},
        7.0,
        9.0,
    )
    assert count.with_names({"sha256:a": "m@1"}) == Count(
        {name: [(("m@1", "a-0"), 1.5), (("sha256:b", "b-0"), 2)]},
        {telemetry.DURATION.name: [(("d", "m@1", "realtime", "total"), ([1], 0.5))]},
        {telemetry.GPU_BUSY.name: [(("sha256:a",), 0.5)]},
        7.0,
        9.0,
    )
