"""`trimtab resume`."""

import click

from trimtab.cli.api import connect
from trimtab.cli.names import deployments
from trimtab.cli.screen import Screen, verb
from trimtab.views.shapes import DeployView


@verb("resume")
@click.argument("deployment", shell_complete=deployments)
@click.option("--reason", default="", help="Why, for the journal.")
def command(screen: Screen, deployment: str, reason: str) -> None:
    """Let a paused rollout advance again."""
    screen.show(connect().post(DeployView, "deployments", deployment, "resume", reason=reason))
