"""`trimtab retrain`."""

import click

from trimtab.cli.api import connect
from trimtab.cli.names import deployments
from trimtab.cli.screen import Screen, verb
from trimtab.views.shapes import DeployView


@verb("retrain")
@click.argument("deployment", shell_complete=deployments)
@click.option("--reason", default="", help="Why, for the journal.")
def command(screen: Screen, deployment: str, reason: str) -> None:
    """Make the release again on the labels known by now."""
    screen.show(connect().post(DeployView, "models", deployment, "retrain", reason=reason))
    screen.say(f"follow it: trimtab runs {deployment}")
