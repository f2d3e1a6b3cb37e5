"""`trimtab runs`."""

import click

from trimtab.cli.api import connect
from trimtab.cli.names import deployments
from trimtab.cli.screen import Screen, verb
from trimtab.views.shapes import RunsView


@verb("runs")
@click.argument("deployment", required=False, shell_complete=deployments)
@click.option("--limit", type=click.IntRange(1, 1000), default=100, help="Newest runs.")
@click.option("--before", type=click.IntRange(1), help="Asked for before this journal entry.")
def command(screen: Screen, deployment: str | None, limit: int, before: int | None) -> None:
    """List pipeline runs."""
    asked = {"deployment": deployment, "limit": limit, "before": before}
    screen.show(connect().get(RunsView, "runs", **asked))
