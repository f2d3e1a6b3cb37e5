"""Pages hold what they must, well formed and escaped, and say their command and their twin."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest
from tests.support.browser import Browser
from tests.support.scenes import (
    NAME,
    NOW,
    PLACE,
    SEEN,
    SPEC,
    MemorySystem,
    configured,
    in_canary,
    incident,
    loaded,
    serving,
)

from trimtab.domain import events as e
from trimtab.views.status import build_status
from trimtab.web.live import Live
from trimtab.web.pages import STATIC, Button, buttons, fragment, static_file
from trimtab.web.stream import event
from trimtab.web.trace import MOST_POINTS, Trace

VOID = {"meta", "link", "img", "br", "hr", "input"}


class Page(HTMLParser):
    """Collects text, ids and attributes, and fails on a tag that is not closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""
        self.ids: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += attrs
        self.ids += [value for name, value in attrs if name == "id" and value]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


def troubled() -> MemorySystem:
    system = in_canary()
    system.tell(e.IncidentOpened(incident()), reason="temp <b>at</b> JFK")
    return system


@pytest.mark.parametrize("path", ["/", "/deployments/flight-delay"])
@pytest.mark.parametrize("scene", [configured, serving, in_canary, troubled, MemorySystem])
def test_pages_are_well_formed_in_every_scene(path: str, scene: Callable[[], MemorySystem]) -> None:
    page = Page(Browser(scene()).get(path).text)
    assert len(page.ids) == len(set(page.ids))
    names = {name for name, _ in page.attributes}
    assert not {name for name in names if name == "style" or name.startswith("on")}


def test_the_page_of_a_deployment_says_how_to_see_older_incidents() -> None:
    system = in_canary()
    assert "Older ones" not in Browser(system).get("/deployments/flight-delay").text
    for number in range(1, 10):
        system.tell(e.IncidentOpened(incident(number)))
        system.tell(e.IncidentClosed(f"flight-delay-i{number}", NOW))
    page = Browser(system).get("/deployments/flight-delay").text
    opened = [entry.seq for entry in system.journal if isinstance(entry.event, e.IncidentOpened)]
    assert f"trimtab why flight-delay --before {opened[-8]}" in page


def test_the_page_of_a_deployment_shows_why_not_yet_and_how_to_act() -> None:
    page = Page(Browser(troubled()).get("/deployments/flight-delay").text)
    for part in (
        "Why not yet:",
        "about 2 400 more requests",
        "degraded",
        "flight-delay@2",
        "upstream break",
        "ruled out: the change is a jump at one origin",
        "values <never> seen & in other units",
        "trimtab status flight-delay",
        "rollout of flight-delay@2 started (canary)",
        "Promote",
    ):
        assert part in page.text
    assert ("href", "/deployments/flight-delay.json") in page.attributes


def test_verdicts_are_told_the_loudest_first_and_good_ones_that_page_nobody_folded() -> None:
    system = in_canary()
    quality, column = system.verdicts[NAME]
    drifted = msgspec.structs.replace(column, signal="prediction", scope={}, verdict="bad")
    calm = msgspec.structs.replace(quality, signal="calibration", tier="note")
    system.verdicts[NAME] = (quality, column, drifted, calm)
    html = Browser(system).get(f"/deployments/{NAME}").text
    section = html.split('id="region-verdicts"')[1].split("</section>")[0]
    loud, folded = section.split('<details id="verdicts-ok">')
    assert loud.index("1 bad") < loud.index("prediction") < loud.index("1 ok of those that page")
    assert "quality" in loud
    assert "calibration" not in loud
    folded, unknown = folded.split("</details>")
    assert "1 more ok" in folded
    assert "3 unknown" in unknown
    assert "latency of flight-delay@2" in unknown


def test_the_overview_has_one_row_for_each_deployment_and_open_incidents_on_top() -> None:
    text = Page(Browser(troubled()).get("/").text).text
    assert text.index("1 open incident") < text.index("12,408")
    assert "trimtab status" in text


def test_an_incident_shows_requests_their_share_and_the_segment() -> None:
    system = serving()
    system.tell(e.IncidentOpened(incident(shown=(SEEN,), concentration=PLACE)))
    page = Browser(system).get(f"/deployments/{NAME}").text
    assert "req-&lt;7&gt; (missing)" in page
    text = Page(page).text
    assert "39 % of 1,200 rows" in text
    assert "of the excess lies in origin 'JFK'" in text


def test_an_empty_system_teaches_the_first_commands() -> None:
    text = Page(Browser(MemorySystem()).get("/").text).text
    assert "No deployment yet" in text
    assert "trimtab build my-model" in text


def test_a_quiet_system_says_so() -> None:
    system = serving()
    assert "No incident so far" in Browser(system).get("/").text
    system.tell(e.IncidentOpened(incident()))
    system.tell(e.IncidentClosed("flight-delay-i1", NOW))
    assert "The last one, flight-delay-i1, closed" in Browser(system).get("/").text


@pytest.mark.parametrize("path", ["/index.json", "/deployments/flight-delay.json"])
def test_every_page_has_a_twin_in_json(path: str) -> None:
    assert Browser(serving()).get(path).json()["deployments"][0]["name"] == NAME


def test_an_unknown_deployment_is_a_page_that_leads_back() -> None:
    answer = Browser(serving()).get("/deployments/<other>")
    assert answer.status_code == 404
    assert "&lt;other&gt;" in answer.text
    Page(answer.text)


@pytest.mark.parametrize("name", STATIC)
def test_what_pages_load_is_served_from_here(name: str) -> None:
    answer = Browser(serving()).get(f"/static/{name}")
    assert answer.headers["content-type"].startswith(STATIC[name])
    assert b"http://" not in static_file(name).replace(b"http://www.w3.org/2000/svg", b"")
    assert len(static_file(name)) < 25_000


def test_no_other_file_is_served() -> None:
    api = Browser(serving())
    assert api.get("/static/server.py").status_code == 404
    assert api.get("/static/..%2Fserver.py").status_code == 404


def test_buttons_say_what_will_follow() -> None:
    system = in_canary()
    names = {button.label: button for button in buttons_of(system)}
    assert set(names) == {"Promote", "Pause", "Abort", "Retrain"}
    assert "flight-delay@1 keeps serving" in names["Abort"].consequence
    system.tell(e.RolloutPaused("r2"))
    assert "Resume" in {button.label for button in buttons_of(system)}
    system.tell(e.RolloutAdvanced("r2", "bake", 0, 10_000, NOW))
    assert "Roll back" in {button.label for button in buttons_of(system)}
    assert buttons_of(configured()) == ()


def buttons_of(system: MemorySystem) -> tuple[Button, ...]:
    return buttons(build_status(system.seen()).deployments[0])


def test_a_loop_that_stopped_looking_is_said_on_the_page(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    system = serving()
    seen = replace(system.seen(), observed_at=NOW - 600)
    monkeypatch.setattr(system, "seen", lambda: seen)
    assert "control loop last looked" in fragment(Live(system, system), "/deployments/flight-delay")


def test_an_event_keeps_the_lines_of_its_text() -> None:
    assert event("page", "<p>\n</p>") == "event: page\ndata: <p>\ndata: </p>\n\n"


def test_a_carriage_return_in_a_value_begins_no_field_and_ends_no_event() -> None:
    told = event("page", "<p>\revent: failure\r\rdata: x\r\n</p>")
    lines = ("<p>", "event: failure", "", "data: x", "</p>")
    assert told == "event: page\n" + "".join(f"data: {line}\n" for line in lines) + "\n"


def test_no_evidence_is_drawn_before_the_first_event() -> None:
    system, trace = in_canary(), Trace()
    system.tell(e.SpecApplied(msgspec.structs.replace(SPEC, clock="event")))
    trace.sample(replace(system.seen(), clocks={}))
    assert trace.view(NAME).series == ()
    trace.sample(system.seen())
    assert {point.at.timestamp() for line in trace.view(NAME).series for point in line.points} == {
        NOW
    }


def test_evidence_that_nobody_judges_any_more_comes_after_what_is_judged() -> None:
    system, trace = in_canary(), Trace()
    quality, column = system.verdicts[NAME]
    broken = msgspec.structs.replace(column, signal="upstream", evidence_log10=9.0)
    system.verdicts[NAME] = (quality, broken)
    trace.sample(system.seen())
    assert trace.view(NAME).series[0].signal.startswith("upstream")
    system.verdicts[NAME] = (quality,)
    system.now += 1
    trace.sample(system.seen())
    assert trace.view(NAME).series[-1].signal.startswith("upstream")


def test_a_trace_stays_small_and_keeps_its_newest_point() -> None:
    system, trace = in_canary(), Trace()
    for number in range(3 * MOST_POINTS):
        system.now += 1
        report = system.guards[NAME]
        first = report.verdicts[0]
        told = msgspec.structs.replace(first, evidence_log10=float(number % 7))
        system.guards[NAME] = type(report)("ok", "unknown", (told,))
        trace.sample(system.seen())
    series = {line.signal: line for line in trace.view(NAME).series}["error"]
    assert len(series.points) <= MOST_POINTS
    assert series.points[-1].at.timestamp() == system.now


def test_a_line_that_goes_on_ends_where_it_was_last_seen() -> None:
    system, trace = in_canary(), Trace()
    report = system.guards[NAME]
    lasting, risen = (
        msgspec.structs.replace(report.verdicts[0], evidence_log10=evidence)
        for evidence in (1.0, 2.0)
    )
    for told in (*[lasting] * 5, risen):
        system.now += 1
        system.guards[NAME] = type(report)("ok", "unknown", (told,))
        trace.sample(system.seen())
    line = next(line for line in trace.view(NAME).series if line.signal == "error")
    seconds = [(point.at.timestamp() - NOW, point.evidence_log10) for point in line.points]
    assert seconds == [(1, 1.0), (5, 1.0), (6, 2.0)]


def test_evidence_goes_on_where_the_process_before_left_it(tmp_path: Path) -> None:
    kept, system = tmp_path / "evidence.json", in_canary()

    async def lived(seconds: float) -> Live:
        live = Live(system, system, 0.01, kept)
        async with live.sampling():
            system.now += seconds
            live.look()
        return live

    first = asyncio.run(lived(10)).trace.view(NAME)
    second = asyncio.run(lived(10)).trace.view(NAME)
    assert [line.points[0] for line in second.series] == [line.points[0] for line in first.series]
    assert second.series[0].points[-1].at > first.series[0].points[-1].at


@pytest.mark.parametrize("left", [b"", b"[1]", b"not JSON"])
def test_evidence_that_cannot_be_read_starts_anew(tmp_path: Path, left: bytes) -> None:
    kept = tmp_path / "evidence.json"
    kept.write_bytes(left)
    live = Live(in_canary(), in_canary(), 0.01, kept)

    async def begun() -> None:
        async with live.sampling():
            live.look()

    asyncio.run(begun())
    assert live.trace.view(NAME).series
    assert kept.read_bytes().startswith(b"[{")


def test_a_deployment_page_tells_the_workers_and_why() -> None:
    system = serving()
    system.loads[NAME] = loaded()
    text = Page(Browser(system).get(f"/deployments/{NAME}").text).text
    assert "820/s × 1.9 ms = 1.6 busy, p99 queue 4 ms" in text


def test_a_signal_without_evidence_or_rows_has_no_chart() -> None:
    system, trace = in_canary(), Trace()
    quality, _ = system.verdicts[NAME]
    decided = msgspec.structs.replace(quality, signal="resources:cpu", threshold_log10=0.0)
    waiting = msgspec.structs.replace(quality, signal="parity", verdict="unknown", n=0)
    system.verdicts[NAME] = (quality, decided, waiting)
    trace.sample(system.seen())
    signals = {series.signal for series in trace.view(NAME).series}
    assert "quality" in signals
    assert not signals & {"resources:cpu", "parity"}
