"""The composition root: the only module that knows concrete backends.

Faces call these functions. A pipeline run is a process of its own: `python -m trimtab.app run`.
"""

import argparse
import asyncio
import getpass
import hashlib
import http.client
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
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
from trimtab.backends.environments import UvEnvironments, lock_digest
from trimtab.backends.home import DEFAULT_HOME, Project, open_home, open_project
from trimtab.backends.journal import SqlJournal
from trimtab.backends.libraries import libraries
from trimtab.backends.node_client import NodeClient
from trimtab.backends.notifier import FileNotifier
from trimtab.backends.requestlog import FolderRequestLog
from trimtab.backends.runner import SubprocessRunner
from trimtab.build import reproduce as again
from trimtab.build.assemble import build
from trimtab.build.request import BuildRequest, Narrate, Tools
from trimtab.build.run import RunJob, run
from trimtab.domain import layout
from trimtab.domain.deployment import PipelineSpec, ProjectConfig
from trimtab.domain.names import Digest, ReleaseRef, short
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
from trimtab.views.shapes import BuildView

CACHE = "cache"
SCRATCH = "scratch"

__all__ = ["Project", "open_project"]


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


def project_or_folder(folder: Path, environment: Mapping[str, str]) -> Project:
    """The project of `folder`; without one, the folder itself with everything at its default."""
    try:
        return open_project(folder, environment)
    except errors.Usage as problem:
        if problem.code != errors.NO_PROJECT:
            raise
    home = Path(environment.get("TRIMTAB_HOME", folder / DEFAULT_HOME)).absolute()
    return Project(folder, home, ProjectConfig())


def build_release(project: Project, request: BuildRequest, narrate: Narrate) -> BuildView:
    """Make a release of a model file or object, and register it."""
    started = time.monotonic()
    digest, manifest = build(request, tools(open_home(project.home), narrate))
    release = register(project, digest)
    return _built(release, manifest, time.monotonic() - started)


def run_pipeline(project: Project, model: str, narrate: Narrate) -> BuildView:
    """Make a release by the model's pipeline from past data alone, and register it."""
    started = time.monotonic()
    order = RunOrder(f"{model}-{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}", model)
    release = register(project, carry_out(project, order, narrate))
    return _built(release, release.manifest, time.monotonic() - started)


def register(project: Project, digest: Digest) -> Release:
    """Give a stored release its number, through the server when one runs.

    Raises `Unavailable` TT-109 when a server holds the state folder but does not answer.
    """
    home = open_home(project.home)
    try:
        with hold_home(home):
            store = _store(home)
            store.lead(f"build-{os.getpid()}")
            return store.register(digest, Author(getpass.getuser()))
    except errors.Unavailable as problem:
        if problem.code != errors.HOME_IN_USE:
            raise
    _order_registration(home, digest)
    return _store(home).catalog.get(digest)


def _order_registration(home: Path, digest: Digest) -> None:
    """Tell the running server about a release; blobs are shared, so its digest is enough."""
    body = msgspec.json.encode({"digest": digest})
    headers = {"Content-Type": "application/json", "X-Trimtab-Action": "1"}
    try:
        facts = msgspec.json.decode(
            (home / layout.AGENT_FACTS).read_bytes(), type=supervisor.AgentFacts
        )
        parts = urlsplit(facts.admin)
        line = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
        line.request("POST", "/api/releases", body, headers)
        status, said = (answer := line.getresponse()).status, answer.read()
    except (OSError, http.client.HTTPException, msgspec.DecodeError) as cause:
        raise _unregistered(digest, "the running server does not answer") from cause
    if status != http.client.OK:
        raise _unregistered(digest, f"the server said {status}: {said.decode()[:500]}")


def _unregistered(digest: Digest, problem: str) -> errors.Unavailable:
    return errors.Unavailable(
        errors.NOT_RUNNING,
        "register",
        short(digest),
        problem,
        unchanged="the release is stored but has no number yet; building again only registers it",
        hint="trimtab status",
    )


def _built(release: Release, manifest: Manifest, seconds: float) -> BuildView:
    return BuildView(
        release=release.name,
        model=release.model,
        number=release.number,
        digest=release.digest,
        engine=manifest.engine,
        signature=manifest.signature,
        seconds=seconds,
    )


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
    word, problems = again.integrity(release, kit)
    if word != "ok":
        seconds = time.monotonic() - started
        return Reproduction(
            release=release.name, integrity=word, problems=problems, seconds=seconds
        )
    narrate(f"integrity: every byte of {release.name} is what was released")
    with tempfile.TemporaryDirectory(dir=kit.scratch, prefix="checkout-") as scratch:
        checkout = Checkouts(Path(scratch), kit.blobs).prepare(release.digest, release.name)
        return again.reproduce(release, checkout.folder, kit)


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
        manifest = checkout.manifest
        python = self._environments.materialise(manifest.environment)
        return PreparedRelease(
            config=checkout.config,
            argv=partial(shim.worker_argv, python, self._shim),
            environment=shim.worker_environment(manifest.execution),
            zygote=_zygote(manifest),
            imports=libraries(manifest),
        )


def _zygote(manifest: Manifest) -> str:
    """The name of the zygote that a release is forked from: its environment and profile."""
    profile = hashlib.sha256(msgspec.json.encode(manifest.execution, order="sorted")).hexdigest()
    return f"{short(lock_digest(manifest.environment))}-{profile[:6]}"


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


def carry_out(project: Project, order: "RunOrder", narrate: Narrate) -> Digest:
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
        hint=f"give --model FILE, or add [model.{model}] with pipeline, steps and requirements",
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
        carry_out(_project(given.project, given.home), order, _log)
    except errors.TrimtabError as problem:
        _log(str(problem))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
