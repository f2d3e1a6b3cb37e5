"""`trimtab runs`."""

import click

from trimtab.cli.api import connect
from trimtab.cli.names import deployments
from trimtab.cli.screen import Screen, verb
from trimtab.views.shapes import RunsView


@verb("runs")
@click.argument("deployment", required=False, shell_complete=deployments)
def command(screen: Screen, deployment: str | None) -> None:
    """List pipeline runs."""
    screen.show(connect().get(RunsView, "runs", deployment=deployment))
