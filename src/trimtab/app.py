"""The composition root: the only module that knows concrete backends.

Faces call these functions. A pipeline run is a process of its own: `python -m trimtab.app run`.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pyarrow as pa

from trimtab import errors
from trimtab.agent import supervisor
from trimtab.agent.hands import PreparedRelease
from trimtab.agent.lock import hold_home
from trimtab.agent.options import AgentEvent, AgentOptions, Programs
from trimtab.backends import shim
from trimtab.backends.blobs import ObjectBlobs
from trimtab.backends.catalog import SqlCatalog
from trimtab.backends.checkouts import Checkouts
from trimtab.backends.clock import SystemClock
from trimtab.backends.database import open_database
from trimtab.backends.environments import UvEnvironments
from trimtab.backends.home import Project, open_home, open_project
from trimtab.backends.journal import SqlJournal
from trimtab.backends.node_client import NodeClient
from trimtab.backends.notifier import FileNotifier
from trimtab.backends.requestlog import FolderRequestLog
from trimtab.backends.runner import SubprocessRunner
from trimtab.build.assemble import build
from trimtab.build.reproduce import integrity, reproduce
from trimtab.build.request import BuildRequest, Narrate, Tools
from trimtab.build.run import RunJob, run
from trimtab.domain import layout
from trimtab.domain.deployment import PipelineSpec, ProjectConfig
from trimtab.domain.names import Digest, ReleaseRef
from trimtab.domain.release import Manifest, Release
from trimtab.domain.reproduction import Reproduction
from trimtab.judge.draft import Author
from trimtab.judge.guard import Guard
from trimtab.judge.monitors import Monitors
from trimtab.loop.controller import Controller, Parts
from trimtab.loop.observer import Judges, Observer, Sources
from trimtab.loop.runs import Place
from trimtab.loop.service import Control
from trimtab.loop.store import Store

CACHE = "cache"
SCRATCH = "scratch"


def tools(home: Path, narrate: Narrate) -> Tools:
    """What builds, runs and reproductions work with."""
    scratch = home / SCRATCH
    scratch.mkdir(parents=True, exist_ok=True, mode=0o700)
    return Tools(
        blobs=ObjectBlobs.local(home / layout.BLOBS),
        environments=UvEnvironments(home),
        runner=SubprocessRunner(home, sys.stderr if narrate is _log else None),
        scratch=scratch,
        serving=shim.EXECUTION_SERVING,
        perturbed=tuple(shim.PERTURBED.values()),
        narrate=narrate,
    )


def build_manifest(
    project: Project, request: BuildRequest, narrate: Narrate
) -> tuple[Digest, Manifest]:
    """Make a release and store its blobs; it has no number until it is registered."""
    return build(request, tools(open_home(project.home), narrate))


def register_offline(project: Project, digest: Digest) -> Release:
    """Register a release while no server runs. Raises `Unavailable` TT-107 when one does."""
    home = open_home(project.home)
    with hold_home(home):
        store = _store(home)
        store.lead("build")
        return store.register(digest, Author("build"))


def releases_offline(project: Project, model: str | None = None) -> tuple[Release, ...]:
    """Registered releases, read without a server."""
    return _store(open_home(project.home)).catalog.releases(model)


def find_release(project: Project, text: str) -> Release:
    """The release that `text` means, read without a server. Raises TT-201, TT-202."""
    return _store(open_home(project.home)).find(ReleaseRef.parse(text))


def reproduce_release(project: Project, text: str, narrate: Narrate) -> Reproduction:
    """Prove that a release can be made to behave as it did, from its manifest alone."""
    started = time.monotonic()
    release = find_release(project, text)
    kit = tools(open_home(project.home), narrate)
    word, problems = integrity(release, kit)
    if word != "ok":
        seconds = time.monotonic() - started
        return Reproduction(
            release=release.name, integrity=word, problems=problems, seconds=seconds
        )
    narrate(f"integrity: every byte of {release.name} is what was released")
    with tempfile.TemporaryDirectory(dir=kit.scratch, prefix="checkout-") as scratch:
        checkout = Checkouts(Path(scratch), kit.blobs).prepare(release.digest, release.name)
        return reproduce(release, checkout.folder, kit)


def up(project: Project, report: Callable[[AgentEvent], None]) -> None:
    """Run the node agent with all its children until told to stop. Raises as `agent.serve`."""
    home = open_home(project.home)
    server = project.config.server
    options = AgentOptions(
        home=home,
        project=project.folder,
        inference=server.inference,
        admin=server.admin,
        gateways=server.gateways,
        flush_seconds=server.flush_seconds,
        programs=Programs(controller=(sys.executable, "-P", "-m", "trimtab.web")),
    )
    asyncio.run(supervisor.serve(options, LocalHands(home), report))


class LocalHands:
    """The agent's hands: environments by uv, checkouts from blobs, the copy of the worker."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._environments = UvEnvironments(home)
        self._checkouts = Checkouts(home, ObjectBlobs.local(home / layout.BLOBS))
        self._shim = shim.install(home)

    def prepare(self, release: Digest) -> PreparedRelease:
        """A verified checkout and its environment, both made when they are absent."""
        checkout = self._checkouts.prepare(release)
        python = self._environments.materialise(checkout.manifest.environment)
        return PreparedRelease(
            config=checkout.config,
            argv=partial(shim.worker_argv, python, self._shim),
            environment=shim.worker_environment(checkout.manifest.execution),
        )


@dataclass(frozen=True, slots=True)
class ControlRoom:
    """Everything that the controller process holds."""

    project: Project
    controller: Controller
    control: Control
    observer: Observer
    log: FolderRequestLog
    node: NodeClient
    clock: SystemClock


def control_room(home: Path, project: Path) -> ControlRoom:
    """Put the controller together. Raises `Permanent` TT-503 and `Integrity` TT-501."""
    found = _project(project, home)
    clock = SystemClock()
    engine = open_database(home / layout.DATABASE)
    journal, catalog = SqlJournal(engine), SqlCatalog(engine)
    blobs = ObjectBlobs.local(home / layout.BLOBS)
    log = request_log(home, found.config)
    observer = Observer(
        Sources(log, catalog, blobs, clock),
        Judges(Monitors.start, Monitors.load, Guard.start, Guard.load),
    )
    node = NodeClient(home)
    notifier = FileNotifier(home / layout.PROCESS_LOGS / "notifications.jsonl", clock)
    parts = Parts(journal, catalog, blobs, node, notifier, clock, observer)
    controller = Controller(parts, Place(home, found.folder))
    return ControlRoom(found, controller, Control(controller), observer, log, node, clock)


def request_log(home: Path, config: ProjectConfig) -> FolderRequestLog:
    """The request log of an installation, with the business keys that its labels may use."""
    keys = {spec.name: spec.monitor.key for spec in config.deployments}
    return FolderRequestLog(home, keys.get)


def run_pipeline(project: Project, order: "RunOrder", narrate: Narrate) -> Digest:
    """Carry out a pipeline run here and now. Raises `Permanent` TT-605 when it fails."""
    home = open_home(project.home)
    log = request_log(home, project.config)
    job = RunJob(
        id=order.run,
        spec=pipeline_of(project.config, order.model),
        project=project.folder,
        folder=home / layout.RUNS / order.run,
        cache=home / CACHE,
        labelled=partial(_labelled, log, order),
    )
    status = run(job, tools(home, narrate))
    if status.release is None:
        raise errors.Permanent(
            errors.RUN_FAILED,
            "run pipeline",
            order.model,
            status.error,
            unchanged="no release was made; what serves was not touched",
            hint=status.hint,
        )
    return status.release


@dataclass(frozen=True, slots=True)
class RunOrder:
    """One run: `until` bounds the labels that it may use, in event time; None takes none."""

    run: str
    model: str
    deployment: str | None = None
    until: float | None = None


def pipeline_of(config: ProjectConfig, model: str) -> PipelineSpec:
    """The pipeline of a model. Raises `NotFound` TT-606."""
    for spec in config.pipelines:
        if spec.model == model:
            return spec
    raise errors.NotFound(
        errors.NO_PIPELINE,
        "run pipeline",
        model,
        f"trimtab.toml has no [model.{model}]",
        hint=f"add [model.{model}] with pipeline, steps and requirements",
    )


def _labelled(log: FolderRequestLog, order: RunOrder) -> pa.Table | None:
    if order.deployment is None:
        return None
    return log.labelled(order.deployment, float("inf") if order.until is None else order.until)


def _store(home: Path) -> Store:
    engine = open_database(home / layout.DATABASE)
    blobs = ObjectBlobs.local(home / layout.BLOBS)
    return Store(SqlJournal(engine), SqlCatalog(engine), blobs, SystemClock())


def _project(folder: Path, home: Path) -> Project:
    return replace(open_project(folder, os.environ), home=home)


def _log(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """The process of a pipeline run: `run --home … --project … --run … --model …`."""
    parser = argparse.ArgumentParser(prog="python -m trimtab.app")
    parser.add_argument("role", choices=["run"])
    for option in ("--home", "--project"):
        parser.add_argument(option, type=Path, required=True)
    for option in ("--run", "--model", "--deployment"):
        parser.add_argument(option, required=True)
    parser.add_argument("--until", type=float, default=None)
    given = parser.parse_args(arguments)
    order = RunOrder(given.run, given.model, given.deployment, given.until)
    try:
        run_pipeline(_project(given.project, given.home), order, _log)
    except errors.TrimtabError as problem:
        _log(str(problem))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
