"""`trimtab rollback`."""

import click

from trimtab.cli.api import connect
from trimtab.cli.names import deployments, releases
from trimtab.cli.screen import Screen, verb, yes_option
from trimtab.views.shapes import DeployView


@verb("rollback")
@click.argument("deployment", shell_complete=deployments)
@click.option("--to", shell_complete=releases, help="A proven release; default: the one before.")
@click.option("--reason", default="", help="Why, for the journal.")
@yes_option
def command(screen: Screen, deployment: str, to: str | None, reason: str, yes: bool) -> None:
    """Go back to the release before, now."""
    api = connect()
    screen.confirm(f"roll {deployment} back{f' to {to}' if to else ''}?", yes)
    screen.show(api.post(DeployView, "deployments", deployment, "rollback", to=to, reason=reason))
