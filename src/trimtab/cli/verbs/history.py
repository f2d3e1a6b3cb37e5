"""`trimtab history`."""

import click

from trimtab.cli.api import connect
from trimtab.cli.names import deployments
from trimtab.cli.screen import Screen, verb
from trimtab.views.shapes import HistoryView


@verb("history")
@click.argument("deployment", required=False, shell_complete=deployments)
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, help="Newest entries.")
@click.option("--before", type=click.IntRange(1), help="Entries older than this one.")
def command(screen: Screen, deployment: str | None, limit: int, before: int | None) -> None:
    """The journal: every decision and human action."""
    asked = {"deployment": deployment, "limit": limit, "before": before}
    screen.show(connect().get(HistoryView, "history", **asked))
