"""The fold of the journal, and its chain."""

import msgspec
import pytest
from tests.support.control import incident, release, spec

from trimtab.domain import chain
from trimtab.domain import events as e
from trimtab.domain.state import (
    REMEMBERED,
    DeploymentState,
    SystemState,
    apply,
    evolve,
    replay,
    rollback_target,
)


def entry(event: e.AnyEvent, seq: int = 1, deployment: str = "d") -> e.Entry:
    """A recorded event."""
    new = e.NewEntry(at=1.5, actor="ann", event=event, deployment=deployment)
    return chain.seal(new, seq, 1, chain.GENESIS)[0]


def fold(*events: e.AnyEvent) -> DeploymentState:
    """A deployment's state after events."""
    state = DeploymentState(spec=spec())
    for event in events:
        state = apply(state, event)
    return state


PROVEN = (e.Proven(release(1), 1.0), e.Proven(release(2), 2.0), e.Proven(release(3), 3.0))


def test_spec_makes_a_deployment_and_other_entries_do_not() -> None:
    state = replay([entry(e.RolloutPaused("r"), 1), entry(e.SpecApplied(spec()), 2)])
    assert state == SystemState({"d": DeploymentState(spec=spec())}, 2)
    changed = msgspec.structs.replace(spec(), clock="event")
    state = evolve(state, entry(e.SpecApplied(changed), 3))
    assert state.deployments["d"].spec.clock == "event"


def test_registering_a_release_changes_no_deployment() -> None:
    assert fold(e.ReleaseRegistered(release(1))) == fold()


def test_events_of_a_rollout_that_is_over_change_nothing() -> None:
    advanced = e.RolloutAdvanced("gone", "canary", 0, 100, 5.0)
    assert fold(advanced) == fold()
    assert fold(e.RolloutPaused("gone"), e.RolloutResumed("gone")) == fold()
    started = e.RolloutStarted("new", release(1), "canary", 1.0)
    assert fold(started, advanced) == fold(started)


def test_events_of_a_run_that_is_over_change_nothing() -> None:
    assert fold(e.RunFailed("gone", "x")) == fold()
    requested = e.RunRequested("r", "m", "human", 1.0)
    assert fold(requested, e.RunFailed("gone", "x")) == fold(requested)


def test_a_release_that_serves_waits_to_be_deployed_no_more() -> None:
    made = (
        e.RunRequested("r", "m", "human", 1.0),
        e.RolloutStarted("new", release(2), "now", 1.0),
        e.RunSucceeded("r", release(2), 1.0),
    )
    assert fold(*made).offered == release(2)
    assert fold(*made, e.RolloutAdvanced("new", "bake", 0, 10_000, 2.0)).offered is None
    assert fold(*made, e.RolledBackTo(release(1), release(2), 2.0)).offered is None


def test_proving_again_moves_a_release_to_the_end() -> None:
    state = fold(*PROVEN, e.Proven(release(1), 4.0))
    assert state.proven == (release(2), release(3), release(1))


def test_rollback_target_is_the_previous_release_or_the_newest_proven_one() -> None:
    state = msgspec.structs.replace(fold(*PROVEN), stable=release(3))
    assert rollback_target(state) == release(2)
    assert rollback_target(msgspec.structs.replace(state, previous=release(1))) == release(1)
    rejected = msgspec.structs.replace(state, rejected=(release(2).digest,))
    assert rollback_target(rejected) == release(1)
    assert rollback_target(fold()) is None


def test_release_that_the_guard_left_is_no_target_and_one_that_a_person_left_is() -> None:
    left = e.RolledBackTo(release(3), release(2), 5.0)
    assert fold(*PROVEN, left).previous == release(3)
    automatic = msgspec.structs.replace(left, automatic=True)
    state = fold(*PROVEN, automatic)
    assert (state.previous, state.automatic_rollbacks) == (release(1), 1)


def test_only_lately_closed_incidents_are_remembered() -> None:
    state = fold()
    for number in range(REMEMBERED + 10):
        state = apply(state, e.IncidentOpened(incident(f"i{number}")))
        state = apply(state, e.IncidentClosed(f"i{number}", 1.0))
    assert (state.incidents, len(state.closed)) == ((), REMEMBERED)
    assert state.closed[-1] == f"i{REMEMBERED + 9}"


def test_entry_reads_back_as_it_was_recorded() -> None:
    new = e.NewEntry(
        at=2.0,
        actor="ann",
        event=e.IncidentOpened(incident()),
        deployment="d",
        evidence={"n": 1.0, "signal": "errors", "lower": None},
    )
    sealed, stored = chain.seal(new, 3, 2, "before")
    assert chain.read(stored, "before", sealed.hash) == sealed
    assert sealed.evidence == new.evidence
    assert sealed.hash == chain.link("before", stored)


def test_field_that_a_newer_version_added_does_not_break_the_chain() -> None:
    new = e.NewEntry(at=2.0, actor="ann", event=e.RolloutPaused("r"))
    _, stored = chain.seal(new, 1, 1, chain.GENESIS)
    newer = stored.replace(b'{"actor"', b'{"aaa":1,"actor"')
    read = chain.read(newer, chain.GENESIS, chain.link(chain.GENESIS, newer))
    assert (read.actor, read.event) == ("ann", e.RolloutPaused("r"))


def test_number_that_is_not_finite_cannot_be_recorded() -> None:
    bad = e.NewEntry(at=float("nan"), actor="ann", event=e.RolloutPaused("r"))
    with pytest.raises(msgspec.ValidationError):
        chain.content(bad, 1, 1)
