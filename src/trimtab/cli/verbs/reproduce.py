"""`trimtab reproduce`."""

import os
from pathlib import Path

import click

from trimtab.cli.names import releases
from trimtab.cli.screen import DONE, FAILED, Screen, verb
from trimtab.views.reproduction import build_reproduction


@verb("reproduce")
@click.argument("release", shell_complete=releases)
def command(screen: Screen, release: str) -> None:
    """Make a release again in a clean environment and compare."""
    from trimtab.app.projects import open_project
    from trimtab.app.releases import reproduce_release

    project = open_project(Path.cwd(), os.environ)
    view = build_reproduction(reproduce_release(project, release, screen.say))
    screen.show(view)
    raise SystemExit(DONE if view.ok else FAILED)
