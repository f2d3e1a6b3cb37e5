"""`python -m trimtab.web`: the controller process, with the admin listener on an inherited socket.

Exit codes: 0 told to stop · 1 another controller leads · 3 cannot start · 4 not yet.
"""

import argparse
import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
from collections.abc import Sequence
from functools import partial
from importlib.abc import MetaPathFinder
from pathlib import Path
from types import ModuleType

from trimtab import errors
from trimtab.agent.keeper import CANNOT_START, NOT_YET
from trimtab.agent.niceness import CONTROLLER
from trimtab.app.control import ControlRoom, cannot_start_yet, control_room
from trimtab.domain import layout
from trimtab.judge.draft import Author
from trimtab.loop.retention import Retention
from trimtab.web import counts
from trimtab.web.server import create_app, serve
from trimtab.web.source import RoomSource
from trimtab.worker.mappings import give_back
from trimtab.worker.niceness import yield_by

ROLL_SECONDS = 60.0
START_SECONDS = 0.5
"""Between two looks whether a worker is ready."""
COLLECT_EVERY = (50_000, 20, 100)
"""Allocations and generations between two runs of the collector."""
log = logging.getLogger("trimtab.controller")


def main(arguments: list[str] | None = None) -> int:
    """Run the controller until it is told to stop; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m trimtab.web")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--project", type=Path, required=True)
    parser.add_argument("--fd", type=int, required=True, help="an inherited listening socket")
    parser.add_argument("--parent-fd", type=int, default=None)
    given = parser.parse_args(arguments)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s %(message)s")
    os.chdir(given.home)
    yield_by(CONTROLLER)
    with contextlib.suppress(OSError):  # as where the system lets nobody choose
        # As much of the processors as before, but it takes none from who is at work on it.
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    try:
        room = control_room(given.home, given.project)
        give_back()
        with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(room.breath)) as runner:
            return runner.run(_run(room, given.fd, given.parent_fd))
    except errors.Conflict as problem:
        log.error("%s", problem)
        return 1
    except errors.TrimtabError as problem:
        for line in (f"error: {problem}", *problem.causes(), f"hint: {problem.hint}"):
            print(line, file=sys.stderr)
        return NOT_YET if cannot_start_yet(problem) else CANNOT_START


class WithoutPandas(MetaPathFinder):
    """Arrow loads pandas, where it is installed, to see whether a value is one of its objects:
    40 MB for a process that never holds one."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> None:
        """Let `import pandas` find nothing."""
        if fullname == "pandas":
            raise ModuleNotFoundError("this process does without pandas", name=fullname)


async def _run(room: ControlRoom, fd: int, parent: int | None) -> int:
    controller = room.controller
    controller.lead(f"controller-{os.getpid()}")
    await room.control.apply(room.project.config, Author("trimtab.toml"))
    _stop_on_signals(room, parent)
    app = create_app(room.control, RoomSource(room, Path()), evidence=Path(layout.EVIDENCE))
    audit = controller.audit.run(room.clock)
    beside = (serve(app, fd), _roll(room), _breathe(room), _tell(room), audit)
    others = [asyncio.create_task(each) for each in beside]
    _spare_the_collector()
    try:
        await controller.run()
    finally:
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await _published(room)
        await room.node.close()
    return 0


def _spare_the_collector() -> None:
    """Hundreds of thousands of predictions may wait for labels, none of them in a cycle: looking
    through them again and again was a third of the controller's work."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_EVERY)


async def _published(room: ControlRoom) -> None:
    """Make segments of what the gateways, which end first, handed over last."""
    try:
        await asyncio.to_thread(room.log.publish)
    except OSError as problem:
        log.warning("the last requests stay in the spool until the next start: %s", problem)


async def _breathe(room: ControlRoom) -> None:
    """Rest once there is somebody to rest for: what starts is not held up."""
    while not room.controller.health.ready():  # noqa: ASYNC110 - no event tells
        await asyncio.sleep(START_SECONDS)
    room.breath.start()


async def _tell(room: ControlRoom) -> None:
    """Leave for the gateways what a monitoring system asks them of the controller."""
    while True:
        try:
            await asyncio.to_thread(counts.leave, counts.told(room.controller.store.state))
        except Exception:  # the next one may be left, and an alert waits for it
            log.exception("nothing is left for a monitoring system")
        await asyncio.sleep(counts.EVERY_SECONDS)


def _stop_on_signals(room: ControlRoom, parent: int | None) -> None:
    loop = asyncio.get_running_loop()

    def stop(*_: object) -> None:
        loop.call_soon_threadsafe(room.controller.stop)

    # Handlers of the loop itself are told by a pipe, which the alarms of `Breath` would fill.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    if parent is None:
        return

    def gone() -> None:
        if not os.read(parent, 4096):
            loop.remove_reader(parent)
            room.controller.stop()

    loop.add_reader(parent, gone)


async def _roll(room: ControlRoom) -> None:
    """Delete what is older than its retention, since a full disk waits for it, then compact.

    What cannot be made of one deployment's files ends neither: the disk would fill unseen."""
    retention = Retention(room.project.config.server.retention_days, room.log.newest_day())
    waited = False
    while True:
        before = retention.before(room.clock.now(), room.clock.monotonic())
        if retention.waits and not waited:
            log.warning(
                "the clock leapt ahead by days: nothing is deleted until it stood so for an hour"
            )
        waited = retention.waits
        await asyncio.sleep(ROLL_SECONDS)
        for name in room.log.deployments():
            tidies = [partial(room.log.roll, name)]
            if before is not None:
                tidies.insert(0, partial(room.log.expire, name, before))
            for tidy in tidies:
                try:
                    await asyncio.to_thread(tidy)
                except (errors.TrimtabError, OSError) as problem:
                    log.warning("the request log of %s is not tidied: %s", name, problem)
                except Exception:
                    log.exception("the request log of %s is not tidied", name)


if __name__ == "__main__":
    sys.meta_path.insert(0, WithoutPandas())
    sys.exit(main())
