"""`trimtab show`."""

import os
import time
from pathlib import Path

import click

from trimtab import errors
from trimtab.cli.api import connect
from trimtab.cli.names import releases
from trimtab.cli.screen import Screen, verb
from trimtab.views.shapes import ShowView


@verb("show")
@click.argument("release", shell_complete=releases)
def command(screen: Screen, release: str) -> None:
    """Show everything about one release: MODEL@N or a digest."""
    try:
        screen.show(connect().get(ShowView, "releases", release))
    except errors.Unavailable:
        screen.show(_offline(release))


def _offline(release: str) -> ShowView:
    from trimtab.app.projects import open_project
    from trimtab.app.releases import find_release, profile_of
    from trimtab.domain.state import SystemState
    from trimtab.views.releases import build_show
    from trimtab.views.seen import Seen

    project = open_project(Path.cwd(), os.environ)
    found = find_release(project, release)
    seen = Seen(state=SystemState(), now=time.time())
    return build_show(found, seen, profile_of(project, found))
