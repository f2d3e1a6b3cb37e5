"""`trimtab plan`."""

import click

from trimtab.cli.api import connect
from trimtab.cli.names import deployments
from trimtab.cli.screen import Screen, verb
from trimtab.views.shapes import PlanView


@verb("plan")
@click.argument("deployment", shell_complete=deployments)
def command(screen: Screen, deployment: str) -> None:
    """What 1, 10 and 100 times today's load would need.

    By measured costs: workers, waits, and which resource of this machine ends first."""
    screen.show(connect().get(PlanView, "plan", deployment))
