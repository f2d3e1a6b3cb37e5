"""What a watcher reads."""

import io
from typing import Any

from rich.console import Console
from tests.unit.demo.flights import at
from tests.unit.demo.test_outcomes import BREAK, event

from trimtab.demo.observed import Observed
from trimtab.demo.timeline import Live, Note, PlainNarrator, ScreenNarrator, bar, narrator_for
from trimtab.demo.told import told_event


def test_without_a_terminal_the_timeline_is_plain_lines() -> None:
    """One line for each event, its details below, and no status line."""
    stream = io.StringIO()
    narrator = narrator_for(stream)
    assert isinstance(narrator, PlainNarrator)
    narrator.act(3, "replay the year")
    narrator.note(Note(at(5), "bad", "rolled back", ["because"]))
    narrator.live(Live(at(5), 10, 2.0, "m@1 100%", "✔3", ()))
    narrator.close()
    assert stream.getvalue().splitlines() == [
        "== act 3: replay the year",
        " 1 Apr 09:00  ✖ rolled back",
        "                because",
    ]


def test_on_a_terminal_the_timeline_has_a_live_line() -> None:
    """Date, requests, rate, shares and the reason for which the clock stands."""
    stream = io.StringIO()
    narrator = ScreenNarrator(Console(file=stream, force_terminal=True, width=120))
    narrator.act(3, "replay the year")
    narrator.note(Note(None, "good", "up", ["http://127.0.0.1"]))
    narrator.live(Live(at(5), 1234, 950.0, "m@1 95%  m@2 5% canary", "✔3", ["a run"]))
    narrator.close()
    shown = stream.getvalue()
    assert "act 3 · replay the year" in shown
    assert "up" in shown
    assert "http://127.0.0.1" in shown
    live = str(Live(at(5), 1234, 950.0, "m@1 95%", "✔3", ["a run"]))
    assert live == " 1 Apr 09:00  │  1,234 requests  │  m@1 95%  │  ✔3  │  clock stands: a run"
    going = str(Live(at(5), 1234, 950.0, "m@1 95%", "✔3", ()))
    assert going == " 1 Apr 09:00  │  1,234 requests  │  950/s  │  m@1 95%  │  ✔3"


def test_evidence_is_drawn_against_its_threshold() -> None:
    """Full means that the threshold is reached."""
    assert bar(1.6, 3.2, 4) == "██░░ evidence 10^1.6 of 10^3.2"
    assert bar(9.0, 3.0, 4).startswith("████ ")
    assert bar(-1.0, 3.0, 4).startswith("░░░░ ")


def told(**facts: Any) -> Note | None:
    """An entry as the timeline tells it."""
    return told_event(event(1, **facts), Observed(incidents=[BREAK]), at(1))


def test_an_incident_is_told_with_its_cause_and_its_action() -> None:
    """Found again by the id in the journal's sentence."""
    note = told(kind="incident_opened", summary=f"incident {BREAK.id} opened: upstream_break")
    assert note is not None
    assert note.text.startswith("PAGE: upstream break · m@1")
    assert note.tone == "bad"
    assert not any(BREAK.severity in line for line in note.details)


def test_evidence_is_shown_where_it_decided() -> None:
    """At the end of a rollout, not at each of its steps; and no sentence is said twice."""
    evidence = {"signal": "errors", "evidence_log10": 2.4, "threshold_log10": 2.4}
    ended = told(kind="rollout_ended", summary="m@2 rolled back", reason="3/122", evidence=evidence)
    assert ended is not None
    assert [line.split()[0] for line in ended.details] == ["3/122", "errors"]
    promoted = told(kind="rollout_ended", summary="m@2 promoted", evidence=evidence)
    assert promoted is not None
    assert promoted.details == []
    step = told(kind="rollout_advanced", summary="rollout entered shadow", evidence=evidence)
    assert step is not None
    assert step.details == []
    run = told(kind="run_requested", summary="retraining r1 requested (x)", reason="cause: x")
    assert run is not None
    assert run.details == []


def test_entries_that_say_nothing_to_a_watcher_are_left_out() -> None:
    """Updates without an action, and the configuration."""
    assert told(kind="spec_applied", summary="configuration applied") is None
    assert told(kind="incident_updated", summary="incident i updated") is None
    note = told(kind="rollout_ended", release="m@2", summary="m@2 rolled back")
    assert note is not None
    assert (note.tone, note.text) == ("bad", "m@2 rolled back")
    advanced = told(kind="rollout_advanced", release="m@2", summary="rollout entered shadow")
    assert advanced is not None
    assert advanced.text == "m@2: rollout entered shadow"
