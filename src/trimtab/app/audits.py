"""The predictions that an audit asks the truth of, read from the log without a server."""

import pyarrow as pa

from trimtab import errors
from trimtab.app.monitoring import EVER, serving
from trimtab.app.projects import Project
from trimtab.app.stores import request_log
from trimtab.backends.requestlog import FolderRequestLog
from trimtab.judge.audit import asked
from trimtab.views.seen import moment
from trimtab.views.sent_shapes import AskedView, AuditView


def audit_of(
    project: Project, deployment: str, rate: float | None, last: float | None
) -> AuditView:
    """What the audit asks for of the answers of the stable release, in the `last` seconds of the
    log, and has no label by now; the oldest first.

    `rate` stands in for `monitor.audit`. Raises `NotFound` TT-601 without such a deployment or a
    release in it, and `Usage` TT-102 where neither says how much is audited.
    """
    spec, stable = serving(project, deployment, "audit")
    share = rate or spec.monitor.audit
    if share is None:
        raise errors.Usage(
            errors.BAD_VALUE,
            "audit",
            deployment,
            "nothing says which share of its predictions is audited",
            "nothing was chosen",
            f"set monitor.audit = 0.01 in [deployment.{deployment}], or give --rate 0.01",
        )
    log = request_log(project.home, project.config)
    rows = _lately(_answers(log, deployment, stable.digest), last)
    every = [(str(each["request_id"]), int(each["row"])) for each in rows.to_pylist()]
    mask = asked(deployment, [name for name, _ in every], [place for _, place in every], share)
    chosen = rows.filter(pa.array(mask))
    known = _labelled(log, deployment)
    waiting = tuple(
        AskedView(each["request_id"], each["row"], moment(each["event_time"]))
        for each in chosen.to_pylist()
        if (each["request_id"], each["row"]) not in known
    )
    return AuditView(
        deployment=deployment,
        rate_ratio=share,
        predictions=rows.num_rows,
        asked=chosen.num_rows,
        labelled=chosen.num_rows - len(waiting),
        waiting=waiting,
    )


def _answers(log: FolderRequestLog, deployment: str, release: str) -> pa.Table:
    return log.query(
        deployment,
        f"""SELECT request_id, "row", min(event_time) AS event_time FROM rows
        WHERE release = '{release}' AND mode = 'stable' AND outcome = 'ok'
        GROUP BY request_id, "row" ORDER BY event_time, request_id, "row"
        """,
    )


def _labelled(log: FolderRequestLog, deployment: str) -> set[tuple[str, int]]:
    labels = log.labelled(deployment, EVER)
    pairs = labels.column("request_id").to_pylist(), labels.column("row").to_pylist()
    return {(str(name), int(row or 0)) for name, row in zip(*pairs, strict=True)}


def _lately(rows: pa.Table, last: float | None) -> pa.Table:
    if last is None or not rows.num_rows:
        return rows
    times = rows.column("event_time").to_numpy()
    return rows.filter(pa.array(times >= times[-1] - last))
