"""The control loop from observation to routing, on a clock that a test moves."""

import asyncio
import time
from pathlib import Path

import msgspec
import pytest
from tests.support.control import (
    ANN,
    BAD,
    GOOD,
    HARMLESS,
    incident,
    manifest_digest,
    release,
    spec,
)
from tests.unit.loop.world import World, run

from trimtab import errors
from trimtab.backends.requestlog import FolderRequestLog
from trimtab.domain.deployment import RetrainPlan, RolloutPlan
from trimtab.domain.names import Digest
from trimtab.domain.processes import NodeStatus, WorkerLimits
from trimtab.domain.verdicts import Cause
from trimtab.judge.reports import MonitorReport
from trimtab.loop import store
from trimtab.loop.controller import EVIDENCE, Tempo
from trimtab.loop.evidence import Reports
from trimtab.loop.runs import RunStatus
from trimtab.loop.service import Control

AUTO = spec(retrain=RetrainPlan(("quality",), "auto", cooldown_seconds=10.0))
TWO_HOURS = RolloutPlan(
    shadow_seconds=600.0, steps=(100, 500, 2500, 5000), step_seconds=750.0, bake_seconds=3600.0
)


def test_two_hour_canary_runs_in_the_loop_on_virtual_time(tmp_path: Path) -> None:
    async def work() -> None:
        world = World(tmp_path, Tempo(busy=30.0, idle=30.0))
        controller, control = await world.serving(spec(TWO_HOURS))
        world.evidence.clocks.clear()
        world.evidence.clock = lambda _: world.clock.now()  # type: ignore[method-assign, assignment]
        world.evidence.guards["d"] = GOOD
        began = world.clock.now()
        await control.deploy("d", "m@2", ANN)
        loop = asyncio.ensure_future(controller.run())
        weights: list[dict[str, int]] = []
        while controller.store.deployments["d"].rollout is not None:
            await world.clock.advance(30.0)
            if not weights or weights[-1] != world.routes():
                weights.append(world.routes())
            world.check(controller)
        controller.stop()
        await loop
        assert 7200 <= world.clock.now() - began < 7500
        assert weights == [
            {"m@1": 10_000, "m@2": 0},
            {"m@1": 9900, "m@2": 100},
            {"m@1": 9500, "m@2": 500},
            {"m@1": 7500, "m@2": 2500},
            {"m@1": 5000, "m@2": 5000},
            {"m@2": 10_000},
        ]
        assert controller.store.deployments["d"].proven == (release(1), release(2))

    started = time.monotonic()
    run(work)
    assert time.monotonic() - started < 20


def test_a_journal_of_many_batches_is_replayed_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "BATCH", 2)
    world = World(tmp_path)
    controller, _ = run(world.serving)
    assert len(world.journal.entries()) > 4
    assert world.start().store.state == controller.store.state


def test_evidence_that_takes_long_to_save_is_saved_less_often(tmp_path: Path) -> None:
    async def saved_at(world: World, seconds: int) -> list[float]:
        """Seconds at which the evidence was saved, which takes `took`."""
        await world.serving()
        began, found = world.clock.now(), list[float]()

        def dump() -> bytes:
            found.append(world.clock.now() - began)
            world.clock._now += took
            return b"dump"

        world.evidence.dump = dump  # type: ignore[method-assign]
        controller = world.start()
        while world.clock.now() < began + seconds:
            await world.tick(controller)
        return found

    took = 0.0
    assert run(lambda: saved_at(World(tmp_path / "quick"), 14)) == [5.0, 10.0]
    took = 2.0
    assert run(lambda: saved_at(World(tmp_path / "slow"), 150)) == [5.0, 105.0]


def test_bad_candidate_is_out_of_the_routing_in_the_tick_that_judges_it(tmp_path: Path) -> None:
    async def work() -> None:
        world = World(tmp_path)
        controller, control = await world.serving()
        await control.deploy("d", "m@2", ANN)
        world.evidence.guards["d"] = GOOD
        for _ in range(3):
            await world.tick(controller, 700.0)
        assert world.routes() == {"m@1": 9900, "m@2": 100}
        before = world.snapshot().version
        world.evidence.guards["d"] = BAD
        state = await world.tick(controller)
        assert world.routes() == {"m@1": 10_000}
        assert world.snapshot().version == before + 1
        assert state.rejected == (release(2).digest,)
        assert list(world.notifier.sent) == ["notify:d-r2-rolled-back:closed"]

    run(work)


def test_worker_stops_only_after_every_gateway_let_go_of_it(tmp_path: Path) -> None:
    async def work() -> None:
        world = World(tmp_path)
        world.node.gateways = (7,)
        controller, control = await world.serving()
        await control.deploy("d", "m@2", ANN)
        await world.tick(controller)
        await world.tick(controller)
        world.acknowledge(world.snapshot().version)
        await control.abort("d", ANN)
        await world.tick(controller)
        assert release(2).digest in {slot.release for slot in world.node.workers}
        assert await controller.tick(), "a worker that waits to stop keeps the loop quick"
        world.acknowledge(world.snapshot().version)
        await world.tick(controller)
        assert {slot.release for slot in world.node.workers} == {release(1).digest}
        assert not await controller.tick()

    run(work)


def test_what_is_decided_is_routed_once_every_gateway_says_so(tmp_path: Path) -> None:
    async def work() -> None:
        world = World(tmp_path)
        world.node.gateways = (7,)
        controller, control = await world.serving()
        told = [controller.routed]
        world.acknowledge(world.snapshot().version)
        told.append(controller.routed)
        await control.deploy("d", "m@2", ANN)
        told.append(controller.routed)  # decided, but in no file yet
        await world.tick(controller)
        await world.tick(controller)
        told.append(controller.routed)
        world.acknowledge(world.snapshot().version)
        told.append(controller.routed)
        assert told == [False, True, False, False, True]

    run(work)


def test_worker_that_waits_to_stop_keeps_its_limits(tmp_path: Path) -> None:
    """Under others it would be relieved for its processors, or ended with what it answers."""

    async def work() -> None:
        world = World(tmp_path)
        world.node.gateways = (7,)
        limits = WorkerLimits(2**30, 1.0, 200)
        desired = msgspec.structs.replace(spec(), limits=limits)
        controller, control = await world.serving(desired)
        await control.deploy("d", "m@2", ANN)
        await world.tick(controller)
        await world.tick(controller)
        await control.abort("d", ANN)
        await world.tick(controller)
        assert world.node.applied[-1].limits == dict.fromkeys(
            (release(1).digest, release(2).digest), limits
        )
        world.acknowledge(world.snapshot().version)
        await world.tick(controller)
        assert world.node.applied[-1].limits == {release(1).digest: limits}

    run(work)


def test_gateway_that_does_not_answer_delays_a_stop_by_five_seconds(tmp_path: Path) -> None:
    async def work() -> None:
        world = World(tmp_path)
        world.node.gateways = (7,)
        controller, control = await world.serving()
        await control.deploy("d", "m@2", ANN)
        await world.tick(controller)
        await control.abort("d", ANN)
        await world.tick(controller)
        await world.tick(controller, 4.0)
        assert len(world.node.workers) == 2
        await world.tick(controller, 1.5)
        assert len(world.node.workers) == 1

    run(work)


def test_drift_leads_to_a_run_a_release_and_a_rollout(tmp_path: Path) -> None:
    async def work() -> None:
        world = World(tmp_path)
        controller, _ = await world.serving(AUTO)
        world.evidence.reports["d"] = MonitorReport((), opened=(incident(),))
        state = await world.tick(controller)
        argv = world.node.argv["d-run1"]
        assert argv[1:5] == ("-P", "-m", "trimtab.app", "run")
        assert argv[-2:] == ("--until", repr(world.evidence.clocks["d"]))
        world.report("d-run1", RunStatus("running", "fit", seconds=3.0))
        state = await world.tick(controller)
        assert state.run is not None
        made = manifest_digest(5)
        world.report("d-run1", RunStatus("succeeded", release=made, seconds=9.0))
        state = await world.tick(controller)
        assert state.rollout is not None
        assert state.rollout.candidate == release(5)
        assert controller.store.catalog.get(made).name == "m@5"
        (view,) = world.runs()
        assert (view.state, view.release, view.seconds) == ("succeeded", "m@5", 9.0)
        world.check(controller)

    run(work)


@pytest.mark.parametrize(
    ("status", "exit_code", "error"),
    [
        (RunStatus("failed", error="no labels"), None, "no labels"),
        (RunStatus("succeeded"), 0, "the run made no release"),
        (RunStatus("running", "fit"), 9, "exit code 9 in step fit"),
        (None, 1, "exit code 1 and left no result"),
        (RunStatus("succeeded", release="sha256:" + "0" * 64), 0, "it is not there"),
    ],
)
def test_run_without_a_usable_release_is_a_failed_run(
    tmp_path: Path, status: RunStatus | None, exit_code: int | None, error: str
) -> None:
    async def work() -> None:
        world = World(tmp_path)
        controller, control = await world.serving()
        await control.retrain("d", ANN)
        await world.tick(controller)
        if status is not None:
            world.report("d-run1", status)
        if exit_code is not None:
            world.node.end_job("d-run1", exit_code)
        state = await world.tick(controller)
        assert state.run is None
        assert state.stable == release(1)
        assert error in world.runs()[0].error

    run(work)


def test_run_whose_status_is_half_a_file_goes_on(tmp_path: Path) -> None:
    async def work() -> None:
        world = World(tmp_path)
        controller, control = await world.serving()
        await control.retrain("d", ANN)
        await world.tick(controller)
        world.report("d-run1", RunStatus("running"))
        (tmp_path / "runs/d-run1/status.json").write_bytes(b'{"state":')
        assert (await world.tick(controller)).run is not None

    run(work)


def test_release_that_is_no_manifest_is_a_failed_run(tmp_path: Path) -> None:
    async def work() -> None:
        world = World(tmp_path)
        controller, control = await world.serving()
        await control.retrain("d", ANN)
        await world.tick(controller)
        other = world.blobs.put(b'{"schema": 1}')
        world.report("d-run1", RunStatus("succeeded", release=other))
        await world.tick(controller)
        assert "no release manifest" in world.runs()[0].error

    run(work)


def test_run_that_died_with_its_agent_is_started_again(tmp_path: Path) -> None:
    async def work() -> None:
        world = World(tmp_path)
        controller, control = await world.serving()
        await control.retrain("d", ANN)
        await world.tick(controller)
        argv = world.node.argv.pop("d-run1")
        world.node.jobs.clear()
        world.node.reachable = False
        await world.tick(controller)
        world.node.reachable = True
        await world.tick(controller)
        assert world.node.argv["d-run1"] == argv

    run(work)


def test_agent_that_is_gone_changes_no_route_and_does_not_stop_the_guard(tmp_path: Path) -> None:
    async def work() -> None:
        world = World(tmp_path)
        controller, control = await world.serving()
        await control.deploy("d", "m@2", ANN)
        world.evidence.guards["d"] = GOOD
        for _ in range(3):
            await world.tick(controller, 700.0)
        world.node.reachable = False
        await control.retrain("d", ANN)
        await world.tick(controller)
        assert world.routes() == {"m@1": 9900, "m@2": 100}
        world.evidence.guards["d"] = BAD
        await world.tick(controller)
        assert world.routes() == {"m@1": 10_000}
        world.node.reachable = True
        await world.tick(controller)
        assert "d-run1" in world.node.jobs

    run(work)


def test_new_controller_keeps_the_routes_until_the_agent_answers(tmp_path: Path) -> None:
    async def work() -> None:
        world = World(tmp_path)
        await world.serving()
        routed = (tmp_path / "run/routing.json").read_bytes()
        world.node.reachable = False
        controller = world.start()
        await world.tick(controller)
        assert (tmp_path / "run/routing.json").read_bytes() == routed
        world.node.reachable = True
        await world.tick(controller)
        assert world.snapshot().epoch == controller.store.epoch
        assert world.routes() == {"m@1": 10_000}

    run(work)


@pytest.mark.parametrize("damage", [b"{", b'{"deployments":[{"name":"\xff"}]}'])
def test_version_grows_past_what_gateways_know_when_the_file_is_lost(
    tmp_path: Path, damage: bytes
) -> None:
    async def work() -> None:
        world = World(tmp_path)
        await world.serving()
        (tmp_path / "run/routing.json").write_bytes(damage)
        (tmp_path / "run/gateway-1.json").write_bytes(damage)
        world.acknowledge(41)
        controller = world.start()
        await world.tick(controller)
        assert world.snapshot().version == 42

    run(work)


def test_epoch_of_the_routes_does_not_fall_when_the_journal_is_restored_from_a_backup(
    tmp_path: Path,
) -> None:
    """Gateways begin with the file that is there, and refuse one of an older leader."""

    async def work() -> None:
        world = World(tmp_path)
        await world.serving()
        before = msgspec.structs.replace(world.snapshot(), epoch=9)
        (tmp_path / "run/routing.json").write_bytes(msgspec.json.encode(before))
        controller = world.start()
        assert controller.store.epoch < 9
        await Control(controller, FolderRequestLog(tmp_path)).deploy("d", "m@2", ANN)
        await world.tick(controller)
        assert (world.snapshot().epoch, world.snapshot().version) == (9, before.version + 1)

    run(work)


def test_unreadable_evidence_is_unknown_and_holds(tmp_path: Path) -> None:
    async def work() -> None:
        world = World(tmp_path)
        controller, control = await world.serving()
        await control.deploy("d", "m@2", ANN)
        world.evidence.guards["d"] = GOOD
        await world.tick(controller)
        world.evidence.broken = True
        world.evidence.reports["d"] = MonitorReport((), opened=(incident(),))
        state = await world.tick(controller, 5000.0)
        assert state.rollout is not None
        assert (state.rollout.phase, state.incidents) == ("shadow", ())
        world.evidence.broken = False
        state = await world.tick(controller)
        assert len(state.incidents) == 1

    run(work)


def test_routing_that_cannot_be_written_is_tried_again_and_stops_no_worker(
    tmp_path: Path,
) -> None:
    async def work() -> None:
        world = World(tmp_path)
        controller, control = await world.serving()
        await control.deploy("d", "m@2", ANN)
        await world.tick(controller)
        await control.abort("d", ANN)
        (tmp_path / "run/.routing.json.new").mkdir()
        await world.tick(controller)
        assert len(world.node.workers) == 2
        assert await controller.tick()
        (tmp_path / "run/.routing.json.new").rmdir()
        await world.tick(controller)
        assert world.routes() == {"m@1": 10_000}
        assert len(world.node.workers) == 1

    run(work)


def test_replaced_leader_stops(tmp_path: Path) -> None:
    async def work() -> None:
        world = World(tmp_path)
        controller, control = await world.serving()
        world.start()
        with pytest.raises(errors.Conflict):
            await control.deploy("d", "m@2", ANN)
        world.evidence.reports["d"] = MonitorReport((), opened=(incident(),))
        with pytest.raises(errors.Conflict):
            await controller.run()

    run(work)


def test_tick_that_fails_is_logged_and_the_loop_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def work() -> None:
        world = World(tmp_path)
        controller, _ = await world.serving()
        real, failed = world.node.status, []

        async def status() -> NodeStatus:
            failed.append(1)
            world.node.status = real  # type: ignore[method-assign]
            raise ZeroDivisionError

        world.node.status = status  # type: ignore[method-assign]
        loop = asyncio.ensure_future(controller.run())
        await world.clock.advance(1.0)
        controller.stop()
        await loop
        assert failed == [1]

    run(work)
    assert "a tick failed" in caplog.text


def test_a_person_who_decides_while_the_tick_waits_for_a_report_is_not_overruled(
    tmp_path: Path,
) -> None:
    async def work() -> None:
        world = World(tmp_path)
        controller, control = await world.serving()
        await control.deploy("d", "m@2", ANN)
        await world.tick(controller)

        async def report(name: str) -> Reports:
            await control.abort(name, ANN)
            return Reports(BAD)

        world.evidence.report = report  # type: ignore[method-assign, assignment]
        state = await world.tick(controller)
        assert state.last_rollout is not None
        assert (state.last_rollout.outcome, state.rejected) == ("aborted", ())
        world.check(controller)

    run(work)


def test_order_wakes_the_loop_at_once(tmp_path: Path) -> None:
    async def work() -> None:
        world = World(tmp_path, Tempo(idle=1000.0))
        controller, control = await world.serving()
        loop = asyncio.ensure_future(controller.run())
        await world.clock.advance(1.0)
        await control.deploy("d", "m@2", ANN)
        await world.clock.advance(1.0)
        assert release(2).digest in {slot.release for slot in world.node.workers}
        controller.stop()
        await loop

    run(work)


def test_evidence_is_saved_and_handed_to_the_next_controller(tmp_path: Path) -> None:
    async def work() -> None:
        world = World(tmp_path)
        controller, _ = await world.serving()
        world.evidence.saved = b"newest"
        await world.tick(controller, 6.0)
        assert world.journal.load(EVIDENCE) == b"newest"
        world.start()
        assert world.evidence.restored == [b"newest"]

    run(work)


def test_observer_follows_the_states_and_what_happened_to_workers(tmp_path: Path) -> None:
    async def work() -> None:
        world = World(tmp_path)
        controller, control = await world.serving()
        world.node.failing[release(1).digest] = (errors.GOLDEN_FAILED, "differs")
        await world.tick(controller)
        around = world.evidence.surroundings["d"]
        assert len(around.golden_failures) == 1
        assert (around.restarts, around.candidate) == (3, False)
        assert around.boundary == control.snapshot().deployments["d"].serving_since

    run(work)


def test_registration_that_was_cut_short_is_completed(tmp_path: Path) -> None:
    async def work() -> None:
        world = World(tmp_path)
        await world.serving()
        five = manifest_digest(5)
        made = msgspec.json.decode(world.blobs.get(five))
        assert made["model"] == "m"
        from tests.support.control import manifest

        world.catalog.register(five, manifest(5), 1.0)
        controller = world.start()
        assert controller.store.releases[five].name == "m@5"
        assert world.journal.entries()[-1].release == "m@5"
        seq = controller.store.state.seq
        assert world.start().store.state.seq == seq

    run(work)


def test_health_counts_failed_starts_since_a_worker_was_last_ready(tmp_path: Path) -> None:
    from trimtab.domain.processes import WorkerSlot, WorkerStatus
    from trimtab.loop.health import Health

    slot = WorkerSlot(Digest("sha256:" + "a" * 64), 0)

    def see(health: Health, state: str, restarts: int, code: str = "TT-401") -> bool:
        worker = WorkerStatus(slot, state, restarts=restarts, code=code)  # type: ignore[arg-type]
        health.see(NodeStatus((worker,)))
        return slot.release in health.failed()

    health = Health()
    assert not see(health, "failed", 2)
    assert see(health, "failed", 3)
    assert not see(health, "ready", 7)
    assert not see(health, "failed", 8)
    assert see(health, "failed", 10)
    assert see(health, "failed", 8, errors.GOLDEN_FAILED)
    assert not see(health, "starting", 0), "its place was given up, and is wanted again"
    assert see(health, "failed", 3)


def test_guard_holds_without_evidence_and_says_what_it_waits_for(tmp_path: Path) -> None:
    async def work() -> None:
        world = World(tmp_path)
        controller, control = await world.serving()
        await control.deploy("d", "m@2", ANN)
        world.evidence.guards["d"] = HARMLESS
        await world.tick(controller)
        await world.tick(controller)
        state = await world.tick(controller, 90_000.0)
        assert state.rollout is not None
        assert state.rollout.phase == "shadow"
        assert world.incidents()[-1].severity.endswith("1,000 more rows")
        world.evidence.guards["d"] = GOOD
        await world.tick(controller)
        assert world.incidents()[-1].closed_at is not None
        broken = incident("feed", Cause.UPSTREAM_BREAK)
        world.evidence.reports["d"] = MonitorReport((), opened=(broken,))
        await world.tick(controller)
        assert [i.id for i in world.incidents()][-1] == "feed"

    run(work)
