"""An incident in the rows of the request log, read without a server."""

from trimtab import errors
from trimtab.app.monitoring import EVER, profile_of
from trimtab.app.projects import Project
from trimtab.app.stores import open_store, request_log
from trimtab.backends.home import open_home
from trimtab.domain.names import ReleaseRef
from trimtab.domain.verdicts import Incident
from trimtab.judge.samples import Known
from trimtab.loop.history import History
from trimtab.loop.samples import Bound, Trouble, told
from trimtab.views.journal import build_concentration, build_shown, known_incident
from trimtab.views.sample_shapes import SamplesView
from trimtab.views.seen import maybe, moment

WHOLE = Bound(rows=200_000)
"""Rows that are held at most: more than enough to show an incident, and no more than fit."""


def samples(project: Project, name: str, most: int) -> SamplesView:
    """Up to `most` rows for each bad signal of an incident.

    Raises `NotFound` TT-612 without such an incident, and `Usage` TT-910 when the log holds no row
    of its time any more.
    """
    store = open_store(open_home(project.home))
    incident = known_incident(History(store.journal).told([name]), "show samples", name)
    release = store.find(ReleaseRef.parse(incident.release))
    spec = store.read().deployments[incident.deployment].spec
    known = Known(spec.objective, release.manifest.signature, profile_of(project, release))
    trouble = Trouble(
        incident.deployment,
        release.digest,
        incident.verdicts,
        incident.first_evidence_at,
        EVER if incident.closed_at is None else incident.closed_at,
        copies=incident.release == release.name,
        key=spec.monitor.key,
    )
    found = told(request_log(project.home, project.config), trouble, known, WHOLE, most)
    if not found.rows:
        raise _nothing(incident)
    return SamplesView(
        incident=incident.id,
        deployment=incident.deployment,
        release=release.name,
        since=moment(incident.first_evidence_at),
        until=maybe(incident.closed_at),
        signals=tuple(map(build_shown, found.shown)),
        concentration=build_concentration(found.concentration),
    )


def _nothing(incident: Incident) -> errors.Usage:
    return errors.Usage(
        errors.BAD_DATA,
        "show samples",
        incident.id,
        "the log holds no row of its time",
        hint=f"trimtab why {incident.id}",
    )
