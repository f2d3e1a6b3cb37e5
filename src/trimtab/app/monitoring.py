"""The reference of a release and the log of a deployment, read without a server."""

from dataclasses import dataclass
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from trimtab import errors
from trimtab.app.projects import Project
from trimtab.app.stores import open_store, request_log
from trimtab.backends.blobs import ObjectBlobs
from trimtab.backends.home import open_home
from trimtab.domain import layout
from trimtab.domain.deployment import DeploymentSpec
from trimtab.domain.names import ReleaseRef
from trimtab.domain.profile import ReferenceProfile
from trimtab.domain.release import Release
from trimtab.domain.rollout import Standing
from trimtab.domain.signature import Signature

TIME, LABEL, ANSWER = "trimtab.event_time", "trimtab.label", "trimtab.answer"
"""Columns of a logged table beside inputs and answer."""

ANSWERS = {"binary": "score", "regression": "prediction", "multiclass": "label"}
EVER = 1e15
"""Later than any label."""


@dataclass(frozen=True, slots=True)
class Reference:
    """What a release was made against."""

    release: str
    signature: Signature
    profile: ReferenceProfile


@dataclass(frozen=True, slots=True)
class Logged:
    """Answers of a deployment's stable release: inputs by their names, `ANSWER` (not there for a
    task without one), `TIME` and `LABEL` (null while unknown), in the order of event time."""

    spec: DeploymentSpec
    reference: Reference
    rows: pa.Table

    @property
    def answer(self) -> str | None:
        """The column of the answers, where there is one."""
        return ANSWER if ANSWER in self.rows.column_names else None


def reference_of(project: Project, text: str) -> Reference:
    """The profile of the release that `text` means. Raises TT-201, TT-202, and TT-205 when it was
    made without reference data."""
    home = open_home(project.home)
    return _reference(project, open_store(home).find(ReleaseRef.parse(text)))


def profile_of(project: Project, release: Release) -> ReferenceProfile | None:
    """The profile of a release; None when it was made without reference data."""
    digest = release.manifest.profile
    if digest is None:
        return None
    blob = ObjectBlobs.local(open_home(project.home) / layout.BLOBS).get(digest)
    return msgspec.json.decode(blob, type=ReferenceProfile)


def _reference(project: Project, release: Release) -> Reference:
    profile = profile_of(project, release)
    if profile is None:
        raise errors.Refused(
            errors.BAD_REFERENCE,
            "monitor",
            release.name,
            "it was made without --reference, so there is nothing to compare with",
            unchanged="nothing was judged",
            hint="trimtab build --help",
        )
    return Reference(release.name, release.manifest.signature, profile)


def logged(
    project: Project, deployment: str, since: float | None, last: float | None = None
) -> Logged:
    """What the stable release answered since an event time, or in the `last` seconds of the log.

    Raises `NotFound` TT-601 without such a deployment or a release in it, and `Usage` TT-910 when
    the log holds none of its answers.
    """
    spec, stable = serving(project, deployment, "monitor")
    store = open_store(open_home(project.home))
    reference = _reference(project, store.catalog.get(stable.digest))
    rows = _rows(project, spec, stable.digest, reference)
    return Logged(spec, reference, _recent(rows, since, last, deployment))


def serving(project: Project, deployment: str, operation: str) -> tuple[DeploymentSpec, Standing]:
    """What a deployment is to be, and its stable release. Raises `NotFound` TT-601 without."""
    found = open_store(open_home(project.home)).read().deployments.get(deployment)
    if found is None or found.stable is None:
        raise errors.NotFound(
            errors.NO_SUCH_DEPLOYMENT,
            operation,
            deployment,
            "no release serves under that name",
            unchanged="nothing was changed",
            hint="trimtab status",
        )
    return found.spec, found.stable


def _rows(project: Project, spec: DeploymentSpec, digest: str, known: Reference) -> pa.Table:
    task = known.signature.task
    answer = ANSWERS.get(task)
    log = request_log(project.home, project.config)
    names = dict.fromkeys(column.origin for column in known.profile.inputs)
    wanted = {f"in.{name}": name for name in names}
    if answer is not None:
        wanted[f"out.{answer}"] = ANSWER
    chosen = "".join(f", {_quoted(column)}" for column in wanted)
    held = log.query(spec.name, "SELECT * FROM rows LIMIT 0").column_names
    if not set(wanted) <= set(held):
        return pa.table({TIME: pa.array([], pa.float64())})
    rows = log.query(
        spec.name,
        f'SELECT request_id, "row", event_time{chosen} FROM rows '
        f"WHERE release = '{digest}' AND mode = 'stable' AND outcome = 'ok'",
    )
    labels = log.labelled(spec.name, EVER).select(["request_id", "row", "label"])
    if task == "regression":
        labels = labels.set_column(2, "label", _numbers(labels.column("label")))
    joined = rows.join(labels, ["request_id", "row"], join_type="left outer")
    renamed = {"event_time": TIME, "label": LABEL, **wanted}
    kept = joined.select([name for name in joined.column_names if name in renamed])
    return kept.rename_columns([renamed[name] for name in kept.column_names]).sort_by(TIME)


def _numbers(labels: "pa.ChunkedArray[Any]") -> "pa.ChunkedArray[Any]":
    """Labels, which the log holds as texts, as numbers; what is none is missing."""
    written = pc.match_substring_regex(labels, r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$")
    numbers: pa.ChunkedArray[Any] = pc.if_else(written, labels, None)
    return numbers.cast(pa.float64())


def _recent(rows: pa.Table, since: float | None, last: float | None, deployment: str) -> pa.Table:
    times = rows.column(TIME).to_numpy()
    if last is not None and times.size:
        since = float(times[-1]) - last
    kept = rows if since is None else rows.filter(pa.array(times >= since))
    if not kept.num_rows:
        raise errors.Usage(
            errors.BAD_DATA,
            "monitor",
            deployment,
            "the log holds no answer of its stable release in that time",
            unchanged="nothing was judged",
            hint="trimtab status",
        )
    return kept


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
