"""`trimtab audit`."""

import os
from pathlib import Path

import click

from trimtab import errors
from trimtab.cli.names import deployments
from trimtab.cli.screen import Screen, verb


@verb("audit")
@click.argument("deployment", shell_complete=deployments)
@click.option("--rate", type=float, help="Share of predictions, in the place of monitor.audit.")
@click.option("--last", help="Only of this last time of the log, such as 7d.")
def command(screen: Screen, deployment: str, rate: float | None, last: str | None) -> None:
    """List the predictions whose truth an audit asks for and does not have yet.

    They are chosen by a hash, so that labels of them, given by `trimtab label`, speak for all. The
    server need not run.
    """
    from trimtab.app.audits import audit_of
    from trimtab.app.projects import open_project
    from trimtab.domain.settings import AUDITED, DURATION

    try:
        share = None if rate is None else AUDITED.parse(rate)
        seconds = None if last is None else DURATION.parse(last)
    except ValueError:
        problem = "--rate is a share above 0 up to 1, and --last a duration"
        hint = f"trimtab audit {deployment} --rate 0.01 --last 7d"
        raise errors.Usage(
            errors.BAD_VALUE, "audit", "options", problem, "nothing was chosen", hint
        ) from None
    screen.show(audit_of(open_project(Path.cwd(), os.environ), deployment, share, seconds))
