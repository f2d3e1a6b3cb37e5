"""The demonstration from beginning to end, against a system that only pretends to judge."""

import io
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from tests.unit.demo.flights import flight, table
from tests.unit.demo.system import System, staged

from trimtab.demo import acts
from trimtab.demo.options import DemoOptions, Pace
from trimtab.demo.run import run
from trimtab.demo.timeline import PlainNarrator
from trimtab.errors import NotFound, Refused
from trimtab.views.demo_shapes import DemoView

PACE = Pace(poll_seconds=0.005, patience_seconds=3.0, lead_days=1.0)
LAST = date(2013, 4, 24)


@pytest.fixture(autouse=True)
def flights(monkeypatch: pytest.MonkeyPatch) -> pa.Table:
    """Flights of one airport, one each hour, from March into May."""
    rows = table(*(flight(hour) for hour in range(-48, 24 * 35)))
    monkeypatch.setattr(acts, "read_flights", lambda data: rows)
    return rows


def options(tmp_path: Path, *chosen: int) -> DemoOptions:
    """Three weeks, and the acts that fit into them."""
    return DemoOptions(
        data=tmp_path,
        folder=tmp_path / "project",
        until=LAST,
        acts=frozenset(chosen),
        pace=PACE,
    )


def act(view: DemoView, number: int) -> dict[str, object]:
    """The facts of one act."""
    return dict(next(a.facts for a in view.acts if a.act.startswith(f"{number} ")))


def test_three_weeks_with_a_bad_release_are_told_and_end_well(tmp_path: Path) -> None:
    """Every act that was chosen ends as it should, and the system is stopped."""
    told, system = io.StringIO(), System()
    with staged(system) as stage:
        view = run(options(tmp_path, 4, 7, 8), stage, PlainNarrator(told))
    assert [a.act[0] for a in view.acts] == ["1", "2", "3", "4", "7", "8"]
    assert view.ok, [(a.act, a.facts) for a in view.acts if not a.ok]
    assert stage.done == ["build", "start", "build bad", "stop"]
    assert [order["release"] for order in system.orders] == ["flight-delay@1", "flight-delay@2"]
    assert (view.requests.total, view.requests.failed) == (24 * 24, 0)
    assert act(view, 4)["phases"] == "preparing → shadow → canary"
    assert view.rollback is not None
    assert view.false_alarms == 0
    assert "act 4: a bad release" in told.getvalue()
    assert "flight-delay@2 rolled back" in told.getvalue()


def test_the_event_clock_is_never_further_ahead_than_its_lead(tmp_path: Path) -> None:
    """The lead is measured, and bounded by what was asked for."""
    with staged(System()) as stage:
        view = run(options(tmp_path), stage, PlainNarrator(io.StringIO()))
    largest = act(view, 3)["lead_largest_event_hours"]
    assert isinstance(largest, float)
    assert largest <= 24.1


def test_while_a_run_is_in_progress_no_request_is_sent(tmp_path: Path) -> None:
    """But those in flight when it began."""
    system = System()
    system.run_polls = 60
    with staged(system) as stage:
        view = run(options(tmp_path), stage, PlainNarrator(io.StringIO()))
    assert view.ok
    assert system.arrived_while_running <= 25


def test_a_system_that_judges_no_further_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    """The act says what it waited for, and the demonstration is not well."""
    system = System()
    system.frozen = True
    chosen = replace(options(tmp_path, 8), pace=replace(PACE, patience_seconds=0.3))
    with staged(system) as stage:
        view = run(chosen, stage, PlainNarrator(io.StringIO()))
    assert not view.ok
    assert "the system has not judged this far" in str(act(view, 3)["missed"])
    assert 0.0 < float(str(act(view, 3)["seconds"])) < 60.0
    assert stage.done[-1] == "stop"


def test_an_act_that_was_not_reached_is_missed(tmp_path: Path) -> None:
    """A replay that ends before the bad release goes out proves nothing about it."""
    chosen = replace(options(tmp_path, 4), until=LAST - timedelta(days=15))
    with staged(System()) as stage:
        view = run(chosen, stage, PlainNarrator(io.StringIO()))
    assert not view.ok
    assert "before the bad release went out" in str(act(view, 4)["missed"])


def test_a_system_that_is_kept_is_not_stopped(tmp_path: Path) -> None:
    """It stays for whoever wants to look at the dashboard."""
    chosen = replace(options(tmp_path), keep=True)
    with staged(System()) as stage:
        run(chosen, stage, PlainNarrator(io.StringIO()))
    assert "stop" not in stage.done


def test_a_folder_that_is_not_empty_is_left_as_it_is(tmp_path: Path) -> None:
    """Nothing of a user's is overwritten."""
    chosen = options(tmp_path)
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "mine").write_text("")
    with staged(System()) as stage, pytest.raises(Refused, match="not empty"):
        run(chosen, stage, PlainNarrator(io.StringIO()))


def test_without_the_data_it_says_which_file_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing was started."""
    monkeypatch.undo()
    with staged(System()) as stage, pytest.raises(NotFound, match="not there"):
        run(options(tmp_path), stage, PlainNarrator(io.StringIO()))
    assert "start" not in stage.done
