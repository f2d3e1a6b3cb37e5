"""`trimtab promote`."""

import click

from trimtab.cli.api import connect
from trimtab.cli.names import deployments
from trimtab.cli.screen import Screen, verb, yes_option
from trimtab.views.shapes import DeployView


@verb("promote")
@click.argument("deployment", shell_complete=deployments)
@click.option("--full", is_flag=True, help="Straight to all requests; from bake, end it as proven.")
@click.option("--override", is_flag=True, help="Also without evidence; give a reason.")
@click.option("--reason", default="", help="Why, for the journal.")
@yes_option
def command(
    screen: Screen, deployment: str, full: bool, override: bool, reason: str, yes: bool
) -> None:
    """Take the rollout to its next step now.

    It spares the waiting, not the evidence that the candidate is no worse.
    """
    if override and not reason:
        raise click.UsageError("--override needs a --reason")
    api = connect()
    to = "to all requests" if full else "to its next step"
    screen.confirm(f"take the rollout of {deployment} {to}?", yes)
    view = api.post(
        DeployView,
        *("deployments", deployment, "promote"),
        full=full,
        override=override,
        reason=reason,
    )
    screen.show(view)
