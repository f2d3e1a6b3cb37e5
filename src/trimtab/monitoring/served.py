"""References and logs that are in a state folder."""

import os
from functools import partial
from pathlib import Path

import msgspec

from trimtab.app.monitoring import LABEL, TIME, Logged, reference_of
from trimtab.app.projects import project_or_folder
from trimtab.domain.deployment import MonitorPlan
from trimtab.judge.own_loss import OwnLoss
from trimtab.monitoring import columns
from trimtab.monitoring.columns import Asked
from trimtab.monitoring.reference import Known
from trimtab.monitoring.report import Report
from trimtab.monitoring.run import Case
from trimtab.monitoring.sources import Reader, TableSource
from trimtab.monitoring.timeline import read_dates
from trimtab.views.report import build_report


def known_of(release: str, folder: str | Path | None) -> tuple[str, Known]:
    """A release's full name, and what it knows of its reference. Raises TT-201, TT-202, TT-205."""
    place = Path(folder or Path.cwd()).absolute()
    found = reference_of(project_or_folder(place, os.environ), release)
    return found.release, Known(found.signature, found.profile, {})


def monitor_deployment(logged: Logged, block: str | None = None) -> Report:
    """Judge what a deployment's log holds as its control loop does, from the beginning."""
    asked = Asked(target=LABEL, prediction=logged.answer, time=TIME)
    known, source = logged.reference, TableSource(logged.rows)
    case = Case(
        logged.spec.name,
        source,
        columns.roles_against(asked, known.profile, source.schema),
        Known(known.signature, known.profile, {}),
        msgspec.structs.replace(logged.spec.monitor, maturity_seconds=0.0, audit=None),
        partial(read_dates, source, TIME),
        known.release,
        _loss(logged.spec.monitor),
    )
    seconds = block or logged.spec.monitor.block_seconds
    with Reader(len(os.sched_getaffinity(0))) as reader:
        return Report(build_report(case.story(seconds, reader)))


def _loss(plan: MonitorPlan) -> OwnLoss | None:
    return OwnLoss(plan.loss, plan.loss_bound) if plan.loss else None
