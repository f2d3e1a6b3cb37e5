"""The process of `trimtab up`: the node agent, with hands that make releases startable."""

import asyncio
import hashlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec

from trimtab.agent import supervisor
from trimtab.agent.hands import PreparedRelease
from trimtab.agent.offspring import fork_off
from trimtab.agent.options import AgentEvent, AgentOptions
from trimtab.agent.warm import serve
from trimtab.app.projects import Project
from trimtab.backends import shim
from trimtab.backends.blobs import ObjectBlobs
from trimtab.backends.checkouts import Checkouts
from trimtab.backends.environments import UvEnvironments, lock_digest
from trimtab.backends.home import open_home
from trimtab.backends.libraries import libraries
from trimtab.domain import layout
from trimtab.domain.names import Digest, short
from trimtab.domain.release import Manifest
from trimtab.worker.mappings import give_back


def up(project: Project, report: Callable[[AgentEvent], None]) -> None:
    """Run the node agent with all its children until told to stop. Raises as `agent.serve`."""
    home = open_home(project.home)
    warm = fork_off(home, serve)
    give_back()
    server = project.config.server
    options = AgentOptions(
        home=home,
        project=project.folder,
        inference=server.inference,
        admin=server.admin,
        grpc=server.grpc,
        export=project.config.telemetry,
        gateways=server.gateways,
        flush_seconds=server.flush_seconds,
        warm=warm,
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
            examine=partial(self._environments.examine, manifest.environment),
        )


def _zygote(manifest: Manifest) -> str:
    """The name of the zygote that a release is forked from: its environment and profile."""
    profile = hashlib.sha256(msgspec.json.encode(manifest.execution, order="sorted")).hexdigest()
    return f"{short(lock_digest(manifest.environment))}-{profile[:6]}"
