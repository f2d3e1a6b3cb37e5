"""`trimtab samples`."""

import os
from pathlib import Path

import click

from trimtab.cli.screen import Screen, verb


@verb("samples")
@click.argument("incident")
@click.option(
    "--rows",
    type=click.IntRange(0),
    default=5,
    show_default=True,
    help="Rows for each signal.",
)
def command(screen: Screen, incident: str, rows: int) -> None:
    """Requests that show what an incident is about.

    Read from the log of this project, whether the system runs or not: for each bad signal how many
    rows are concerned, and some of them.
    """
    import trimtab.views.samples  # noqa: F401, so that the screen knows the view
    from trimtab.app.projects import open_project
    from trimtab.app.samples import samples

    screen.show(samples(open_project(Path.cwd(), os.environ), incident, rows))
