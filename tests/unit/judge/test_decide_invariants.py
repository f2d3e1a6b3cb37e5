"""Whatever happens in whatever order: the invariants of the control loop."""

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.support.control import ANN, incident, manifest, release, spec, verdict

from trimtab.backends.memory import MemoryJournal
from trimtab.domain.deployment import RetrainPlan, ScalePlan
from trimtab.domain.names import Digest
from trimtab.domain.processes import WorkerSlot
from trimtab.domain.release import Release
from trimtab.domain.routing import TOTAL_WEIGHT
from trimtab.domain.state import (
    DeploymentState,
    SystemState,
    asleep,
    evolve,
    replay,
    rollback_target,
)
from trimtab.domain.verdicts import Cause, Word
from trimtab.errors import TrimtabError
from trimtab.judge import verbs
from trimtab.judge.decide import decide
from trimtab.judge.draft import Author, Decision, FinishedRun, Observation, WorkerFailure
from trimtab.judge.placement import Stamp, routing, workers_wanted
from trimtab.judge.reports import GuardReport, MonitorReport
from trimtab.judge.scale.arrivals import Demand
from trimtab.judge.scale.cost import Cost
from trimtab.judge.scale.roles import Load
from trimtab.judge.scale.service import Work

NUMBERS = st.integers(1, 6)
WORDS = st.sampled_from(["ok", "bad", "unknown"])
RELEASES = {
    release(n).digest: Release(release(n).digest, "m", n, 0.0, manifest(n)) for n in range(1, 7)
}
SCALE = ScalePlan(min=2, max=6, idle="zero", idle_after_seconds=600.0)
RETRAIN = RetrainPlan(("quality", "drift"), "auto", cooldown_seconds=100.0)


def exposure(state: DeploymentState) -> int:
    """The weight of a release that is not proven yet."""
    if state.rollout is None:
        return 0
    return state.rollout.weight


class Loop(RuleBasedStateMachine):
    """One deployment, its journal, and everything that people and the world may do to it."""

    @initialize()
    def begin(self) -> None:
        self.journal = MemoryJournal()
        self.epoch = self.journal.lead("test", 0.0)
        self.system = SystemState()
        self.clock = 0.0
        self.asked_at = 0.0
        self.guard: GuardReport | None = None
        self.ready: dict[Digest, int] = dict.fromkeys(RELEASES, 2)
        self.failed: dict[Digest, WorkerFailure] = {}
        self.load: Load | None = None
        desired = msgspec.structs.replace(spec(retrain=RETRAIN), scale=SCALE)
        self.record(verbs.apply_spec(None, desired, self.seen(), ANN))
        self.order(verbs.deploy, release(1))
        self.decide()
        self.order(verbs.deploy, release(2))

    @property
    def state(self) -> DeploymentState:
        return self.system.deployments["d"]

    def seen(self, **what: object) -> Observation:
        base: dict[str, object] = {
            "guard": self.guard,
            "ready": dict(self.ready),
            "failed": dict(self.failed),
            "load": self.load,
        }
        return Observation(clock=self.clock, now=self.clock, **{**base, **what})  # type: ignore[arg-type]

    def record(self, decision: Decision) -> None:
        for entry in self.journal.commit(self.epoch, decision.entries, decision.effects):
            self.system = evolve(self.system, entry)

    def order(self, verb: object, *what: object, **how: object) -> None:
        with suppress(TrimtabError):
            self.record(verb(self.state, self.seen(), ANN, *what, **how))  # type: ignore[operator]

    def decide(self, **what: object) -> None:
        """One tick, and what must hold of every tick."""
        before, seen = self.state, self.seen(**what)
        self.record(decide(before, seen))
        after = self.state
        rollout = before.rollout
        if rollout is None or before.stable is None:
            return
        same = after.rollout is not None and after.rollout.id == rollout.id
        guard = seen.guard
        if guard is not None and guard.verdict == "bad":
            stuck = rollout.phase == "bake" and after.stable == before.stable
            assert not same or stuck, "the guard acts in every phase, also paused"
        shown = guard is not None and guard.advance == "ok"
        entering = rollout.phase == "preparing"
        rose = same and exposure(after) > exposure(before)
        assert not rose or shown or (entering and rollout.strategy == "now")
        if same and rollout.paused:
            assert after.rollout is not None
            assert after.rollout.phase == rollout.phase
        assert seen.workers(rollout.candidate) > 0 or not rose

    @rule(seconds=st.sampled_from([1.0, 70.0, 700.0, 4000.0, 90_000.0]))
    def tick(self, seconds: float) -> None:
        self.clock += seconds
        self.decide()

    @rule(seconds=st.sampled_from([70.0, 700.0, 4000.0]), steps=st.integers(1, 5))
    def go_well(self, seconds: float, steps: int) -> None:
        self.guard = GuardReport("ok", "ok", (verdict("ok"),))
        self.ready = dict.fromkeys(RELEASES, 2)
        self.failed = {}
        for _ in range(steps):
            self.tick(seconds)

    @rule(word=WORDS, advance=st.booleans())
    def judge(self, word: Word, advance: bool) -> None:
        found = () if word == "unknown" else (verdict(word),)
        self.guard = GuardReport(word, "ok" if advance and word == "ok" else "unknown", found)
        self.decide()

    @rule(number=NUMBERS, count=st.sampled_from([2, 2, 1, 0]))
    def workers(self, number: int, count: int) -> None:
        self.ready[release(number).digest] = count
        self.decide()

    @rule(number=NUMBERS, broken=st.sampled_from([False, False, True]))
    def failure(self, number: int, broken: bool) -> None:
        self.failed.pop(release(number).digest, None)
        if broken:
            self.failed[release(number).digest] = WorkerFailure("TT-401", "it does not start")
        self.decide()

    @rule(
        key=st.sampled_from(["a", "b", "c"]),
        cause=st.sampled_from(list(Cause)),
        about=NUMBERS,
        tier=st.sampled_from(["page", "ticket", "note"]),
    )
    def trouble(self, key: str, cause: Cause, about: int, tier: str) -> None:
        found = incident(key, cause, tier, f"m@{about}")  # type: ignore[arg-type]
        self.decide(monitors=MonitorReport((), opened=(found,)))

    @rule(key=st.sampled_from(["a", "b", "c"]))
    def recovery(self, key: str) -> None:
        self.decide(monitors=MonitorReport((), closed=(key,)))

    @precondition(lambda self: self.state.run is not None)
    @rule(number=NUMBERS, worked=st.booleans())
    def run_ends(self, number: int, worked: bool) -> None:
        assert self.state.run is not None
        made = release(number) if worked else None
        self.decide(finished=(FinishedRun(self.state.run.id, made, 1.0, "no"),))

    @rule(number=NUMBERS, strategy=st.sampled_from([None, None, "now", "shadow"]))
    def deploy(self, number: int, strategy: str | None) -> None:
        self.order(verbs.deploy, release(number), strategy)

    @rule(full=st.booleans(), override=st.booleans())
    def promote(self, full: bool, override: bool) -> None:
        before = exposure(self.state)
        self.order(verbs.promote, full=full, override=override)
        if exposure(self.state) > before:
            assert self.guard is None or self.guard.verdict != "bad"

    @rule()
    def bake_turns_bad_with_no_way_back(self) -> None:
        self.order(verbs.promote, full=True, override=True)
        self.guard = GuardReport("bad", "unknown", (verdict("bad"),))
        target = rollback_target(self.state)
        if target is not None:
            self.ready[target.digest] = 0
        self.decide()

    @rule(verb=st.sampled_from([verbs.pause, verbs.resume, verbs.abort, verbs.retrain]))
    def simple(self, verb: object) -> None:
        self.order(verb)

    @rule(to=st.none() | NUMBERS | st.just("candidate"))
    def rollback(self, to: int | str | None) -> None:
        before, rollout = self.state.stable, self.state.rollout
        target = release(to) if isinstance(to, int) else None
        if to == "candidate" and rollout is not None:
            target = rollout.candidate
        self.order(verbs.rollback, target)
        if self.state.stable != before:
            assert self.state.stable in self.state.proven
            assert self.state.stable is not None
            assert self.ready[self.state.stable.digest] > 0

    @rule(rate=st.sampled_from([0.0, 20.0, 300.0, 9000.0]), woken=st.booleans())
    def demand(self, rate: float, woken: bool) -> None:
        asked = Demand(level=rate, coming=rate, peak=rate, known=self.clock, last=self.asked_at)
        self.asked_at = self.clock if rate else self.asked_at
        work = dict.fromkeys(RELEASES, Work(seconds=0.01, cost=Cost(0.01, 0.0), longest=0.0))
        self.load = Load(demand=asked, work=work, woken=woken)
        self.decide()

    @rule()
    def take_over(self) -> None:
        self.epoch = self.journal.lead("another", self.clock)
        self.system = replay(self.journal.entries())

    @invariant()
    def replay_is_the_state(self) -> None:
        if hasattr(self, "journal"):
            assert replay(self.journal.entries()) == self.system
            assert self.journal.verify() == self.system.seq

    @invariant()
    def state_that_is_kept_is_the_state(self) -> None:
        if hasattr(self, "journal"):
            kept = msgspec.json.encode(self.system)
            assert msgspec.json.decode(kept, type=SystemState) == self.system

    @invariant()
    def never_more_than_three_automatic_rollbacks(self) -> None:
        if hasattr(self, "journal"):
            assert self.state.automatic_rollbacks <= 3

    @invariant()
    def what_serves_is_not_rejected_and_a_candidate_is_another_release_until_it_bakes(self) -> None:
        if not hasattr(self, "journal"):
            return
        state = self.state
        assert state.stable is None or state.stable.digest not in state.rejected
        if state.rollout is not None:
            assert (state.rollout.candidate == state.stable) == (state.rollout.phase == "bake")

    @invariant()
    def a_person_can_always_change_what_serves(self) -> None:
        if not hasattr(self, "journal") or self.state.rollout is None:
            return
        orders: list[Callable[..., Decision]] = [verbs.abort, verbs.rollback, self.promoted]
        orders += [partial(verbs.deploy, candidate=release(number)) for number in range(1, 7)]
        assert any(self.possible(order) for order in orders)

    def promoted(self, state: DeploymentState, seen: Observation, author: Author) -> Decision:
        return verbs.promote(state, seen, author, full=True, override=True)

    def possible(self, order: Callable[..., Decision]) -> bool:
        with suppress(TrimtabError):
            return bool(order(self.state, self.seen(), ANN).entries)
        return False

    @invariant()
    def only_ready_candidates_get_weight_and_weights_are_whole(self) -> None:
        if not hasattr(self, "journal"):
            return
        slots = {
            digest: tuple(WorkerSlot(digest, index) for index in range(count))
            for digest, count in self.ready.items()
            if count
        }
        snapshot = routing({"d": self.state}, RELEASES, slots, Stamp(1, 1))
        routes = snapshot.deployments[0].routes
        assert sum(route.weight for route in routes) == (TOTAL_WEIGHT if routes else 0)
        assert bool(routes) == (self.state.stable is not None)
        for route in routes:
            assert route.weight >= 0
            assert route.mode == "stable" or self.ready[route.release] > 0
        wanted = Counter(slot.release for slot in workers_wanted(self.state))
        if asleep(self.state):
            assert (wanted, self.state.rollout) == ({}, None)
            assert snapshot.deployments[0].asleep
            return
        assert {route.release for route in routes} <= wanted.keys()
        assert all(SCALE.min <= wanted[route.release] <= SCALE.max for route in routes)
        target = rollback_target(self.state)
        assert target is None or wanted[target.digest] >= 1


Loop.TestCase.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
TestLoop = pytest.mark.no_cover(Loop.TestCase)
