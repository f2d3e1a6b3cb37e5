"""Making, finding and proving releases, as the build verbs do it."""

import http.client
import os
import time
from contextlib import closing
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

import msgspec

from trimtab import errors
from trimtab.agent import supervisor
from trimtab.agent.lock import hold_home
from trimtab.app.person import actor
from trimtab.app.projects import Project
from trimtab.app.stores import open_store
from trimtab.backends import shim
from trimtab.backends.blobs import ObjectBlobs
from trimtab.backends.checkouts import Checkouts
from trimtab.backends.environments import UvEnvironments
from trimtab.backends.home import open_home
from trimtab.backends.runner import SubprocessRunner
from trimtab.build import reproduce as again
from trimtab.build.assemble import build
from trimtab.build.request import BuildRequest, Narrate, Tools
from trimtab.build.scratch import scratch
from trimtab.domain import layout
from trimtab.domain.names import Digest, ReleaseRef, short
from trimtab.domain.profile import ReferenceProfile
from trimtab.domain.release import Manifest, Release
from trimtab.domain.reproduction import Reproduction
from trimtab.judge.draft import Author
from trimtab.views.releases import build_compiled
from trimtab.views.shapes import BuildView

SCRATCH = "scratch"
CACHE = "cache"
ORDER_SECONDS = 30.0
"""How long the running server may take to register a release, or somebody else to let go of the
state folder."""
LOOK_SECONDS = 0.05


def tools(home: Path, narrate: Narrate, log: IO[str] | None = None) -> Tools:
    """What builds, runs and reproductions work with; `log` takes what their workers say."""
    return Tools(
        blobs=ObjectBlobs.local(home / layout.BLOBS),
        environments=UvEnvironments(home),
        runner=SubprocessRunner(home, log),
        scratch=home / SCRATCH,
        cache=home / CACHE,
        serving=shim.EXECUTION_SERVING,
        perturbed=tuple(shim.PERTURBED.values()),
        narrate=narrate,
    )


def build_release(project: Project, request: BuildRequest, narrate: Narrate) -> BuildView:
    """Make a release of a model file or object, and register it."""
    started = time.monotonic()
    digest, manifest = build(request, tools(open_home(project.home), narrate))
    new = not registered(project, digest)
    release = register(project, digest)
    return built(release, manifest, time.monotonic() - started, new=new)


def registered(project: Project, digest: Digest) -> bool:
    """Whether a release has its number already: what is built again is the same."""
    try:
        open_store(open_home(project.home)).catalog.get(digest)
    except errors.NotFound:
        return False
    return True


def register(project: Project, digest: Digest) -> Release:
    """Give a stored release its number, through the server when one runs.

    Raises `Unavailable` TT-109 when a server holds the state folder and refuses or cannot be asked,
    `TimedOut` TT-109 when its answer does not come. The order may have been carried out all the
    same: then, the release has its number, and nothing is raised.
    """
    home = open_home(project.home)
    release = _registered_here(home, digest)
    if release is not None:
        return release
    try:
        _order_registration(home, digest)
    except errors.TrimtabError as problem:
        try:
            return open_store(home).catalog.get(digest)
        except errors.TrimtabError:
            raise problem from problem.__cause__
    return open_store(home).catalog.get(digest)


def _registered_here(home: Path, digest: Digest) -> Release | None:
    """The release with its number; None where a server holds the state folder.

    Without one it is another build that holds it, for as long as it takes to register, or a server
    that starts."""
    until = time.monotonic() + ORDER_SECONDS
    while True:
        try:
            with hold_home(home):
                store = open_store(home)
                store.lead(f"build-{os.getpid()}")
                return store.register(digest, Author(actor()))
        except errors.Unavailable as problem:
            if problem.code != errors.HOME_IN_USE:
                raise
        if (home / layout.AGENT_FACTS).exists() or time.monotonic() >= until:
            return None
        time.sleep(LOOK_SECONDS)


def _order_registration(home: Path, digest: Digest) -> None:
    """Tell the running server about a release; blobs are shared, so its digest is enough."""
    body = msgspec.json.encode({"digest": digest})
    headers = {
        "Content-Type": "application/json",
        "X-Trimtab-Action": "1",
        "X-Trimtab-Actor": actor(),
    }
    try:
        facts = msgspec.json.decode(
            (home / layout.AGENT_FACTS).read_bytes(), type=supervisor.AgentFacts
        )
        parts = urlsplit(facts.admin)
        with closing(
            http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=ORDER_SECONDS)
        ) as line:
            line.request("POST", "/api/releases", body, headers)
            status, said = (answer := line.getresponse()).status, answer.read()
    except TimeoutError as cause:
        raise errors.TimedOut(
            errors.NOT_RUNNING,
            "register",
            short(digest),
            f"the running server has not answered in {ORDER_SECONDS:g} s",
            unchanged="the release is stored and has no number so far; the server may still give "
            "it one, and building again only registers it",
            hint="trimtab releases",
        ) from cause
    except (OSError, http.client.HTTPException, ValueError) as cause:
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


def built(release: Release, manifest: Manifest, seconds: float, *, new: bool) -> BuildView:
    """What a verb shows of a release that took `seconds` to make, and whether there was none such
    before."""
    return BuildView(
        release=release.name,
        model=release.model,
        number=release.number,
        digest=release.digest,
        engine=manifest.engine,
        compiled=build_compiled(manifest.compiled),
        signature=manifest.signature,
        seconds=seconds,
        new=new,
    )


def releases_offline(project: Project, model: str | None = None) -> tuple[Release, ...]:
    """Registered releases, read without a server."""
    return open_store(open_home(project.home)).catalog.releases(model)


def profile_of(project: Project, release: Release) -> ReferenceProfile | None:
    """The reference profile of a release, read without a server."""
    return open_store(open_home(project.home)).profile(release)


def find_release(project: Project, text: str) -> Release:
    """The release that `text` means, read without a server. Raises TT-201, TT-202."""
    return open_store(open_home(project.home)).find(ReleaseRef.parse(text))


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
    with scratch(kit.scratch, "checkout-") as folder:
        checkout = Checkouts(folder, kit.blobs).prepare(release.digest, release.name)
        return again.reproduce(release, checkout.folder, kit)
