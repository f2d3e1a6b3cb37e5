"""An incident in the rows of the request log, read without a server."""

import numpy as np
import pyarrow as pa

from trimtab import errors
from trimtab.app.monitoring import EVER, profile_of
from trimtab.app.projects import Project
from trimtab.app.stores import open_store, request_log, state_of
from trimtab.backends.home import open_home
from trimtab.backends.requestlog import FolderRequestLog
from trimtab.backends.requestlog_files import to_rows
from trimtab.domain.names import Digest
from trimtab.domain.records import Rows, Texts
from trimtab.domain.verdicts import Incident
from trimtab.judge.samples import Known, Shown, shown
from trimtab.loop.store import Store
from trimtab.views.journal import known_incidents
from trimtab.views.samples import SamplesView, SampleView, SignalSamplesView
from trimtab.views.seen import maybe, moment

SIGNALS = 5
"""Signals that are shown, the loudest first."""


def samples(project: Project, name: str, most: int) -> SamplesView:
    """Up to `most` rows for each bad signal of an incident.

    Raises `NotFound` TT-612 without such an incident, and `Usage` TT-910 when the log holds no row
    of its time any more.
    """
    store = open_store(open_home(project.home))
    incident = _incident(store, name)
    release = store.catalog.get(Digest(incident.release))
    spec = state_of(store).deployments[incident.deployment].spec
    known = Known(spec.objective, release.manifest.signature, profile_of(project, release))
    log = request_log(project.home, project.config)
    rows = _rows(log, incident)
    label = _labels(log, incident.deployment, rows)
    bad = [each for each in incident.verdicts if each.verdict == "bad"]
    bad.sort(key=lambda each: each.threshold_log10 - each.evidence_log10)
    return SamplesView(
        incident=incident.id,
        deployment=incident.deployment,
        release=release.name,
        since=moment(incident.first_evidence_at),
        until=maybe(incident.closed_at),
        signals=tuple(_view(shown(each, rows, label, known, most), rows) for each in bad[:SIGNALS]),
    )


def _incident(store: Store, name: str) -> Incident:
    for incident in known_incidents(tuple(store.journal.entries(0))):
        if incident.id == name:
            return incident
    raise errors.NotFound(
        errors.NO_SUCH_INCIDENT,
        "show samples",
        name,
        "no incident has that id",
        hint="trimtab why",
    )


def _rows(log: FolderRequestLog, incident: Incident) -> Rows:
    until = EVER if incident.closed_at is None else incident.closed_at
    table: pa.Table = log.query(
        incident.deployment,
        "SELECT * FROM rows WHERE mode <> 'shadow' "
        f"AND release = '{incident.release}' "
        f"AND event_time BETWEEN {incident.first_evidence_at!r} AND {until!r} "
        "ORDER BY event_time",
    )
    if not table.num_rows:
        raise errors.Usage(
            errors.BAD_DATA,
            "show samples",
            incident.id,
            "the log holds no row of its time",
            hint=f"trimtab why {incident.id}",
        )
    return to_rows(table)


def _labels(log: FolderRequestLog, deployment: str, rows: Rows) -> Texts:
    known = log.labelled(deployment, EVER).select(["request_id", "row", "label"]).to_pydict()
    by_row = dict(
        zip(zip(known["request_id"], known["row"], strict=True), known["label"], strict=True)
    )
    names = zip(rows.fixed["request_id"].tolist(), rows.fixed["row"].tolist(), strict=True)
    return np.array([by_row.get(each, "") for each in names], dtype=object)


def _view(found: Shown, rows: Rows) -> SignalSamplesView:
    fixed = rows.fixed
    return SignalSamplesView(
        signal=found.signal,
        said=found.said,
        column=found.column,
        of=found.of,
        share=found.share,
        samples=tuple(
            SampleView(
                str(fixed["request_id"][place]),
                int(fixed["row"][place]),
                moment(float(fixed["event_time"][place])),
                value,
            )
            for place, value in zip(found.places, found.values, strict=True)
        ),
    )
