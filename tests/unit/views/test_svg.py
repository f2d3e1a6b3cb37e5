"""Charts are SVG that a parser accepts, and that say in words what they show."""

from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree

from tests.support.scenes import NAME, NOW, in_canary, verdict

from trimtab.views import svg
from trimtab.views.journal import build_traffic
from trimtab.views.shapes import EvidencePoint, EvidenceSeries, TrafficView
from trimtab.views.status import build_verdict

START = datetime.fromtimestamp(NOW, UTC)
SVG = "{http://www.w3.org/2000/svg}"


def parsed(drawing: str) -> ElementTree.Element:
    return ElementTree.fromstring(drawing)


def test_traffic_has_one_band_for_each_release_and_a_mark_for_a_rollback() -> None:
    system = in_canary()
    system.finish("rolled_back")
    view = build_traffic(system.journal, system.deployment(NAME), NOW + 600)
    root = parsed(svg.traffic(view))
    bands = [band.findtext(f"{SVG}title") for band in root.iter(f"{SVG}polygon")]
    assert bands == ["flight-delay@1", "flight-delay@2"] == [name for _, name in svg.legend(view)]
    assert [line.get("class") for line in root.iter(f"{SVG}line")].count("mark alarm") == 1
    assert "now: flight-delay@1 100 %" in str(root.get("aria-label"))


def test_without_a_release_there_is_no_chart() -> None:
    assert svg.traffic(TrafficView(NAME, (), None)) == ""


def series(*values: float) -> EvidenceSeries:
    points = (
        EvidencePoint(START + timedelta(minutes=place), value, 3.0)
        for place, value in enumerate(values)
    )
    return EvidenceSeries("error <b>", "m@2", "page", tuple(points))


def test_evidence_that_crosses_its_threshold_marks_the_moment() -> None:
    root = parsed(svg.evidence(series(0.0, 1.0, 3.5, 4.0)))
    circles = list(root.iter(f"{SVG}circle"))
    assert len(circles) == 1
    assert "decided 2023-11-14 22:15:20" in str(circles[0].findtext(f"{SVG}title"))
    assert "error <b> of m@2; evidence 4.0 of 3.0" in str(root.get("aria-label"))


def test_evidence_below_its_threshold_marks_nothing() -> None:
    assert list(parsed(svg.evidence(series(0.2))).iter(f"{SVG}circle")) == []
    assert svg.evidence(series()) == ""


def test_an_interval_is_drawn_beside_its_harm_free_zone() -> None:
    root = parsed(svg.interval(build_verdict(verdict(reference=0.02), {})))
    lines = [line.get("class") for line in root.iter(f"{SVG}line")]
    assert lines == ["zone", "zone", "range"]
    assert svg.interval(build_verdict(verdict(lower=None), {})) == ""
    assert "zone" not in svg.interval(build_verdict(verdict(tolerance=None), {}))
