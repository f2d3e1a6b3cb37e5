"""`trimtab releases`."""

import os
import time
from pathlib import Path

import click

from trimtab import errors
from trimtab.cli.api import connect
from trimtab.cli.screen import Screen, verb
from trimtab.views.shapes import ReleasesView


@verb("releases")
@click.option("--model", help="Only releases of this model.")
def command(screen: Screen, model: str | None) -> None:
    """List releases."""
    try:
        screen.show(connect().get(ReleasesView, "releases", model=model))
    except errors.Unavailable:
        screen.show(_offline(model))


def _offline(model: str | None) -> ReleasesView:
    from trimtab.app.projects import open_project
    from trimtab.app.releases import releases_offline
    from trimtab.domain.state import SystemState
    from trimtab.views.releases import build_releases
    from trimtab.views.seen import Seen

    project = open_project(Path.cwd(), os.environ)
    known = {release.digest: release for release in releases_offline(project, model)}
    return build_releases(Seen(state=SystemState(), now=time.time(), releases=known), model)
