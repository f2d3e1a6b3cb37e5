"""`trimtab abort`."""

import click

from trimtab.cli.api import connect
from trimtab.cli.names import deployments
from trimtab.cli.screen import Screen, verb, yes_option
from trimtab.views.shapes import DeployView


@verb("abort")
@click.argument("deployment", shell_complete=deployments)
@click.option("--reason", default="", help="Why, for the journal.")
@yes_option
def command(screen: Screen, deployment: str, reason: str, yes: bool) -> None:
    """Give the rollout up; stable keeps serving."""
    api = connect()
    screen.confirm(f"give the rollout of {deployment} up?", yes)
    screen.show(api.post(DeployView, "deployments", deployment, "abort", reason=reason))
