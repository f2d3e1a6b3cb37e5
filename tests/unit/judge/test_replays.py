"""Golden replays of workers that serve: of one worker, and of all."""

from trimtab.domain.verdicts import Cause, Incident
from trimtab.judge import replays
from trimtab.judge.incidents import reconcile
from trimtab.judge.reports import Surroundings

from .test_incidents import case


def incident(around: Surroundings) -> Incident:
    verdicts = replays.verdicts("r", around)
    (found,) = reconcile(case(surroundings=around), verdicts, ()).opened
    return found


def test_workers_that_reproduce_the_golden_set_say_nothing() -> None:
    assert replays.verdicts("r", Surroundings(workers=3)) == ()


def test_one_worker_that_does_not_is_a_ticket_and_names_it() -> None:
    found = incident(Surroundings(workers=3, golden_failures=("w-1",)))
    assert found.tier == "ticket"
    assert found.causes[0].cause is Cause.ENVIRONMENT_MISALIGNMENT
    assert "w-1" in found.causes[0].evidence[0]
    assert "1 of 3 workers do not reproduce" in found.severity
    assert not replays.everywhere(found.signals, found.tier)


def test_all_workers_that_do_not_are_a_page() -> None:
    found = incident(Surroundings(workers=1, golden_failures=("w-1",)))
    assert found.tier == "page"
    assert "no worker reproduces the golden set" in found.severity
    assert replays.everywhere(found.signals, found.tier)
