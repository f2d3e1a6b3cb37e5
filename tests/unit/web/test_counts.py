"""What the controller leaves for a monitoring system."""

from pathlib import Path

import msgspec
import pytest
from tests.support.scenes import NAME, incident, serving

from trimtab.domain import events as e
from trimtab.domain import layout
from trimtab.domain.counts import Count
from trimtab.domain.telemetry import INCIDENTS
from trimtab.web import counts


def test_open_incidents_are_counted_by_tier_and_none_is_told_as_none() -> None:
    system = serving()
    system.tell(e.IncidentOpened(incident(tier="ticket")))
    told = counts.told(system.seen().state)
    assert dict(told.gauges[INCIDENTS.name]) == {
        (NAME, "page"): 0.0,
        (NAME, "ticket"): 1.0,
        (NAME, "note"): 0.0,
    }
    assert told.lasts > 2 * counts.EVERY_SECONDS


def test_a_count_lies_where_gateways_read_it_unless_the_disk_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    left = counts.told(serving().seen().state)
    counts.leave(left)
    assert list(tmp_path.iterdir()) == []
    Path("run").mkdir()
    counts.leave(left)
    written = Path(layout.CONTROLLER_COUNT).read_bytes()
    assert msgspec.msgpack.decode(written, type=Count) == left
