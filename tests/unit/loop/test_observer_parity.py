"""What the observer makes of told values: each pair is given to the monitors once."""

from tests.support.request_log import SegmentWriter
from tests.unit.loop.bench import MANIFEST, SPEC, Bench, at, stable

from trimtab.backends.requestlog import FolderRequestLog
from trimtab.domain.state import DeploymentState
from trimtab.domain.telling import Telling


def tell(bench: Bench, **values: float) -> None:
    """Tell what the column x should have been, by request id."""
    told = Telling({"x": list(values.values())}, id=list(values)).checked(MANIFEST.signature, None)
    FolderRequestLog(bench.home).compare("flights", told, 0.0)


def test_monitors_get_told_values_of_what_stable_answered(
    bench: Bench, writer: SegmentWriter
) -> None:
    observer = bench.observer()
    observer.follow(stable(), {})
    writer.rows(at("a", in_x=1.0), at("b", in_x=1.0, release="sha256:bb", mode="canary"))
    tell(bench, a=5.0, b=6.0)
    observer.poll()
    assert bench.tapes.monitors.seen == [("a", 1.0, 5.0)]
    saved = observer.dump()
    tell(bench, a=5.0)
    again = bench.observer(saved)
    again.follow(stable(), {})
    assert again.poll() == 0


def test_what_is_told_while_nothing_serves_is_passed_over(
    bench: Bench, writer: SegmentWriter
) -> None:
    observer = bench.observer()
    observer.follow({"flights": DeploymentState(spec=SPEC)}, {})
    writer.rows(at("a"))
    tell(bench, a=5.0)
    assert observer.poll() == 2
    assert observer.unreadable("flights") == 0
