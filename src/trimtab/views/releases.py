"""Releases: the list, one of them whole, and what each is to the deployments."""

from trimtab.domain.names import Digest
from trimtab.domain.profile import ReferenceProfile
from trimtab.domain.release import Compiled, Release
from trimtab.domain.state import DeploymentState
from trimtab.judge.tolerances import stated
from trimtab.views.seen import Seen, moment
from trimtab.views.shapes import (
    CompiledView,
    DataView,
    EnvironmentView,
    GoldenView,
    ReleasesView,
    ReleaseView,
    ShowView,
    SpeedView,
    ToleranceView,
)


def build_releases(seen: Seen, model: str | None = None) -> ReleasesView:
    """All releases (of one model), newest first."""
    chosen = [release for release in seen.releases.values() if model in (None, release.model)]
    newest = sorted(chosen, key=lambda release: (-release.created_at, release.model))
    return ReleasesView(tuple(build_release(release, seen) for release in newest))


def build_release(release: Release, seen: Seen) -> ReleaseView:
    """One line of the list."""
    return ReleaseView(
        release=release.name,
        model=release.model,
        number=release.number,
        digest=release.digest,
        format=release.manifest.format,
        engine=release.manifest.engine,
        created_at=moment(release.created_at),
        source=release.manifest.source,
        roles=roles(release.digest, seen),
    )


def build_show(release: Release, seen: Seen, profile: ReferenceProfile | None) -> ShowView:
    """Everything about one release."""
    told = () if profile is None else stated(profile)
    manifest = release.manifest
    lock, data, golden = manifest.environment, manifest.data, manifest.golden
    return ShowView(
        release=release.name,
        model=release.model,
        number=release.number,
        digest=release.digest,
        format=manifest.format,
        engine=manifest.engine,
        created_at=moment(release.created_at),
        source=manifest.source,
        roles=roles(release.digest, seen),
        signature=manifest.signature,
        features=manifest.features,
        environment=EnvironmentView(
            lock.python, lock.platform, {p.name: p.version for p in lock.packages}
        ),
        data=DataView(data.name, data.digest, data.rows, data.since, data.until) if data else None,
        golden=GoldenView(golden.rows, golden.tolerance, golden.bit_stable),
        execution=manifest.execution,
        config=manifest.config,
        compiled=build_compiled(manifest.compiled),
        tolerances=tuple(ToleranceView(*each) for each in told),
    )


def build_compiled(compiled: Compiled | None) -> CompiledView | None:
    """The engine of a release, None when the model itself serves."""
    if compiled is None:
        return None
    speeds = (
        SpeedView(each.rows, each.native_seconds, each.engine_seconds, each.times)
        for each in compiled.speeds
    )
    return CompiledView(compiled.difference, compiled.tolerance, compiled.rows, tuple(speeds))


def roles(digest: Digest, seen: Seen) -> tuple[str, ...]:
    """What the release is to each deployment, as `deployment: role`."""
    found = ((name, _role(digest, state)) for name, state in seen.state.deployments.items())
    return tuple(f"{name}: {role}" for name, role in sorted(found) if role)


def _role(digest: Digest, state: DeploymentState) -> str:
    candidate = state.rollout.candidate if state.rollout else None
    if state.stable is not None and state.stable.digest == digest:
        return "stable"
    if candidate is not None and candidate.digest == digest:
        return "candidate"
    if state.offered is not None and state.offered.digest == digest:
        return "offered"
    if digest in state.rejected:
        return "rolled back"
    if state.previous is not None and state.previous.digest == digest:
        return "previous"
    return "proven" if any(release.digest == digest for release in state.proven) else ""
