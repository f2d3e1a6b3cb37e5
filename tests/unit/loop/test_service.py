"""The verbs as the admin API calls them."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest
from tests.support.control import ANN, GOOD, manifest, manifest_digest, release, spec, stored
from tests.support.request_log import SegmentWriter
from tests.unit.loop.world import PIPELINE, World, run

from trimtab import errors
from trimtab.backends.requestlog import FolderRequestLog
from trimtab.domain import layout
from trimtab.domain.deployment import ProjectConfig
from trimtab.domain.records import Comparison
from trimtab.domain.signature import Column, Datatype
from trimtab.domain.telling import Telling
from trimtab.loop.service import Control


async def refused(code: str, order: Callable[[], Awaitable[object]]) -> None:
    """An order must be refused with a hint."""
    with pytest.raises(errors.TrimtabError) as caught:
        await order()
    assert caught.value.code == code
    assert caught.value.hint


def test_configuration_is_applied_once_and_changes_are_recorded(tmp_path: Path) -> None:
    async def work() -> None:
        world = World(tmp_path)
        _, control = await world.serving()
        before = control.snapshot()
        await control.apply(ProjectConfig(deployments=(spec(),)), ANN)
        assert control.snapshot() == before
        changed = msgspec.structs.replace(spec(), clock="event")
        state = await control.configure(changed, ANN)
        assert state.spec.clock == "event"

    run(work)


def test_registering_again_gives_the_same_number(tmp_path: Path) -> None:
    async def work() -> None:
        _, control = await World(tmp_path).serving()
        assert (await control.register(manifest_digest(2), ANN)).name == "m@2"
        assert [r.name for r in control.releases("m")] == ["m@1", "m@2", "m@3", "m@4"]
        missing = manifest_digest(9)
        with pytest.raises(errors.Integrity):
            await control.register(missing, ANN)

    run(work)


@pytest.mark.parametrize("blob", [b"{}", b'{"model":"\xff"}', b"\x80\x04."])
def test_a_blob_that_is_no_manifest_is_no_release(tmp_path: Path, blob: bytes) -> None:
    async def work() -> None:
        world = World(tmp_path)
        _, control = await world.serving()
        other = world.blobs.put(blob)
        await refused(errors.NO_SUCH_RELEASE, lambda: control.register(other, ANN))

    run(work)


def test_a_release_goes_up_and_back_by_hand(tmp_path: Path) -> None:
    async def work() -> None:
        world = World(tmp_path)
        controller, control = await world.serving()
        state = await control.deploy("d", "m@2", ANN)
        assert state.rollout is not None
        assert state.rollout.strategy == "canary"
        world.evidence.guards["d"] = GOOD
        await world.tick(controller)
        await world.tick(controller)
        assert (await control.pause("d", ANN)).rollout is not None
        state = await control.resume("d", ANN)
        assert state.rollout is not None
        assert not state.rollout.paused
        state = await control.promote("d", ANN, full=True)
        assert state.stable == release(2)
        state = await control.promote("d", ANN)
        assert state.proven == (release(1), release(2))
        state = await control.rollback("d", ANN, "m@1")
        assert state.stable == release(1)
        state = await control.rollback("d", ANN)
        assert state.stable == release(2)
        await control.deploy("d", manifest_digest(3)[:20], ANN, "shadow")
        state = await control.abort("d", ANN)
        assert state.last_rollout is not None
        assert state.last_rollout.outcome == "aborted"
        assert {entry.actor for entry in world.journal.newest(None, "d")} == {"ann", "controller"}
        world.check(controller)

    run(work)


def test_what_cannot_be_ordered_is_refused_with_a_hint(tmp_path: Path) -> None:
    async def work() -> None:
        world = World(tmp_path)
        _, control = await world.serving()
        other = world.blobs.put(stored(manifest(1, "other")))
        await control.register(other, ANN)
        needs_more = manifest(9)
        columns = (*needs_more.signature.inputs, Column("new", Datatype.FP64))
        wider = msgspec.structs.replace(needs_more.signature, inputs=columns)
        made = msgspec.structs.replace(needs_more, signature=wider)
        nine = await control.register(world.blobs.put(stored(made)), ANN)
        await refused(errors.NO_SUCH_DEPLOYMENT, lambda: control.deploy("x", "m@1", ANN))
        await refused(errors.NO_SUCH_RELEASE, lambda: control.deploy("d", "m@77", ANN))
        await refused(errors.NO_SUCH_RELEASE, lambda: control.deploy("d", "what?", ANN))
        await refused(errors.BAD_VALUE, lambda: control.deploy("d", "m@2", ANN, "yolo"))
        await refused(errors.INCOMPATIBLE, lambda: control.deploy("d", "other@1", ANN))
        await refused(errors.INCOMPATIBLE, lambda: control.deploy("d", nine.name, ANN))
        await refused(errors.NO_ROLLBACK_TARGET, lambda: control.rollback("d", ANN))
        assert control.deployment("d").rollout is None
        state = await control.deploy("d", nine.name, ANN, "now")
        assert state.rollout is not None

    run(work)


def test_retraining_needs_a_pipeline(tmp_path: Path) -> None:
    async def work() -> None:
        world = World(tmp_path)
        controller, control = await world.serving()
        await control.apply(ProjectConfig(deployments=(spec(),)), ANN)
        await refused(errors.NO_PIPELINE, lambda: control.retrain("d", ANN))
        await control.apply(ProjectConfig(deployments=(spec(),), pipelines=(PIPELINE,)), ANN)
        await control.retrain("d", ANN)
        assert [view.state for view in world.runs()] == ["running"]
        await world.tick(controller)
        assert [job.id for job in control.node().jobs] == ["d-run1"]

    run(work)


def test_told_values_are_checked_against_the_release_that_serves_and_compared(
    tmp_path: Path,
) -> None:
    async def work() -> None:
        world = World(tmp_path)
        _, control = await world.serving()
        (column, *_) = manifest(1).signature.inputs
        SegmentWriter(world.home, "d").rows({"request_id": "a", f"in.{column.name}": 1.0})
        told = Telling({column.name: [2.0, 2.0]}, id=["a", "b"])
        assert await control.compare("d", told) == Comparison(compared=1, unmatched=1)
        await refused("TT-803", lambda: control.compare("d", Telling({"no": [1.0]}, id=["a"])))
        await refused("TT-601", lambda: control.compare("nobody", told))

    run(work)


def test_nothing_is_compared_while_nothing_serves(tmp_path: Path) -> None:
    async def work() -> None:
        world = World(tmp_path)
        control = Control(world.start(), FolderRequestLog(world.home))
        await control.apply(ProjectConfig(deployments=(spec(),)), ANN)
        await refused("TT-803", lambda: control.compare("d", Telling({"x": [1.0]}, id=["a"])))

    run(work)


def test_a_log_that_cannot_be_written_is_told_with_its_cause(tmp_path: Path) -> None:
    async def work() -> None:
        world = World(tmp_path)
        _, control = await world.serving()
        (column, *_) = manifest(1).signature.inputs
        folder = world.home / layout.segments("d", "parity")
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.write_text("in the way")
        told = Telling({column.name: [2.0]}, id=["a"])
        await refused("TT-802", lambda: control.compare("d", told))

    run(work)
