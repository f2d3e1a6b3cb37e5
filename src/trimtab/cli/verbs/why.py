"""`trimtab why`."""

import click

from trimtab.cli.api import connect
from trimtab.cli.names import deployments
from trimtab.cli.screen import Screen, verb
from trimtab.views.shapes import StatusView, WhyView


@verb("why")
@click.argument("what", required=False, shell_complete=deployments, metavar="[INCIDENT|DEPLOYMENT]")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, help="Newest incidents.")
@click.option("--before", type=click.IntRange(1), help="Opened before this entry of the journal.")
def command(screen: Screen, what: str | None, limit: int, before: int | None) -> None:
    """Explain incidents: cause, what was ruled out, action, undo."""
    api = connect()
    names = {view.name for view in api.get(StatusView, "status").deployments}
    if what is None or what in names:
        screen.show(api.get(WhyView, "why", deployment=what, limit=limit, before=before))
    else:
        screen.show(api.get(WhyView, "why", what))
