"""One-off processes (pipeline runs): started once per id, whatever happens to the controller.

What ends with its agent is lost: the next agent does not know it, so that whoever ordered it has it
started again.
"""

import asyncio
import contextlib
import os
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from trimtab import errors
from trimtab.agent.groups import Groups
from trimtab.agent.niceness import JOB
from trimtab.agent.options import AgentEvent, Report
from trimtab.agent.process import Child, Launch, Nursery
from trimtab.domain import layout
from trimtab.domain.processes import JobStatus

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class Jobs:
    """Jobs of this state folder; their status is kept in `runs/<id>/job.json`."""

    def __init__(
        self, home: Path, nursery: Nursery, report: Report, groups: Groups | None = None
    ) -> None:
        self._folder = home / layout.RUNS
        self._nursery = nursery
        self._report = report
        self._groups = groups
        self._children: dict[str, Child] = {}
        self._watchers: set[asyncio.Task[None]] = set()
        self._known = {job.id: job for job in self._stored() if job.exit_code is not None}
        self._ending = False

    def _stored(self) -> list[JobStatus]:
        found = []
        for path in sorted(self._folder.glob("*/job.json")):
            try:
                found.append(msgspec.json.decode(path.read_bytes(), type=JobStatus))
            except (OSError, ValueError):
                continue
        return found

    def start(self, job: str, argv: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start a job unless its id is known. Raises `Usage` TT-102, and `Permanent` TT-701, also
        while the agent ends."""
        if not _ID.fullmatch(job) or not argv:
            raise errors.Usage(errors.BAD_VALUE, "start job", repr(job), "not a job id with argv")
        if job in self._known:
            return
        if self._ending:
            raise errors.Permanent(errors.SPAWN_FAILED, "start", job, "the agent is stopping")
        launch = Launch(f"job-{job}", argv, {**os.environ, **environment})
        child = self._nursery.spawn(launch)
        if self._groups is not None:
            self._groups.set_apart(child, JOB)
        self._children[job] = child
        self._known[job] = self._store(JobStatus(job, child.pid, None, time.time()))
        self._report(AgentEvent("started", job, "started", child.pid))
        watcher = asyncio.ensure_future(self._watch(job, child))
        self._watchers.add(watcher)
        watcher.add_done_callback(self._watchers.discard)

    async def _watch(self, job: str, child: Child) -> None:
        code = await child.wait()
        del self._children[job]
        ended = msgspec.structs.replace(self._known[job], pid=None, exit_code=code)
        # The controller sees the agent stop: to it, a job that was ended with it goes on.
        self._known[job] = self._known[job] if self._ending else self._store(ended)
        self._report(AgentEvent("ended", job, f"ended with {code}", child.pid))

    def _store(self, job: JobStatus) -> JobStatus:
        """Keep it for the next agent. Where a disk refuses, that one has the job started again."""
        folder = self._folder / job.id
        unfinished = folder / ".job.json"
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            unfinished.write_bytes(msgspec.json.encode(job))
            unfinished.rename(folder / "job.json")
        return job

    @property
    def status(self) -> tuple[JobStatus, ...]:
        """All jobs known, by id."""
        return tuple(self._known[job] for job in sorted(self._known))

    async def stop(self, drain: float) -> None:
        """End all jobs; the next agent is asked for them again."""
        self._ending = True
        await asyncio.gather(*(child.stop(drain) for child in self._children.values()))
        if self._watchers:
            await asyncio.wait(self._watchers)
